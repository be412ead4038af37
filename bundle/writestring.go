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
// lengths stand before the bytes, so elements is iterated twice and must yield
// the same both times. An element is not kept.
func (w *Writer) AddStrings(ctx context.Context, key string, s tensor.Shape, elements iter.Seq[[]byte]) error {
	return w.add(key, tensor.String, s, func(e *Entry) error {
		want, _ := s.Elements()
		var n int64
		var lengths uint32
		var varint [binary.MaxVarintLen64]byte
		for p := range elements {
			if n++; n > want {
				break
			}
			lengths = updateLength(lengths, uint64(len(p)), false)
			if _, err := w.append(ctx, 0, binary.AppendUvarint(varint[:0], uint64(len(p)))); err != nil {
				return err
			}
		}
		if n != want {
			return countError(n, want, s)
		}
		// The checksum of the entry covers the lengths as numbers, not the
		// varints that were just written.
		checksum := binary.LittleEndian.AppendUint32(nil, crc32c.Mask(lengths))
		crc, err := w.append(ctx, lengths, checksum)
		if err != nil {
			return err
		}
		var again uint32
		for p := range elements {
			again = updateLength(again, uint64(len(p)), false)
			if n--; n < 0 {
				return errChanged
			}
			if crc, err = w.append(ctx, crc, p); err != nil {
				return err
			}
		}
		if n != 0 || again != lengths {
			return errChanged
		}
		e.CRC = crc
		return nil
	})
}

// AddVariants appends a variant tensor of serialized elements
// (VariantTensorDataProto) in row-major order, as Reader.Strings returns them.
func (w *Writer) AddVariants(ctx context.Context, key string, s tensor.Shape, elements iter.Seq[[]byte]) error {
	return w.add(key, tensor.Variant, s, func(e *Entry) error {
		want, _ := s.Elements()
		var n int64
		var scratch [binary.MaxVarintLen64]byte
		for p := range elements {
			if n++; n > want {
				break
			}
			length := uint64(len(p))
			if _, err := w.append(ctx, 0, binary.AppendUvarint(scratch[:0], length)); err != nil {
				return err
			}
			e.CRC = crc32c.Update(e.CRC, binary.LittleEndian.AppendUint64(scratch[:0], length))
			var err error
			if e.CRC, err = w.append(ctx, e.CRC, p); err != nil {
				return err
			}
			checksum := binary.LittleEndian.AppendUint32(scratch[:0], crc32c.Mask(e.CRC))
			if e.CRC, err = w.append(ctx, e.CRC, checksum); err != nil {
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
