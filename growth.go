package ckpt

import "reflect"

// grower is an object that can make the children which a checkpoint has and it
// lacks. They become part of the program when the restore does.
type grower interface {
	Trackable
	// grow is given the stored children and what already stands for a stored object.
	grow(stored map[string]int, bound func(node int) Trackable) *growth
}

// growth is what a restore adds to one object.
type growth struct {
	node   int // what is stored of the object
	edges  []edge
	shared map[string]bool // names of edges to objects that were there before
	apply  func()          // makes room, before values are set; nil if there is nothing to do
	finish func()          // once values are set; nil if there is nothing to do
	cancel func()          // when the restore fails, before or after apply; nil if there is nothing to do
}

// growable tells whether an object may make children for this round.
func (m *matching) growable(object Trackable) bool {
	_, ok := object.(grower)
	return ok && !m.probe
}

// pointers are those that growing lists and maps of them need: to structs that stand
// for a stored object already, so that one object with two names stays one, or to new
// ones.
type pointers struct {
	tracker *tracker
	of      reflect.Type // what they lead to
	bound   func(node int) Trackable
	made    map[int]reflect.Value
}

func (p *pointers) to(node int) (pointer reflect.Value, shared bool) {
	if v, ok := p.made[node]; ok {
		return v, true
	}
	if s, ok := p.bound(node).(*Struct); ok && s.pointer.IsValid() && s.pointer.Type().Elem() == p.of && p.tracker.known(s.pointer) == s {
		return s.pointer, true
	}
	v := reflect.New(p.of)
	if p.made == nil {
		p.made = make(map[int]reflect.Value)
	}
	p.made[node] = v
	return v, false
}

// grow lists the children that an object is going to have besides those it has.
func (m *matching) grow(node int, object Trackable) []edge {
	o, ok := object.(grower)
	if !ok || m.probe {
		return nil
	}
	g, known := m.grown[object]
	if !known {
		g = o.grow(m.r.graph.ChildMap(node), func(node int) Trackable { return m.r.bound[node] })
		if m.grown == nil {
			m.grown = make(map[Trackable]*growth)
		}
		m.grown[object] = g
		if g != nil {
			g.node = node
			m.growths = append(m.growths, g)
			if m.fresh == nil {
				m.fresh = make(map[Trackable]bool)
			}
			for _, e := range g.edges {
				if !g.shared[e.name] {
					m.fresh[e.child] = true
				}
			}
		}
	}
	if g == nil {
		return nil
	}
	return g.edges
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
