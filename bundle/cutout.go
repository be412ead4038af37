package bundle

import (
	"context"
	"errors"
	"fmt"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/tensor"
)

// cutout is what a request needs of one stored piece of a tensor.
type cutout struct {
	span  *span
	shape tensor.Shape // of the piece
	from  Slice        // of the piece
	to    Slice        // of what was asked for
	want  tensor.Shape // of what was asked for
	whole bool         // all of the piece
}

// cutouts finds the pieces of a tensor that a slice needs and checks, without
// reading a byte of them, that they hold each element of it exactly once. Pieces
// that are not touched are not looked at.
func (r *Reader) cutouts(ctx context.Context, key string, e *Entry, s Slice) (want tensor.Shape, all []cutout, err error) {
	want, err = s.Shape(e.Shape)
	if err != nil {
		return nil, nil, mismatch(key, "%w", err)
	}
	if err := checkShape(e.Shape); err != nil {
		return nil, nil, r.locate(fault.Corrupt(fault.KindEntry, "%w", err), errKey(key))
	}
	asked := s.explicit(e.Shape)
	if len(e.Slices) == 0 {
		p, err := r.span(ctx, key, e)
		if err != nil {
			return nil, nil, err
		}
		return want, []cutout{newCutout(p, e.Shape, asked, wholeOf(want), want)}, nil
	}
	touched, parts, err := intersections(e, asked, want)
	if err != nil {
		return nil, nil, r.locate(err, errKey(key))
	}
	claimed := make(map[int32]int64) // bytes of each shard
	for i, slice := range touched {
		shape, err := slice.Shape(e.Shape)
		if err != nil {
			return nil, nil, err
		}
		p, err := r.piece(ctx, key, e, slice, shape)
		if err != nil {
			return nil, nil, err
		}
		if p.entry.Size > p.file.Size()-claimed[p.entry.Shard] {
			return nil, nil, r.locate(fault.Corrupt(fault.KindOverlap, "the slices claim more bytes than %s has", p.name), errKey(key))
		}
		claimed[p.entry.Shard] += p.entry.Size
		from := parts[i].within(slice.explicit(e.Shape))
		all = append(all, newCutout(p, shape, from, parts[i].within(asked), want))
	}
	return want, all, nil
}

// intersections lists the slices of a tensor that share elements with the slice
// that is asked for, and what they share; together they must be all of it.
func intersections(e *Entry, asked Slice, want tensor.Shape) (touched, parts []Slice, err error) {
	var inside []Slice
	total, _ := want.Elements()
	for _, slice := range e.Slices {
		if err := slice.fits(e.Shape); err != nil {
			return nil, nil, fault.Corrupt(fault.KindEntry, "%w", err)
		}
		if part, ok := asked.Intersect(slice.explicit(e.Shape)); ok && total > 0 {
			touched = append(touched, slice)
			parts = append(parts, part)
			inside = append(inside, part.within(asked))
		}
	}
	err = checkCover(want, total, inside)
	var c *CorruptError
	if errors.As(err, &c) {
		if c.Kind == fault.KindOverlap {
			return nil, nil, overlapError(touched)
		}
		c.Err = fmt.Errorf("%w of slice %s", c.Err, asked)
	}
	return touched, parts, err
}

func newCutout(p *span, shape tensor.Shape, from, to Slice, want tensor.Shape) cutout {
	part, _ := from.Shape(shape)
	return cutout{p, shape, from, to, want, part.Equal(shape)}
}

func (c *cutout) stretches(unit int64) *stretches {
	return newStretches(unit, c.shape, c.from, c.want, c.to)
}

// readFixed copies the elements to dst. What is only a part of a piece has no
// checksum of its own; verify reads the rest of the piece too.
func (c *cutout) readFixed(ctx context.Context, dst []byte, verify bool) error {
	if c.whole || verify {
		return c.readAll(ctx, dst)
	}
	return c.readPart(ctx, dst)
}

// readAll reads the piece to its end, compares the checksum, and copies what is
// needed.
func (c *cutout) readAll(ctx context.Context, dst []byte) error {
	it := c.stretches(int64(c.span.entry.DType.Size()))
	next, more := it.next()
	if more && next.n == c.span.entry.Size {
		return c.span.read(ctx, dst[next.to:next.to+next.n])
	}
	pos := int64(0)
	crc, err := c.span.stream(ctx, 0, 0, c.span.entry.Size, nil, func(chunk []byte) {
		for end := pos + int64(len(chunk)); more && next.from < end; {
			n := min(next.n, end-next.from)
			copy(dst[next.to:next.to+n], chunk[next.from-pos:])
			next = stretch{next.from + n, next.to + n, next.n - n}
			if next.n == 0 {
				next, more = it.next()
			}
		}
		pos += int64(len(chunk))
	})
	return errOr(err, c.span.check(crc))
}

// Stretches that are this long are read straight into their place; shorter ones
// are read together if they are not farther apart than mergeGap.
const (
	directRead = 64 << 10
	mergeGap   = 16 << 10
	maxMerged  = 4096 // stretches that are read together
)

// readPart reads what is needed and what little lies between.
func (c *cutout) readPart(ctx context.Context, dst []byte) error {
	chunk := chunks.Get().(*[readChunk]byte)
	defer chunks.Put(chunk)
	var group []stretch
	flush := func() error {
		if len(group) == 0 {
			return nil
		}
		first, last := group[0], group[len(group)-1]
		p := chunk[:last.from+last.n-first.from]
		if err := c.span.readAt(ctx, p, first.from); err != nil {
			return err
		}
		for _, s := range group {
			copy(dst[s.to:s.to+s.n], p[s.from-first.from:])
		}
		group = group[:0]
		return nil
	}
	it := c.stretches(int64(c.span.entry.DType.Size()))
	for s, ok := it.next(); ok; s, ok = it.next() {
		if len(group) > 0 {
			last := group[len(group)-1]
			if s.n >= directRead || len(group) == maxMerged || s.from-(last.from+last.n) > mergeGap || s.from+s.n-group[0].from > readChunk {
				if err := flush(); err != nil {
					return err
				}
			}
		}
		if s.n < directRead {
			group = append(group, s)
			continue
		}
		for ; s.n > 0; s = s.after(min(s.n, readChunk)) {
			if err := c.span.readAt(ctx, dst[s.to:s.to+min(s.n, readChunk)], s.from); err != nil {
				return err
			}
		}
	}
	return flush()
}

// after returns what is left when n bytes are done.
func (s stretch) after(n int64) stretch { return stretch{s.from + n, s.to + n, s.n - n} }
