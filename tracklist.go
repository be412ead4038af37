package ckpt

import (
	"iter"
	"reflect"
	"strconv"
)

// listOf is a slice or array of structs, slices or Trackables: a list node.
type listOf struct {
	mark
	tracker *tracker
	where   where
	of      reflect.Type
	path    string
	made    []func() edge
}

func (l *listOf) fixedLayout() {}

// at is the place of an element, the zero Value beyond the end.
func (l *listOf) at(i int) reflect.Value {
	if v := l.where.get(); v.IsValid() && i < v.Len() {
		return v.Index(i)
	}
	return reflect.Value{}
}

func (l *listOf) length() int {
	if v := l.where.get(); v.IsValid() {
		return v.Len()
	}
	return 0
}

// element is the child of an index.
func (l *listOf) element(i int) edge {
	for i >= len(l.made) {
		next := len(l.made)
		name := strconv.Itoa(next)
		l.made = append(l.made, l.tracker.child(where{func() reflect.Value { return l.at(next) }, l.where.changed}, l.of.Elem(), name, join(l.path, name)))
	}
	return l.made[i]()
}

// Children yields the elements that exist now.
func (l *listOf) Children() iter.Seq2[string, Trackable] {
	return func(yield func(string, Trackable) bool) {
		for i := range l.length() {
			if e := l.element(i); e.child != nil && !yield(e.name, e.child) {
				return
			}
		}
	}
}

// grow adds the stored elements behind the last one.
func (l *listOf) grow(stored map[string]int, bound func(node int) Trackable) *growth {
	elem := l.of.Elem()
	if l.of.Kind() != reflect.Slice || !canMake(elem) {
		return nil
	}
	g := new(growth)
	first := l.length()
	next := first
	var news []reflect.Value
	var p pointers
	if kindOf(elem) == pointerField {
		p = pointers{tracker: l.tracker, of: elem.Elem(), bound: bound}
		g.shared = make(map[string]bool)
	}
	for ; ; next++ {
		name := strconv.Itoa(next)
		node, ok := stored[name]
		if !ok {
			break
		}
		if kindOf(elem) == pointerField {
			p, shared := p.to(node)
			g.shared[name] = shared
			news = append(news, p)
			g.edges = append(g.edges, edge{name, l.tracker.object(p, join(l.path, name))})
			continue
		}
		g.edges = append(g.edges, l.element(next))
	}
	if next == first {
		return nil
	}
	var old reflect.Value
	g.apply = func() {
		live := l.where.get()
		old = reflect.ValueOf(live.Interface())
		length := max(next, live.Len()) // a newer restore may have made more
		long := reflect.MakeSlice(l.of, length, length)
		for i, p := range news {
			long.Index(first + i).Set(p)
		}
		reflect.Copy(long, live)
		l.where.set(long)
	}
	g.cancel = func() {
		if old.IsValid() {
			l.where.set(old)
		}
	}
	return g
}
