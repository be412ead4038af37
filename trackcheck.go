package ckpt

import (
	"fmt"
	"reflect"
	"strings"
)

// fieldKind says how a field is saved.
type fieldKind int

const (
	noField        fieldKind = iota
	trackableField           // a pointer or interface that is a Trackable
	trackableValue           // a type whose pointer is a Trackable
	tensorField              // numbers, bools or strings, in arrays, in a slice
	structField              // a node with the fields as children
	pointerField             // to a struct
	listField                // a slice or array of anything else that can be saved
	mapField                 // a map with string keys
)

var trackableType = reflect.TypeFor[Trackable]()

func kindOf(t reflect.Type) fieldKind {
	if t.Implements(trackableType) {
		return trackableField
	}
	if reflect.PointerTo(t).Implements(trackableType) {
		return trackableValue
	}
	if _, ok := tensorLayout(t); ok {
		return tensorField
	}
	switch t.Kind() {
	case reflect.Struct:
		return structField
	case reflect.Pointer:
		if t.Elem().Kind() == reflect.Struct {
			return pointerField
		}
	case reflect.Slice, reflect.Array:
		return listField
	case reflect.Map:
		if t.Key().Kind() == reflect.String {
			return mapField
		}
	}
	return noField
}

// fieldInfo is one field that is saved.
type fieldInfo struct {
	index []int
	name  string
	of    reflect.Type
	json  bool
	who   string // for panics
}

// fieldsOf lists the fields of a struct type that are saved, those of embedded
// structs in place. It panics on tags that make no sense.
func fieldsOf(t reflect.Type) []fieldInfo {
	fields := appendFields(nil, t, nil)
	names := make(map[string]string, len(fields))
	for _, f := range fields {
		if other, twice := names[f.name]; twice {
			panic(fmt.Sprintf("ckpt: fields %s and %s have the same name %q; give one of them a ckpt tag", other, f.who, f.name))
		}
		names[f.name] = f.who
	}
	return fields
}

func appendFields(fields []fieldInfo, t reflect.Type, outer []int) []fieldInfo {
	for i := range t.NumField() {
		f := t.Field(i)
		tag, tagged := f.Tag.Lookup("ckpt")
		if tag == "-" {
			continue
		}
		index := append(append([]int(nil), outer...), i)
		if f.Anonymous && !tagged {
			switch kind := kindOf(f.Type); {
			case kind == structField:
				fields = appendFields(fields, f.Type, index)
				continue
			case kind == pointerField:
				panic(fmt.Sprintf("ckpt: %v embeds a *%v: embed the struct itself, or tag it `ckpt:\"name\"` to make it a child", t, f.Type.Elem()))
			}
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
		fields = append(fields, fieldInfo{index, name, f.Type, option == "json", fmt.Sprintf("%s of %v", f.Name, t)})
	}
	return fields
}

// checkStruct panics if a struct type, or one that its fields lead to, cannot
// be saved, whatever its values are when it is tracked.
func checkStruct(t reflect.Type, seen map[reflect.Type]bool) {
	if seen[t] {
		return
	}
	seen[t] = true
	fields := fieldsOf(t)
	if len(fields) == 0 && t.NumField() > 0 {
		panic(fmt.Sprintf("ckpt: %v has no exported fields, nothing of it would be saved; tag the field that holds it `ckpt:\"name,json\"` to store it as text, or `ckpt:\"-\"` to leave it out", t))
	}
	for _, f := range fields {
		if !f.json {
			checkField(f.of, f, seen)
		}
	}
}

func checkField(t reflect.Type, f fieldInfo, seen map[reflect.Type]bool) {
	switch kindOf(t) {
	case structField:
		checkStruct(t, seen)
	case pointerField:
		checkStruct(t.Elem(), seen)
	case mapField:
		if holdsTrackable(t.Elem(), func(k fieldKind) bool { return k == trackableValue }) {
			panic(fmt.Sprintf("ckpt: field %s is a %v, whose values are or hold Trackables that cannot be reached in a map; use a map of pointers", f.who, t))
		}
		checkField(t.Elem(), f, seen)
	case listField:
		checkField(t.Elem(), f, seen)
	case noField:
		panic(fmt.Sprintf("ckpt: field %s is a %v, which cannot be stored as a tensor; tag it `ckpt:\"%s,json\"` to store it as text, or `ckpt:\"-\"` to leave it out", f.who, t, f.name))
	}
}
