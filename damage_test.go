package ckpt_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// flipBit changes one bit of a file; a negative offset counts from its end.
func flipBit(t *testing.T, name string, offset int, bit uint) {
	t.Helper()
	data := readFile(t, name)
	if offset < 0 {
		offset += len(data)
	}
	data[offset] ^= 1 << bit
	writeFile(t, name, data)
}

func dataOf(prefix string) string { return prefix + ".data-00000-of-00001" }

// damages are ways to lose the checkpoint of a prefix, and what has to be said
// about it.
var damages = []struct {
	name   string
	damage func(t *testing.T, prefix string)
	file   string // ending of the name
	key    string // beginning of the tensor's name, "" if it cannot be told
	kind   ckpt.Kind
	offset bool // the place is told
}{
	{"bit flip in a string", func(t *testing.T, p string) { flipBit(t, dataOf(p), 0, 3) }, ".data-00000-of-00001", "note/", ckpt.KindChecksum, true},
	{"bit flip in weights", func(t *testing.T, p string) { flipBit(t, dataOf(p), 24, 7) }, ".data-00000-of-00001", "weights/", ckpt.KindChecksum, true},
	{"bit flip in the graph", func(t *testing.T, p string) { flipBit(t, dataOf(p), -1, 0) }, ".data-00000-of-00001", "_CHECKPOINTABLE_OBJECT_GRAPH", ckpt.KindChecksum, true},
	{"bit flip in the index", func(t *testing.T, p string) { flipBit(t, p+".index", 60, 0) }, ".index", "", ckpt.KindChecksum, true},
	{"bit flip in the footer", func(t *testing.T, p string) { flipBit(t, p+".index", -1, 0) }, ".index", "", ckpt.KindFormat, true},
	{"data cut in a tensor", func(t *testing.T, p string) { cutFile(t, dataOf(p), 25) }, ".data-00000-of-00001", "", ckpt.KindTruncated, true},
	{"data cut by a byte", func(t *testing.T, p string) { cutFile(t, dataOf(p), -1) }, ".data-00000-of-00001", "_CHECKPOINTABLE_OBJECT_GRAPH", ckpt.KindTruncated, true},
	{"data empty", func(t *testing.T, p string) { cutFile(t, dataOf(p), 0) }, ".data-00000-of-00001", "", ckpt.KindTruncated, true},
	{"index cut", func(t *testing.T, p string) { cutFile(t, p+".index", 100) }, ".index", "", ckpt.KindFormat, true},
	{"index shorter than a footer", func(t *testing.T, p string) { cutFile(t, p+".index", 10) }, ".index", "", ckpt.KindTruncated, true},
	{"index empty", func(t *testing.T, p string) { cutFile(t, p+".index", 0) }, ".index", "", ckpt.KindTruncated, true},
	{"both empty", func(t *testing.T, p string) { cutFile(t, p+".index", 0); cutFile(t, dataOf(p), 0) }, ".index", "", ckpt.KindTruncated, true},
	{"data missing", func(t *testing.T, p string) { removeFile(t, dataOf(p)) }, ".data-00000-of-00001", "", ckpt.KindMissing, false},
	{"index missing", func(t *testing.T, p string) { removeFile(t, p+".index") }, ".index", "", ckpt.KindMissing, false},
	{"both missing", func(t *testing.T, p string) { removeFile(t, p+".index"); removeFile(t, dataOf(p)) }, ".index", "", ckpt.KindMissing, false},
	{"directory in place of the index", func(t *testing.T, p string) { makeFolder(t, p+".index") }, ".index", "", ckpt.KindUnreadable, false},
	{"directory in place of the data", func(t *testing.T, p string) { makeFolder(t, dataOf(p)) }, ".data-00000-of-00001", "", ckpt.KindUnreadable, false},
	{"link out of the directory", func(t *testing.T, p string) {
		outside := filepath.Join(t.TempDir(), "data")
		if err := os.Rename(dataOf(p), outside); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(outside, dataOf(p)); err != nil {
			t.Fatal(err)
		}
	}, ".data-00000-of-00001", "", ckpt.KindUnreadable, false},
	{"Git LFS pointers", func(t *testing.T, p string) {
		pointer := []byte("version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n")
		writeFile(t, p+".index", pointer)
		writeFile(t, dataOf(p), pointer)
	}, ".index", "", ckpt.KindFormat, true},
	{"HTML page", func(t *testing.T, p string) {
		writeFile(t, p+".index", []byte("<!DOCTYPE html><html><body>404</body></html>\n"))
	}, ".index", "", ckpt.KindFormat, true},
	{"data of another checkpoint", func(t *testing.T, p string) { writeFile(t, dataOf(p), readFile(t, dataOf(filepath.Dir(p)+"/ckpt-1"))) }, ".data-00000-of-00001", "note/", ckpt.KindChecksum, true},
}

func cutFile(t *testing.T, name string, size int) {
	t.Helper()
	data := readFile(t, name)
	if size < 0 {
		size += len(data)
	}
	writeFile(t, name, data[:size])
}

func removeFile(t *testing.T, name string) {
	t.Helper()
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
}

func makeFolder(t *testing.T, name string) {
	t.Helper()
	removeFile(t, name)
	if err := os.Mkdir(name, 0o777); err != nil {
		t.Fatal(err)
	}
}

// skipWithRaceDetector is for what one goroutine does, many thousand times.
func skipWithRaceDetector(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("too slow with the race detector, and with nothing for it")
	}
}
