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
	made    []member
}

func (l *listOf) fixedLayout() {}

func (l *listOf) refresh() { l.where.refreshed() }

func (l *listOf) trackedBy() *tracker { return l.tracker }

func (l *listOf) member(name string) *member {
	i, err := strconv.Atoi(name)
	if err != nil || i < 0 || i >= l.length() {
		return nil
	}
	l.element(i)
	return &l.made[i]
}

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
		at := where{func() reflect.Value { return l.at(next) }, l.where.changed, l.where.refresh}
		l.made = append(l.made, l.tracker.member(at, l.of.Elem(), name, join(l.path, name)))
	}
	return l.made[i].child()
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
	if kindOf(elem) == pointerField {
		return l.growPointers(stored, bound)
	}
	g := new(growth)
	first := l.length()
	next := first
	for ; ; next++ {
		name := strconv.Itoa(next)
		if _, ok := stored[name]; !ok {
			break
		}
		g.edges = append(g.edges, l.element(next))
	}
	if next == first {
		return nil
	}
	l.lengthen(g, next, nil)
	return g
}

// growPointers adds pointers, to what another one leads to already or to
// something new. Between elements that are stored may be nil ones.
func (l *listOf) growPointers(stored map[string]int, bound func(node int) Trackable) *growth {
	g := new(growth)
	of := l.of.Elem()
	pointers := make(map[int]reflect.Value)
	made := newPointers{tracker: l.tracker, of: of, bound: bound}
	length := l.length()
	for at, nils := length, 0; nils <= mostNils+len(pointers); at++ {
		name := strconv.Itoa(at)
		node, ok := stored[name]
		if !ok {
			nils++
			continue
		}
		pointers[at] = made.to(node)
		length = at + 1
		g.edges = append(g.edges, edge{name, l.tracker.object(pointers[at], join(l.path, name))})
	}
	if len(pointers) == 0 {
		return nil
	}
	l.lengthen(g, length, pointers)
	undo := g.cancel
	g.cancel = func() {
		undo()
		made.forget()
	}
	return g
}

// mostNils is how many nil pointers a list may get for nothing in the file.
const mostNils = 64

// newPointers makes the pointers that a growth needs, one for each stored object.
type newPointers struct {
	tracker *tracker
	of      reflect.Type
	bound   func(node int) Trackable
	made    map[int]reflect.Value // by node
}

func (n *newPointers) to(node int) reflect.Value {
	if p := n.tracker.pointerTo(n.bound(node), n.of); p.IsValid() {
		return p
	}
	p, ok := n.made[node]
	if !ok {
		p = reflect.New(n.of.Elem()).Convert(n.of)
		if n.made == nil {
			n.made = make(map[int]reflect.Value)
		}
		n.made[node] = p
	}
	return p
}

// forget gives up what was made.
func (n *newPointers) forget() {
	for _, p := range n.made {
		n.tracker.forget(p)
	}
}

// lengthen makes a growth lengthen the list, with pointers at their indexes.
func (l *listOf) lengthen(g *growth, to int, pointers map[int]reflect.Value) {
	var old reflect.Value
	g.apply = func() {
		live := l.where.get()
		old = reflect.ValueOf(live.Interface())
		length := max(to, live.Len()) // a newer restore may have made more
		long := reflect.MakeSlice(l.of, length, length)
		for i, p := range pointers {
			long.Index(i).Set(p)
		}
		reflect.Copy(long, live)
		l.where.set(long)
	}
	g.cancel = func() {
		if old.IsValid() {
			l.where.set(old)
		}
	}
}
