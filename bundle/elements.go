package bundle

import (
	"context"
	"encoding/binary"
	"math"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/tensor"
)

// source reads a span from its start in small steps.
type source struct {
	ctx  context.Context
	span *span
	buf  []byte
	rest []byte // what of buf is not consumed
	off  int64  // offset in the span behind rest
	err  error
}

const sourceSize = 64 << 10

func newSource(ctx context.Context, s *span) *source {
	return &source{ctx: ctx, span: s, buf: make([]byte, min(s.entry.Size, sourceSize))}
}

// consumed returns how many bytes of the span were taken.
func (r *source) consumed() int64 { return r.off - int64(len(r.rest)) }

// take returns up to n bytes of what is buffered, at least one, or nil after an
// error. The slice is valid until the next call.
func (r *source) take(n int64) []byte {
	if r.err == nil && len(r.rest) == 0 {
		r.fill()
	}
	if r.err != nil {
		return nil
	}
	p := r.rest[:min(n, int64(len(r.rest)))]
	r.rest = r.rest[len(p):]
	return p
}

func (r *source) fill() {
	n := min(int64(len(r.buf)), r.span.entry.Size-r.off)
	if n == 0 {
		r.err = r.span.corrupt(fault.KindEntry, "string lengths longer than expected offset %d", r.span.entry.Offset+r.span.entry.Size)
		return
	}
	if r.err = r.span.readAt(r.ctx, r.buf[:n], r.off); r.err == nil {
		r.rest = r.buf[:n]
		r.off += n
	}
}

// uvarint reads a varint, also one that is longer than it need be.
func (r *source) uvarint() uint64 {
	var v uint64
	for shift := 0; shift < 64; shift += 7 {
		p := r.take(1)
		if p == nil {
			return 0
		}
		c := p[0]
		if shift == 63 && c > 1 {
			break
		}
		v |= uint64(c&0x7f) << shift
		if c < 0x80 {
			return v
		}
	}
	r.err = r.span.corrupt(fault.KindEntry, "a string length is no varint")
	return 0
}

// checksum reads four bytes as they are stored.
func (r *source) checksum() (stored [lengthChecksumSize]byte) {
	for i := range stored {
		if p := r.take(1); p != nil {
			stored[i] = p[0]
		}
	}
	return stored
}

// readElements reads and verifies a string or variant tensor.
//
// Memory: 40 × the size of the entry and 1 MiB at most.
func (s *span) readElements(ctx context.Context) ([][]byte, error) {
	if s.n > maxElements {
		return nil, s.tooLarge()
	}
	elements := [][]byte{}
	var err error
	if s.entry.DType == tensor.Variant {
		err = s.scanVariants(ctx, func(p []byte) { elements = append(elements, p) })
	} else {
		err = s.scanStrings(ctx, func(p []byte) {
			// The first one comes when all checksums are right.
			if len(elements) == 0 {
				elements = make([][]byte, 0, s.n)
			}
			elements = append(elements, p)
		})
	}
	if err != nil {
		return nil, err
	}
	return elements, nil
}

// scanStrings verifies a string tensor and, if keep is not nil, gives it each
// element, all of which share memory.
func (s *span) scanStrings(ctx context.Context, keep func(p []byte)) error {
	r := newSource(ctx, s)
	varints, crc, payload, err := s.readLengths(r, keep != nil)
	if err != nil {
		return err
	}
	var data []byte
	if keep != nil {
		if data, err = s.alloc(int64(payload)); err != nil {
			return err
		}
	}
	if crc, err = s.stream(ctx, crc, r.consumed(), s.entry.Size, data, nil); err != nil {
		return err
	}
	if err := s.checkTail(crc, s.entry.Size-int64(payload)); err != nil || keep == nil {
		return err
	}
	for range s.n {
		length, n := binary.Uvarint(varints)
		varints = varints[n:]
		keep(data[:length:length])
		data = data[length:]
	}
	return nil
}

// readLengths reads and verifies what stands before the bytes of a string
// tensor: the lengths, returned again as varints if they are to be kept. crc
// covers the lengths and their checksum, payload is the sum of the lengths, and
// what the span has left.
func (s *span) readLengths(r *source, keep bool) (varints []byte, crc uint32, payload uint64, err error) {
	room := uint64(s.entry.Size) // what is left for bytes of elements
	fits := true
	for range s.n {
		length := r.uvarint()
		if r.err != nil {
			return nil, 0, 0, r.err
		}
		crc = updateLength(crc, length, s.big)
		fits = fits && length <= room
		if fits {
			room -= length
		}
		if keep {
			varints = binary.AppendUvarint(varints, length)
		}
	}
	stored := r.checksum()
	if r.err != nil {
		return nil, 0, 0, r.err
	}
	if want := s.unmask(stored); want != crc {
		end := r.consumed() - lengthChecksumSize
		return nil, 0, 0, s.checksum(want, crc, end, end, end, "The length checksum does not match: expected %d but actual is %d", want, crc)
	}
	crc = crc32c.Update(crc, stored[:])
	payload = uint64(s.entry.Size) - room
	if !fits {
		return nil, 0, 0, s.corrupt(fault.KindEntry, "invalid size in bundle entry: the lengths of the strings add up to more than its %d bytes", s.entry.Size)
	}
	if taken := payload + uint64(r.consumed()); taken != uint64(s.entry.Size) {
		return nil, 0, 0, s.corrupt(fault.KindEntry, "invalid size in bundle entry: the strings and their lengths take %d bytes of its %d", taken, s.entry.Size)
	}
	return varints, crc, payload, nil
}

// unmask reads a checksum in the byte order of the file.
func (s *span) unmask(stored [lengthChecksumSize]byte) uint32 {
	if s.big {
		return crc32c.Unmask(binary.BigEndian.Uint32(stored[:]))
	}
	return crc32c.Unmask(binary.LittleEndian.Uint32(stored[:]))
}

// maxAlloc is more than any machine's memory, and what the runtime would panic
// at is larger. A file with holes can be larger still.
const maxAlloc = 1 << 47

// alloc makes memory for a number of bytes that the file has.
func (s *span) alloc(n int64) ([]byte, error) {
	if n > min(math.MaxInt, maxAlloc) {
		return nil, s.tooLarge()
	}
	return make([]byte, n), nil
}

// maxElements is how many slice headers a machine can address.
const maxElements = min(math.MaxInt, maxAlloc) / 24

func (s *span) tooLarge() error {
	return s.corrupt(fault.KindUnsupported, "%w", &unsupportedError{"the tensor is larger than this machine's address space"})
}

// scanVariants verifies a variant tensor and, if keep is not nil, gives it each
// element in memory of its own.
func (s *span) scanVariants(ctx context.Context, keep func(p []byte)) error {
	if s.big {
		return s.corrupt(fault.KindUnsupported, "%w", &unsupportedError{"byte-swapping of variant tensors is not implemented"})
	}
	r := newSource(ctx, s)
	var crc uint32
	var scratch [8]byte
	for i := range s.n {
		length := r.uvarint()
		if r.err != nil {
			return r.err
		}
		if length > uint64(s.entry.Size-r.consumed()) {
			return s.corrupt(fault.KindEntry, "variant %d is longer than its tensor: %d bytes", i, length)
		}
		binary.LittleEndian.PutUint64(scratch[:], length)
		crc = crc32c.Update(crc, scratch[:])
		var element []byte
		if keep != nil {
			var err error
			if element, err = s.alloc(int64(length)); err != nil {
				return err
			}
			element = element[:0]
		}
		for left := int64(length); left > 0; {
			p := r.take(left)
			if r.err != nil {
				return r.err
			}
			crc = crc32c.Update(crc, p)
			left -= int64(len(p))
			if keep != nil {
				element = append(element, p...)
			}
		}
		stored := r.checksum()
		if r.err != nil {
			return r.err
		}
		if s.unmask(stored) != crc {
			end := r.consumed() - lengthChecksumSize
			return s.checksum(s.unmask(stored), crc, end-int64(length), end, end, "The checksum after Variant %d does not match", i)
		}
		crc = crc32c.Update(crc, stored[:])
		if keep != nil {
			keep(element)
		}
	}
	if r.consumed() != s.entry.Size {
		return s.corrupt(fault.KindEntry, "invalid size in bundle entry: the variants do not fill the %d bytes", s.entry.Size)
	}
	return s.checkTail(crc, s.entry.Size)
}

// VariantType returns the name of the C++ type of a serialized variant
// element, such as Reader.Tensor lists them; the rest of the element means
// something to TensorFlow only.
func VariantType(element []byte) (string, error) {
	const typeName = 1 // of VariantTensorDataProto
	var name string
	d := wire.NewDecoder(element)
	eachField(d, typeName, wire.BytesType, func(p []byte) { name = string(p) })
	if err := d.Err(); err != nil {
		return "", fault.Corrupt(fault.KindFormat, "variant is not parseable: %w", err)
	}
	return name, nil
}
