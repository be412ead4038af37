package bundle

import (
	"context"
	"fmt"
	"iter"

	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/tensor"
)

// dealBytes writes the bytes of a tensor of fixed-size dtype to its parts.
func (w *Writer) dealBytes(ctx context.Context, at *place, d tensor.DType, parts []*target, chunks iter.Seq[[]byte]) error {
	if !d.Fixed() {
		return fmt.Errorf("elements of dtype %s have no fixed size", d)
	}
	unit := int64(d.Size())
	n, _ := at.shape.Elements()
	w.settle(parts, func(i int) int64 { return elementsOf(at.parts[i].Slice) * unit })
	deal := newDeal(at)
	part, left := 0, int64(0) // bytes that still belong to the part
	missing := n * unit
	for p := range chunks {
		if missing -= int64(len(p)); missing < 0 {
			return tooMany(n*unit, d, at.shape)
		}
		for len(p) > 0 {
			if left == 0 {
				part, left = deal.next()
				left *= unit
			}
			k := min(left, int64(len(p)))
			if err := parts[part].append(ctx, p[:k]); err != nil {
				return err
			}
			p = p[k:]
			left -= k
		}
	}
	if missing != 0 {
		return tooFew(n*unit-missing, n*unit, d, at.shape)
	}
	return nil
}

// dealStrings writes the elements of a string tensor to its parts: one pass
// finds out where each part begins, one writes lengths and one the bytes.
func (w *Writer) dealStrings(ctx context.Context, at *place, parts []*target, elements iter.Seq[[]byte]) error {
	sizes := make([]int64, len(parts))
	for i := range sizes {
		sizes[i] = lengthChecksumSize
	}
	err := dealElements(at, elements, func(part int, p []byte) error {
		sizes[part] += int64(wire.SizeUvarint(uint64(len(p)))) + int64(len(p))
		return nil
	})
	if err != nil {
		return err
	}
	w.settle(parts, func(i int) int64 { return sizes[i] })
	lengths := make([]stringLengths, len(parts))
	err = dealElements(at, elements, func(part int, p []byte) error {
		return lengths[part].add(ctx, parts[part], len(p))
	})
	if err != nil {
		return err
	}
	for i, t := range parts {
		if err := lengths[i].close(ctx, t); err != nil {
			return err
		}
	}
	again := make([]stringLengths, len(parts))
	err = dealElements(at, elements, func(part int, p []byte) error {
		again[part].count(len(p))
		return parts[part].append(ctx, p)
	})
	if err != nil {
		return err
	}
	for i, t := range parts {
		if again[i] != lengths[i] || t.size() != sizes[i] {
			return errChanged
		}
	}
	return nil
}

// dealElements calls take for each element with the part it belongs to.
func dealElements(at *place, elements iter.Seq[[]byte], take func(part int, p []byte) error) error {
	want, _ := at.shape.Elements()
	deal := newDeal(at)
	part, left := 0, int64(0)
	n := int64(0)
	for p := range elements {
		if n++; n > want {
			break
		}
		if left == 0 {
			part, left = deal.next()
		}
		left--
		if err := take(part, p); err != nil {
			return err
		}
	}
	if n != want {
		return countError(n, want, at.shape)
	}
	return nil
}
