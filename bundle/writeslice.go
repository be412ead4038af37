package bundle

import (
	"context"
	"fmt"
	"iter"
	"strconv"

	"github.com/ckpt-go/ckpt/tensor"
)

// AddSlice appends one slice of a tensor of fixed-size dtype and the given full
// shape; the chunks are the bytes of the slice. Slices of one key must agree in
// dtype and shape; whether together they cover the tensor, and only once, is
// noticed by readers. A slice that is the whole tensor, however it is spelled,
// is stored as by Add (BundleWriter::AddSlice).
func (w *Writer) AddSlice(ctx context.Context, key string, d tensor.DType, full tensor.Shape, s Slice, chunks iter.Seq[[]byte]) error {
	return w.addSlice(key, d, full, s, func(key string, shape tensor.Shape) error {
		return w.Add(ctx, key, d, shape, chunks)
	})
}

// AddStringsSlice is AddSlice for a string tensor; elements is iterated twice.
func (w *Writer) AddStringsSlice(ctx context.Context, key string, full tensor.Shape, s Slice, elements iter.Seq[[]byte]) error {
	return w.addSlice(key, tensor.String, full, s, func(key string, shape tensor.Shape) error {
		return w.AddStrings(ctx, key, shape, elements)
	})
}

func (w *Writer) addSlice(key string, d tensor.DType, full tensor.Shape, s Slice, write func(key string, shape tensor.Shape) error) error {
	shape, err := s.Shape(full)
	for _, e := range s {
		if err == nil && !e.Full && e.Length == 0 {
			err = fmt.Errorf("expected non-negative start and positive length but got start = %d, length = 0", e.Start)
		}
	}
	if err == nil && shape.Equal(full) {
		return write(key, full)
	}
	whole := w.entries[key]
	switch {
	case err != nil:
	case whole == nil:
		err = w.checkNew(key, full)
	case len(whole.Slices) == 0:
		err = fmt.Errorf("duplicate key: %s", errKey(key))
	case whole.DType != d || !whole.Shape.Equal(full):
		err = fmt.Errorf("a slice of %s %s after one of %s %s", d, full, whole.DType, whole.Shape)
	}
	if err != nil {
		if w.err == nil {
			w.err = fmt.Errorf("tensor %s: %w", strconv.Quote(errKey(key)), err)
		}
		return w.err
	}
	if err := write(EncodeSliceKey(key, s), shape); err != nil {
		return err
	}
	if whole == nil {
		whole = w.keep(key, Entry{DType: d, Shape: full.Clone()})
	}
	whole.Slices = append(whole.Slices, append(Slice(nil), s...))
	return nil
}
