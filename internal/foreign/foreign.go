// Package foreign knows the files of other kinds that are found in place of a
// checkpoint's: pages that a download gave instead, archives that nobody
// unpacked, weights of other formats.
package foreign

import (
	"bytes"
	"encoding/binary"
	"io"
	"strings"
)

// Kind is a kind of file; the zero value is one that is not known.
type Kind struct {
	What   string // "a NumPy array"
	Advice string // what to do
}

// String is what the file is and what to do, to follow "the file is ".
func (k Kind) String() string { return k.What + ": " + k.Advice }

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
	Kind
}{
	{"version https://git-lfs", Kind{"a Git LFS pointer", "fetch the file itself with git lfs pull"}},
	{"<?xml", Kind{"an XML document (a download that went wrong)", again}},
	{"\x89HDF\r\n\x1a\n", Kind{"an HDF5 file, such as Keras weights in .h5", inTF}},
	{"\x1f\x8b\x08", Kind{"gzip-compressed", unpack}},
	{"\x93NUMPY", Kind{"a NumPy array", inTF}},
	{"model_checkpoint_path:", Kind{"a state file", "give the directory it lies in"}},
	// The protocol and the magic number of files from before PyTorch's archives.
	{"\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19", Kind{"a PyTorch file", inTF}},
}

// byMember lists what a zip archive is by the name of its first member.
var byMember = []struct {
	part string
	Kind
}{
	{"/data.pkl", Kind{"a PyTorch file", inTF}},
	{".npy", Kind{"a NumPy archive (.npz)", inTF}},
	{"metadata.json", Kind{"a .keras archive", inTF}},
	{"config.json", Kind{"a .keras archive", inTF}},
	{"model.weights.h5", Kind{"a .keras archive", inTF}},
}

// Recognise tells what a file of size bytes is instead of a checkpoint's.
func Recognise(f io.ReaderAt, size int64) (kind Kind, ok bool) {
	if size == 0 {
		return Kind{"empty", "fetch or copy it again"}, true
	}
	head := make([]byte, min(size, headSize))
	if n, err := f.ReadAt(head, 0); n < len(head) || err != nil && err != io.EOF {
		return Kind{}, false
	}
	text := bytes.TrimLeft(head, " \t\r\n\ufeff")
	for _, known := range byMagic {
		if bytes.HasPrefix(text, []byte(known.magic)) {
			return known.Kind, true
		}
	}
	switch {
	case isHTML(text):
		return Kind{"an HTML page (a download that went wrong)", again}, true
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return recogniseZip(head), true
	case isSafetensors(head, size):
		return Kind{"a safetensors file", inTF}, true
	case isPickle(f, head, size):
		return Kind{"a Python pickle, such as an old PyTorch file", inTF}, true
	case len(head) >= 262 && string(head[257:262]) == "ustar":
		return Kind{"a tar archive", unpack}, true
	}
	return Kind{}, false
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
func recogniseZip(head []byte) Kind {
	if len(head) > 30 {
		name := string(head[30:min(len(head), 30+int(binary.LittleEndian.Uint16(head[26:])))])
		for _, known := range byMember {
			if strings.HasSuffix(name, known.part) {
				return known.Kind
			}
		}
	}
	return Kind{"a zip archive", unpack}
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
