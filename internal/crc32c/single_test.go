package crc32c_test

import (
	"hash/crc32"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/internal/crc32c"
)

const period = 1<<31 - 1

func random(n int) []byte {
	r := rand.New(rand.NewPCG(1, uint64(n)))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

func flip(b []byte, bit int64) { b[bit/8] ^= 1 << (bit % 8) }

func TestSingleBitFindsEach(t *testing.T) {
	for _, n := range []int{1, 2, 3, 4, 5, 8, 31, 257, 4096, 5000} {
		b := random(n)
		stored := crc32c.Value(b)
		step := int64(1)
		if n > 300 {
			step = 11
		}
		for bit := int64(0); bit < int64(8*n); bit += step {
			flip(b, bit)
			got := crc32c.SingleBit(stored, crc32c.Value(b), int64(n))
			flip(b, bit)
			if want := []int64{bit}; !slices.Equal(got, want) {
				t.Fatalf("%d bytes, bit %d: got %v", n, bit, got)
			}
		}
	}
}

// TestSingleBitFindsFar computes the effect of a bit far from the end without the data.
func TestSingleBitFindsFar(t *testing.T) {
	const n = 5 << 30 // bytes
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		bit := r.Int64N(8 * n)
		stored := r.Uint32()
		diff := crc32c.Combine(crc32c.Value([]byte{0})^crc32c.Value([]byte{1 << (bit % 8)}), 0, n-1-bit/8)
		got := crc32c.SingleBit(stored, stored^diff, n)
		if !slices.Contains(got, bit) || !slices.IsSorted(got) {
			t.Fatalf("bit %d: got %v", bit, got)
		}
		for i, p := range got {
			if p < 0 || p >= 8*n || (p-bit)%period != 0 || i > 0 && p-got[i-1] != period {
				t.Fatalf("bit %d: got %v", bit, got)
			}
		}
		if len(got) < 8*n/period || len(got) > 8*n/period+1 {
			t.Fatalf("bit %d: got %d positions", bit, len(got))
		}
	}
}

func TestSingleBitAtTheBounds(t *testing.T) {
	effect := func(distance int64) uint32 { // of the bit with so many behind it
		bit := 7 - distance%8
		return crc32c.Combine(crc32c.Value([]byte{0})^crc32c.Value([]byte{1 << bit}), 0, distance/8)
	}
	for _, c := range []struct {
		name     string
		distance int64
		n        int64
		want     []int64
	}{
		{"first bit", 8*100 - 1, 100, []int64{0}},
		{"last bit", 0, 100, []int64{799}},
		{"one bit before the data", 8 * 100, 100, nil},
		{"first of the period", 0, 1 << 28, []int64{0, period}},
		{"last of the period", period - 1, 1 << 28, []int64{1}},
		{"second of the period", 1, 1 << 28, []int64{period - 1}},
		{"no data", 0, 0, nil},
		{"negative", 0, -1, nil},
		{"more than there is", 0, math.MaxInt64, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			if got := crc32c.SingleBit(7, 7^effect(c.distance), c.n); !slices.Equal(got, c.want) {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
	if got := crc32c.SingleBit(7, 7, 1<<40); got != nil {
		t.Errorf("equal checksums: got %v", got)
	}
}

// TestSingleBitRefusesOthers counts damage that looks like one bit and is not.
func TestSingleBitRefusesOthers(t *testing.T) {
	const n, times = 1 << 20, 40_000
	r := rand.New(rand.NewPCG(5, 6))
	chance := 0
	for range times {
		bits := 2 + r.IntN(7)
		var diff uint32
		for range bits {
			bit := r.Int64N(8 * n)
			diff ^= crc32c.Combine(crc32c.Value([]byte{0})^crc32c.Value([]byte{1 << (bit % 8)}), 0, n-1-bit/8)
		}
		got := crc32c.SingleBit(0, diff, n)
		if bits%2 == 0 && got != nil {
			t.Fatalf("%d flipped bits look like one: %v", bits, got)
		}
		if got != nil {
			chance++
		}
	}
	// Three of seven draws are odd; 0.4 % of those are expected.
	if want := crc32c.SingleBitChance(n) * times * 3 / 7; math.Abs(float64(chance)-want) > 5*math.Sqrt(want) {
		t.Errorf("%d of %d look like one bit, want about %.0f", chance, times, want)
	}
}

func TestSingleBitChance(t *testing.T) {
	for _, c := range []struct {
		n    int64
		want float64
	}{{0, 0}, {-1, 0}, {1 << 20, 1.0 / 256}, {1 << 28, 1}, {1 << 40, 1}} {
		if got := crc32c.SingleBitChance(c.n); got != c.want {
			t.Errorf("%d bytes: got %v, want %v", c.n, got, c.want)
		}
	}
}

func TestStoredBit(t *testing.T) {
	got := crc32c.Value([]byte("weights"))
	for bit := range 32 {
		stored := crc32c.Unmask(crc32c.Mask(got) ^ 1<<bit)
		if found, ok := crc32c.StoredBit(stored, got); found != bit || !ok {
			t.Errorf("bit %d: got %d %v", bit, found, ok)
		}
	}
	for _, diff := range []uint32{0, 3, 1<<31 | 1, math.MaxUint32} {
		if _, ok := crc32c.StoredBit(crc32c.Unmask(crc32c.Mask(got)^diff), got); ok {
			t.Errorf("%#x was taken for one bit", diff)
		}
	}
}

// TestPolynomial pins what the search builds on: the effects of bits repeat
// after 2³¹-1 of them, a prime.
func TestPolynomial(t *testing.T) {
	x := uint32(1) << 30
	power := x
	for range 31 { // x^(2³¹)
		next := uint32(0)
		for a, b := power, power; a != 0; a <<= 1 {
			next ^= b & -(a >> 31)
			b = b>>1 ^ crc32.Castagnoli&-(b&1)
		}
		power = next
	}
	if power != x {
		t.Errorf("x^(2^31) is %#x, want x, %#x", power, x)
	}
}
