package tensor

import (
	"encoding/binary"
	"math"
	"reflect"
	"unsafe"
)

// Element is a Go type whose values are tensor elements. float16, bfloat16 and
// the smaller types have no Go type: read them with [Floats], [Ints] or
// [Tensor.Bytes].
type Element interface {
	~float32 | ~float64 | ~int8 | ~int16 | ~int32 | ~int64 |
		~uint8 | ~uint16 | ~uint32 | ~uint64 | ~bool | ~complex64 | ~complex128
}

// hostLittle says that memory holds numbers as files do.
var hostLittle = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// DTypeOf returns the dtype of T; a named type counts as what it is made of.
func DTypeOf[T Element]() DType {
	switch reflect.TypeFor[T]().Kind() {
	case reflect.Float32:
		return Float32
	case reflect.Float64:
		return Float64
	case reflect.Int8:
		return Int8
	case reflect.Int16:
		return Int16
	case reflect.Int32:
		return Int32
	case reflect.Int64:
		return Int64
	case reflect.Uint8:
		return Uint8
	case reflect.Uint16:
		return Uint16
	case reflect.Uint32:
		return Uint32
	case reflect.Uint64:
		return Uint64
	case reflect.Bool:
		return Bool
	case reflect.Complex64:
		return Complex64
	case reflect.Complex128:
		return Complex128
	}
	return Invalid
}

// View returns b, little-endian elements, as a slice that shares its memory.
// It is not ok when that is impossible: the host is big-endian, b is not
// aligned for T or no multiple of its size, or T is bool (a byte of a file may
// be neither 0 nor 1). Then copy with [Values].
func View[T Element](b []byte) ([]T, bool) {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if DTypeOf[T]() == Bool || len(b)%size != 0 || !hostLittle && size > 1 {
		return nil, false
	}
	if len(b) == 0 {
		return []T{}, true
	}
	p := unsafe.Pointer(unsafe.SliceData(b))
	if uintptr(p)%unsafe.Alignof(zero) != 0 {
		return nil, false
	}
	return unsafe.Slice((*T)(p), len(b)/size), true
}

// AsBytes returns the memory of v as little-endian bytes that share it. It is
// not ok on a big-endian host. Bool works: Go keeps 0 or 1 in each byte, and
// whoever writes through the bytes must keep to that.
func AsBytes[T Element](v []T) ([]byte, bool) {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if !hostLittle && size > 1 {
		return nil, false
	}
	if len(v) == 0 {
		return []byte{}, true
	}
	return unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*size), true
}

// appendElements encodes v where AsBytes cannot.
func appendElements[T Element](b []byte, v []T) []byte {
	for i := range v {
		b = appendElement(b, reflect.ValueOf(v[i]))
	}
	return b
}

func appendElement(b []byte, v reflect.Value) []byte {
	switch v.Kind() {
	case reflect.Bool:
		if v.Bool() {
			return append(b, 1)
		}
		return append(b, 0)
	case reflect.Float32:
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(v.Float())))
	case reflect.Float64:
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(v.Float()))
	case reflect.Complex64:
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(real(v.Complex()))))
		return binary.LittleEndian.AppendUint32(b, math.Float32bits(float32(imag(v.Complex()))))
	case reflect.Complex128:
		b = binary.LittleEndian.AppendUint64(b, math.Float64bits(real(v.Complex())))
		return binary.LittleEndian.AppendUint64(b, math.Float64bits(imag(v.Complex())))
	}
	var bits uint64
	if v.CanInt() {
		bits = uint64(v.Int())
	} else {
		bits = v.Uint()
	}
	for range int(v.Type().Size()) {
		b = append(b, byte(bits))
		bits >>= 8
	}
	return b
}

// decodeElements fills v from little-endian bytes where View cannot.
func decodeElements[T Element](v []T, b []byte) {
	var zero T
	size := int(unsafe.Sizeof(zero))
	if DTypeOf[T]() == Bool {
		// TensorFlow reads any byte but 0 as true.
		for i := range v {
			*(*bool)(unsafe.Pointer(&v[i])) = b[i] != 0
		}
		return
	}
	if len(v) == 0 {
		return
	}
	memory := unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(v))), len(v)*size)
	copy(memory, b)
	if !hostLittle {
		Swap(memory, DTypeOf[T]())
	}
}

// Swap reverses the bytes of each element of b in place, of each half for the
// complex types. Types of one byte, and those of no fixed size, stay as they
// are. Bytes behind the last whole element stay too.
func Swap(b []byte, d DType) {
	size := d.Size()
	if d == Complex64 || d == Complex128 {
		size /= 2
	}
	switch size {
	case 2:
		for ; len(b) >= 2; b = b[2:] {
			b[0], b[1] = b[1], b[0]
		}
	case 4:
		for ; len(b) >= 4; b = b[4:] {
			binary.LittleEndian.PutUint32(b, binary.BigEndian.Uint32(b))
		}
	case 8:
		for ; len(b) >= 8; b = b[8:] {
			binary.LittleEndian.PutUint64(b, binary.BigEndian.Uint64(b))
		}
	}
}
