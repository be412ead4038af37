package ckpt

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
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
//		Tables  map[string][]int32 // a dict: children in the order of the sorted keys
//		scratch []float32      // not exported: left out
//		Cache   []byte         `ckpt:"-"`           // left out
//	}
//
// int and uint are stored as 64 bits. Slices of numbers take the stored length
// when restored. Lists of other things, and maps, whose keys are strings, get the
// elements that are stored and that they lack, but keep what they have more, for
// which the checkpoint has no values. They do not grow where Trackables would have
// to be made, or elements of more than 512 bytes in themselves, which are large
// arrays; such values wait until the program makes the elements. Nested structs are
// nodes of their own, embedded ones without a tag belong to the outer one, and
// fields that are Trackables are tracked as they are. Pointers are followed: two
// to the same struct are one object, and are again where a restore makes elements.
// A nil one is no child, so values that were stored for it wait (see
// RestoreStatus.Fill), unless they belong to a struct that something else leads
// to: then the restore makes it point there. A restore writes to the struct's own
// memory where lengths agree.
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
	tracker *tracker
	pointer reflect.Value // that leads to it; the zero Value for a part of another
	where   where
	members []member
}

// Children yields the fields in order.
func (s *Struct) Children() iter.Seq2[string, Trackable] {
	return func(yield func(string, Trackable) bool) {
		for _, m := range s.members {
			if e := m.child(); e.child != nil && !yield(e.name, e.child) {
				return
			}
		}
	}
}

func (s *Struct) fixedLayout() {}

func (s *Struct) refresh() { s.where.refreshed() }

func (s *Struct) trackedBy() *tracker { return s.tracker }

func (s *Struct) member(name string) *member {
	for i := range s.members {
		if s.members[i].name == name {
			return &s.members[i]
		}
	}
	return nil
}

// member is a field, an element of a list or a value of a map.
type member struct {
	name  string
	at    where
	of    reflect.Type // nil for what is stored as text
	child func() edge
}

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
	s := &Struct{tracker: t, pointer: pointer}
	t.objects[key] = s
	elem := pointer.Elem()
	t.fill(s, where{get: func() reflect.Value { return elem }}, elem.Type(), path)
	return s
}

// forget forgets a struct that is not going to be part of the program.
func (t *tracker) forget(pointer reflect.Value) {
	delete(t.objects, structKey{pointer.UnsafePointer(), pointer.Type()})
}

// pointerTo is the pointer of a type to what is bound already, if that is a
// struct that this tracker knows; else the zero Value.
func (t *tracker) pointerTo(object Trackable, of reflect.Type) reflect.Value {
	s, ok := object.(*Struct)
	if !ok || s.tracker != t || !s.pointer.IsValid() || s.pointer.Type() != of {
		return reflect.Value{}
	}
	return s.pointer
}

// where is a place in the program's memory, which may move when a slice grows or
// a pointer changes.
type where struct {
	get     func() reflect.Value // the zero Value for what a restore is about to make
	changed func()               // to be called when what is there was set; may be nil
	refresh func()               // looks whether the program has set it since; may be nil
}

// field is the place of a struct's field.
func (at where) field(index []int) where {
	get := func() reflect.Value {
		if v := at.get(); v.IsValid() {
			return v.FieldByIndex(index)
		}
		return reflect.Value{}
	}
	return where{get, at.changed, at.refresh}
}

// set sets what is there.
func (at where) set(v reflect.Value) {
	at.get().Set(v)
	at.touch()
}

func (at where) touch() {
	if at.changed != nil {
		at.changed()
	}
}

func (at where) refreshed() {
	if at.refresh != nil {
		at.refresh()
	}
}

func (t *tracker) fill(s *Struct, at where, of reflect.Type, path string) {
	s.tracker, s.where = t, at
	for _, f := range fieldsOf(of) {
		place := at.field(f.index)
		if f.json {
			child := jsonField(place, f.of)
			s.members = append(s.members, member{name: f.name, child: func() edge { return edge{f.name, child} }})
			continue
		}
		s.members = append(s.members, t.member(place, f.of, f.name, join(path, f.name)))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}

func (t *tracker) member(at where, of reflect.Type, name, path string) member {
	return member{name, at, of, t.child(at, of, name, path)}
}

// child makes the child of one field or list element, whose type was checked.
// A child that is not there has no object.
func (t *tracker) child(at where, of reflect.Type, name, path string) func() edge {
	fixed := func(child Trackable) func() edge { return func() edge { return edge{name, child} } }
	switch kindOf(of) {
	case trackableField:
		return func() edge {
			if v := at.get(); v.IsValid() {
				if child, _ := v.Interface().(Trackable); !absent(child) {
					return edge{name, child}
				}
			}
			return edge{}
		}
	case trackableValue:
		return func() edge {
			if v := at.get(); v.IsValid() {
				return edge{name, v.Addr().Interface().(Trackable)}
			}
			return edge{}
		}
	case tensorField:
		l, _ := tensorLayout(of)
		return fixed(&field{where: at, of: of, layout: l, path: path})
	case structField:
		s := new(Struct)
		t.fill(s, at, of, path)
		return fixed(s)
	case pointerField:
		return func() edge {
			if v := at.get(); v.IsValid() && !v.IsNil() {
				return edge{name, t.object(v, path)}
			}
			return edge{}
		}
	case mapField:
		return fixed(&mapOf{tracker: t, where: at, of: of, path: path})
	default: // listField
		return fixed(&listOf{tracker: t, where: at, of: of, path: path})
	}
}

func jsonField(at where, of reflect.Type) *PythonState {
	return NewPythonState(
		func() ([]byte, error) { return json.Marshal(at.get().Interface()) },
		func(data []byte) (func(), error) {
			fresh := reflect.New(of)
			if err := json.Unmarshal(data, fresh.Interface()); err != nil {
				return nil, err
			}
			return func() { at.set(fresh.Elem()) }, nil
		})
}
