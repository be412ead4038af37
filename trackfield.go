package ckpt

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"reflect"
	"unsafe"

	"github.com/ckpt-go/ckpt/tensor"
)

// layout is how a Go type maps to a tensor: an element kind under zero or more
// arrays, below at most one slice.
type layout struct {
	dtype tensor.DType
	elem  reflect.Type
	shape tensor.Shape // −1 for the slice
}

var dtypeOfKind = map[reflect.Kind]tensor.DType{
	reflect.Bool: tensor.Bool, reflect.String: tensor.String,
	reflect.Int: tensor.Int64, reflect.Int8: tensor.Int8, reflect.Int16: tensor.Int16, reflect.Int32: tensor.Int32, reflect.Int64: tensor.Int64,
	reflect.Uint: tensor.Uint64, reflect.Uint8: tensor.Uint8, reflect.Uint16: tensor.Uint16, reflect.Uint32: tensor.Uint32, reflect.Uint64: tensor.Uint64,
	reflect.Float32: tensor.Float32, reflect.Float64: tensor.Float64,
	reflect.Complex64: tensor.Complex64, reflect.Complex128: tensor.Complex128,
}

func tensorLayout(t reflect.Type) (layout, bool) {
	var shape tensor.Shape
	if t.Kind() == reflect.Slice {
		shape, t = append(shape, -1), t.Elem()
	}
	for t.Kind() == reflect.Array {
		shape, t = append(shape, int64(t.Len())), t.Elem()
	}
	dtype, ok := dtypeOfKind[t.Kind()]
	return layout{dtype, t, shape}, ok
}

// field is a field of a struct as a variable.
type field struct {
	mark
	where  at
	layout layout
	path   string
}

// Children is empty: a field of numbers is a leaf.
func (f *field) Children() iter.Seq2[string, Trackable] { return noChildren }

// Values is the field's one tensor.
func (f *field) Values() []Value { return []Value{f} }

// Spec describes the tensor; a slice accepts any length.
func (f *field) Spec() Spec {
	return Spec{Attribute: VariableValue, DType: f.layout.dtype, Shape: f.layout.shape, FullName: f.path}
}

// Snapshot refers to the field's memory where the machine stores it as the file
// does.
func (f *field) Snapshot(context.Context) (Snapshot, error) {
	elements, shape := f.elements()
	if f.layout.dtype == tensor.String {
		text := make([][]byte, len(elements))
		for i, e := range elements {
			text[i] = []byte(e.String())
		}
		return shapedStrings{stringSnapshot{text}, shape}, nil
	}
	if b, ok := f.memory(); ok {
		return shapedBytes{byteSnapshot{b}, shape}, nil
	}
	var b []byte
	for _, e := range elements {
		b = appendElement(b, e, f.layout.dtype)
	}
	return shapedBytes{byteSnapshot{b}, shape}, nil
}

type shapedBytes struct {
	byteSnapshot
	shape tensor.Shape
}

func (s shapedBytes) Shape() tensor.Shape { return s.shape }

type shapedStrings struct {
	stringSnapshot
	shape tensor.Shape
}

func (s shapedStrings) Shape() tensor.Shape { return s.shape }

// shape is the tensor's shape as the field is now.
func (f *field) shape() tensor.Shape {
	shape := append(tensor.Shape(nil), f.layout.shape...)
	if len(shape) > 0 && shape[0] < 0 {
		shape[0] = int64(f.where().Len())
	}
	return shape
}

// elements lists the scalars in row-major order.
func (f *field) elements() ([]reflect.Value, tensor.Shape) {
	var list []reflect.Value
	if _, direct := f.memory(); !direct || f.layout.dtype == tensor.String {
		list = flatten(nil, f.where(), f.layout.elem)
	}
	return list, f.shape()
}

// flatten goes down arrays and slices; types, not data, bound the depth.
func flatten(list []reflect.Value, v reflect.Value, elem reflect.Type) []reflect.Value {
	if v.Type() == elem {
		return append(list, v)
	}
	for i := range v.Len() {
		list = flatten(list, v.Index(i), elem)
	}
	return list
}

// littleEndian tells whether this machine stores numbers as the files do.
var littleEndian = binary.NativeEndian.Uint16([]byte{1, 0}) == 1

// memory is the field's bytes, if they are what a file holds.
func (f *field) memory() ([]byte, bool) {
	size := f.layout.dtype.Size()
	if !littleEndian || size == 0 || int(f.layout.elem.Size()) != size {
		return nil, false
	}
	v := f.where()
	if v.Kind() == reflect.Slice {
		if v.Len() == 0 {
			return nil, true
		}
		return unsafe.Slice((*byte)(v.UnsafePointer()), v.Len()*int(v.Type().Elem().Size())), true
	}
	return unsafe.Slice((*byte)(v.Addr().UnsafePointer()), v.Type().Size()), true
}

// Stage reads into new memory and keeps the field's own where lengths agree.
func (f *field) Stage(ctx context.Context, src Source) (Staged, error) {
	t, err := src.Tensor(ctx)
	if err != nil {
		return nil, err
	}
	t0 := f.where().Type()
	fresh := reflect.New(t0).Elem()
	if t0.Kind() == reflect.Slice {
		n := int(t.Shape()[0])
		fresh.Set(reflect.MakeSlice(t0, n, n))
	}
	if err := f.fill(fresh, t); err != nil {
		return nil, err
	}
	return staged{commit: func() {
		live := f.where()
		if live.Kind() == reflect.Slice && live.Len() == fresh.Len() {
			reflect.Copy(live, fresh)
			return
		}
		live.Set(fresh)
	}}, nil
}

func (f *field) fill(fresh reflect.Value, t *tensor.Tensor) error {
	copyOf := &field{where: func() reflect.Value { return fresh }, layout: f.layout}
	if b, ok := copyOf.memory(); ok && len(b) == len(t.Bytes()) {
		copy(b, t.Bytes())
		normalize(b, f.layout.dtype)
		return nil
	}
	elements := flatten(nil, fresh, f.layout.elem)
	if f.layout.dtype == tensor.String {
		if len(elements) != len(t.Strings()) {
			return fmt.Errorf("%d strings for %d fields", len(t.Strings()), len(elements))
		}
		for i, s := range t.Strings() {
			elements[i].SetString(string(s))
		}
		return nil
	}
	b := t.Bytes()
	size := f.layout.dtype.Size()
	if len(b) != len(elements)*size {
		return fmt.Errorf("%d bytes for %d elements", len(b), len(elements))
	}
	for i, e := range elements {
		if err := setElement(e, b[i*size:(i+1)*size]); err != nil {
			return err
		}
	}
	return nil
}

// ReadInPlace reads straight into the field where the lengths agree.
func (f *field) ReadInPlace(ctx context.Context, src Source) error {
	b, ok := f.memory()
	if ok && f.shape().Equal(src.Shape()) {
		if err := src.ReadInto(ctx, b); err != nil {
			return err
		}
		normalize(b, f.layout.dtype)
		return nil
	}
	s, err := f.Stage(ctx, src)
	if err == nil {
		s.Commit()
	}
	return err
}

// normalize makes every true the one byte that Go knows.
func normalize(b []byte, dtype tensor.DType) {
	if dtype != tensor.Bool {
		return
	}
	for i := range b {
		if b[i] != 0 {
			b[i] = 1
		}
	}
}
