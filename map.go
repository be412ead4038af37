package ckpt

import (
	"maps"
	"slices"
)

// Map is a Node whose children have the keys of a map as their names, in the
// order in which they were first set: a Python dict with string keys. What a
// Python dict holds besides objects is not saved, so a Map does not have it; a
// key cannot be deleted, as TensorFlow would go on saving its object. Like a Node
// it is not safe for concurrent use; the zero value is ready.
type Map struct{ Node }

// NewMap makes a Map of a Go map, which has no order: the keys are set sorted.
// It panics if a value is nil or has no identity.
func NewMap(values map[string]Trackable) *Map {
	m := new(Map)
	for _, key := range slices.Sorted(maps.Keys(values)) {
		if err := m.Set(key, values[key]); err != nil {
			panic(err)
		}
	}
	return m
}

// Set sets the value of a key: a new key is tracked, see Node.Track, an old one
// keeps its place and leads to another object from now on, see Node.Replace.
func (m *Map) Set(key string, value Trackable) error { return m.Replace(key, value) }
