package bundle_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// TestReplacedWhileRead writes over a checkpoint, or removes it, between the
// opening of its index and that of its data: nobody gets the values of one by the
// index of the other.
func TestReplacedWhileRead(t *testing.T) {
	for _, place := range []struct {
		name string
		open func(t *testing.T) storage.Bucket
	}{
		{"local", func(t *testing.T) storage.Bucket { return local.Open(filepath.Join(t.TempDir(), "x"), nil) }},
		{"mem", func(*testing.T) storage.Bucket { return mem.New() }},
		{"crashable", func(*testing.T) storage.Bucket { return storagetest.NewCrashable() }},
		{"faulty", func(*testing.T) storage.Bucket { return storagetest.NewFaulty(mem.New()) }},
	} {
		t.Run(place.name, func(t *testing.T) {
			b := place.open(t)
			writeOne(t, b, 1)
			early, late := openOne(t, b), openOne(t, b)
			wantOne(t, early, 1)
			writeOne(t, b, 2)
			wantOne(t, early, 1) // it has its files
			if _, err := late.Tensor(t.Context(), "a"); !errors.Is(err, bundle.ErrReplaced) || !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("got %v, want ErrReplaced", err)
			}
			wantOne(t, openOne(t, b), 2)
			gone := openOne(t, b)
			if err := bundle.Remove(t.Context(), b, "c"); err != nil {
				t.Fatal(err)
			}
			if _, err := gone.Tensor(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("of a removed one: got %v, want fs.ErrNotExist", err)
			}
		})
	}
}

func writeOne(t *testing.T, b storage.Bucket, value byte) {
	t.Helper()
	w, err := bundle.Create(t.Context(), b, "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.Add(t.Context(), "a", tensor.Uint8, tensor.Shape{1}, slices.Values([][]byte{{value}})); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func openOne(t *testing.T, b storage.Bucket) *bundle.Reader {
	t.Helper()
	r, err := bundle.Open(t.Context(), b, "c", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func wantOne(t *testing.T, r *bundle.Reader, want byte) {
	t.Helper()
	got, err := r.Tensor(t.Context(), "a")
	if err != nil || got.Bytes()[0] != want {
		t.Errorf("got %v, %v, want %d", got, err, want)
	}
}

// replacing is a bucket in which an overwrite ends just when somebody looks for
// its second names.
type replacing struct {
	storage.Bucket
	end func()
}

func (r *replacing) Open(ctx context.Context, name string) (storage.File, error) {
	if name == ".ckpt-undo.c.index" {
		r.end()
	}
	return r.Bucket.Open(ctx, name)
}

// TestFoundWhileReplaced looks for a checkpoint whose index is away and comes back
// between two looks.
func TestFoundWhileReplaced(t *testing.T) {
	for _, open := range []bool{false, true} {
		b := mem.New()
		writeOne(t, b, 1)
		index := storagetest.Get(t, b, "c.index")
		if err := b.Remove(t.Context(), "c.index"); err != nil {
			t.Fatal(err)
		}
		r := &replacing{b, func() { storagetest.Put(t, b, "c.index", index) }}
		if open {
			wantOne(t, openOne(t, r), 1)
		} else if there, err := bundle.Exists(t.Context(), r, "c"); err != nil || !there {
			t.Errorf("Exists: got %v, %v, want true", there, err)
		}
	}
}
