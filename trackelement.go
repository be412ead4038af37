package ckpt

import (
	"encoding/binary"
	"fmt"
	"math"
	"reflect"

	"github.com/ckpt-go/ckpt/tensor"
)

// appendElement appends one number as files hold it, for machines whose memory
// differs.
func appendElement(b []byte, e reflect.Value, dtype tensor.DType) []byte {
	var u uint64
	switch e.Kind() {
	case reflect.Bool:
		if e.Bool() {
			u = 1
		}
	case reflect.Float32:
		u = uint64(math.Float32bits(float32(e.Float())))
	case reflect.Float64:
		u = math.Float64bits(e.Float())
	case reflect.Complex64:
		c := e.Complex()
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(real(c))))
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(imag(c))))
	case reflect.Complex128:
		c := e.Complex()
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(real(c)))
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(imag(c)))
	default:
		if e.CanInt() {
			u = uint64(e.Int())
		} else {
			u = e.Uint()
		}
	}
	for range dtype.Size() {
		b = append(b, byte(u))
		u >>= 8
	}
	return b
}

// setElement sets one number from the bytes of a file.
func setElement(e reflect.Value, b []byte) error {
	var wide [8]byte
	copy(wide[:], b)
	u := binary.LittleEndian.Uint64(wide[:])
	switch e.Kind() {
	case reflect.Bool:
		e.SetBool(u != 0)
	case reflect.Float32:
		e.SetFloat(float64(math.Float32frombits(uint32(u))))
	case reflect.Float64:
		e.SetFloat(math.Float64frombits(u))
	case reflect.Complex64:
		e.SetComplex(complex(float64(math.Float32frombits(uint32(u))), float64(math.Float32frombits(uint32(u>>32)))))
	case reflect.Complex128:
		e.SetComplex(complex(math.Float64frombits(u), math.Float64frombits(binary.LittleEndian.Uint64(b[8:]))))
	default:
		return setInteger(e, u, len(b))
	}
	return nil
}

// setInteger refuses what does not fit, which happens where int has 32 bits.
func setInteger(e reflect.Value, u uint64, size int) error {
	if !e.CanInt() {
		if e.OverflowUint(u) {
			return fmt.Errorf("%d does not fit a %v", u, e.Type())
		}
		e.SetUint(u)
		return nil
	}
	shift := 64 - 8*size
	n := int64(u<<shift) >> shift
	if e.OverflowInt(n) {
		return fmt.Errorf("%d does not fit a %v", n, e.Type())
	}
	e.SetInt(n)
	return nil
}
