package edit_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

// load copies a checkpoint that TensorFlow wrote into a bucket, as ckpt-2.
func load(t *testing.T, b storage.Bucket, dir, prefix string) {
	t.Helper()
	from := local.Open("../testdata/"+dir, nil)
	for name, data := range filesOf(t, from, prefix) {
		storagetest.Put(t, b, "ckpt-2"+name, data)
	}
}

// TestRepairTensorFlows copies checkpoints of TensorFlow: of several files, in slices,
// with strings, big-endian. Each data file is then lost, and found again in a copy.
func TestRepairTensorFlows(t *testing.T) {
	for _, c := range []struct{ dir, prefix string }{
		{"tensorflow-2.21.0-shards", "cut"}, {"tensorflow-2.21.0-strings", "strings"}, {"tensorflow-2.21.0-objects", "nested-1"},
		{"tensorflow-2.21.0-vectors", "f"}, {"big-endian", "f"},
	} {
		t.Run(c.dir+"/"+c.prefix, func(t *testing.T) {
			b := newBucket()
			if c.dir == "big-endian" {
				load(t, b, "tensorflow-2.21.0-vectors", c.prefix)
				toBigEndian(t, b, "ckpt-2.index")
			} else {
				load(t, b, c.dir, c.prefix)
			}
			want := filesOf(t, b, "ckpt-2")
			if r, err := repair(t, b, nil); err != nil || len(r.Tensors) > 0 {
				t.Fatalf("got %+v, %v", r, err)
			}
			wantSame(t, filesOf(t, b, "good"), want)
			for name, data := range want {
				storagetest.Put(t, b, "copy"+name, data)
			}
			for name := range want {
				remove(t, b, "good")
				data := storagetest.Get(t, b, "ckpt-2"+name)
				if err := b.Remove(t.Context(), "ckpt-2"+name); err != nil {
					t.Fatal(err)
				}
				r, err := repair(t, b, &edit.RepairOptions{Donors: []string{"copy"}})
				if name == ".index" {
					if !errors.Is(err, ckpt.ErrCorrupt) { // nothing says that the copy is one
						t.Errorf("without an index: %v", err)
					}
					storagetest.Put(t, b, "ckpt-2"+name, data)
					if _, err := repair(t, b, nil); err != nil {
						t.Fatal(err)
					}
					continue
				}
				if err != nil {
					t.Fatal(err)
				}
				got := filesOf(t, b, "good")
				if n := len(got[name]); n < len(data) { // bytes behind the last tensor belong to nobody
					got[name] += data[n:]
				}
				wantSame(t, got, want)
				if len(r.Tensors) == 0 && len(data) > 0 {
					t.Errorf("%s was lost, and nothing was damaged", name)
				}
				storagetest.Put(t, b, "ckpt-2"+name, data)
			}
		})
	}
}

// TestRepairSlices loses one of the files that the slices of tensors lie in: the whole
// tensors are left out, with all their slices.
func TestRepairSlices(t *testing.T) {
	b := newBucket()
	load(t, b, "tensorflow-2.21.0-shards", "cut")
	total := count(t, b, "ckpt-2")
	for _, name := range storagetest.List(t, b, "ckpt-2.data-") {
		data := storagetest.Get(t, b, name)
		if err := b.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
		r, err := repair(t, b, &edit.RepairOptions{AllowPartial: true})
		if err != nil {
			t.Fatal(err)
		}
		wantGood(t, b, "good", false)
		gone := make(map[string]bool)
		for _, f := range r.LeftOut() {
			tensor, _, _ := strings.Cut(f.Name, " slice ")
			gone[tensor] = true
			if f.Help == "" || f.Problem == nil {
				t.Errorf("%+v", f)
			}
		}
		if got := count(t, b, "good"); got != total-len(gone) || len(gone) == 0 {
			t.Errorf("%s: %d tensors are there, %d of %d are gone", name, got, len(gone), total)
		}
		remove(t, b, "good")
		storagetest.Put(t, b, name, data)
	}
}

// toBigEndian changes the header of an index.
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

// TestRepairOddNames has keys that are no text, and one that ends in ":0".
func TestRepairOddNames(t *testing.T) {
	b := newBucket()
	for _, prefix := range []string{"ckpt-1", "ckpt-2"} {
		w, err := bundle.Create(t.Context(), b, prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		for i, key := range []string{"\xff\xfe", "w:0", "a\nb"} {
			if err := w.Add(t.Context(), key, tensor.Int32, tensor.Shape{3}, func(yield func([]byte) bool) { yield(fmt.Appendf(nil, "%012d", i)) }); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	want := filesOf(t, b, "ckpt-2")
	storagetest.Put(t, b, dataFile, "")
	if r, err := repair(t, b, nil); err != nil || len(r.Tensors) != 3 {
		t.Errorf("got %+v, %v", r, err)
	}
	wantSame(t, filesOf(t, b, "good"), want)
}
