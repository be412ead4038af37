package ckpt

import (
	"encoding/json"
	"fmt"
	"iter"
	"reflect"
	"strconv"
	"strings"
)

// Track makes the exported fields of a struct savable: each becomes a child of
// the returned object, in field order, under its name or the name its tag gives,
// as if a Python object held it. It panics if target is no pointer to a struct,
// or if a field is of a kind that cannot be saved: those are mistakes in the
// program.
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
// fields that are Trackables are tracked as they are. A restore writes to the
// struct's own memory where lengths agree.
func Track(target any) *Struct {
	v := reflect.ValueOf(target)
	if v.Kind() != reflect.Pointer || v.IsNil() || v.Elem().Kind() != reflect.Struct {
		panic(fmt.Sprintf("ckpt: Track needs a pointer to a struct, not a %T", target))
	}
	return newStruct(func() reflect.Value { return v.Elem() }, v.Type().Elem(), "")
}

// Struct is a struct as a Trackable; see Track.
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

// at gives the value of a place in the program's memory, which may move when a
// slice grows.
type at func() reflect.Value

var trackableType = reflect.TypeFor[Trackable]()

func newStruct(where at, t reflect.Type, path string) *Struct {
	s := new(Struct)
	s.addFields(where, t, path)
	return s
}

func (s *Struct) addFields(where at, t reflect.Type, path string) {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("ckpt")
		if tag == "-" {
			continue
		}
		field := func() reflect.Value { return where().Field(i) }
		if f.Anonymous && !tagged && f.Type.Kind() == reflect.Struct && !reflect.PointerTo(f.Type).Implements(trackableType) {
			s.addFields(field, f.Type, path)
			continue
		}
		if !f.IsExported() {
			if tagged {
				panic(fmt.Sprintf("ckpt: field %s of %v has a ckpt tag but is not exported", f.Name, t))
			}
			continue
		}
		name, option, _ := strings.Cut(tag, ",")
		if name == "" {
			name = f.Name
		}
		if option != "" && option != "json" {
			panic(fmt.Sprintf("ckpt: field %s of %v: unknown tag option %q; there is only json", f.Name, t, option))
		}
		s.children = append(s.children, newField(field, f.Type, name, join(path, name), option == "json", fmt.Sprintf("%v.%s", t, f.Name)))
	}
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "/" + name
}

// newField makes the child of one field or list element. who names it in
// panics.
func newField(where at, t reflect.Type, name, path string, asJSON bool, who string) func() edge {
	fixed := func(child Trackable) func() edge { return func() edge { return edge{name, child} } }
	if asJSON {
		return fixed(jsonField(where, t))
	}
	if t.Implements(trackableType) {
		return func() edge {
			v := where()
			if v.IsZero() {
				return edge{}
			}
			return edge{name, v.Interface().(Trackable)}
		}
	}
	if reflect.PointerTo(t).Implements(trackableType) {
		return func() edge { return edge{name, where().Addr().Interface().(Trackable)} }
	}
	if layout, ok := tensorLayout(t); ok {
		return fixed(&field{where: where, layout: layout, path: path})
	}
	switch t.Kind() {
	case reflect.Struct:
		return fixed(newStruct(where, t, path))
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Struct {
			if where().IsNil() {
				panic(fmt.Sprintf("ckpt: field %s is a nil pointer when it is tracked", who))
			}
			return fixed(newStruct(func() reflect.Value { return where().Elem() }, t.Elem(), path))
		}
	case reflect.Slice, reflect.Array:
		return fixed(&listField{where: where, elem: t.Elem(), path: path, who: who})
	}
	panic(fmt.Sprintf("ckpt: field %s is a %v, which cannot be stored as a tensor; tag it `ckpt:\"%s,json\"` to store it as text, or `ckpt:\"-\"` to leave it out", who, t, name))
}

func jsonField(where at, t reflect.Type) *PythonState {
	return NewPythonState(
		func() ([]byte, error) { return json.Marshal(where().Interface()) },
		func(data []byte) (func(), error) {
			fresh := reflect.New(t)
			if err := json.Unmarshal(data, fresh.Interface()); err != nil {
				return nil, err
			}
			return func() { where().Set(fresh.Elem()) }, nil
		})
}

// listField is a slice or array of structs, slices or Trackables: a list node.
type listField struct {
	mark
	where at
	elem  reflect.Type
	path  string
	who   string
	made  []func() edge
}

func (l *listField) fixedLayout() {}

// Children yields the elements that exist now.
func (l *listField) Children() iter.Seq2[string, Trackable] {
	return func(yield func(string, Trackable) bool) {
		for i := range l.where().Len() {
			if i == len(l.made) {
				name := strconv.Itoa(i)
				element := func() reflect.Value { return l.where().Index(i) }
				l.made = append(l.made, newField(element, l.elem, name, join(l.path, name), false, l.who+"["+name+"]"))
			}
			if e := l.made[i](); e.child != nil && !yield(e.name, e.child) {
				return
			}
		}
	}
}
