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
	member
	copy    reflect.Value
	growing bool // a restore that is under way makes it
}

func (m *mapOf) fixedLayout() {}

func (m *mapOf) refresh() { m.where.refreshed() }

func (m *mapOf) trackedBy() *tracker { return m.tracker }

func (m *mapOf) member(name string) *member {
	if v := m.made[name]; v != nil {
		return &v.member
	}
	return nil
}

func (m *mapOf) value(key string) *mapValue {
	v := m.made[key]
	if v == nil {
		v = &mapValue{copy: reflect.New(m.of.Elem()).Elem()}
		at := where{func() reflect.Value { return v.copy }, func() { m.changed(key, v) }, func() { m.look(key, v) }}
		v.member = m.tracker.member(at, m.of.Elem(), key, join(m.path, key))
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

// look renews a copy.
func (m *mapOf) look(key string, v *mapValue) {
	m.where.refreshed()
	if live := m.where.get(); live.IsValid() && !v.growing {
		if now := live.MapIndex(m.key(key)); now.IsValid() {
			v.copy.Set(now)
		}
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
	pointers := newPointers{tracker: m.tracker, of: elem, bound: bound}
	for _, key := range slices.Sorted(maps.Keys(stored)) {
		if live.IsValid() && live.MapIndex(m.key(key)).IsValid() {
			continue
		}
		v := m.value(key)
		if !v.growing {
			v.growing = true
			v.copy.SetZero()
			if kindOf(elem) == pointerField {
				v.copy.Set(pointers.to(stored[key]))
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
			v := m.value(key)
			live.SetMapIndex(m.key(key), v.copy)
			v.growing = false
		}
	}
	g.cancel = func() {
		for _, key := range made {
			m.value(key).growing = false
		}
		pointers.forget()
	}
	return g
}

func (m *mapOf) key(name string) reflect.Value { return reflect.ValueOf(name).Convert(m.of.Key()) }
