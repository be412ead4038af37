// Package crc32c computes the checksums of checkpoints: CRC-32C (Castagnoli),
// stored masked as LevelDB and TensorFlow do. It follows TensorFlow's
// xla/tsl/lib/hash/crc32c.h.
package crc32c

import "hash/crc32"

// castagnoli is the reflected polynomial 0x82F63B78; the standard library
// computes it with the processor's CRC instructions.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// maskDelta is frozen: it is part of the format.
const maskDelta = 0xa282ead8

// Value returns the CRC-32C of b.
func Value(b []byte) uint32 { return crc32.Update(0, castagnoli, b) }

// Update returns the CRC-32C of what crc stands for followed by b
// (TensorFlow's Extend). Update(0, b) is Value(b).
func Update(crc uint32, b []byte) uint32 { return crc32.Update(crc, castagnoli, b) }

// Mask changes a checksum so that the CRC of a file that holds checksums of
// its own content does not degenerate. Files hold masked values only.
func Mask(c uint32) uint32 { return (c>>15 | c<<17) + maskDelta }

// Unmask undoes Mask.
func Unmask(m uint32) uint32 {
	r := m - maskDelta
	return r>>17 | r<<15
}

// Combine returns the CRC-32C of two pieces of data one after the other, from
// the CRC of each and the length of the second in bytes. It takes time
// proportional to the logarithm of len2 (below a microsecond), so tensors can
// be summed in parallel sections. It panics if len2 is negative.
func Combine(crc1, crc2 uint32, len2 int64) uint32 {
	if len2 < 0 {
		panic("crc32c: negative length")
	}
	// Appending n bytes multiplies the first polynomial by x^(8n) modulo the
	// CRC's polynomial; the pre- and post-inversions cancel out.
	shift := 3 // 8 = 2³
	for n := uint64(len2); n != 0; n >>= 1 {
		if n&1 != 0 {
			crc1 = multiply(powers[shift], crc1)
		}
		shift++
	}
	return crc1 ^ crc2
}

// powers[k] is x^(2^k) modulo the polynomial, bit 31 standing for x⁰.
var powers = func() (p [3 + 63]uint32) {
	p[0] = 1 << 30
	for k := 1; k < len(p); k++ {
		p[k] = multiply(p[k-1], p[k-1])
	}
	return p
}()

// multiply returns a·b over GF(2) modulo the polynomial.
func multiply(a, b uint32) uint32 {
	var product uint32
	for a != 0 {
		// The mask is all ones where the coefficient of this power is one.
		product ^= b & -(a >> 31)
		a <<= 1
		b = b>>1 ^ crc32.Castagnoli&-(b&1)
	}
	return product
}
