package table

import "encoding/binary"

// maxSnappyRatio bounds what Snappy can make out of a byte: the densest
// element is a copy of 64 bytes stored in three.
const maxSnappyRatio = 22

// snappyLen returns the length the Snappy block in src says it decodes to.
// ok is false if the block cannot decode to that much or limit is exceeded.
func snappyLen(src []byte, limit int64) (n int, ok bool) {
	v, k := binary.Uvarint(src)
	if k <= 0 || v > uint64(limit) || v > maxSnappyRatio*uint64(len(src)) {
		return 0, false
	}
	return int(v), true
}

// decodeSnappy decodes a Snappy block (the raw format, without framing) into
// dst, whose length must be what snappyLen returned. It reports whether the
// block is sound and fills dst exactly.
//
// A block is the decoded length as a varint, then elements, each led by a tag
// byte whose low two bits tell its kind: 0 literal bytes, 1 … 3 a copy of
// earlier output whose distance takes 11 bits, two bytes or four bytes.
func decodeSnappy(dst, src []byte) bool {
	_, k := binary.Uvarint(src)
	if k <= 0 {
		return false
	}
	src = src[k:]
	done := 0
	for len(src) > 0 {
		tag := src[0]
		if tag&3 == 0 {
			length, header, ok := snappyLiteral(src)
			if !ok || length > uint64(len(src)-header) || length > uint64(len(dst)-done) {
				return false
			}
			end := header + int(length)
			done += copy(dst[done:], src[header:end])
			src = src[end:]
			continue
		}
		var length int
		var distance uint32
		switch size := len(src); {
		case tag&3 == 1 && size >= 2:
			length = 4 + int(tag>>2&7)
			distance = uint32(tag>>5)<<8 | uint32(src[1])
			src = src[2:]
		case tag&3 == 2 && size >= 3:
			length = 1 + int(tag>>2)
			distance = uint32(binary.LittleEndian.Uint16(src[1:]))
			src = src[3:]
		case tag&3 == 3 && size >= 5:
			length = 1 + int(tag>>2)
			distance = binary.LittleEndian.Uint32(src[1:])
			src = src[5:]
		default:
			return false
		}
		if distance == 0 || uint64(distance) > uint64(done) || length > len(dst)-done {
			return false
		}
		// The copy may read what it writes: a short distance repeats.
		from := done - int(distance)
		for i := range length {
			dst[done+i] = dst[from+i]
		}
		done += length
	}
	return done == len(dst)
}

// snappyLiteral returns the length of the literal element at the start of src
// and that of its header.
func snappyLiteral(src []byte) (length uint64, header int, ok bool) {
	n := uint64(src[0] >> 2)
	if n < 60 {
		return n + 1, 1, true
	}
	header = int(n) - 60 + 2 // 60 … 63: one to four length bytes follow
	if len(src) < header {
		return 0, 0, false
	}
	for i := header - 1; i > 0; i-- {
		length = length<<8 | uint64(src[i])
	}
	return length + 1, header, true
}
