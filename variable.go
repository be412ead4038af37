package ckpt

import (
	"context"
	"fmt"
	"iter"
	"math"
	"strings"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/tensor"
)

// Variable is a leaf of the object graph: one tensor in a Go slice that the
// caller may keep and change between saves. It is tf.Variable without the
// arithmetic. A Variable is not safe for concurrent use with itself.
type Variable[T tensor.Element] struct {
	mark
	fullName string
	shape    tensor.Shape
	data     []T
}

// NewVariable makes a variable over data, row-major, which it shares with the
// caller; nil data means zeros. fullName is what tf.Variable's name would be,
// "Variable" if empty. It panics if data and shape do not fit.
func NewVariable[T tensor.Element](fullName string, shape tensor.Shape, data []T) *Variable[T] {
	n := mustElements(fullName, shape)
	if data == nil {
		data = make([]T, n)
	}
	if int64(len(data)) != n {
		panic(fmt.Sprintf("ckpt: variable %q: %d values for shape %v", fullName, len(data), shape))
	}
	return &Variable[T]{fullName: defaultName(fullName), shape: shape.Clone(), data: data}
}

// NewScalar makes a variable of rank 0.
func NewScalar[T tensor.Element](fullName string, value T) *Variable[T] {
	return NewVariable(fullName, nil, []T{value})
}

// Data is the live memory, row-major. It stays the same slice for the
// variable's life; a restore writes into it.
func (v *Variable[T]) Data() []T { return v.data }

// Value is the first element: the value of a scalar. It panics on an empty variable.
func (v *Variable[T]) Value() T { return v.data[0] }

// Assign copies values into the variable. It panics on another number of values.
func (v *Variable[T]) Assign(values ...T) {
	if len(values) != len(v.data) {
		panic(fmt.Sprintf("ckpt: variable %q: assigning %d values to %d", v.fullName, len(values), len(v.data)))
	}
	copy(v.data, values)
}

// Shape is the variable's shape; not to be changed.
func (v *Variable[T]) Shape() tensor.Shape { return v.shape }

// Children is empty: a variable is a leaf.
func (v *Variable[T]) Children() iter.Seq2[string, Trackable] { return noChildren }

// Values is the variable's one tensor.
func (v *Variable[T]) Values() []Value { return []Value{v} }

// Spec describes the tensor.
func (v *Variable[T]) Spec() Spec {
	return Spec{Attribute: VariableValue, DType: tensor.DTypeOf[T](), Shape: v.shape, FullName: v.fullName}
}

// Snapshot refers to the live memory.
func (v *Variable[T]) Snapshot(context.Context) (Snapshot, error) {
	return sliceSnapshot(v.data), nil
}

// Stage reads into new memory.
func (v *Variable[T]) Stage(ctx context.Context, src Source) (Staged, error) {
	fresh := make([]T, len(v.data))
	if err := readSlice(ctx, src, fresh); err != nil {
		return nil, err
	}
	return &stagedSlice[T]{v.data, fresh}, nil
}

// ReadInPlace reads straight into Data.
func (v *Variable[T]) ReadInPlace(ctx context.Context, src Source) error {
	return readSlice(ctx, src, v.data)
}

// stagedSlice is a Staged for memory that stays in place.
type stagedSlice[T any] struct{ live, fresh []T }

func (s *stagedSlice[T]) Commit() { copy(s.live, s.fresh) }
func (*stagedSlice[T]) Discard()  {}

// sliceSnapshot views a slice as little-endian bytes, copying only where the
// machine is big-endian.
func sliceSnapshot[T tensor.Element](data []T) Snapshot {
	if b, ok := tensor.AsBytes(data); ok {
		return byteSnapshot{b}
	}
	t, err := tensor.Of(tensor.Shape{int64(len(data))}, data)
	if err != nil {
		panic(err) // a slice always fits its own length
	}
	return byteSnapshot{t.Bytes()}
}

// readSlice fills dst from src, whose size was checked to be dst's.
func readSlice[T tensor.Element](ctx context.Context, src Source, dst []T) error {
	if b, ok := tensor.AsBytes(dst); ok && src.DType() != tensor.Bool {
		return src.ReadInto(ctx, b)
	}
	b := make([]byte, len(dst)*src.DType().Size())
	if err := src.ReadInto(ctx, b); err != nil {
		return err
	}
	t, err := tensor.New(src.DType(), tensor.Shape{int64(len(dst))}, b)
	if err != nil {
		return err
	}
	values, err := tensor.Values[T](t)
	if err != nil {
		return err
	}
	copy(dst, values)
	return nil
}

type byteSnapshot struct{ b []byte }

func (s byteSnapshot) Chunks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if len(s.b) > 0 {
			yield(s.b)
		}
	}
}
func (byteSnapshot) Release() {}

// RawVariable is a variable of any fixed-size dtype, as bytes: bfloat16, the
// float8 kinds, int4 and others that Go has no type for. Like a Variable it is
// not safe for concurrent use with itself.
type RawVariable struct {
	mark
	spec Spec
	data []byte
}

// NewRawVariable makes a variable over data, row-major and little-endian, which
// it shares with the caller; nil means zeros. It panics if dtype has no fixed
// size or data and shape do not fit.
func NewRawVariable(fullName string, dtype tensor.DType, shape tensor.Shape, data []byte) *RawVariable {
	if !dtype.Fixed() {
		panic(fmt.Sprintf("ckpt: variable %q: dtype %v has no fixed size", fullName, dtype))
	}
	n := mustElements(fullName, shape)
	if n > math.MaxInt64/int64(dtype.Size()) {
		panic(fmt.Sprintf("ckpt: variable %q: impossible shape %v", fullName, shape))
	}
	n *= int64(dtype.Size())
	if data == nil {
		data = make([]byte, n)
	}
	if int64(len(data)) != n {
		panic(fmt.Sprintf("ckpt: variable %q: %d bytes for %v %v", fullName, len(data), dtype, shape))
	}
	spec := Spec{Attribute: VariableValue, DType: dtype, Shape: shape.Clone(), FullName: defaultName(fullName)}
	return &RawVariable{spec: spec, data: data}
}

// Bytes is the live memory.
func (v *RawVariable) Bytes() []byte { return v.data }

// Children is empty: a variable is a leaf.
func (v *RawVariable) Children() iter.Seq2[string, Trackable] { return noChildren }

// Values is the variable's one tensor.
func (v *RawVariable) Values() []Value { return []Value{v} }

// Spec describes the tensor.
func (v *RawVariable) Spec() Spec { return v.spec }

// Snapshot refers to the live memory.
func (v *RawVariable) Snapshot(context.Context) (Snapshot, error) { return byteSnapshot{v.data}, nil }

// Stage reads into new memory.
func (v *RawVariable) Stage(ctx context.Context, src Source) (Staged, error) {
	fresh := make([]byte, len(v.data))
	if err := src.ReadInto(ctx, fresh); err != nil {
		return nil, err
	}
	return &stagedSlice[byte]{v.data, fresh}, nil
}

// ReadInPlace reads straight into Bytes.
func (v *RawVariable) ReadInPlace(ctx context.Context, src Source) error {
	return src.ReadInto(ctx, v.data)
}

// StringVariable is a variable of dtype string: elements of any bytes. Like a
// Variable it is not safe for concurrent use with itself.
type StringVariable struct {
	mark
	spec     Spec
	elements [][]byte
}

// NewStringVariable makes a string variable over elements, row-major; nil means
// empty strings. It panics if elements and shape do not fit.
func NewStringVariable(fullName string, shape tensor.Shape, elements [][]byte) *StringVariable {
	n := mustElements(fullName, shape)
	if elements == nil {
		elements = make([][]byte, n)
	}
	if int64(len(elements)) != n {
		panic(fmt.Sprintf("ckpt: variable %q: %d strings for shape %v", fullName, len(elements), shape))
	}
	spec := Spec{Attribute: VariableValue, DType: tensor.String, Shape: shape.Clone(), FullName: defaultName(fullName)}
	return &StringVariable{spec: spec, elements: elements}
}

// Elements is the live slice of elements.
func (v *StringVariable) Elements() [][]byte { return v.elements }

// Children is empty: a variable is a leaf.
func (v *StringVariable) Children() iter.Seq2[string, Trackable] { return noChildren }

// Values is the variable's one tensor.
func (v *StringVariable) Values() []Value { return []Value{v} }

// Spec describes the tensor.
func (v *StringVariable) Spec() Spec { return v.spec }

// Snapshot refers to the live elements.
func (v *StringVariable) Snapshot(context.Context) (Snapshot, error) {
	return stringSnapshot{v.elements}, nil
}

// Stage reads the elements.
func (v *StringVariable) Stage(ctx context.Context, src Source) (Staged, error) {
	fresh, err := src.Strings(ctx)
	if err != nil {
		return nil, err
	}
	if len(fresh) != len(v.elements) {
		return nil, fault.Corrupt(fault.KindEntry, "%d strings for shape %v", len(fresh), v.spec.Shape)
	}
	return &stagedSlice[[]byte]{v.elements, fresh}, nil
}

type stringSnapshot struct{ elements [][]byte }

func (s stringSnapshot) Chunks() iter.Seq[[]byte] { return s.Strings() }
func (s stringSnapshot) Strings() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for _, e := range s.elements {
			if !yield(e) {
				return
			}
		}
	}
}
func (stringSnapshot) Release() {}

func mustElements(fullName string, shape tensor.Shape) int64 {
	n, ok := shape.Elements()
	if !ok {
		panic(fmt.Sprintf("ckpt: variable %q: impossible shape %v", fullName, shape))
	}
	return n
}

// defaultName is the name tf.Variable takes: "Variable" if none is given, cut
// at the first colon.
func defaultName(fullName string) string {
	fullName, _, _ = strings.Cut(fullName, ":")
	if fullName == "" {
		return "Variable"
	}
	return fullName
}
