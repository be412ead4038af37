package ckpt

import (
	"iter"
	"maps"
	"reflect"
	"slices"
	"strings"
)

// mapOf is a map with string keys: a dict node with the keys sorted. The values of
// a map have no address, so the children work on copies, which are made when the
// children are listed and put into the map when a restore is done.
type mapOf struct {
	mark
	tracker *tracker
	where   where
	of      reflect.Type
	path    string
	made    map[string]*mapValue
}

type mapValue struct {
	copy    reflect.Value
	child   func() edge
	growing bool // a restore that is under way makes it
}

func (m *mapOf) fixedLayout() {}

func (m *mapOf) value(key string) *mapValue {
	v := m.made[key]
	if v == nil {
		v = &mapValue{copy: reflect.New(m.of.Elem()).Elem()}
		at := where{func() reflect.Value { return v.copy }, func() { m.changed(key, v) }}
		v.child = m.tracker.child(at, m.of.Elem(), key, join(m.path, key))
		if m.made == nil {
			m.made = make(map[string]*mapValue)
		}
		m.made[key] = v
	}
	return v
}

// Children yields the values that exist now.
func (m *mapOf) Children() iter.Seq2[string, Trackable] {
	return func(yield func(string, Trackable) bool) {
		live := m.where.get()
		if !live.IsValid() {
			return
		}
		keys := live.MapKeys()
		slices.SortFunc(keys, func(a, b reflect.Value) int { return strings.Compare(a.String(), b.String()) })
		for _, key := range keys {
			v := m.value(key.String())
			v.copy.Set(live.MapIndex(key))
			if e := v.child(); e.child != nil && !yield(e.name, e.child) {
				return
			}
		}
	}
}

// changed puts a copy that was set into the map, unless grow will.
func (m *mapOf) changed(key string, v *mapValue) {
	live := m.where.get()
	if name := m.key(key); live.IsValid() && live.MapIndex(name).IsValid() {
		live.SetMapIndex(name, v.copy)
		m.where.touch()
	}
}

// grow adds the stored keys that the map lacks.
func (m *mapOf) grow(stored map[string]int, bound func(node int) Trackable) *growth {
	g := new(growth)
	live := m.where.get()
	elem := m.of.Elem()
	if !canMake(elem) {
		return nil
	}
	var made []string
	var p pointers
	if kindOf(elem) == pointerField {
		p = pointers{tracker: m.tracker, of: elem.Elem(), bound: bound}
		g.shared = make(map[string]bool)
	}
	for _, key := range slices.Sorted(maps.Keys(stored)) {
		if live.IsValid() && live.MapIndex(m.key(key)).IsValid() {
			continue
		}
		v := m.value(key)
		if !v.growing {
			v.growing = true
			v.copy.SetZero()
			if kindOf(elem) == pointerField {
				to, shared := p.to(stored[key])
				v.copy.Set(to)
				g.shared[key] = shared
			}
		}
		made = append(made, key)
		g.edges = append(g.edges, v.child())
	}
	if len(made) == 0 {
		return nil
	}
	g.finish = func() {
		live := m.where.get()
		if live.IsNil() {
			live.Set(reflect.MakeMap(m.of))
		}
		m.where.touch()
		for _, key := range made {
			live.SetMapIndex(m.key(key), m.value(key).copy)
		}
		g.cancel()
	}
	g.cancel = func() {
		for _, key := range made {
			m.value(key).growing = false
		}
	}
	return g
}

func (m *mapOf) key(name string) reflect.Value { return reflect.ValueOf(name).Convert(m.of.Key()) }
