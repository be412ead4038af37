package bundle

import (
	"context"
	"encoding/binary"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/tensor"
)

// readElements verifies a piece of strings or variants and puts those that are
// needed into their places.
func (c *cutout) readElements(ctx context.Context, elements [][]byte) error {
	it := c.stretches(1)
	next, more := it.next()
	// place returns where element i goes, nil if nowhere.
	place := func(i int64) *[]byte {
		if !more || i < next.from {
			return nil
		}
		at := &elements[next.to]
		if next = next.after(1); next.n == 0 {
			next, more = it.next()
		}
		return at
	}
	if c.span.entry.DType == tensor.Variant {
		i := int64(0)
		return c.span.scanVariants(ctx, func(p []byte) {
			if at := place(i); at != nil {
				*at = p
			}
			i++
		})
	}
	return c.span.pickStrings(ctx, place)
}

// pickStrings verifies a string tensor and keeps the elements that place has a
// place for, each in memory of its own.
func (s *span) pickStrings(ctx context.Context, place func(i int64) *[]byte) error {
	r := newSource(ctx, s)
	varints, crc, _, err := s.readLengths(r, true)
	if err != nil {
		return err
	}
	for i := range s.n {
		length, n := binary.Uvarint(varints)
		varints = varints[n:]
		at := place(i)
		if at != nil {
			if *at, err = s.alloc(int64(length)); err != nil {
				return err
			}
		}
		for done := uint64(0); done < length; {
			p := r.take(int64(length - done))
			if r.err != nil {
				return r.err
			}
			crc = crc32c.Update(crc, p)
			if at != nil {
				copy((*at)[done:], p)
			}
			done += uint64(len(p))
		}
	}
	return s.check(crc)
}
