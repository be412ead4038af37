package ckpt_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/table"
)

// copyFiles copies files into the folder d of a bucket.
func copyFiles(t *testing.T, b storage.Bucket, names ...string) (files []string) {
	t.Helper()
	for _, name := range names {
		files = append(files, "d/"+filepath.Base(name))
		storagetest.Put(t, b, "d/"+filepath.Base(name), string(readFile(t, name)))
	}
	return files
}

// toBigEndian changes the header of an index, so that its tensors read as
// those of the other byte order.
func toBigEndian(t *testing.T, b storage.Bucket, name string) {
	t.Helper()
	index := storagetest.Get(t, b, name)
	r, err := table.NewReader(strings.NewReader(index), int64(len(index)), nil)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	w := table.NewWriter(&out, nil)
	for e, err := range r.All() {
		value := e.Value
		if len(e.Key) == 0 {
			h, headerErr := bundle.DecodeHeader(value)
			h.BigEndian = true
			value, err = bundle.EncodeHeader(nil, &h), errors.Join(err, headerErr)
		}
		if err := errors.Join(err, w.Add(e.Key, value)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	storagetest.Put(t, b, name, out.String())
}

// TestFlipsOfOtherKinds flips the bits of a V1 file, of a big-endian checkpoint
// and of one with Snappy blocks.
func TestFlipsOfOtherKinds(t *testing.T) {
	const vectors = "testdata/tensorflow-2.21.0-vectors/"
	for name, load := range map[string]func(t *testing.T, b storage.Bucket) (prefix string, files []string){
		"V1": func(t *testing.T, b storage.Bucket) (string, []string) {
			return "d/h", copyFiles(t, b, vectors+"h")
		},
		"big-endian": func(t *testing.T, b storage.Bucket) (string, []string) {
			files := copyFiles(t, b, vectors+"f.index", vectors+"f.data-00000-of-00002", vectors+"f.data-00001-of-00002")
			toBigEndian(t, b, files[0])
			return "d/f", files
		},
		"Snappy": func(t *testing.T, b storage.Bucket) (string, []string) {
			dir := wildDir(t, "snappy-index/name-based")
			return "d/variables", copyFiles(t, b, dir+"/variables.index", dir+"/variables.data-00000-of-00001")
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New()
			prefix, files := load(t, b)
			good := &ckpt.VerifyOptions{Bucket: b}
			if v, err := ckpt.Verify(t.Context(), prefix, good); err != nil || !v.OK() {
				t.Fatalf("before: got %+v, %v", v, err)
			}
			want, err := contents(t, b, prefix)
			if err != nil || len(want) == 0 {
				t.Fatalf("before: got %v, %v", want, err)
			}
			bits := 0
			for _, file := range files {
				bits += eachFlip(t, b, file, func(offset int, bit uint, _ string) {
					what := fmt.Sprintf("%s, byte %d, bit %d", file, offset, bit)
					v, err := ckpt.Verify(t.Context(), prefix, good)
					if err == nil && v.OK() {
						t.Errorf("%s: not noticed", what)
					}
					if whole := wantSame(t, what, b, prefix, want); whole != (err == nil && unaffecting(v.Problems)) {
						t.Errorf("%s: all read %v, Verify says %+v, %v", what, whole, v, err)
					}
				})
			}
			t.Logf("%d bits, all noticed", bits)
		})
	}
}

// TestVerifyGoldens verifies everything in testdata and ../shared/wild that
// somebody wrote: whatever Verify looks for, sound files stay clean.
func TestVerifyGoldens(t *testing.T) {
	checked := 0
	for _, root := range []string{"testdata", filepath.Join("..", "shared", "wild")} {
		err := filepath.WalkDir(root, func(path string, e os.DirEntry, err error) error {
			if errors.Is(err, os.ErrNotExist) {
				t.Logf("no %s: it is not part of the project", path)
				return nil
			}
			prefix, isIndex := strings.CutSuffix(path, ".index")
			if err != nil || !isIndex || strings.Contains(path, "git-lfs-pointer") {
				return err
			}
			checked++
			if v, err := ckpt.Verify(t.Context(), prefix, nil); err != nil || !v.OK() {
				t.Errorf("%s: got %+v, %v", prefix, v, err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	}
	for _, prefix := range []string{
		"testdata/tensorflow-2.21.0-vectors/h", "testdata/tensorflow-2.21.0-names/v1", "testdata/tensorflow-2.21.0-names/v1-sharded-?????-of-00001",
		"testdata/tensorflow-2.15.1-plain/old", "testdata/tensorflow-2.18.1-plain/old", "../shared/wild/tf1-v1-format/save-60000",
		"../shared/wild/tf1-v1-sharded-name/single/export", "../shared/wild/tf1-v1-sharded-name/sharded/export-?????-of-00001",
	} {
		if strings.HasPrefix(prefix, "..") && !fileExists(filepath.Dir(prefix)) {
			continue
		}
		checked++
		if v, err := ckpt.Verify(t.Context(), prefix, nil); err != nil || !v.OK() {
			t.Errorf("%s: got %+v, %v", prefix, v, err)
		}
	}
	t.Logf("%d checkpoints", checked)
	if checked < 40 {
		t.Errorf("got %d checkpoints, want 40 or more", checked)
	}
}
