package engine

import (
	"fmt"
	"reflect"
	"sync/atomic"
	"unsafe"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/tensors"

	"github.com/ckpt-go/ckpt/tensor"
)

// Value is an array that never changes. It is counted: whoever keeps one calls
// Retain, and Release when done; its memory is used again after the last one.
type Value struct {
	dtype  tensor.DType
	shape  tensor.Shape
	held   *tensors.Tensor // of a computed value, else nil
	buffer backends.Buffer
	data   []byte
	users  atomic.Int32
}

// NewValue makes a value of little-endian row-major bytes, which are copied.
func NewValue(d tensor.DType, s tensor.Shape, data []byte) (*Value, error) {
	return FillValue(d, s, func(memory []byte) error {
		if len(data) != len(memory) {
			return fmt.Errorf("keras: %d bytes for a %v tensor of shape %v, want %d", len(data), d, s, len(memory))
		}
		copy(memory, data)
		return nil
	})
}

// FillValue makes a value whose little-endian row-major bytes fill writes.
func FillValue(d tensor.DType, s tensor.Shape, fill func(memory []byte) error) (*Value, error) {
	shape, err := shapeOf(d, s)
	if err != nil {
		return nil, err
	}
	b, err := backend()
	if err != nil {
		return nil, err
	}
	buffer, flat, err := b.NewSharedBuffer(0, shape)
	if err != nil {
		return nil, err
	}
	v := &Value{dtype: d, shape: s.Clone(), buffer: buffer, data: bytesOf(flat)}
	v.users.Store(1)
	if err := fill(v.data); err != nil {
		v.Release()
		return nil, err
	}
	return v, nil
}

// computed wraps a result.
func computed(t *tensors.Tensor) (*Value, error) {
	b, err := backend()
	if err != nil {
		return nil, err
	}
	buffer, err := t.Buffer(b, 0)
	if err != nil {
		return nil, err
	}
	flat, err := b.BufferData(buffer)
	if err != nil {
		return nil, err
	}
	v := &Value{dtype: dtypeOf(t.DType()), shape: tensorShape(t.Shape()), held: t, buffer: buffer, data: bytesOf(flat)}
	v.users.Store(1)
	return v, nil
}

// bytesOf is the memory of a slice of numbers.
func bytesOf(flat any) []byte {
	s := reflect.ValueOf(flat)
	if s.Len() == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(s.UnsafePointer()), s.Len()*int(s.Type().Elem().Size()))
}

// DType is the type of the elements.
func (v *Value) DType() tensor.DType { return v.dtype }

// Shape is the dimensions; the value keeps owning the slice.
func (v *Value) Shape() tensor.Shape { return v.shape }

// Bytes is the value's memory: little-endian and row-major. It
// must not be changed, nor read after the last Release.
func (v *Value) Bytes() []byte { return v.data }

// Retain counts one more user.
func (v *Value) Retain() *Value {
	v.users.Add(1)
	return v
}

// Release counts one user less.
func (v *Value) Release() {
	switch left := v.users.Add(-1); {
	case left > 0:
		return
	case left < 0:
		panic("keras: a value was released twice")
	}
	v.data = nil
	// An error would say that the memory is in use or gone already, which the
	// count rules out.
	if v.held != nil {
		_ = v.held.FinalizeAll()
	} else if b, err := backend(); err == nil {
		_ = b.BufferFinalize(v.buffer)
	}
	v.held, v.buffer = nil, nil
}
