package ckpt

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// A name-based checkpoint, as TensorFlow 1's Saver wrote them, holds tensors
// under the full names of variables and no object graph. It is restored by
// asking every object of the program, now and whenever one is tracked, whether
// the checkpoint has its full name (TensorFlow's _NameBasedRestoreCoordinator
// and NameBasedSaverStatus).
//
// Three things differ from TensorFlow. All values are set or none. Two objects
// with one stored name are an error, because only one of them can be meant. And
// objects below one that is tracked later are restored with it.

// byName is what a restoration by full names has found so far.
type byName struct {
	stored  map[string]bool        // the names of the checkpoint
	taken   map[string]Trackable   // names whose value an object got
	offered map[Trackable]bool     // objects that were asked
	missing map[Trackable][]string // the names they have and the checkpoint has not
	counter Trackable              // need not be there: Restore made it
}

// byNameRound is the journal of a matching by full names.
type byNameRound struct {
	offered []Trackable
	taken   []taking
	program map[Trackable]int // what the root leads to, made when first needed
}

// taking is a name that an object took, perhaps from one that is gone.
type taking struct {
	name   string
	before Trackable
}

// attributesMarker is in every key of an object-based checkpoint.
const attributesMarker = "/.ATTRIBUTES/"

// storedNames lists the tensors of a checkpoint without an object graph. One
// with the keys of objects is not name-based: its graph is lost.
func storedNames(rd *bundle.Reader, at place) (map[string]bool, error) {
	names := make(map[string]bool)
	for it, err := range rd.Entries() {
		if err != nil {
			return nil, fmt.Errorf("ckpt: %s: %w", at.prefix, err)
		}
		if strings.Contains(it.Key, attributesMarker) {
			return nil, noGraph(at, "although its keys are those of objects. Its tensors can be read with ckpt.Open")
		}
		if !it.IsSlice {
			names[it.Key] = true
		}
	}
	return names, nil
}

func newByName(from root, f *files, stored map[string]bool, skipSlots bool) *restoration {
	r := newRestoration(from, f, &objectgraph.Graph{Nodes: make([]objectgraph.Node, 1)}, skipSlots)
	r.byName = &byName{
		stored: stored, taken: make(map[string]Trackable),
		offered: make(map[Trackable]bool), missing: make(map[Trackable][]string),
	}
	return r
}

// left lists the stored names that no object has, in order.
func (n *byName) left() []string {
	var names []string
	for _, name := range slices.Sorted(maps.Keys(n.stored)) {
		if n.taken[name] == nil {
			names = append(names, name)
		}
	}
	return names
}

func (n *byName) done() bool { return len(n.taken) == len(n.stored) }

// open tells whether an object may still come for a value.
func (n *byName) open() bool { return n != nil && !n.done() }

// offerAll asks every object of the program.
func (m *matching) offerAll(w *walker) error {
	objects := w.objects
	if !m.r.skipSlots {
		var err error
		if objects, err = w.withSlots(); err != nil {
			return err
		}
	}
	var inside []bool
	if m.r.only != nil {
		inside = m.r.only.inside(w)
	}
	for i := 0; i < len(objects) && m.failed == nil; i++ {
		if inside == nil || inside[i] {
			m.offer(objects[i])
		}
	}
	return m.failed
}

// begin matches an object that was just tracked.
func (m *matching) begin(s start) {
	if m.r.byName != nil {
		m.offerBelow(s.object)
		return
	}
	m.add(s.p.node, s.object)
}

// offerBelow asks an object that appeared and all below it.
func (m *matching) offerBelow(object Trackable) {
	queue := []Trackable{object}
	for ; len(queue) > 0 && m.failed == nil; queue = queue[1:] {
		if m.r.byName.offered[queue[0]] {
			continue
		}
		m.offer(queue[0])
		for name, child := range queue[0].Children() {
			if err := checkTrackable(name, child); err != nil {
				m.failed = err
				return
			}
			queue = append(queue, child)
		}
	}
}

// offer asks one object, which gets all of its values or none.
func (m *matching) offer(object Trackable) {
	n := m.r.byName
	n.offered[object] = true
	m.names.offered = append(m.names.offered, object)
	if !m.claim(object) {
		return
	}
	saveable, ok := object.(Saveable)
	if !ok {
		return
	}
	values := saveable.Values()
	specs := make([]Spec, len(values))
	for i, value := range values {
		specs[i] = value.Spec()
		if name := specs[i].FullName; name == "" {
			n.missing[object] = append(n.missing[object], specs[i].Attribute)
		} else if !n.stored[name] {
			n.missing[object] = append(n.missing[object], name)
		}
	}
	if n.missing[object] != nil {
		return
	}
	for i, value := range values {
		name := specs[i].FullName
		before := n.taken[name]
		if before != nil && m.inProgram(before) {
			m.failed = m.ambiguous(name, before, object)
			return
		}
		n.taken[name] = object
		m.names.taken = append(m.names.taken, taking{name, before})
		m.reads = append(m.reads, read{key: name, object: object, value: value, spec: specs[i]})
	}
}

// inProgram tells an object of the program from one that was replaced.
func (m *matching) inProgram(object Trackable) bool {
	if m.names.program == nil {
		w, err := walk(m.r.root)
		if err == nil {
			err = w.addSlots()
		}
		if err != nil {
			return true
		}
		m.names.program = w.ids
	}
	_, ok := m.names.program[object]
	return ok
}

// commitNames makes the objects pass the restoration on to what they will track.
func (m *matching) commitNames() {
	for _, object := range m.names.offered {
		if holder, ok := object.(nameHolder); ok {
			holder.holdNames(m.r)
		}
	}
}

// rollbackNames takes back what offer did.
func (m *matching) rollbackNames() {
	for _, object := range m.names.offered {
		delete(m.r.byName.offered, object)
		delete(m.r.byName.missing, object)
	}
	for _, t := range slices.Backward(m.names.taken) {
		if delete(m.r.byName.taken, t.name); t.before != nil {
			m.r.byName.taken[t.name] = t.before
		}
	}
	m.names = byNameRound{}
}

// nameHolder is what an object that embeds Node can do.
type nameHolder interface{ holdNames(r *restoration) }

func (n *Node) holdNames(r *restoration) {
	n.byName = append(slices.DeleteFunc(n.byName, func(old *restoration) bool { return old.closed }), r)
}

// matchNames is match for a name-based checkpoint.
func (l *loading) matchNames(m *matching) error {
	w, err := walk(m.r.root)
	if err != nil {
		return err
	}
	if err := m.offerAll(w); err != nil {
		return err
	}
	n := m.r.byName
	if l.counted {
		n.counter = l.c.counter
	} else if l.c.counter == nil && n.stored[counterName] && n.taken[counterName] == nil {
		m.parks = append(m.parks, parking{m.r.root.object, counterName, 0})
	}
	lacking := n.lacking(w)
	if !l.complete || len(lacking) == 0 {
		return nil
	}
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s has no values for %s of the program, nothing was restored", l.at.prefix, count(len(lacking), "object")),
		Names:  m.r.paths(lacking),
		Hint:   n.hint(lacking) + ". To let these objects keep the values they have, set ResumeOptions.AllowPartial",
	}
}

// lacking lists the objects of a program whose names the checkpoint does not
// have.
func (n *byName) lacking(w *walker) []Trackable {
	var objects []Trackable
	for _, object := range w.objects {
		if n.missing[object] != nil && object != n.counter {
			objects = append(objects, object)
		}
	}
	return objects
}
