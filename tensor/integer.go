package tensor

import (
	"encoding/binary"
	"math"
)

// integer describes the elements of an integer dtype, bool and the quantised
// ones included: the low bits of a little-endian number of size bytes.
type integer struct {
	size   int
	bits   int
	signed bool
}

// integerOf returns the form of d, not ok if d is no integer dtype.
func integerOf(d DType) (k integer, ok bool) {
	switch d {
	case Int8, QInt8, Int16, QInt16, Int32, QInt32, Int64:
		return integer{d.Size(), 8 * d.Size(), true}, true
	case Uint8, QUint8, Uint16, QUint16, Uint32, Uint64:
		return integer{d.Size(), 8 * d.Size(), false}, true
	case Int4:
		return integer{1, 4, true}, true
	case Uint4:
		return integer{1, 4, false}, true
	case Int2:
		return integer{1, 2, true}, true
	case Uint2:
		return integer{1, 2, false}, true
	case Bool:
		return integer{1, 1, false}, true
	}
	return integer{}, false
}

// decodeIntegers fills v. An unsigned element above int64 does not survive the
// conversion to int64.
func decodeIntegers[T Float | int64](v []T, b []byte, k integer) {
	unused := 64 - k.bits
	for i := range v {
		u := k.load(b[i*k.size:]) << unused
		switch {
		case k.signed:
			v[i] = T(int64(u) >> unused)
		case k.bits == 1: // TensorFlow reads any byte but 0 as true.
			if b[i] != 0 {
				v[i] = 1
			}
		default:
			v[i] = T(u >> unused)
		}
	}
}

func (k integer) load(b []byte) uint64 {
	switch k.size {
	case 1:
		return uint64(b[0])
	case 2:
		return uint64(binary.LittleEndian.Uint16(b))
	case 4:
		return uint64(binary.LittleEndian.Uint32(b))
	}
	return binary.LittleEndian.Uint64(b)
}

// append encodes an element that fits; the bits above its own are 0.
func (k integer) append(b []byte, u uint64) []byte {
	u &= math.MaxUint64 >> (64 - k.bits)
	switch k.size {
	case 1:
		return append(b, byte(u))
	case 2:
		return binary.LittleEndian.AppendUint16(b, uint16(u))
	case 4:
		return binary.LittleEndian.AppendUint32(b, uint32(u))
	}
	return binary.LittleEndian.AppendUint64(b, u)
}

// fromFloat returns the bits of v, not ok if v is no whole number or outside of
// the dtype's range. NaN is no whole number.
func (k integer) fromFloat(v float64) (bits uint64, ok bool) {
	if v != math.Trunc(v) {
		return 0, false
	}
	if k.signed {
		end := math.Ldexp(1, k.bits-1) // of int64 not an int64 itself
		return uint64(int64(v)), -end <= v && v < end
	}
	return uint64(v), 0 <= v && v < math.Ldexp(1, k.bits)
}

// fromInt returns the bits of v, not ok if v is outside of the dtype's range.
func (k integer) fromInt(v int64) (bits uint64, ok bool) {
	if k.signed {
		unused := 64 - k.bits
		return uint64(v), v<<unused>>unused == v
	}
	return uint64(v), v >= 0 && uint64(v) <= math.MaxUint64>>(64-k.bits)
}
