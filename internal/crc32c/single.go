package crc32c

import (
	"math"
	"math/bits"
	"sync"
)

// A CRC is linear: what one flipped bit changes depends on its distance d from
// the end of the data alone, it is x^(32+d) modulo the polynomial. Looking for
// the bit is a discrete logarithm. The polynomial is (x+1) times a primitive
// one of degree 31, hence
//
//   - the powers of x repeat after 2³¹-1, which is a prime: below 256 MiB no
//     two bits have the same effect, above there is one more per 2³¹-1 bits;
//   - each power has an odd number of terms, and all values with an odd number
//     but one are powers: an even number of flipped bits never looks like one.

// period is the order of x, the number of bits after which effects repeat.
const period = 1<<31 - 1

// babySteps is the number of successive powers that the table holds.
const babySteps = 1 << 15

// SingleBit returns the bits of n bytes that explain a checksum of got where
// stored was expected: for each of them, the bytes with that one bit flipped
// back have the CRC-32C stored. Both are unmasked. Bits count from the first
// byte, its least significant bit first, and come in ascending order: position
// p is bit p%8 of byte p/8. There is none if the checksums are equal, and at
// most one below 256 MiB.
//
// That a bit explains the checksums does not prove that it was flipped, see
// SingleBitChance. The time does not grow with n beyond 2³¹ bits: it is below a
// microsecond for a few KiB, and a few milliseconds at most.
func SingleBit(stored, got uint32, n int64) []int64 {
	diff := stored ^ got
	if n <= 0 || n > math.MaxInt64/8 || bits.OnesCount32(diff)%2 == 0 {
		return nil
	}
	size := 8 * n
	d, ok := distance(diff, min(size, period))
	if !ok {
		return nil
	}
	positions := make([]int64, 0, (size-1-d)/period+1)
	for p := (size - 1 - d) % period; p < size; p += period {
		positions = append(positions, p)
	}
	return positions
}

// distance finds the d below limit whose x^(32+d) is diff: with steps of
// babySteps it walks back until what is left is one of the first powers.
func distance(diff uint32, limit int64) (int64, bool) {
	t := steps()
	for base := int64(0); base < limit; base += babySteps {
		if d, ok := t.find(diff); ok && base+d < limit {
			return base + d, true
		}
		diff = t.back(diff)
	}
	return 0, false
}

// stepTable holds x^(32+d) for d below babySteps by open addressing.
type stepTable struct {
	power [4 * babySteps]uint32 // 0 is an empty place
	d     [4 * babySteps]uint16
	// giant multiplies by x^-babySteps, one table for each byte.
	giant [4][256]uint32
}

var steps = sync.OnceValue(func() *stepTable {
	t := new(stepTable)
	power := uint32(1) << 31 // x⁰
	for range 32 {
		power = multiply(power, 1<<30)
	}
	for d := range babySteps {
		i := slot(power)
		for t.power[i] != 0 {
			i = (i + 1) % uint32(len(t.power))
		}
		t.power[i], t.d[i] = power, uint16(d)
		power = multiply(power, 1<<30)
	}
	inverse := uint32(1) << 31
	for k, e := 0, uint32(period-babySteps); e != 0; k, e = k+1, e>>1 {
		if e&1 != 0 {
			inverse = multiply(inverse, powers[k])
		}
	}
	for i := range t.giant {
		for b := range uint32(256) {
			t.giant[i][b] = multiply(b<<(8*i), inverse)
		}
	}
	return t
})

// slot is where the search for a power begins.
func slot(power uint32) uint32 {
	const golden = 0x9e3779b1
	return power * golden >> (32 - 17) // 4 * babySteps is 2¹⁷
}

func (t *stepTable) find(power uint32) (int64, bool) {
	for i := slot(power); t.power[i] != 0; i = (i + 1) % uint32(len(t.power)) {
		if t.power[i] == power {
			return int64(t.d[i]), true
		}
	}
	return 0, false
}

func (t *stepTable) back(v uint32) uint32 {
	return t.giant[0][v&0xff] ^ t.giant[1][v>>8&0xff] ^ t.giant[2][v>>16&0xff] ^ t.giant[3][v>>24]
}

// StoredBit tells whether one flipped bit of the stored checksum itself explains
// the difference. Both checksums are unmasked; the bit is one of the masked
// value in the file: with its four bytes little-endian, bit k is bit k%8 of
// byte k/8.
func StoredBit(stored, got uint32) (bit int, ok bool) {
	diff := Mask(stored) ^ Mask(got)
	return bits.TrailingZeros32(diff) % 32, bits.OnesCount32(diff) == 1
}

// SingleBitChance is the probability that other damage to n bytes has a checksum
// which SingleBit explains: bits / 2³¹, at most 1. It is 0.4 % at 1 MiB, and at
// 256 MiB everything with the right parity looks like one flipped bit. It holds
// for damage of an odd number of bits, the worse half: an even number never
// looks like one.
func SingleBitChance(n int64) float64 { return min(1, float64(max(0, n))*8/(1<<31)) }
