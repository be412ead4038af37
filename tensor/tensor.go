package tensor

import (
	"fmt"
	"unsafe"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// ErrMismatch says that program and checkpoint do not fit each other.
var ErrMismatch = fault.ErrMismatch

// Tensor is a dtype, a shape and the values: little-endian row-major bytes for
// dtypes of fixed size, a list of byte strings for String, and a list of
// serialized elements for Variant. A Tensor is not changed by this package
// after it was made, so several goroutines may read it.
type Tensor struct {
	dtype    DType
	shape    Shape
	data     []byte
	elements [][]byte
}

// New makes a tensor of a fixed-size dtype from its little-endian row-major
// bytes, and takes ownership of shape and data. It is an error when the bytes
// do not fit the shape.
func New(d DType, s Shape, data []byte) (*Tensor, error) {
	if !d.Fixed() {
		return nil, fmt.Errorf("elements of dtype %s have no fixed size", d)
	}
	n, ok := s.Elements()
	if !ok {
		return nil, fmt.Errorf("shape %s is not the shape of a tensor", s)
	}
	size := int64(d.Size())
	if int64(len(data))/size != n || int64(len(data))%size != 0 {
		return nil, fmt.Errorf("%d bytes are no %s tensor of shape %s", len(data), d, s)
	}
	return &Tensor{dtype: d, shape: s, data: data}, nil
}

// NewStrings makes a string tensor from its elements in row-major order, and
// takes ownership of shape and elements.
func NewStrings(s Shape, elements [][]byte) (*Tensor, error) {
	return newElements(String, s, elements)
}

// NewVariants makes a variant tensor from serialized elements
// (VariantTensorDataProto) in row-major order, and takes ownership of shape
// and elements.
func NewVariants(s Shape, elements [][]byte) (*Tensor, error) {
	return newElements(Variant, s, elements)
}

func newElements(d DType, s Shape, elements [][]byte) (*Tensor, error) {
	n, ok := s.Elements()
	if !ok {
		return nil, fmt.Errorf("shape %s is not the shape of a tensor", s)
	}
	if int64(len(elements)) != n {
		return nil, fmt.Errorf("%d elements are no %s tensor of shape %s", len(elements), d, s)
	}
	return &Tensor{dtype: d, shape: s, elements: elements}, nil
}

// Of makes a tensor from Go values in row-major order. The values are copied.
func Of[T Element](s Shape, values []T) (*Tensor, error) {
	var zero T
	data := make([]byte, 0, len(values)*int(unsafe.Sizeof(zero)))
	if b, ok := AsBytes(values); ok {
		data = append(data, b...)
	} else {
		data = appendElements(data, values)
	}
	return New(DTypeOf[T](), s.Clone(), data)
}

// Values returns the elements in row-major order as a new slice. A dtype other
// than that of T is ErrMismatch, in the words of TensorFlow.
func Values[T Element](t *Tensor) ([]T, error) {
	if want := DTypeOf[T](); t.dtype != want {
		return nil, fmt.Errorf("%w: expected dtype %s does not equal original dtype %s", fault.ErrMismatch, want.OpName(), t.dtype.OpName())
	}
	v := make([]T, len(t.data)/t.dtype.Size())
	decodeElements(v, t.data)
	return v, nil
}

// DType returns the type of the elements.
func (t *Tensor) DType() DType { return t.dtype }

// Shape returns the dimensions; the tensor keeps owning the slice.
func (t *Tensor) Shape() Shape { return t.shape }

// Bytes returns the little-endian row-major bytes of a tensor of fixed-size
// dtype, nil for others. The tensor keeps owning them.
func (t *Tensor) Bytes() []byte { return t.data }

// Strings returns the elements of a String or Variant tensor, nil for others.
// The tensor keeps owning them.
func (t *Tensor) Strings() [][]byte { return t.elements }

// String describes the tensor without its values: "float32 [2,3]".
func (t *Tensor) String() string { return fmt.Sprintf("%s %s", t.dtype, t.shape) }
