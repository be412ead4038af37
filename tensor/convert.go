package tensor

import (
	"encoding/binary"
	"fmt"
	"math"
	"unsafe"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// Float is a Go type that elements of a real dtype are converted to and from.
type Float interface{ ~float32 | ~float64 }

// Floats returns the elements of a tensor of any real dtype as numbers in
// row-major order: the floats down to float4_e2m1fn, the integers down to int2,
// the quantised integers, and bool as 0 and 1. The slice is new. Complex and
// other dtypes are ErrMismatch.
//
// The small floats and the integers of up to 16 bits fit in T. Wider numbers
// are rounded to the nearest T, of two equally near ones to the even one; a
// float64 too large for float32 becomes an infinity. Of quantised integers it
// is the stored number, without the range that an operation may attach to it.
//
// The bits of a NaN are those of numpy's astype: its sign is kept, float16 and
// bfloat16 keep their payload, and the float8 kinds become a quiet NaN without
// payload, the one of the fnuz kinds a negative one.
func Floats[T Float](t *Tensor) ([]T, error) {
	switch t.dtype {
	case Float32:
		return convertFloats[T, float32](t.data), nil
	case Float64:
		return convertFloats[T, float64](t.data), nil
	}
	if f := smallFloatOf(t.dtype); f != nil {
		v := make([]T, len(t.data)/t.dtype.Size())
		decodeSmalls(v, t.data, f, t.dtype.Size())
		return v, nil
	}
	k, ok := integerOf(t.dtype)
	if !ok {
		return nil, fmt.Errorf("%w: elements of dtype %s are no real numbers", fault.ErrMismatch, t.dtype)
	}
	v := make([]T, len(t.data)/k.size)
	decodeIntegers(v, t.data, k)
	return v, nil
}

// FromFloats makes a tensor of any real dtype from numbers in row-major order.
// It copies shape and values. Complex and other dtypes are ErrMismatch.
//
// For a float dtype each number is rounded once to the nearest, of two equally
// near ones to the even one. A number that rounds to more than the largest
// becomes an infinity in float64, float32, float16, bfloat16 and float8_e5m2,
// NaN in the other float8 kinds, and ±6 in float4_e2m1fn; infinities do the
// same. A zero keeps its sign except in the fnuz kinds, which have one zero.
// This is what numpy's astype does with the types of ml_dtypes, which tf.cast
// follows where it knows the dtype, but for float64: those two may round it to
// float32 first. A NaN keeps its sign except in the fnuz kinds, and the upper
// bits of its payload in float16.
//
// It is an error, which names the first such element, to put a number in a
// dtype that it is not in: NaN in float4_e2m1fn, in an integer dtype a fraction
// or what is outside of its range, in bool anything but 0 and 1. Numpy and
// tf.cast make another number of those.
func FromFloats[T Float](d DType, s Shape, values []T) (*Tensor, error) {
	f := smallFloatOf(d)
	k, isInteger := integerOf(d)
	if f == nil && !isInteger && d != Float32 && d != Float64 {
		return nil, fmt.Errorf("%w: elements of dtype %s are no real numbers", fault.ErrMismatch, d)
	}
	data := make([]byte, 0, len(values)*d.Size())
	bad := -1
	switch {
	case d == Float32:
		for _, v := range values {
			data = binary.LittleEndian.AppendUint32(data, math.Float32bits(float32(v)))
		}
	case d == Float64:
		for _, v := range values {
			data = binary.LittleEndian.AppendUint64(data, math.Float64bits(float64(v)))
		}
	case f != nil:
		data = data[:len(values)*d.Size()]
		bad = encodeSmalls(data, values, f, d.Size())
	default:
		for i, v := range values {
			u, ok := k.fromFloat(float64(v))
			if !ok {
				bad = i
				break
			}
			data = k.append(data, u)
		}
	}
	if bad >= 0 {
		return nil, fmt.Errorf("element %d: %v is not in dtype %s", bad, values[bad], d)
	}
	return New(d, s.Clone(), data)
}

// Ints returns the elements of a tensor of any integer dtype in row-major
// order, down to int2, the quantised integers and bool as 0 and 1 included. The
// slice is new. In int4, uint4, int2 and uint2 the low bits of a byte count, the
// others are ignored, as TensorFlow does. Floats and other dtypes are
// ErrMismatch; an element of uint64 above the largest int64 is an error.
func Ints(t *Tensor) ([]int64, error) {
	k, ok := integerOf(t.dtype)
	if !ok {
		return nil, fmt.Errorf("%w: elements of dtype %s are no integers", fault.ErrMismatch, t.dtype)
	}
	if t.dtype == Uint64 {
		for i := range len(t.data) / 8 {
			if u := k.load(t.data[8*i:]); u > math.MaxInt64 {
				return nil, fmt.Errorf("element %d: %d is not in int64", i, u)
			}
		}
	}
	v := make([]int64, len(t.data)/k.size)
	decodeIntegers(v, t.data, k)
	return v, nil
}

// FromInts makes a tensor of any integer dtype from numbers in row-major order.
// It copies shape and values. In int4, uint4, int2 and uint2 the high bits of a
// byte are 0, as TensorFlow writes them. Floats and other dtypes are
// ErrMismatch; a number outside of the dtype's range is an error that names the
// element, in bool anything but 0 and 1.
func FromInts(d DType, s Shape, values []int64) (*Tensor, error) {
	k, ok := integerOf(d)
	if !ok {
		return nil, fmt.Errorf("%w: elements of dtype %s are no integers", fault.ErrMismatch, d)
	}
	data := make([]byte, 0, len(values)*k.size)
	for i, v := range values {
		u, ok := k.fromInt(v)
		if !ok {
			return nil, fmt.Errorf("element %d: %d is not in dtype %s", i, v, d)
		}
		data = k.append(data, u)
	}
	return New(d, s.Clone(), data)
}

// convertFloats converts elements of type U.
func convertFloats[T, U Float](b []byte) []T {
	in, ok := View[U](b)
	if !ok {
		in = make([]U, len(b)/int(unsafe.Sizeof(U(0))))
		decodeElements(in, b)
	}
	v := make([]T, len(in))
	for i, x := range in {
		v[i] = T(x)
	}
	return v
}
