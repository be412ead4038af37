package tensor

import (
	"encoding/binary"
	"math"
	"unsafe"
)

// smallFloat is a binary floating-point format of at most 16 bits: one bit of
// sign, then exponent, then mantissa. What an exponent means is IEEE 754's
// rule with another bias, subnormal numbers included; the formats differ in
// which patterns are no numbers.
type smallFloat struct {
	unused   int     // bits of a float32 that the format does not have
	mantissa int     // bits
	bias     int     // of the exponent
	scale    float32 // 2^(127−bias), what a float32 of the same fields is too small by

	sign     uint32 // the bit of the sign
	largest  uint32 // the largest finite number; what is above is Inf or NaN
	overflow uint32 // what a larger number becomes, without its sign
	nan      uint32 // the NaN made here, without its sign; 0 if there is none
	unsigned bool   // sign alone is the only NaN: no −0, no other NaN ("fnuz")
	payload  bool   // a NaN keeps the bits of its mantissa when converted
	quiet    bool   // a NaN becomes a quiet one in float64
}

// The formats of the dtypes. Without infinities ("fn") all ones are NaN and
// what is too large becomes NaN too; float4 has neither, its largest number is
// what it saturates at.
var (
	float16 = smallFloat{unused: 16, mantissa: 10, bias: 15, scale: 0x1p112,
		sign: 0x8000, largest: 0x7bff, overflow: 0x7c00, nan: 0x7e00, payload: true}
	bfloat16 = smallFloat{unused: 16, mantissa: 7, bias: 127, scale: 1,
		sign: 0x8000, largest: 0x7f7f, overflow: 0x7f80, nan: 0x7fc0, payload: true, quiet: true}
	float8E5M2 = smallFloat{unused: 24, mantissa: 2, bias: 15, scale: 0x1p112,
		sign: 0x80, largest: 0x7b, overflow: 0x7c, nan: 0x7e}
	float8E4M3FN = smallFloat{unused: 24, mantissa: 3, bias: 7, scale: 0x1p120,
		sign: 0x80, largest: 0x7e, overflow: 0x7f, nan: 0x7f}
	float8E4M3FNUZ = smallFloat{unused: 24, mantissa: 3, bias: 8, scale: 0x1p119,
		sign: 0x80, largest: 0x7f, overflow: 0x80, nan: 0x80, unsigned: true}
	float8E4M3B11FNUZ = smallFloat{unused: 24, mantissa: 3, bias: 11, scale: 0x1p116,
		sign: 0x80, largest: 0x7f, overflow: 0x80, nan: 0x80, unsigned: true}
	float8E5M2FNUZ = smallFloat{unused: 24, mantissa: 2, bias: 16, scale: 0x1p111,
		sign: 0x80, largest: 0x7f, overflow: 0x80, nan: 0x80, unsigned: true}
	float4E2M1FN = smallFloat{unused: 28, mantissa: 1, bias: 1, scale: 0x1p126,
		sign: 0x8, largest: 0x7, overflow: 0x7}
)

// smallFloatOf returns the format of d, nil if d is no small float.
func smallFloatOf(d DType) *smallFloat {
	switch d {
	case Float16:
		return &float16
	case BFloat16:
		return &bfloat16
	case Float8E5M2:
		return &float8E5M2
	case Float8E4M3FN:
		return &float8E4M3FN
	case Float8E4M3FNUZ:
		return &float8E4M3FNUZ
	case Float8E4M3B11FNUZ:
		return &float8E4M3B11FNUZ
	case Float8E5M2FNUZ:
		return &float8E5M2FNUZ
	case Float4E2M1FN:
		return &float4E2M1FN
	}
	return nil
}

// decodeSmalls fills v from elements of size bytes. Bits of an element above the
// format's are ignored, as TensorFlow does for int4.
func decodeSmalls[T Float](v []T, b []byte, f *smallFloat, size int) {
	if size == 2 {
		patterns, ok := View[uint16](b)
		if !ok {
			patterns = make([]uint16, len(v))
			decodeElements(patterns, b)
		}
		decodePatterns(v, patterns, f)
		return
	}
	var patterns [256]uint16
	for i := range patterns {
		patterns[i] = uint16(i)
	}
	var table [256]T
	decodePatterns(table[:], patterns[:], f)
	for i := range v {
		v[i] = table[b[i]]
	}
}

// decodePatterns fills v with the values of as many patterns. All that are
// numbers fit in float32 exactly.
func decodePatterns[T Float](v []T, patterns []uint16, f *smallFloat) {
	sign, largest, scale := f.sign, f.largest, f.scale
	up, upSign := (23-f.mantissa)&31, f.unused&31
	fnuz := uint32(math.MaxUint32)
	if f.unsigned {
		fnuz = sign
	}
	v = v[:len(patterns)]
	for i, p := range patterns {
		pattern := uint32(p)
		magnitude := pattern & (sign - 1)
		if magnitude > largest || pattern == fnuz {
			v[i] = special[T](f, pattern&sign != 0, magnitude)
			continue
		}
		// The exponent is taken for that of a float32, subnormal or not, and the
		// product puts it right without rounding.
		x := math.Float32frombits(magnitude<<up) * scale
		v[i] = T(math.Float32frombits(math.Float32bits(x) | pattern&sign<<upSign))
	}
}

// special returns an infinity or a NaN.
func special[T Float](f *smallFloat, negative bool, magnitude uint32) T {
	var sign uint32
	if negative {
		sign = 1 << 31
	}
	if magnitude == f.overflow && f.overflow != f.nan {
		return T(math.Float32frombits(sign | 0x7f800000))
	}
	if !f.payload {
		return nanOf[T](sign | 0x7fc00000)
	}
	bits := sign | 0x7f800000 | magnitude<<(23-f.mantissa)
	if f.quiet && unsafe.Sizeof(T(0)) == 8 {
		bits |= 0x400000
	}
	return nanOf[T](bits)
}

// nanOf converts the bits of a float32 that is NaN. A conversion in Go would
// leave the bits of a signalling NaN to the processor.
func nanOf[T Float](bits uint32) T {
	if unsafe.Sizeof(T(0)) == 4 {
		return T(math.Float32frombits(bits))
	}
	return T(math.Float64frombits(uint64(bits>>31)<<63 | 0x7ff<<52 | uint64(bits&0x7fffff)<<29))
}

// bits64 returns v as the bits of a float64, of a NaN all bits too.
func bits64[T Float](v T) uint64 {
	if v != v && unsafe.Sizeof(v) == 4 {
		bits := math.Float32bits(float32(v))
		return uint64(bits>>31)<<63 | 0x7ff<<52 | uint64(bits&0x7fffff)<<29
	}
	return math.Float64bits(float64(v))
}

// encodeSmalls fills b with elements of size bytes, the patterns nearest to the
// values, of two equally near ones the even one. Of a value that does not exist
// in the format it returns the index, otherwise −1.
func encodeSmalls[T Float](b []byte, values []T, f *smallFloat, size int) (bad int) {
	const hidden, infinity = 1 << 52, 0x7ff << 52
	mantissa, bias, largest, overflow := f.mantissa&63, f.bias, uint64(f.largest), uint64(f.overflow)
	for i, v := range values {
		bits := math.Float64bits(float64(v))
		sign := bits >> 63 * uint64(f.sign)
		bits &= 1<<63 - 1
		// A number is significand · 2^(exponent−52). That a subnormal float64 has
		// no hidden bit makes no difference: it is far below half of the smallest
		// number of any format.
		exponent := int(bits>>52) - 1023 + bias
		significand := bits&(hidden-1) | hidden
		drop := 52 - mantissa
		if exponent < 1 {
			drop = min(drop+1-exponent, 54) // by 54 all is less than half a unit
			exponent = 1
		}
		// Half a unit rounds up what is above half, and a tie where the last bit
		// kept is odd. It may carry into the exponent, which is as it should be.
		odd := significand >> (drop & 63) & 1
		kept := (significand + 1<<((drop-1)&63) - 1 + odd) >> (drop & 63)
		// A subnormal number has no hidden bit, so that the sum leaves exponent 0.
		magnitude := uint64(exponent-1)<<mantissa + kept
		if magnitude > largest {
			magnitude = overflow
			if bits > infinity {
				if f.nan == 0 {
					return i
				}
				magnitude = f.encodeNaN(bits64(v))
			}
		}
		pattern := magnitude | sign
		if f.unsigned && magnitude == 0 {
			pattern = 0
		}
		if size == 2 {
			binary.LittleEndian.PutUint16(b[2*i:], uint16(pattern))
		} else {
			b[i] = byte(pattern)
		}
	}
	return -1
}

// encodeNaN takes the bits of a NaN in float64 and leaves out the sign. As in
// numpy, the upper bits of a payload stay in float16; where they are all 0, the
// last one is set lest the NaN become an infinity.
func (f *smallFloat) encodeNaN(bits uint64) uint64 {
	if !f.payload || f.quiet {
		return uint64(f.nan)
	}
	payload := bits >> (52 - f.mantissa) & (1<<f.mantissa - 1)
	return uint64(f.overflow) | max(payload, 1)
}
