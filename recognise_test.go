package ckpt_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// zipped is a zip archive with one member.
func zipped(t *testing.T, member string) string {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	f, err := w.Create(member)
	if err == nil {
		_, err = f.Write(make([]byte, 200))
	}
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// packed is text in a tar archive, or compressed.
func packed(t *testing.T, tarred bool) string {
	t.Helper()
	var b bytes.Buffer
	var err error
	if tarred {
		w := tar.NewWriter(&b)
		err = errors.Join(w.WriteHeader(&tar.Header{Name: "ckpt-1.index", Size: 0, Mode: 0o644}), w.Close())
	} else {
		w := gzip.NewWriter(&b)
		_, err = w.Write([]byte(strings.Repeat("0123456789abcdef ", 20)))
		err = errors.Join(err, w.Close())
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A foreignFile is found in place of a checkpoint's: what it holds, and what
// errors say of it.
type foreignFile struct{ name, content, what, advice string }

func foreignFiles(t *testing.T) []foreignFile {
	rest := strings.Repeat("\x00", 80)
	const inPython, unpack, fetch = "save it with tf.train.Checkpoint", "unpack it first", "fetch the file itself again"
	keras2, keras3 := "testdata/tensorflow-2.15.1-keras2/", "testdata/tensorflow-2.18.1-keras3/"
	return []foreignFile{
		{"lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n", "a Git LFS pointer", "git lfs pull"},
		{"html", "\n\n<!DOCTYPE html>\n<html><head><title>Sign in</title></head></html>", "an HTML page", fetch},
		{"mixed case html", "\ufeff<HtMl lang=\"en\"><body>404</body></HTML>", "an HTML page", fetch},
		{"xml", `<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>`, "an XML document", fetch},
		{"keras 2 h5", string(readFile(t, keras2+"model.h5")), "an HDF5 file", inPython},
		{"keras 3 weights", string(readFile(t, keras3+"model.weights.h5")), "an HDF5 file", inPython},
		{"keras 2 archive", string(readFile(t, keras2+"model.keras")), "a .keras archive", inPython},
		{"keras 3 archive", string(readFile(t, keras3+"model.keras")), "a .keras archive", inPython},
		{"pytorch zip", zipped(t, "archive/data.pkl"), "a PyTorch file", inPython},
		{"pytorch legacy", "\x80\x02\x8a\x0a\x6c\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19." + rest, "a PyTorch file", inPython},
		{"pickle 4", "\x80\x04\x95\x40\x00\x00\x00\x00\x00\x00\x00" + rest + ".", "a Python pickle", inPython},
		{"pickle 2", "\x80\x02}q\x00" + rest + ".", "a Python pickle", inPython},
		{"npz", zipped(t, "arr_0.npy"), "a NumPy archive", inPython},
		{"npy", "\x93NUMPY\x01\x00v\x00{'descr': '<f4'" + rest, "a NumPy array", inPython},
		{"zip", zipped(t, "model/ckpt-1.index"), "a zip archive", unpack},
		{"safetensors", "\x50\x00\x00\x00\x00\x00\x00\x00{\"__metadata__\":{\"format\":\"pt\"}" + rest, "a safetensors file", inPython},
		{"gzip", packed(t, false), "gzip-compressed", unpack},
		{"tar", packed(t, true), "a tar archive", unpack},
		{"state file", "model_checkpoint_path: \"ckpt-1\"\nall_model_checkpoint_paths: \"ckpt-1\"\n", "a state file", "give the directory it lies in"},
		{"empty", "", "empty", "fetch or copy it again"},
	}
}

// errorsOf gives what Open and Tensor, Read, Restore and Verify say of a
// checkpoint that cannot be read.
func errorsOf(t *testing.T, prefix string, b storage.Bucket) map[string]error {
	t.Helper()
	got := make(map[string]error)
	open, restore, verify := &ckpt.OpenOptions{}, &ckpt.RestoreOptions{}, &ckpt.VerifyOptions{}
	if b != nil {
		open.Bucket, restore.Bucket, verify.Bucket = b, b, b
	}
	r, err := ckpt.Open(t.Context(), prefix, open)
	if err == nil {
		defer r.Close()
		_, err = r.Tensor(t.Context(), "v"+value)
	}
	got["Open"] = err
	c := ckpt.New(ckpt.Objects{"v": vector(0, 0)})
	_, got["Read"] = c.Read(t.Context(), prefix, restore)
	_, got["Restore"] = c.Restore(t.Context(), prefix, restore)
	v, err := ckpt.Verify(t.Context(), prefix, verify)
	if err == nil {
		for _, p := range v.Problems {
			err = p
		}
	}
	got["Verify"] = err
	return got
}

// TestForeignFiles puts files of other kinds in place of an index, of a data
// file, and where a prefix is asked for.
func TestForeignFiles(t *testing.T) {
	for _, c := range foreignFiles(t) {
		t.Run(c.name, func(t *testing.T) {
			for _, place := range []struct {
				name, prefix string
				class        error
			}{{"m.index", "m", ckpt.ErrCorrupt}, {dataOf("m"), "m", ckpt.ErrCorrupt}, {"model.file", "model.file", fs.ErrNotExist}} {
				s := saved{mem.New(), "m"}
				if _, err := ckpt.New(ckpt.Objects{"v": vector(1, 2)}).Write(t.Context(), "m", &ckpt.SaveOptions{Bucket: s.bucket}); err != nil {
					t.Fatal(err)
				}
				storagetest.Put(t, s.bucket, place.name, c.content)
				for call, err := range errorsOf(t, place.prefix, s.bucket) {
					what := call + " with " + place.name
					wantError(t, what, err, c.what)
					wantError(t, what, err, c.advice)
					wantError(t, what, err, place.prefix)
					if !errors.Is(err, place.class) {
						t.Errorf("%s: got %v, want the class %v", what, err, place.class)
					}
					for _, words := range []string{c.what, c.advice} {
						if err != nil && strings.Count(err.Error(), words) != 1 {
							t.Errorf("%s: %q does not say %q once", what, err, words)
						}
					}
				}
			}
		})
	}
}

// TestDirectoryInPlaceOfFile has folders where files should be.
func TestDirectoryInPlaceOfFile(t *testing.T) {
	for _, file := range []string{"m.index", dataOf("m")} {
		dir := t.TempDir()
		prefix := filepath.Join(dir, "m")
		if _, err := ckpt.New(ckpt.Objects{"v": vector(1, 2)}).Write(t.Context(), prefix, nil); err != nil {
			t.Fatal(err)
		}
		makeFolder(t, filepath.Join(dir, file))
		for call, err := range errorsOf(t, prefix, nil) {
			wantError(t, call+" with "+file, err, "the file is a directory: move it away")
			wantError(t, call+" with "+file, err, file)
		}
	}
}

// TestDirectoryOfOtherFiles has no checkpoint, but files that are known.
func TestDirectoryOfOtherFiles(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "README.md"), []byte("# A model\n"))
	writeFile(t, filepath.Join(dir, "a.empty"), nil)
	_, err := ckpt.Open(t.Context(), dir, nil)
	if !errors.Is(err, ckpt.ErrNoCheckpoint) || strings.Contains(err.Error(), "it holds") {
		t.Errorf("got %v, want ErrNoCheckpoint and no more", err)
	}
	weights, err := os.ReadFile("testdata/tensorflow-2.18.1-keras3/model.weights.h5")
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "model.weights.h5"), weights)
	_, err = ckpt.Open(t.Context(), dir, nil)
	wantError(t, "weights", err, "it holds model.weights.h5, which is an HDF5 file")
	if !errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Errorf("got %v, want ErrNoCheckpoint", err)
	}
}

// TestNotForeign damages data that looks like nothing else: no word is added.
func TestNotForeign(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": vector(1, 2)}))
	for _, content := range []string{strings.Repeat("noise", 30), "PK", "\x80\x04", "\x80\x04\x95", "<", "\x02\x00\x00\x00\x00\x00\x00\x00{", strings.Repeat("\xff", 300), strings.Repeat("{", 200)} {
		for _, name := range []string{s.prefix + ".index", dataOf(s.prefix)} {
			s := write(t, ckpt.New(ckpt.Objects{"v": vector(1, 2)}))
			storagetest.Put(t, s.bucket, name, content)
			for call, err := range errorsOf(t, s.prefix, s.bucket) {
				if !errors.Is(err, ckpt.ErrCorrupt) || strings.Contains(err.Error(), "the file is ") {
					t.Errorf("%s, %s with %.20q: got %v, want ErrCorrupt and no guess", call, name, content, err)
				}
			}
		}
	}
	storagetest.Put(t, s.bucket, "text", "something else")
	_, err := ckpt.Open(t.Context(), "text", &ckpt.OpenOptions{Bucket: s.bucket})
	wantError(t, "an unknown file", err, "the file of this name is no checkpoint")
}
