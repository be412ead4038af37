package foreign_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/internal/foreign"
)

// kinds are beginnings of files, and what they are; "" if nothing known.
var kinds = []struct{ name, content, want string }{
	{"lfs", "version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"},
	{"html after spaces", "\r\n\t <!DocType HTML>", "an HTML page (a download that went wrong)"},
	{"html after a mark", "\ufeff<html>", "an HTML page (a download that went wrong)"},
	{"xml", "<?xml version='1.0'?>", "an XML document (a download that went wrong)"},
	{"hdf5", "\x89HDF\r\n\x1a\n", "an HDF5 file, such as Keras weights in .h5"},
	{"zip, cut", "PK\x03\x04", "a zip archive"},
	{"zip, name beyond the end", "PK\x03\x04" + strings.Repeat("\xff", 40), "a zip archive"},
	{"npz", "PK\x03\x04" + strings.Repeat("\x00", 22) + "\x05\x00\x00\x00x.npy", "a NumPy archive (.npz)"},
	{"safetensors", "\x02\x00\x00\x00\x00\x00\x00\x00{}", "a safetensors file"},
	{"a length beyond the end", "\x03\x00\x00\x00\x00\x00\x00\x00{}", ""},
	{"a length of all ones", strings.Repeat("\xff", 8) + `{"`, ""},
	{"pickle", "\x80\x02}.", "a Python pickle, such as an old PyTorch file"},
	{"pickle without an end", "\x80\x02}q", ""},
	{"tar", strings.Repeat("\x00", 257) + "ustar", "a tar archive"},
	{"tar, cut", strings.Repeat("\x00", 257) + "usta", ""},
	{"empty", "", "empty"},
	{"one byte", "P", ""},
	{"a table", strings.Repeat("\x00", 40) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb", ""},
}

func TestRecognise(t *testing.T) {
	for _, c := range kinds {
		kind, ok := foreign.Recognise(strings.NewReader(c.content), int64(len(c.content)))
		if kind.What != c.want || ok != (c.want != "") {
			t.Errorf("%s: got %q, %v, want %q", c.name, kind.What, ok, c.want)
		}
		if ok && (kind.Advice == "" || kind.String() != c.want+": "+kind.Advice) {
			t.Errorf("%s: got %q, want advice", c.name, kind)
		}
	}
}

type unreadable struct{}

func (unreadable) ReadAt([]byte, int64) (int, error) { return 0, errors.New("unreadable") }

// What cannot be read, or has become shorter, is not known.
func TestRecogniseUnreadable(t *testing.T) {
	if kind, ok := foreign.Recognise(unreadable{}, 10); ok {
		t.Errorf("got %q of a file that cannot be read", kind)
	}
	if kind, ok := foreign.Recognise(strings.NewReader("<html>"), 100); ok {
		t.Errorf("got %q of a file that became shorter", kind)
	}
}

func FuzzReader(f *testing.F) {
	for _, c := range kinds {
		f.Add([]byte(c.content))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		kind, ok := foreign.Recognise(bytes.NewReader(b), int64(len(b)))
		if ok != (kind.What != "") || ok != (kind.Advice != "") {
			t.Errorf("got %+v, %v", kind, ok)
		}
	})
}
