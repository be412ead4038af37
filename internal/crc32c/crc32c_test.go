package crc32c_test

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/ckpt-go/ckpt/internal/crc32c"
)

// ascending returns 00 01 02 … of n bytes.
func ascending(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func TestValue(t *testing.T) {
	descending := ascending(32)
	for i := range descending {
		descending[i] = byte(31 - i)
	}
	for _, tc := range []struct {
		name string
		in   []byte
		want uint32
	}{
		{"empty", nil, 0},
		{"check value", []byte("123456789"), 0xe3069283},
		// RFC 3720, appendix B.4.
		{"32 zeros", make([]byte, 32), 0x8a9136aa},
		{"32 ones", bytes.Repeat([]byte{0xff}, 32), 0x62a8ab43},
		{"32 ascending", ascending(32), 0x46dd794e},
		{"32 descending", descending, 0x113fdb5c},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got := crc32c.Value(tc.in); got != tc.want {
				t.Errorf("Value = %#08x, want %#08x", got, tc.want)
			}
			half := len(tc.in) / 2
			if got := crc32c.Update(crc32c.Value(tc.in[:half]), tc.in[half:]); got != tc.want {
				t.Errorf("Update = %#08x, want %#08x", got, tc.want)
			}
		})
	}
}

func TestMask(t *testing.T) {
	for _, tc := range []struct{ crc, want uint32 }{
		{0, 0xa282ead8}, // of empty input
		{0xffffffff, 0xa282ead7},
	} {
		if got := crc32c.Mask(tc.crc); got != tc.want {
			t.Errorf("Mask(%#x) = %#x, want %#x", tc.crc, got, tc.want)
		}
	}
	// The length checksum of the string tensor ["", "ab"] in TensorFlow's file.
	if got := crc32c.Mask(crc32c.Value([]byte{0, 0, 0, 0, 2, 0, 0, 0})); got != 0xc4995177 {
		t.Errorf("masked checksum of lengths 0 and 2 = %#x, want 0xc4995177", got)
	}
	for range 1000 {
		c := rand.Uint32()
		if got := crc32c.Unmask(crc32c.Mask(c)); got != c {
			t.Fatalf("Unmask(Mask(%#x)) = %#x", c, got)
		}
		if crc32c.Mask(c) == c {
			t.Fatalf("Mask(%#x) changes nothing", c)
		}
	}
}

func TestCombine(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	data := make([]byte, 1<<20)
	for i := range data {
		data[i] = byte(rng.Uint32())
	}
	for _, split := range []int{0, 1, 2, 3, 7, 8, 255, 4096, 65537, len(data) - 1, len(data)} {
		a, b := data[:split], data[split:]
		got := crc32c.Combine(crc32c.Value(a), crc32c.Value(b), int64(len(b)))
		if want := crc32c.Value(data); got != want {
			t.Errorf("split at %d: %#x, want %#x", split, got, want)
		}
	}
	for n := range 300 {
		a, b := data[:n/2], data[n/2:n]
		got := crc32c.Combine(crc32c.Value(a), crc32c.Value(b), int64(len(b)))
		if want := crc32c.Value(data[:n]); got != want {
			t.Errorf("%d and %d bytes: %#x, want %#x", len(a), len(b), got, want)
		}
	}
}

// TestCombineLong checks lengths no test can hash: combining is associative,
// and the second length only counts modulo the order of the polynomial.
func TestCombineLong(t *testing.T) {
	a, b, c := crc32c.Value([]byte("a")), uint32(0x12345678), uint32(0x9abcdef0)
	for _, n := range []int64{1 << 32, 1<<40 + 12345, 1 << 62, math.MaxInt64 - 1<<40} {
		left := crc32c.Combine(crc32c.Combine(a, b, n), c, 1<<39)
		right := crc32c.Combine(a, crc32c.Combine(b, c, 1<<39), n+1<<39)
		if left != right {
			t.Errorf("length %d: (ab)c = %#x, a(bc) = %#x", n, left, right)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a negative length does not panic")
		}
	}()
	crc32c.Combine(a, b, -1)
}

func BenchmarkCombine(b *testing.B) {
	for b.Loop() {
		crc32c.Combine(0x12345678, 0x9abcdef0, 1<<40+12345)
	}
}
