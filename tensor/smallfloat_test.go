package tensor_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"testing"
	"unsafe"

	"github.com/ckpt-go/ckpt/tensor"
)

// Made by interop/smallfloats.py; its MANIFEST.md says what each hash is of.
const smallFloatGoldens = "../testdata/tensorflow-2.21.0-smallfloats/smallfloats.json"

// encoded describes inputs and the patterns they become.
type encoded struct {
	Inputs       int
	InputsSHA256 string `json:"inputs_sha256"`
	SHA256       string
}

type smallGolden struct {
	Patterns int
	Decode   map[string]struct {
		SHA256 string
		Table  []byte // base64
	}
	Encode map[string]struct{ Edges, Random encoded }
}

type goldens struct {
	Floats   map[string]smallGolden
	Integers map[string]string // base64
}

func readGoldens(t *testing.T) goldens {
	t.Helper()
	text, err := os.ReadFile(smallFloatGoldens)
	if err != nil {
		t.Fatal(err)
	}
	var g goldens
	if err := json.Unmarshal(text, &g); err != nil {
		t.Fatal(err)
	}
	if len(g.Floats) != 8 || len(g.Integers) != 4 {
		t.Fatalf("goldens of %d floats and %d integers", len(g.Floats), len(g.Integers))
	}
	return g
}

func parse(t *testing.T, name string) tensor.DType {
	t.Helper()
	d, ok := tensor.ParseDType(name)
	if !ok {
		t.Fatalf("no dtype %s", name)
	}
	return d
}

// allPatterns is a tensor of the bit patterns 0 to n−1.
func allPatterns(t *testing.T, d tensor.DType, n int) *tensor.Tensor {
	t.Helper()
	data := make([]byte, 0, n*d.Size())
	for i := range n {
		data = append(data, byte(i))
		if d.Size() == 2 {
			data = append(data, byte(i>>8))
		}
	}
	v, err := tensor.New(d, tensor.Shape{int64(n)}, data)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func floats[T tensor.Float](t *testing.T, v *tensor.Tensor) []T {
	t.Helper()
	values, err := tensor.Floats[T](v)
	if err != nil {
		t.Fatal(err)
	}
	return values
}

func fromFloats[T tensor.Float](t *testing.T, d tensor.DType, values []T) []byte {
	t.Helper()
	v, err := tensor.FromFloats(d, tensor.Shape{int64(len(values))}, values)
	if err != nil {
		t.Fatal(err)
	}
	return v.Bytes()
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// littleEndian encodes the bits of each value, NaN or not.
func littleEndian[T tensor.Float](values []T) []byte {
	b := make([]byte, 0, len(values)*int(unsafe.Sizeof(T(0))))
	for _, v := range values {
		b = binary.LittleEndian.AppendUint64(b, bitsOf(v))[:len(b)+int(unsafe.Sizeof(v))]
	}
	return b
}

func bitsOf[T tensor.Float](v T) uint64 {
	if unsafe.Sizeof(v) == 4 {
		return uint64(math.Float32bits(float32(v)))
	}
	return math.Float64bits(float64(v))
}

func fromBits[T tensor.Float](bits uint64) T {
	if unsafe.Sizeof(T(0)) == 4 {
		return T(math.Float32frombits(uint32(bits)))
	}
	return T(math.Float64frombits(bits))
}

// TestDecodeSmallFloats checks every bit pattern of every small float.
func TestDecodeSmallFloats(t *testing.T) {
	for name, golden := range readGoldens(t).Floats {
		t.Run(name, func(t *testing.T) {
			v := allPatterns(t, parse(t, name), golden.Patterns)
			got := floats[float64](t, v)
			if table := golden.Decode["float64"].Table; table != nil {
				for i := range got {
					if want := binary.LittleEndian.Uint64(table[8*i:]); math.Float64bits(got[i]) != want {
						t.Errorf("pattern %#x: got %v, want %v", i, got[i], math.Float64frombits(want))
					}
				}
			}
			if got, want := hash(littleEndian(got)), golden.Decode["float64"].SHA256; got != want {
				t.Errorf("float64 of all patterns: got hash %s, want %s", got, want)
			}
			narrow := floats[float32](t, v)
			if got, want := hash(littleEndian(narrow)), golden.Decode["float32"].SHA256; got != want {
				t.Errorf("float32 of all patterns: got hash %s, want %s", got, want)
			}
		})
	}
}

// TestEncodeSmallFloats checks the numbers at, between and next to the values of
// all bit patterns, and a million others.
func TestEncodeSmallFloats(t *testing.T) {
	random32, random64 := random[float32](), random[float64]()
	for name, golden := range readGoldens(t).Floats {
		t.Run(name, func(t *testing.T) {
			d := parse(t, name)
			values := floats[float64](t, allPatterns(t, d, golden.Patterns))
			checkEncoded(t, d, "float32 edges", edges[float32](values), golden.Encode["float32"].Edges)
			checkEncoded(t, d, "float64 edges", edges[float64](values), golden.Encode["float64"].Edges)
			checkEncoded(t, d, "random float32", random32, golden.Encode["float32"].Random)
			checkEncoded(t, d, "random float64", random64, golden.Encode["float64"].Random)
		})
	}
}

func checkEncoded[T tensor.Float](t *testing.T, d tensor.DType, what string, inputs []T, want encoded) {
	t.Helper()
	if d == tensor.Float4E2M1FN {
		inputs = withoutNaN(inputs)
	}
	if got := hash(littleEndian(inputs)); len(inputs) != want.Inputs || got != want.InputsSHA256 {
		t.Fatalf("%s: got %d inputs with hash %s, want %d, %s: the test makes others", what, len(inputs), got, want.Inputs, want.InputsSHA256)
	}
	if got := hash(fromFloats(t, d, inputs)); got != want.SHA256 {
		t.Errorf("%s: got hash %s of the patterns, want %s", what, got, want.SHA256)
	}
}

func withoutNaN[T tensor.Float](in []T) []T {
	out := make([]T, len(in))
	for i, v := range in {
		if v == v {
			out[i] = v
		}
	}
	return out
}

// edges are the values, the midpoints between them, and the next numbers of T
// on either side of both.
func edges[T tensor.Float](values []float64) []T {
	var made []T
	half := len(values) / 2
	for p, v := range values {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			continue
		}
		w := v
		if last := p%half == half-1; !last {
			w = values[p+1]
		}
		if w == v || math.IsNaN(w) || math.IsInf(w, 0) {
			w = v + (v - values[p-1])
		}
		for _, x := range []float64{v, (v + w) / 2} {
			bits := bitsOf(T(x))
			made = append(made, fromBits[T](bits-1), T(x), fromBits[T](bits+1))
		}
	}
	return made
}

// random gives numbers with random bits, then numbers of a random exponent near
// those of the small floats.
func random[T tensor.Float]() []T {
	const n = 1 << 20
	made := make([]T, 0, n)
	for i := range uint64(n) {
		z := (i + 1) * 0x9e3779b97f4a7c15
		z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
		z = (z ^ z>>27) * 0x94d049bb133111eb
		z ^= z >> 31
		bits, mantissa, mask, bias := z, 52, uint64(0x7ff), uint64(1023)
		if unsafe.Sizeof(T(0)) == 4 {
			bits, mantissa, mask, bias = z>>32, 23, 0xff, 127
		}
		if i >= n/2 {
			bits = bits&^(mask<<mantissa) | (bias+z%48-28)<<mantissa
		}
		made = append(made, fromBits[T](bits))
	}
	return made
}

// TestSmallFloatsRoundTrip checks that a value leads back to its pattern; a NaN
// to a NaN of the same sign.
func TestSmallFloatsRoundTrip(t *testing.T) {
	for name, golden := range readGoldens(t).Floats {
		t.Run(name, func(t *testing.T) {
			d := parse(t, name)
			v := allPatterns(t, d, golden.Patterns)
			wide, narrow := floats[float64](t, v), floats[float32](t, v)
			from64, from32 := fromFloats(t, d, wide), fromFloats(t, d, narrow)
			again := floats[float64](t, allBytes(t, d, from64))
			for i, want := range wide {
				at := i * d.Size()
				if string(from32[at:at+d.Size()]) != string(from64[at:at+d.Size()]) {
					t.Fatalf("pattern %#x: got %x by float32, %x by float64", i, from32[at:at+d.Size()], from64[at:at+d.Size()])
				}
				if math.IsNaN(want) {
					if !math.IsNaN(again[i]) || math.Signbit(again[i]) != math.Signbit(want) {
						t.Fatalf("pattern %#x: got %v, want a NaN of the same sign", i, again[i])
					}
					continue
				}
				if got, want := from64[at:at+d.Size()], v.Bytes()[at:at+d.Size()]; string(got) != string(want) {
					t.Fatalf("pattern %#x: got %x", i, got)
				}
			}
		})
	}
}

func allBytes(t *testing.T, d tensor.DType, b []byte) *tensor.Tensor {
	t.Helper()
	v, err := tensor.New(d, tensor.Shape{int64(len(b) / d.Size())}, b)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestFloat4IgnoresHighBits: only the low four bits of a byte count.
func TestFloat4IgnoresHighBits(t *testing.T) {
	got := floats[float64](t, allPatterns(t, tensor.Float4E2M1FN, 256))
	for i, v := range got {
		if want := got[i%16]; math.Float64bits(v) != math.Float64bits(want) {
			t.Errorf("byte %#x: got %v, want %v", i, v, want)
		}
	}
}

// TestSmallIntegers checks every byte of int4, uint4, int2 and uint2.
func TestSmallIntegers(t *testing.T) {
	for name, text := range readGoldens(t).Integers {
		t.Run(name, func(t *testing.T) {
			d := parse(t, name)
			table, err := base64.StdEncoding.DecodeString(text)
			if err != nil || len(table) != 256 {
				t.Fatal(len(table), err)
			}
			v := allPatterns(t, d, 256)
			got, err := tensor.Ints(v)
			if err != nil {
				t.Fatal(err)
			}
			bits := map[tensor.DType]int{tensor.Int4: 4, tensor.Uint4: 4, tensor.Int2: 2, tensor.Uint2: 2}[d]
			wide, narrow := floats[float64](t, v), floats[float32](t, v)
			for i, b := range table {
				want := int64(int8(b))
				if got[i] != want || wide[i] != float64(want) || narrow[i] != float32(want) {
					t.Errorf("byte %#x: got %d, %v and %v, want %d", i, got[i], wide[i], narrow[i], want)
				}
				back, err := tensor.FromInts(d, nil, []int64{want})
				if err != nil || back.Bytes()[0] != byte(i)&(1<<bits-1) {
					t.Errorf("%d: got %v, %v", want, back, err)
				}
			}
		})
	}
}
