package bundle

import (
	"context"
	"encoding/binary"

	"github.com/ckpt-go/ckpt/tensor"
)

// maxFlipLengths is how many lengths LengthFlips looks through: it tries each
// bit of them, in a time that grows with their square.
const maxFlipLengths = 1 << 10

// LengthFlips looks for a flipped bit in what stands before the bytes of a string
// tensor, whose length or number of bytes may change with it: the bits, counted
// from the beginning of the tensor, bit 0 of a byte first, that make its lengths
// fit their checksum and the tensor's size when they are flipped back. searched is
// the number of bytes that were looked through, 0 if it is no string tensor or
// has too many elements.
func (r *Reader) LengthFlips(ctx context.Context, key string) (bits []int64, searched int64, err error) {
	if r.v1 != nil {
		return nil, 0, nil
	}
	e, err := r.Entry(key)
	if err != nil || e.DType != tensor.String || len(e.Slices) > 0 {
		return nil, 0, err
	}
	s, err := r.span(ctx, key, &e)
	if err != nil || s.n > maxFlipLengths {
		return nil, 0, err
	}
	head := make([]byte, min(e.Size, s.n*binary.MaxVarintLen64+lengthChecksumSize))
	if err := s.readAt(ctx, head, 0); err != nil {
		return nil, 0, err
	}
	for bit := range int64(8 * len(head)) {
		head[bit/8] ^= 1 << (bit % 8)
		if end := s.fitting(head); end > bit/8 {
			bits = append(bits, bit)
		}
		head[bit/8] ^= 1 << (bit % 8)
	}
	return bits, int64(len(head)), nil
}

// fitting returns where the lengths and their checksum end in head, 0 if they do
// not fit each other or the span.
func (s *span) fitting(head []byte) int64 {
	var crc uint32
	rest, room := head, uint64(s.entry.Size)
	for range s.n {
		length, n := binary.Uvarint(rest)
		if n <= 0 || length > room {
			return 0
		}
		rest, room = rest[n:], room-length
		crc = updateLength(crc, length, s.big)
	}
	if len(rest) < lengthChecksumSize || s.unmask([lengthChecksumSize]byte(rest)) != crc {
		return 0
	}
	end := int64(len(head) - len(rest) + lengthChecksumSize)
	if room != uint64(end) {
		return 0
	}
	return end
}
