package bundle

import (
	"context"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/tensor"
)

// slice reads the bytes or elements of a slice. Stored slices that it does not
// touch may be missing or damaged.
//
// Memory: 72 × the size of the stored slices and 1 MiB at most.
func (v *v1) slice(ctx context.Context, key string, s Slice) (data []byte, elements [][]byte, err error) {
	t, err := v.find(key)
	if err != nil {
		return nil, nil, err
	}
	e := &t.entry
	want, err := s.Shape(e.Shape)
	if err != nil {
		return nil, nil, mismatch(key, "%w", err)
	}
	n, _ := want.Elements()
	if err := v.canHold(t, n); err != nil {
		return nil, nil, err
	}
	asked := s.explicit(e.Shape)
	stored := *e
	if len(stored.Slices) == 0 {
		stored.Slices = []Slice{wholeOf(e.Shape)}
	}
	if _, _, err := intersections(&stored, asked, want); err != nil {
		return nil, nil, v.corrupt(t, "%w", err)
	}
	// Only when all values were seen is memory for the slice made.
	var parts []v1Part
	for _, piece := range t.slices {
		if _, ok := asked.Intersect(piece.slice.explicit(e.Shape)); !ok || n == 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return nil, nil, err
		}
		from, those, err := v.read(t, piece)
		if err != nil {
			return nil, nil, fault.Locate(err, piece.file.name, t.name)
		}
		parts = append(parts, v1Part{piece.slice.explicit(e.Shape), from, those})
	}
	if e.DType == tensor.String {
		elements = make([][]byte, n)
	} else {
		data = make([]byte, n*int64(e.DType.Size()))
	}
	unit := int64(e.DType.Size())
	for _, p := range parts {
		part, _ := asked.Intersect(p.slice)
		shape, _ := p.slice.Shape(e.Shape)
		it := newStretches(1, shape, part.within(p.slice), want, part.within(asked))
		for s, ok := it.next(); ok; s, ok = it.next() {
			if e.DType == tensor.String {
				copy(elements[s.to:s.to+s.n], p.elements[s.from:])
				continue
			}
			copy(data[s.to*unit:(s.to+s.n)*unit], p.data[s.from*unit:])
		}
	}
	return data, elements, nil
}
