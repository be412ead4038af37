package ckpt

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"unsafe"
)

// Track makes the exported fields of a struct savable: each becomes a child of
// the returned object, in field order, under its name or the name its tag gives,
// as if a Python object held it. It panics if target is no pointer to a struct,
// or if a field is of a kind that cannot be saved: those are mistakes in the
// program. Each call makes another object, so one struct is tracked once.
//
//	type state struct {
//		Step    int64          `ckpt:"step"`        // scalar int64
//		Weights []float32      `ckpt:"weights"`     // vector of any length
//		Grid    [4][3]float64  `ckpt:"grid"`        // float64 [4,3]
//		Names   []string       `ckpt:"names"`       // string vector
//		Config  map[string]any `ckpt:"config,json"` // one string, as PythonState
//		Layers  []layer        // a list of structs: children "0", "1", …
//		scratch []float32      // not exported: left out
//		Cache   []byte         `ckpt:"-"`           // left out
//	}
//
// int and uint are stored as 64 bits. Slices of numbers take the stored length
// when restored; lists of structs keep the length they have. Nested structs are
// nodes of their own, embedded ones without a tag belong to the outer one, and
// fields that are Trackables are tracked as they are. Pointers are followed: two
// to the same struct are one object, and a nil one is no child, so values that
// were stored for it wait (see RestoreStatus.Fill). A restore writes to the
// struct's own memory where lengths agree.
func Track(target any) *Struct {
	v := reflect.ValueOf(target)
	if v.Kind() == reflect.Pointer && v.IsNil() {
		panic(fmt.Sprintf("ckpt: the %T to track is nil", target))
	}
	if v.Kind() != reflect.Pointer || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("ckpt: Track needs a pointer to a struct, not a %T", target))
	}
	if _, ok := target.(Trackable); ok {
		panic(fmt.Sprintf("ckpt: a %T is a Trackable already: use it as it is", target))
	}
	checkStruct(v.Type().Elem(), make(map[reflect.Type]bool))
	t := &tracker{objects: make(map[structKey]*Struct)}
	return t.object(v, "")
}

// Struct is a struct as a Trackable; see Track. It reads and writes the
// program's own memory without a lock: it is not safe for concurrent use.
type Struct struct {
	mark
	children []func() edge
}

// Children yields the fields in order.
func (s *Struct) Children() iter.Seq2[string, Trackable] {
	return func(yield func(string, Trackable) bool) {
		for _, child := range s.children {
			if e := child(); e.child != nil && !yield(e.name, e.child) {
				return
			}
		}
	}
}

func (s *Struct) fixedLayout() {}

// tracker makes the objects of one call of Track. Structs behind pointers are
// remembered by their address, which is their identity, so that shared ones
// are one object and cycles end.
type tracker struct {
	objects map[structKey]*Struct
}

type structKey struct {
	address unsafe.Pointer
	of      reflect.Type
}

// object is the Trackable of the struct that a pointer leads to.
func (t *tracker) object(pointer reflect.Value, path string) *Struct {
	key := structKey{pointer.UnsafePointer(), pointer.Type()}
	if s := t.objects[key]; s != nil {
		return s
	}
	s := new(Struct)
	t.objects[key] = s
	elem := pointer.Elem()
	t.fill(s, func() reflect.Value { return elem }, elem.Type(), path)
	return s
}

// where gives a place in the program's memory, which may move when a slice
// grows or a pointer changes.
type where func() reflect.Value

func (t *tracker) fill(s *Struct, at where, of reflect.Type, path string) {
	for _, f := range fieldsOf(of) {
		place := func() reflect.Value { return at().FieldByIndex(f.index) }
		if f.json {
			child := jsonField(place, f.of)
			s.children = append(s.children, func() edge { return edge{f.name, child} })
			continue
		}
		s.children = append(s.children, t.child(place, f.of, f.name, join(path, f.name)))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}

// child makes the child of one field or list element, whose type was checked.
// A child that is not there has no object.
func (t *tracker) child(at where, of reflect.Type, name, path string) func() edge {
	fixed := func(child Trackable) func() edge { return func() edge { return edge{name, child} } }
	switch kindOf(of) {
	case trackableField:
		return func() edge {
			if child, _ := at().Interface().(Trackable); !absent(child) {
				return edge{name, child}
			}
			return edge{}
		}
	case trackableValue:
		return func() edge { return edge{name, at().Addr().Interface().(Trackable)} }
	case tensorField:
		l, _ := tensorLayout(of)
		return fixed(&field{where: at, layout: l, path: path})
	case structField:
		s := new(Struct)
		t.fill(s, at, of, path)
		return fixed(s)
	case pointerField:
		return func() edge {
			if at().IsNil() {
				return edge{}
			}
			return edge{name, t.object(at(), path)}
		}
	default: // listField
		return fixed(&listOf{tracker: t, where: at, elem: of.Elem(), path: path})
	}
}

func jsonField(at where, of reflect.Type) *PythonState {
	return NewPythonState(
		func() ([]byte, error) { return json.Marshal(at().Interface()) },
		func(data []byte) (func(), error) {
			fresh := reflect.New(of)
			if err := json.Unmarshal(data, fresh.Interface()); err != nil {
				return nil, err
			}
			return func() { at().Set(fresh.Elem()) }, nil
		})
}

// listOf is a slice or array of structs, slices or Trackables: a list node.
type listOf struct {
	mark
	tracker *tracker
	where   where
	elem    reflect.Type
	path    string
	made    []func() edge
}

func (l *listOf) fixedLayout() {}

// Children yields the elements that exist now.
func (l *listOf) Children() iter.Seq2[string, Trackable] {
	return func(yield func(string, Trackable) bool) {
		for i := range l.where().Len() {
			if i == len(l.made) {
				name := strconv.Itoa(i)
				element := func() reflect.Value { return l.where().Index(i) }
				l.made = append(l.made, l.tracker.child(element, l.elem, name, join(l.path, name)))
			}
			if e := l.made[i](); e.child != nil && !yield(e.name, e.child) {
				return
			}
		}
	}
}
