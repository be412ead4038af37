package bundle_test

import (
	"context"
	"encoding/hex"
	"errors"
	"io"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/tensor"
)

// one yields a tensor's bytes as a single chunk.
func one(p []byte) iter.Seq[[]byte] { return slices.Values([][]byte{p}) }

func text(elements ...string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, s := range elements {
			if !yield([]byte(s)) {
				return
			}
		}
	}
}

// named is a tensor to write.
type named struct {
	key string
	t   *tensor.Tensor
}

func add[T tensor.Element](t testing.TB, key string, shape tensor.Shape, values ...T) named {
	t.Helper()
	v, err := tensor.Of(shape, values)
	if err != nil {
		t.Fatal(err)
	}
	return named{key, v}
}

func addStrings(t testing.TB, key string, shape tensor.Shape, elements ...string) named {
	t.Helper()
	v, err := tensor.NewStrings(shape, slices.Collect(text(elements...)))
	if err != nil {
		t.Fatal(err)
	}
	return named{key, v}
}

func addRaw(t testing.TB, key string, d tensor.DType, shape tensor.Shape, data string) named {
	t.Helper()
	v, err := tensor.New(d, shape, []byte(data))
	if err != nil {
		t.Fatal(err)
	}
	return named{key, v}
}

func addAll(ctx context.Context, w *bundle.Writer, tensors []named) error {
	for _, n := range tensors {
		var err error
		switch v := n.t; v.DType() {
		case tensor.String:
			err = w.AddStrings(ctx, n.key, v.Shape(), slices.Values(v.Strings()))
		case tensor.Variant:
			err = w.AddVariants(ctx, n.key, v.Shape(), slices.Values(v.Strings()))
		default:
			err = w.Add(ctx, n.key, v.DType(), v.Shape(), one(v.Bytes()))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// save writes a bundle, or cleans up and returns the first error.
func save(ctx context.Context, b storage.Bucket, prefix string, tensors ...named) error {
	w, err := bundle.Create(ctx, b, prefix, nil)
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := addAll(ctx, w, tensors); err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.Commit(ctx)
}

func mustSave(t testing.TB, b storage.Bucket, prefix string, tensors ...named) {
	t.Helper()
	if err := save(t.Context(), b, prefix, tensors...); err != nil {
		t.Fatal(err)
	}
}

func open(t testing.TB, b storage.Bucket, prefix string) *bundle.Reader {
	t.Helper()
	r, err := bundle.Open(t.Context(), b, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

func put(t testing.TB, b storage.Bucket, name string, data []byte) {
	t.Helper()
	w, err := b.Create(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, b storage.Bucket, name string) []byte {
	t.Helper()
	f, err := b.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	p, err := io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// files lists the names of a bucket.
func files(t testing.TB, b storage.Bucket) []string {
	t.Helper()
	var names []string
	for info, err := range b.List(t.Context(), "") {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	p, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// wantErr checks class and words of an error.
func wantErr(t testing.TB, err, class error, words ...string) {
	t.Helper()
	if !errors.Is(err, class) {
		t.Errorf("got error %v, want one that is %v", err, class)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("got error %q, want it to say %q", err, word)
		}
	}
}

// keys lists the tensors of a reader in order.
func keys(t testing.TB, r *bundle.Reader) []string {
	t.Helper()
	var names []string
	for item, err := range r.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		if !item.IsSlice {
			names = append(names, item.Key)
		}
	}
	return names
}

func values[T tensor.Element](t testing.TB, r *bundle.Reader, key string) []T {
	t.Helper()
	v, err := r.Tensor(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	got, err := tensor.Values[T](v)
	if err != nil {
		t.Fatal(err)
	}
	return got
}
