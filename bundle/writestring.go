package bundle

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/tensor"
)

var errChanged = errors.New("the elements changed between the first pass and the second")

// AddStrings appends a string tensor of the elements in row-major order. The
// lengths stand before the bytes, so elements is iterated twice, or three times
// if the tensor is cut, and must yield the same every time. An element is not
// kept.
func (w *Writer) AddStrings(ctx context.Context, key string, s tensor.Shape, elements iter.Seq[[]byte]) error {
	if cut := w.cutOf(key); cut != nil {
		return w.addCut(cut, tensor.String, s, func(parts []*target) error {
			return w.dealStrings(ctx, cut, parts, elements)
		})
	}
	return w.add(key, tensor.String, s, func(t *target) error {
		want, _ := s.Elements()
		var n int64
		var lengths stringLengths
		for p := range elements {
			if n++; n > want {
				break
			}
			if err := lengths.add(ctx, t, len(p)); err != nil {
				return err
			}
		}
		if n != want {
			return countError(n, want, s)
		}
		if err := lengths.close(ctx, t); err != nil {
			return err
		}
		var again stringLengths
		for p := range elements {
			again.count(len(p))
			if n--; n < 0 {
				return errChanged
			}
			if err := t.append(ctx, p); err != nil {
				return err
			}
		}
		if n != 0 || again != lengths {
			return errChanged
		}
		return nil
	})
}

// stringLengths is the checksum of the lengths of a string tensor, which are
// stored as varints but count as numbers.
type stringLengths struct{ crc uint32 }

func (l *stringLengths) count(length int) { l.crc = updateLength(l.crc, uint64(length), false) }

// add writes a length and counts it.
func (l *stringLengths) add(ctx context.Context, t *target, length int) error {
	var varint [binary.MaxVarintLen64]byte
	l.count(length)
	_, err := t.out.append(ctx, 0, binary.AppendUvarint(varint[:0], uint64(length)))
	return err
}

// close writes the checksum; from here on, that of the entry covers all bytes.
func (l *stringLengths) close(ctx context.Context, t *target) error {
	t.CRC = l.crc
	return t.append(ctx, binary.LittleEndian.AppendUint32(nil, crc32c.Mask(l.crc)))
}

// AddVariants appends a variant tensor of serialized elements
// (VariantTensorDataProto) in row-major order, as Reader.Strings returns them.
func (w *Writer) AddVariants(ctx context.Context, key string, s tensor.Shape, elements iter.Seq[[]byte]) error {
	return w.add(key, tensor.Variant, s, func(t *target) error {
		want, _ := s.Elements()
		var n int64
		var scratch [binary.MaxVarintLen64]byte
		for p := range elements {
			if n++; n > want {
				break
			}
			length := uint64(len(p))
			if _, err := t.out.append(ctx, 0, binary.AppendUvarint(scratch[:0], length)); err != nil {
				return err
			}
			t.CRC = crc32c.Update(t.CRC, binary.LittleEndian.AppendUint64(scratch[:0], length))
			if err := t.append(ctx, p); err != nil {
				return err
			}
			if err := t.append(ctx, binary.LittleEndian.AppendUint32(scratch[:0], crc32c.Mask(t.CRC))); err != nil {
				return err
			}
		}
		if n != want {
			return countError(n, want, s)
		}
		return nil
	})
}

func countError(n, want int64, s tensor.Shape) error {
	if n > want {
		return fmt.Errorf("more elements than the %d of shape %s", want, s)
	}
	return fmt.Errorf("%d elements are no tensor of shape %s, which has %d", n, s, want)
}

// updateLength extends a checksum by the length of a string: four bytes, or
// eight if it needs more, in the byte order of the data file.
func updateLength(crc uint32, length uint64, bigEndian bool) uint32 {
	var scratch [8]byte
	width := 4
	if length > math.MaxUint32 {
		width = 8
	}
	for i := range width {
		shift := 8 * i
		if bigEndian {
			shift = 8 * (width - 1 - i)
		}
		scratch[i] = byte(length >> shift)
	}
	return crc32c.Update(crc, scratch[:width])
}
