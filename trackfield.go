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
	where  where
	of     reflect.Type
	layout layout
	path   string
}

func (f *field) fixedLayout() {}

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
	shape := f.shape()
	if b, ok := f.memory(); ok {
		return shapedBytes{byteSnapshot{b}, shape}, nil
	}
	elements := flatten(nil, f.where.get(), f.layout.elem)
	if f.layout.dtype == tensor.String {
		text := make([][]byte, len(elements))
		for i, e := range elements {
			text[i] = []byte(e.String())
		}
		return shapedStrings{stringSnapshot{text}, shape}, nil
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
		shape[0] = int64(f.where.get().Len())
	}
	return shape
}

// flatten goes down arrays and slices; types, not data, bound the depth.
func flatten(list []reflect.Value, v reflect.Value, elem reflect.Type) []reflect.Value {
	if v.Type() == elem {
		return append(list, v)
	}
	if v.Type().Elem().Size() == 0 {
		return list // [][0]string of any length: the file may claim 2⁶² of them
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
	v := f.where.get()
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
	place, err := readFresh(ctx, src, f.of, f.layout)
	if err != nil {
		return nil, err
	}
	return staged{commit: func() {
		if live := f.where.get(); live.Kind() == reflect.Slice && live.Len() == place.Len() {
			reflect.Copy(live, place)
			return
		}
		f.where.set(place)
	}}, nil
}

// readFresh reads a tensor into new memory of a type.
func readFresh(ctx context.Context, src Source, t reflect.Type, l layout) (reflect.Value, error) {
	place := reflect.New(t).Elem()
	if t.Kind() == reflect.Slice {
		n := int(src.Shape()[0])
		place.Set(reflect.MakeSlice(t, n, n))
	}
	fresh := &field{where: where{get: func() reflect.Value { return place }}, of: t, layout: l}
	return place, fresh.read(ctx, src)
}

// read fills a field that has the tensor's shape.
func (f *field) read(ctx context.Context, src Source) error {
	if b, ok := f.memory(); ok {
		err := src.ReadInto(ctx, b)
		normalize(b, f.layout.dtype)
		return err
	}
	elements := flatten(nil, f.where.get(), f.layout.elem)
	if f.layout.dtype == tensor.String {
		text, err := src.Strings(ctx)
		if err != nil {
			return err
		}
		if len(text) != len(elements) {
			return fmt.Errorf("%d strings for %d elements", len(text), len(elements))
		}
		for i, s := range text {
			elements[i].SetString(string(s))
		}
		return nil
	}
	size := f.layout.dtype.Size()
	b := make([]byte, len(elements)*size)
	if err := src.ReadInto(ctx, b); err != nil {
		return err
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
	if f.shape().Equal(src.Shape()) {
		if f.of.Kind() == reflect.Slice {
			return f.read(ctx, src)
		}
		defer f.where.touch()
		return f.read(ctx, src)
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
