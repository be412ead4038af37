package ckpt_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

func TestRS20SavedModel(t *testing.T) {
	dir := t.TempDir()
	model := filepath.Join(dir, "model")
	if err := os.MkdirAll(filepath.Join(model, "variables"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(model, "saved_model.pb"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := ckpt.New(ckpt.Objects{"v": scalar(2), "deferred": scalar(5)}).Write(t.Context(), filepath.Join(model, "variables", "variables"), nil); err != nil {
		t.Fatal(err)
	}
	v := scalar(0)
	c := ckpt.New(ckpt.Objects{"v": v})
	if _, err := c.Restore(t.Context(), model, nil); err != nil {
		t.Fatal(err)
	}
	deferred := scalar(0)
	if err := c.Track("deferred", deferred); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "v", v, 2)
	wantValues(t, "deferred", deferred, 5)

	_, err := c.Restore(t.Context(), model+"no", nil)
	wantError(t, "missing", err, model+"no")
	wantError(t, "missing", err, "-1")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	_, err = c.Read(t.Context(), model, nil)
	wantError(t, "Read of a directory", err, "is a directory")
	_, err = c.Restore(t.Context(), dir, nil)
	wantError(t, "Restore of a directory", err, "is a directory")
}

// A missing data file is not a wrong path.
func TestMissingDataFileGivesNoHint(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": scalar(2)}))
	if err := s.bucket.Remove(t.Context(), dataOf(s.prefix)); err != nil {
		t.Fatal(err)
	}
	_, err := ckpt.New(ckpt.Objects{"v": scalar(2)}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	if !errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "is the path right") {
		t.Errorf("got %v, want fs.ErrNotExist without a hint", err)
	}
}

func TestRS25NoOpenFiles(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("counts the files in /proc")
	}
	dir := t.TempDir()
	prefix, err := ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2)}).Save(t.Context(), filepath.Join(dir, "c"), nil)
	if err != nil {
		t.Fatal(err)
	}
	c := ckpt.New(ckpt.Objects{"a": scalar(0)})
	if _, err := c.Restore(t.Context(), prefix, nil); err != nil {
		t.Fatal(err)
	}
	noOpenFiles(t, dir)
	b := scalar(0)
	if err := c.Track("b", b); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "b", b, 2)
	noOpenFiles(t, dir)
	wrong := ckpt.New(ckpt.Objects{"a": vector(1, 2)})
	if _, err := wrong.Restore(t.Context(), prefix, nil); err == nil {
		t.Error("another shape: got no error")
	}
	noOpenFiles(t, dir)
}

func noOpenFiles(t *testing.T, dir string) {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Skip(err)
	}
	for _, fd := range list {
		if name, err := os.Readlink("/proc/self/fd/" + fd.Name()); err == nil && strings.HasPrefix(name, dir+"/") {
			t.Errorf("%s is open", name)
		}
	}
}
