package ckpt

import (
	"reflect"
	"slices"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// grower is an object that can make the children which a checkpoint has and it
// lacks. They become part of the program when the restore does.
type grower interface {
	Trackable
	grow(stored map[string]int, bound func(node int) Trackable) *growth
}

// growth is what a restore adds to one object.
type growth struct {
	edges  []edge
	apply  func() // makes room, before values are set; nil if there is nothing to do
	finish func() // once values are set; nil if there is nothing to do
	cancel func() // when the restore fails, before or after apply; nil if there is nothing to do
}

// settle ends the matching of a round: what exists is matched first, so that what
// is made for the rest can be the same where it was the same.
func (m *matching) settle() {
	for m.failed == nil && len(m.lacking) > 0 {
		next := m.lacking[0]
		m.lacking = m.lacking[1:]
		if m.r.covers(next.node) {
			m.grow(next.node, next.object)
			m.drain()
		}
	}
	for _, p := range m.nils {
		m.point(p)
	}
	if len(m.r.nils) > 0 { // of earlier rounds
		now := make(map[int]bool, len(m.nodes))
		for _, node := range m.nodes {
			now[node] = true
		}
		for _, p := range m.r.nils {
			if now[p.node] {
				m.point(p)
			}
		}
	}
	m.parks = slices.DeleteFunc(m.parks, func(p parking) bool { return m.r.bound[p.node] != nil })
}

// lacks notes that an object has no child for a stored edge.
func (m *matching) lacks(node int, object Trackable, e objectgraph.Edge) {
	if o, ok := object.(grower); ok && (len(m.lacking) == 0 || m.lacking[len(m.lacking)-1].object != o) {
		m.lacking = append(m.lacking, pair{node, object})
	}
	if _, ok := object.(pointing); ok {
		m.nils = append(m.nils, parking{object, e.Name, e.Node})
	}
}

// grow matches the children that an object is going to have besides those it has.
func (m *matching) grow(node int, object Trackable) {
	g, known := m.grown[object]
	if !known {
		g = object.(grower).grow(m.r.graph.ChildMap(node), func(node int) Trackable { return m.r.bound[node] })
		if m.grown == nil {
			m.grown = make(map[Trackable]*growth)
		}
		m.grown[object] = g
		if g != nil {
			m.growths = append(m.growths, g)
		}
	}
	if g == nil {
		return
	}
	find := finder{edges: g.edges}
	for _, e := range m.r.graph.Nodes[node].Children {
		if child := find.child(e.Name); child != nil && m.bind(e.Node, child) {
			m.queue = append(m.queue, pair{e.Node, child})
			if m.fresh == nil {
				m.fresh = make(map[Trackable]bool)
			}
			m.fresh[child] = true
		}
	}
}

// pointing is an object that may have nil pointers.
type pointing interface {
	member(name string) *member // nil if there is none
	trackedBy() *tracker
}

// point makes a nil pointer lead to what it led to when the checkpoint was saved,
// if that was matched elsewhere.
func (m *matching) point(p parking) {
	object := m.r.bound[p.node]
	if object == nil || !m.r.covers(p.node) || m.failed != nil {
		return
	}
	holder := p.object.(pointing)
	place := holder.member(p.name)
	if place == nil || place.of == nil {
		return
	}
	pointer := holder.trackedBy().pointerTo(object, place.of)
	if !pointer.IsValid() {
		return
	}
	set := false
	m.growths = append(m.growths, &growth{
		apply: func() {
			place.at.refreshed()
			if v := place.at.get(); v.IsValid() && v.IsNil() {
				set = true
				place.at.set(pointer)
			}
		},
		cancel: func() {
			if set {
				place.at.set(reflect.Zero(place.of))
			}
		},
	})
}

// makeRoom applies the growths, outer objects first.
func (m *matching) makeRoom() {
	for _, g := range m.growths {
		if g.apply != nil {
			g.apply()
		}
	}
}

// cancelGrowths takes back what the growths did, if a restore fails.
func (m *matching) cancelGrowths() {
	for i := len(m.growths) - 1; i >= 0; i-- {
		if g := m.growths[i]; g.cancel != nil {
			g.cancel()
		}
	}
}

// finishGrowths ends the growths once the values are set, inner objects first.
func (m *matching) finishGrowths() {
	for i := len(m.growths) - 1; i >= 0; i-- {
		if g := m.growths[i]; g.finish != nil {
			g.finish()
		}
	}
}

// largestMade is the size of what may be made for a stored object, which may
// have no tensors: no file chooses an allocation that it does not pay for.
const largestMade = 512

// canMake tells whether a restore may make a value of a type. Trackables are the
// program's to make.
func canMake(t reflect.Type) bool {
	if kindOf(t) == pointerField {
		t = t.Elem()
	}
	return t.Size() <= largestMade && !holdsTrackable(t, func(k fieldKind) bool { return k == trackableField || k == trackableValue })
}

// holdsTrackable tells whether a value of a type has a Trackable of some kind in
// its own memory.
func holdsTrackable(t reflect.Type, of func(fieldKind) bool) bool {
	switch kind := kindOf(t); kind {
	case structField:
		for _, f := range fieldsOf(t) {
			if !f.json && holdsTrackable(f.of, of) {
				return true
			}
		}
		return false
	case listField:
		return t.Kind() == reflect.Array && holdsTrackable(t.Elem(), of)
	default:
		return of(kind)
	}
}
