package bundle

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/tensor"
)

// AddSlice appends one slice of a tensor of fixed-size dtype and the given full
// shape (BundleWriter::AddSlice); the chunks are the bytes of the slice. Slices
// of one key must agree in dtype and shape and must not overlap, which is
// checked before a byte is written; whether together they cover the tensor is
// noticed by readers, because others may be in a bundle this one is merged with.
// A slice that is the whole tensor, however it is spelled, is stored as by Add.
func (w *Writer) AddSlice(ctx context.Context, key string, d tensor.DType, full tensor.Shape, s Slice, chunks iter.Seq[[]byte]) error {
	return w.addSlice(key, d, full, s, func(key string, shape tensor.Shape) error {
		return w.Add(ctx, key, d, shape, chunks)
	})
}

// AddStringsSlice is AddSlice for a string tensor; elements is iterated as by
// AddStrings.
func (w *Writer) AddStringsSlice(ctx context.Context, key string, full tensor.Shape, s Slice, elements iter.Seq[[]byte]) error {
	return w.addSlice(key, tensor.String, full, s, func(key string, shape tensor.Shape) error {
		return w.AddStrings(ctx, key, shape, elements)
	})
}

// AddVariantsSlice is AddSlice for a variant tensor.
func (w *Writer) AddVariantsSlice(ctx context.Context, key string, full tensor.Shape, s Slice, elements iter.Seq[[]byte]) error {
	return w.addSlice(key, tensor.Variant, full, s, func(key string, shape tensor.Shape) error {
		return w.AddVariants(ctx, key, shape, elements)
	})
}

func (w *Writer) addSlice(key string, d tensor.DType, full tensor.Shape, s Slice, write func(key string, shape tensor.Shape) error) error {
	if err := w.usable(); err != nil {
		return err
	}
	shape, err := checkSlice(s, full)
	if err != nil {
		return w.fail(key, err)
	}
	if shape.Equal(full) {
		return write(key, full)
	}
	stored := EncodeSliceKey(key, s)
	if w.cutOf(stored) != nil {
		return write(stored, shape) // its parts are the slices
	}
	t, err := w.slice(key, d, full, s)
	if err != nil {
		return w.fail(key, err)
	}
	if err := write(stored, shape); err != nil {
		return err
	}
	t.add(s, w.entries[stored])
	return nil
}

// checkSlice returns the shape of a slice that can be stored.
func checkSlice(s Slice, full tensor.Shape) (tensor.Shape, error) {
	if err := checkShape(full); err != nil {
		return nil, err
	}
	shape, err := s.Shape(full)
	if err != nil {
		return nil, err
	}
	for _, e := range s {
		if !e.Full && e.Length == 0 {
			return nil, fmt.Errorf("expected non-negative start and positive length but got start = %d, length = 0", e.Start)
		}
	}
	return shape, nil
}

// sliced is a tensor that is stored in slices.
type sliced struct {
	whole  *entry
	slices *disjoint
	parts  []slicePart // in the order they were added
}

type slicePart struct {
	slice Slice
	shard int32
}

// slice returns the tensor that another slice is one of, if it can be: nothing
// is stored under its key yet, and it shares no element with those before it.
func (w *Writer) slice(key string, d tensor.DType, full tensor.Shape, s Slice) (*sliced, error) {
	t := w.wholes[key]
	if t == nil {
		if err := w.checkNew(key, full); err != nil {
			return nil, err
		}
		if w.wholes == nil {
			w.wholes = make(map[string]*sliced)
		}
		t = &sliced{whole: w.keep(key, Entry{DType: d, Shape: full.Clone()}), slices: newDisjoint(full.Clone())}
		w.wholes[key] = t
		w.sliced = append(w.sliced, t)
	}
	if e := &t.whole.Entry; e.DType != d || !e.Shape.Equal(full) {
		return nil, fmt.Errorf("a slice of %s %s after one of %s %s", d, full, e.DType, e.Shape)
	}
	stored := EncodeSliceKey(key, s)
	if w.entries[stored] != nil {
		return nil, fmt.Errorf("duplicate key: %s", fault.Printable(errKey(stored)))
	}
	if other, found, _ := t.slices.overlapping(s, len(t.parts)); found {
		return nil, fmt.Errorf("overlapping slices: existing slice = %s, new slice = %s", other, s)
	}
	return t, nil
}

// add lists a slice that was stored.
func (t *sliced) add(s Slice, e *entry) {
	s = slices.Clone(s)
	t.slices.add(s)
	t.parts = append(t.parts, slicePart{s, e.Shard})
}

// finish makes the entry of the tensor what merging the shards in their order
// makes of it.
func (t *sliced) finish() {
	slices.SortStableFunc(t.parts, func(a, b slicePart) int { return int(a.shard) - int(b.shard) })
	t.whole.Shard = t.parts[0].shard
	for _, p := range t.parts {
		t.whole.Slices = append(t.whole.Slices, p.slice)
	}
}
