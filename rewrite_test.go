package ckpt_test

import (
	"errors"
	"io/fs"
	"iter"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// withGraph copies a checkpoint tensor by tensor and puts other bytes in the
// place of its graph.
func (s saved) withGraph(t testing.TB, graph []byte) saved {
	t.Helper()
	return s.with(t, map[string]*tensor.Tensor{objectgraph.Key: text(t, graph)})
}

func text(t testing.TB, b []byte) *tensor.Tensor {
	t.Helper()
	x, err := tensor.NewStrings(nil, [][]byte{b})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// with copies a checkpoint with other tensors under some keys; nil leaves one
// out.
func (s saved) with(t testing.TB, changes map[string]*tensor.Tensor) saved {
	t.Helper()
	ctx := t.Context()
	to := saved{mem.New(), s.prefix}
	w, err := bundle.Create(ctx, to.bucket, to.prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	r := s.open(t)
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		x, changed := changes[v.Name]
		if !changed {
			if x, err = r.Tensor(ctx, v.Name); err != nil {
				t.Fatal(err)
			}
		}
		if x == nil {
			continue
		}
		if x.DType() == tensor.String {
			err = w.AddStrings(ctx, v.Name, x.Shape(), chunks(x.Strings()))
		} else {
			err = w.Add(ctx, v.Name, x.DType(), x.Shape(), chunks([][]byte{x.Bytes()}))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
	return to
}

func chunks(list [][]byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, b := range list {
			if !yield(b) {
				return
			}
		}
	}
}

// file gives the bytes of one file of a checkpoint and replaces them.
func (s saved) file(t testing.TB, name string) []byte {
	t.Helper()
	f, err := s.bucket.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, f.Size())
	if _, err := f.ReadAt(b, 0); err != nil {
		t.Fatal(err)
	}
	return b
}

func (s saved) put(t testing.TB, name string, b []byte) {
	t.Helper()
	w, err := s.bucket.Create(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// damage flips a bit of the stored bytes of one tensor.
func (s saved) damage(t testing.TB, key string) {
	t.Helper()
	for v, err := range s.open(t).Variables() {
		if err != nil {
			t.Fatal(err)
		}
		if v.Name == key {
			name := bundle.DataName(s.prefix, v.Shard, 1)
			b := s.file(t, name)
			b[v.Offset] ^= 0x10
			s.put(t, name, b)
			return
		}
	}
	t.Fatal(errors.Join(fs.ErrNotExist, errors.New(key)))
}
