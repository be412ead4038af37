package ckpt

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// restoration is one call of Restore or Read and everything that may still come
// of it: TensorFlow's _CheckpointRestoreCoordinator. Nodes of the stored graph
// are bound to live objects by following edges from the root; what has no live
// object yet waits on the object it would hang below.
type restoration struct {
	uid       int64 // later calls have higher ones and win
	root      root
	files     *files
	graph     *objectgraph.Graph
	skipSlots bool

	bound    map[int]Trackable // by node
	nodeOf   map[Trackable]int // the node an object was bound to first
	unused   map[int][]string  // attributes of bound nodes that the object cannot read
	slots    map[int][]slotRestoration
	slotWait map[int][]slotRestoration          // by optimizer node, variable bound already
	parkedOn map[Trackable]map[string]*position // objects that cannot hold what waits
	warnings []string
	names    []string // node names for messages, made when first needed
	closed   bool
}

// slotRestoration is a stored slot variable whose variable or optimizer is not
// there yet.
type slotRestoration struct {
	optimizer, original, slot int
	name                      string
}

// position is a node of a restoration that waits for, or is matched with, an
// object.
type position struct {
	r    *restoration
	node int
}

// start is where matching begins.
type start struct {
	p      *position
	object Trackable
}

var lastUID atomic.Int64

func newRestoration(from root, f *files, graph *objectgraph.Graph, skipSlots bool) *restoration {
	r := &restoration{
		uid: lastUID.Add(1), root: from, files: f, graph: graph, skipSlots: skipSlots,
		bound: make(map[int]Trackable), nodeOf: make(map[Trackable]int),
		unused: make(map[int][]string), slots: make(map[int][]slotRestoration),
		slotWait: make(map[int][]slotRestoration),
	}
	if skipSlots {
		return r
	}
	for id, n := range graph.Nodes {
		for _, s := range n.Slots {
			r.slots[s.Original] = append(r.slots[s.Original],
				slotRestoration{optimizer: id, original: s.Original, slot: s.Node, name: s.Name})
		}
	}
	return r
}

// name is a stored object's path for messages.
func (r *restoration) name(node int) string {
	if r.names == nil {
		r.names = r.graph.Names()
	}
	if node < len(r.names) && r.names[node] != "" {
		return r.names[node]
	}
	return fmt.Sprintf("node %d", node)
}

// matching is one round of matching and reading. It changes neither objects nor
// the restoration until apply.
type matching struct {
	r        *restoration
	queue    []pair
	bound    map[int]Trackable
	touched  map[Trackable]bool // objects this round restores
	newer    map[Trackable]bool // objects a later restore reaches in the same call
	reads    []read
	parks    []parking
	unused   map[int][]string
	slots    map[int]bool // original nodes whose slots were taken up
	slotWait map[int][]slotRestoration
	taken    map[int]bool // optimizer nodes whose waiting slots were taken up
	warnings []string
	failed   error
}

type pair struct {
	node   int
	object Trackable
}

// read is one tensor to bring in.
type read struct {
	key   string
	value Value
	spec  Spec
	node  int
	entry bundle.Entry
}

type parking struct {
	object Trackable
	name   string
	node   int
}

func (r *restoration) newMatching() *matching {
	return &matching{
		r: r, bound: make(map[int]Trackable), touched: make(map[Trackable]bool), unused: make(map[int][]string),
		slots: make(map[int]bool), slotWait: make(map[int][]slotRestoration), taken: make(map[int]bool),
	}
}

// boundTo is the object a node is bound to, in this round or before.
func (m *matching) boundTo(node int) (Trackable, bool) {
	if t, ok := m.bound[node]; ok {
		return t, true
	}
	t, ok := m.r.bound[node]
	return t, ok
}

// bind connects a node and an object; fresh is false if the node was bound
// already. The first object keeps a node.
func (m *matching) bind(node int, object Trackable) (fresh bool) {
	old, ok := m.boundTo(node)
	if !ok {
		m.bound[node] = object
		return true
	}
	if old != object {
		m.warnings = append(m.warnings, fmt.Sprintf(
			"Inconsistent references when loading the checkpoint into this object graph: %s is one object in the checkpoint and two in the program; the first one found was restored",
			m.r.name(node)))
	}
	return false
}

// add begins at a node and follows it breadth-first.
func (m *matching) add(node int, object Trackable) {
	if !m.bind(node, object) {
		return
	}
	m.queue = append(m.queue, pair{node, object})
	for len(m.queue) > 0 && m.failed == nil {
		next := m.queue[0]
		m.queue = m.queue[1:]
		m.gather(next.node, next.object)
		m.children(next.node, next.object)
		m.slotVariables(next.node, next.object)
	}
}

// gather notes what an object reads (TensorFlow's gather_ops_or_named_saveables).
func (m *matching) gather(node int, object Trackable) {
	if m.touched[object] || m.newer[object] {
		return // bound to an earlier node of this restore, whose value it has
	}
	if k, ok := object.(marked); ok && *k.restoredBy() >= m.r.uid {
		return // a later restore reached it first
	}
	m.touched[object] = true
	stored := &m.r.graph.Nodes[node]
	if stored.RegisteredSaver != nil {
		m.failed = fmt.Errorf("ckpt: %s was written by the registered saver %q, which this program does not have: %w",
			m.r.name(node), stored.RegisteredSaver.Name, errUnsupported)
		return
	}
	if len(stored.Attributes) == 0 {
		return
	}
	var values []Value
	if saveable, ok := object.(Saveable); ok {
		values = saveable.Values()
	}
	if len(values) == 0 {
		for _, a := range stored.Attributes {
			m.unused[node] = append(m.unused[node], a.Name)
		}
		return
	}
	first := stored.Attributes[0].Key
	for _, value := range values {
		spec := value.Spec()
		key := first
		if !spec.State {
			var err error
			if key, err = siblingKey(first, spec.Attribute, len(values)); err != nil {
				m.failed = fault.Locate(err, m.r.files.indexName(), first)
				return
			}
		}
		m.reads = append(m.reads, read{key: key, value: value, spec: spec, node: node})
	}
}

// children matches an object's children by name.
func (m *matching) children(node int, object Trackable) {
	stored := m.r.graph.Nodes[node].Children
	if len(stored) == 0 {
		return
	}
	live := make(map[string]Trackable)
	for name, child := range object.Children() {
		live[name] = child
	}
	if node == 0 {
		for _, e := range m.r.root.attached {
			if _, own := live[e.name]; !own {
				live[e.name] = e.child
			}
		}
	}
	for _, e := range stored {
		child, exists := live[e.Name]
		if old, done := m.boundTo(e.Node); done {
			if exists && old != child {
				m.bind(e.Node, child) // warns
			}
			continue
		}
		switch {
		case exists:
			if m.bind(e.Node, child) {
				m.queue = append(m.queue, pair{e.Node, child})
			}
		case m.r.graph.Nodes[e.Node].MayHaveValues():
			m.parks = append(m.parks, parking{object, e.Name, e.Node})
		}
	}
}

// slotVariables restores the slot variables that become possible when an
// object is bound: as an optimizer, or as the variable they belong to.
func (m *matching) slotVariables(node int, object Trackable) {
	if m.r.skipSlots {
		return
	}
	var todo []slotRestoration
	if _, ok := object.(SlotOwner); ok && !m.taken[node] {
		m.taken[node] = true
		todo = append(todo, m.r.slotWait[node]...)
		todo = append(todo, m.slotWait[node]...)
		delete(m.slotWait, node)
	}
	if !m.slots[node] {
		m.slots[node] = true
		todo = append(todo, m.r.slots[node]...)
	}
	for _, s := range todo {
		m.slotVariable(s)
	}
}

func (m *matching) slotVariable(s slotRestoration) {
	variable, _ := m.boundTo(s.original)
	optimizer, ok := m.boundTo(s.optimizer)
	if !ok {
		m.slotWait[s.optimizer] = append(m.slotWait[s.optimizer], s)
		return
	}
	owner, ok := optimizer.(SlotOwner)
	if !ok || variable == nil {
		return // a program that keeps no slots there: CheckConsumed tells
	}
	slot := owner.Slot(variable, s.name)
	if slot == nil {
		creator, ok := optimizer.(SlotCreator)
		if !ok {
			return
		}
		spec, err := m.slotSpec(s)
		if err == nil {
			slot, err = creator.CreateSlot(variable, s.name, spec)
		}
		if err != nil {
			m.failed = fmt.Errorf("ckpt: %s: %w", m.r.name(s.slot), err)
			return
		}
	}
	if slot != nil && m.bind(s.slot, slot) {
		m.queue = append(m.queue, pair{s.slot, slot})
	}
}

// slotSpec describes a stored slot variable for the optimizer that makes it.
func (m *matching) slotSpec(s slotRestoration) (Spec, error) {
	stored := m.r.graph.Nodes[s.slot]
	if len(stored.Attributes) == 0 {
		return Spec{}, fault.Corrupt(fault.KindGraph, "slot variable without a tensor")
	}
	a := stored.Attributes[0]
	rd, done, err := m.r.files.reader(context.Background())
	if err != nil {
		return Spec{}, err
	}
	defer done()
	entry, err := rd.Entry(a.Key)
	if err != nil {
		return Spec{}, err
	}
	return Spec{Attribute: a.Name, DType: entry.DType, Shape: entry.Shape, FullName: a.FullName}, nil
}

// apply makes the round's bindings and waits part of the restoration.
func (m *matching) apply() {
	r := m.r
	for node, object := range m.bound {
		r.bound[node] = object
		if _, ok := r.nodeOf[object]; !ok {
			r.nodeOf[object] = node
		}
	}
	for object := range m.touched {
		if k, ok := object.(marked); ok {
			*k.restoredBy() = r.uid
		}
	}
	maps.Copy(r.unused, m.unused)
	for node := range m.slots {
		delete(r.slots, node)
	}
	for node := range m.taken {
		delete(r.slotWait, node)
	}
	for node, list := range m.slotWait {
		r.slotWait[node] = append(r.slotWait[node], list...)
	}
	for _, p := range m.parks {
		r.park(p)
	}
	for _, w := range m.warnings {
		if !slices.Contains(r.warnings, w) {
			r.warnings = append(r.warnings, w)
		}
	}
	r.releaseIfDone()
}

func (r *restoration) park(p parking) {
	if _, done := r.bound[p.node]; done {
		return
	}
	at := &position{r, p.node}
	if holder, ok := p.object.(parker); ok {
		holder.park(p.name, at)
	}
	// Kept here too: the list of what waits must not need a walk.
	if r.parkedOn == nil {
		r.parkedOn = make(map[Trackable]map[string]*position)
	}
	if r.parkedOn[p.object] == nil {
		r.parkedOn[p.object] = make(map[string]*position)
	}
	r.parkedOn[p.object][p.name] = at
}

// waiting lists the nodes with values below what is parked and still unbound,
// in node order.
func (r *restoration) waiting() []int {
	if r == nil || r.closed {
		return nil
	}
	seen := make(map[int]bool)
	var queue []int
	push := func(node int) {
		if _, done := r.bound[node]; !done && !seen[node] {
			seen[node] = true
			queue = append(queue, node)
		}
	}
	for _, names := range r.parkedOn {
		for _, p := range names {
			push(p.node)
		}
	}
	for _, list := range r.slotWait {
		for _, s := range list {
			push(s.slot)
		}
	}
	for i := 0; i < len(queue); i++ {
		n := &r.graph.Nodes[queue[i]]
		for _, e := range n.Children {
			push(e.Node)
		}
		for _, s := range n.Slots {
			push(s.Node)
		}
		for _, s := range r.slots[queue[i]] {
			push(s.slot)
		}
	}
	queue = slices.DeleteFunc(queue, func(node int) bool {
		n := &r.graph.Nodes[node]
		return len(n.Attributes) == 0 && n.RegisteredSaver == nil
	})
	slices.Sort(queue)
	return queue
}

// waitingTop lists the parked names themselves: (object path).name.
func (r *restoration) waitingTop() []int {
	var tops []int
	for _, names := range r.parkedOn {
		for _, p := range names {
			if _, done := r.bound[p.node]; !done {
				tops = append(tops, p.node)
			}
		}
	}
	slices.Sort(tops)
	return slices.Compact(tops)
}

// releaseIfDone lets go of the files once nothing waits any more.
func (r *restoration) releaseIfDone() {
	if len(r.waiting()) == 0 {
		r.files.release()
	}
}

func (r *restoration) close() {
	r.closed = true
	r.files.release()
	r.parkedOn = nil
}
