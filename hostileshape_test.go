package ckpt_test

import (
	"bytes"
	"errors"
	"fmt"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

// rewriteShape changes the shape that the index has for one tensor, and nothing
// else of the checkpoint.
func rewriteShape(t *testing.T, b storage.Bucket, prefix, key string, shape tensor.Shape) {
	t.Helper()
	r, err := bundle.Open(t.Context(), b, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var out bytes.Buffer
	w, header := table.NewWriter(&out, nil), r.Header()
	err = w.Add(nil, bundle.EncodeHeader(nil, &header))
	for item, itemErr := range r.Entries() {
		if item.Key == key {
			item.Entry.Shape = shape
		}
		err = errors.Join(err, itemErr, w.Add([]byte(item.Key), bundle.EncodeEntry(nil, &item.Entry)))
	}
	f, createErr := b.Create(t.Context(), bundle.IndexName(prefix), nil)
	if err := errors.Join(err, w.Close(), createErr); err != nil {
		t.Fatal(err)
	}
	defer f.Abort()
	_, err = f.Write(out.Bytes())
	if err := errors.Join(err, f.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// Values of any length take what the file has, not what it claims to have.
func TestClaimedLength(t *testing.T) {
	type floats struct{ W []float32 }
	type texts struct{ W []string }
	type nothings struct{ W [][0]string }
	const key = "s/W/.ATTRIBUTES/VARIABLE_VALUE"
	for _, test := range []struct {
		saved, fresh any
		shape        tensor.Shape
		class        error
	}{
		{&floats{[]float32{1, 2}}, new(floats), tensor.Shape{1 << 61}, ckpt.ErrCorrupt},
		{&floats{[]float32{1, 2}}, new(floats), tensor.Shape{1 << 45}, ckpt.ErrCorrupt},
		{&floats{[]float32{1, 2}}, new(floats), tensor.Shape{-1}, ckpt.ErrCorrupt},
		{&texts{[]string{"a", "b"}}, new(texts), tensor.Shape{1 << 45}, ckpt.ErrCorrupt},
		{&nothings{make([][0]string, 1)}, new(nothings), tensor.Shape{1 << 62, 0}, nil},
	} {
		for _, inPlace := range []bool{false, true} {
			t.Run(fmt.Sprintf("%T %v in place %v", test.fresh, test.shape, inPlace), func(t *testing.T) {
				b := mem.New()
				if _, err := ckpt.New(ckpt.Objects{"s": ckpt.Track(test.saved)}).Write(t.Context(), "p", &ckpt.SaveOptions{Bucket: b}); err != nil {
					t.Fatal(err)
				}
				rewriteShape(t, b, "p", key, test.shape)
				_, err := ckpt.New(ckpt.Objects{"s": ckpt.Track(test.fresh)}).Read(t.Context(), "p", &ckpt.RestoreOptions{Bucket: b, InPlace: inPlace})
				if !errors.Is(err, test.class) {
					t.Errorf("got %v, want %v", err, test.class)
				}
			})
		}
	}
}
