package ckpt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage/local"
)

// A foreign is a kind of file that is found in place of a checkpoint's.
type foreign struct {
	what   string // "an HTML page"
	advice string // what to do
}

// headSize is how much of a file is looked at: as far as the mark of a tar
// archive.
const headSize = 512

// Advice that several kinds share.
const (
	again  = "fetch the file itself again"
	unpack = "unpack it first"
	inTF   = "load it in Python and save it with tf.train.Checkpoint"
)

// byMagic lists the kinds that their first bytes tell.
var byMagic = []struct {
	magic string
	foreign
}{
	{"version https://git-lfs", foreign{"a Git LFS pointer", "fetch the file itself with git lfs pull"}},
	{"<?xml", foreign{"an XML document: a download that went wrong", again}},
	{"\x89HDF\r\n\x1a\n", foreign{"an HDF5 file, such as Keras weights in .h5", inTF}},
	{"\x1f\x8b\x08", foreign{"gzip-compressed", unpack}},
	{"\x93NUMPY", foreign{"a NumPy array", inTF}},
	{"model_checkpoint_path:", foreign{"a state file", "give the directory it lies in"}},
	// The protocol and the magic number of files from before PyTorch's archives.
	{"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", foreign{"a PyTorch file", inTF}},
}

// byMember lists what a zip archive is by the name of its first member.
var byMember = []struct {
	part string
	foreign
}{
	{"/data.pkl", foreign{"a PyTorch file", inTF}},
	{".npy", foreign{"a NumPy archive (.npz)", inTF}},
	{"metadata.json", foreign{"a .keras archive", inTF}},
	{"config.json", foreign{"a .keras archive", inTF}},
	{"model.weights.h5", foreign{"a .keras archive", inTF}},
}

// recogniseFile tells what a file is instead of a checkpoint's.
func recogniseFile(f io.ReaderAt, size int64) (kind foreign, ok bool) {
	if size == 0 {
		return foreign{"empty", "fetch or copy it again"}, true
	}
	head := make([]byte, min(size, headSize))
	if n, err := f.ReadAt(head, 0); n < len(head) || err != nil && err != io.EOF {
		return foreign{}, false
	}
	text := bytes.TrimLeft(head, " \t\r\n\ufeff")
	for _, known := range byMagic {
		if bytes.HasPrefix(text, []byte(known.magic)) {
			return known.foreign, true
		}
	}
	switch {
	case isHTML(text):
		return foreign{"an HTML page: a download that went wrong", again}, true
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return recogniseZip(head), true
	case isSafetensors(head, size):
		return foreign{"a safetensors file", inTF}, true
	case isPickle(f, head, size):
		return foreign{"a Python pickle, such as an old PyTorch file", inTF}, true
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return foreign{"a tar archive", unpack}, true
	}
	return foreign{}, false
}

func isHTML(text []byte) bool {
	start := strings.ToLower(string(text[:min(len(text), 16)]))
	for _, tag := range []string{"<!doctype html", "<html", "<head"} {
		if strings.HasPrefix(start, tag) {
			return true
		}
	}
	return false
}

// recogniseZip looks at the name of the first member, which follows 30 bytes.
func recogniseZip(head []byte) foreign {
	if len(head) > 30 {
		name := string(head[30:min(len(head), 30+int(binary.LittleEndian.Uint16(head[26:])))])
		for _, known := range byMember {
			if strings.HasSuffix(name, known.part) {
				return known.foreign
			}
		}
	}
	return foreign{"a zip archive", unpack}
}

// isSafetensors tells a file that begins with the length of a JSON object and
// that object.
func isSafetensors(head []byte, size int64) bool {
	if len(head) < 10 || head[8] != '{' {
		return false
	}
	length := binary.LittleEndian.Uint64(head)
	return length >= 2 && length <= uint64(size-8) && (head[9] == '"' || head[9] == '}')
}

// isPickle tells a file that begins with a pickle's protocol and ends with its
// stop mark.
func isPickle(f io.ReaderAt, head []byte, size int64) bool {
	if len(head) < 4 || head[0] != 0x80 || head[1] < 2 || head[1] > 5 {
		return false
	}
	// The next byte is the opcode of a frame, or in older protocols one that
	// begins a value.
	if first := head[2]; head[1] >= 4 && first != 0x95 || head[1] < 4 && !bytes.ContainsRune([]byte("}](cXK"), rune(first)) {
		return false
	}
	var last [1]byte
	n, _ := f.ReadAt(last[:], size-1)
	return n == 1 && last[0] == '.'
}

// recognise adds to the error of a checkpoint that cannot be read what lies in
// place of the file it is about, and what to do.
func recognise(ctx context.Context, at place, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	var damage *CorruptError
	switch {
	case errors.As(err, &damage):
		if words := at.instead(ctx, damage).after(err); words != "" {
			return fmt.Errorf("%w%s", err, words)
		}
	case isAbsent(err):
		if words := at.insteadOfAll(ctx); words != "" {
			return fmt.Errorf("%w: %s", err, words)
		}
	}
	return err
}

// recognise is the same for all that a check found. Each file is looked at once.
func (v *Verified) recognise(ctx context.Context, at place) {
	seen := make(map[string]foreign)
	for i, damage := range v.Problems {
		if ctx.Err() != nil {
			return
		}
		kind, ok := seen[damage.File]
		if !ok {
			kind = at.instead(ctx, damage)
			seen[damage.File] = kind
		}
		if words := kind.after(damage.Err); words != "" {
			explained := *damage
			explained.Err = fmt.Errorf("%w%s", damage.Err, words)
			v.Problems[i] = &explained
		}
	}
}

// after is what an error does not say yet. Package bundle knows some kinds, and
// not what to do.
func (f foreign) after(err error) string {
	switch {
	case f.what == "" || err == nil || strings.Contains(err.Error(), f.advice):
		return ""
	case strings.Contains(err.Error(), f.what):
		return "; " + f.advice
	case strings.Contains(err.Error(), said):
		return ": " + f.what + "; " + f.advice // of the zip archives, which one
	}
	return said + f.what + "; " + f.advice
}

// said is how package bundle and this one begin to say what a file is.
const said = ": the file is "

// instead tells what the damaged file is; the zero value if that is unknown, or
// not what is wrong.
func (p place) instead(ctx context.Context, damage *CorruptError) foreign {
	switch damage.Kind {
	case KindFormat, KindTruncated, KindChecksum, KindEntry, KindUnreadable:
	default:
		return foreign{}
	}
	name := p.name[:len(p.name)-len(baseName(p.name))] + damage.File
	if prefix, _, _, isData := bundle.ParseDataName(name); name != bundle.IndexName(p.name) && (!isData || prefix != p.name) {
		return foreign{}
	}
	f, err := p.bucket.Open(ctx, name)
	if err != nil {
		if p.isFolder(name) {
			return foreign{"a directory", "move it away and fetch the file itself again"}
		}
		return foreign{}
	}
	defer f.Close()
	kind, _ := recogniseFile(f, f.Size())
	return kind
}

// insteadOfAll says what a file is that has the name of a checkpoint without
// being one.
func (p place) insteadOfAll(ctx context.Context) string {
	f, err := p.bucket.Open(ctx, p.name)
	if err != nil {
		return ""
	}
	defer f.Close()
	kind, ok := recogniseFile(f, f.Size())
	if !ok {
		return "the file of this name is no checkpoint"
	}
	return fmt.Sprintf("the file of this name is %s; %s", kind.what, kind.advice)
}

// isFolder tells whether a name of the local file system is a directory.
func (p place) isFolder(name string) bool {
	folder, ok := p.bucket.(*local.Bucket)
	if !ok {
		return false
	}
	info, err := os.Stat(filepath.Join(folder.Dir(), name))
	return err == nil && info.IsDir()
}

// mostForeign bounds how many files of a folder are opened to see what they are.
const mostForeign = 50

// holds says for a directory without checkpoints what lies there instead: " (it
// holds model.h5, …)", or nothing.
func (d *directory) holds(ctx context.Context) string {
	seen := 0
	for info, err := range d.bucket.List(ctx, d.base) {
		if seen++; err != nil || seen > mostForeign {
			break
		}
		f, err := d.bucket.Open(ctx, info.Name)
		if err != nil {
			continue
		}
		kind, ok := recogniseFile(f, f.Size())
		f.Close()
		if ok && info.Size > 0 {
			name := fault.Printable(strings.TrimPrefix(info.Name, d.base))
			return fmt.Sprintf(" (it holds %s, which is %s; %s)", name, kind.what, kind.advice)
		}
	}
	return ""
}
