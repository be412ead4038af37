package bundle

import (
	"context"
	"errors"
	"io/fs"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/tensor"
)

// pieces is a tensor stored in slices that cover it exactly.
type pieces struct {
	entry *Entry
	total int64 // elements of the tensor
	all   []piece
}

// piece is one stored slice.
type piece struct {
	slice Slice // as the entry of the tensor lists it
	span  *span
}

// pieces finds the slices of a tensor and checks, without reading a byte of
// them, that they cover the tensor exactly once and are there. Only then may as
// much memory as its shape asks for be allocated.
//
// Memory: 64 × the size of the index and 1 MiB at most.
func (r *Reader) pieces(ctx context.Context, key string, e *Entry) (*pieces, error) {
	corrupt := func(kind fault.Kind, format string, args ...any) error {
		return r.locate(fault.Corrupt(kind, format, args...), errKey(key))
	}
	if err := checkShape(e.Shape); err != nil {
		return nil, corrupt(fault.KindEntry, "%w", err)
	}
	total, _ := e.Shape.Elements()
	if e.DType.Fixed() {
		if _, ok := byteSize(total, e.DType); !ok {
			return nil, corrupt(fault.KindEntry, "a %s tensor of shape %s is too large", e.DType, e.Shape)
		}
	}
	if err := checkCover(e.Shape, total, e.Slices); err != nil {
		return nil, r.locate(err, errKey(key))
	}
	p := &pieces{entry: e, total: total}
	claimed := make(map[int32]int64) // bytes of each shard
	empty := make(map[string]bool)   // slices without elements, which may be listed again and again
	for _, slice := range e.Slices {
		shape, err := slice.Shape(e.Shape)
		if err != nil {
			return nil, corrupt(fault.KindEntry, "%w", err)
		}
		if n, _ := shape.Elements(); n == 0 {
			text := slice.String()
			if empty[text] {
				continue
			}
			empty[text] = true
		}
		s, err := r.piece(ctx, key, e, slice, shape)
		if err != nil {
			return nil, err
		}
		// Entries that point at the same bytes would let a small file claim any
		// amount of memory.
		if s.entry.Size > s.file.Size()-claimed[s.entry.Shard] {
			return nil, corrupt(fault.KindOverlap, "the slices claim more bytes than %s has", s.name)
		}
		claimed[s.entry.Shard] += s.entry.Size
		p.all = append(p.all, piece{slice, s})
	}
	return p, nil
}

// piece finds the entry of one slice.
func (r *Reader) piece(ctx context.Context, key string, e *Entry, slice Slice, shape tensor.Shape) (*span, error) {
	sliceKey := EncodeSliceKey(key, slice)
	stored, err := r.Entry(sliceKey)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, r.locate(fault.Corrupt(fault.KindEntry, "slice %s is listed but not stored", slice), errKey(key))
	}
	if err != nil {
		return nil, err
	}
	if stored.DType != e.DType || !stored.Shape.Equal(shape) || len(stored.Slices) > 0 {
		return nil, r.locate(fault.Corrupt(fault.KindEntry, "slice %s of a %s tensor of shape %s is stored as %s %s", slice, e.DType, e.Shape, stored.DType, stored.Shape), errKey(key))
	}
	return r.span(ctx, sliceKey, &stored)
}

// readFixed fills dst with the tensor. A slice that is one run of it is read in
// place, others go through a chunk of memory.
func (p *pieces) readFixed(ctx context.Context, dst []byte) error {
	size := int64(p.entry.DType.Size())
	big := false
	for i := range p.all {
		s := p.all[i].span
		big = s.big
		runs := newRuns(p.entry.Shape, p.all[i].slice)
		if runs.single() {
			off, n, _ := runs.next()
			if err := s.read(ctx, dst[off*size:(off+n)*size]); err != nil {
				return err
			}
			continue
		}
		var off, left int64 // where in dst the open run goes on
		crc, err := s.stream(ctx, 0, 0, s.entry.Size, nil, func(chunk []byte) {
			for len(chunk) > 0 {
				if left == 0 {
					off, left, _ = runs.next()
					off, left = off*size, left*size
				}
				n := min(left, int64(len(chunk)))
				copy(dst[off:off+n], chunk)
				chunk = chunk[n:]
				off, left = off+n, left-n
			}
		})
		if err = errOr(err, s.check(crc)); err != nil {
			return err
		}
	}
	if big {
		tensor.Swap(dst, p.entry.DType)
	}
	return nil
}

// readElements reads a string or variant tensor.
func (p *pieces) readElements(ctx context.Context) ([][]byte, error) {
	if p.total > maxElements {
		return nil, p.all[0].span.tooLarge()
	}
	elements := make([][]byte, p.total)
	for i := range p.all {
		part, err := p.all[i].span.readElements(ctx)
		if err != nil {
			return nil, err
		}
		scatter(p.entry.Shape, p.all[i].slice, func(to, from, n int64) {
			copy(elements[to:to+n], part[from:])
		})
	}
	return elements, nil
}

// check verifies all slices and keeps nothing.
func (p *pieces) check(ctx context.Context) error {
	for i := range p.all {
		if err := p.all[i].span.verify(ctx); err != nil {
			return err
		}
	}
	return nil
}
