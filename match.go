package ckpt

import (
	"fmt"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
)

// matching is one round of matching and reading. Its bindings are made at once,
// with a journal to take them back; everything else that it finds becomes part
// of the restoration when it commits.
type matching struct {
	r     *restoration
	newer map[Trackable]bool // objects without a mark that a later restore reaches in this call

	queue    []pair
	live     []edge // children of the object at hand
	nodes    []int  // journal: nodes this round bound
	marks    []oldMark
	plain    []Trackable // journal: objects without a mark this round restores
	reads    []read
	parks    []parking
	unused   []unusedNode
	slots    map[int]bool              // variable nodes whose slots were taken up
	slotWait map[int][]slotRestoration // found waiting in this round
	taken    map[int]bool              // optimizer nodes whose waiting slots were taken up
	create   []slotRestoration         // slot variables for the optimizer to make
	doubles  []int                     // nodes that two objects claim
	failed   error
	names    byNameRound
	late     bool             // objects that appeared after the restore
	probe    bool             // only looks: objects keep no mark of it
	foreign  []*MismatchError // what a look found of other savers
	held     []pair           // what may be gathered once it is known what RestoreOptions.Only covers

	grown   map[Trackable]*growth // nil values: nothing to grow
	growths []*growth             // outer objects first
	fresh   map[Trackable]bool    // objects that exist only if the restore succeeds
	lacking []pair                // objects that may grow
	nils    []parking             // what may be nil pointers
}

type pair struct {
	node   int
	object Trackable
}

type oldMark struct {
	mark *int64
	uid  int64
}

type unusedNode struct {
	node  int
	names []string
}

// read is one tensor to bring in.
type read struct {
	key    string
	object Trackable
	value  Value
	spec   Spec
	entry  bundle.Entry
}

func (r *restoration) newMatching() *matching { return &matching{r: r} }

// bind connects a node and an object; fresh is false if the node was bound
// already. The first object keeps a node.
func (m *matching) bind(node int, object Trackable) (fresh bool) {
	switch m.r.bound[node] {
	case nil:
		m.r.bound[node] = object
		m.nodes = append(m.nodes, node)
		return true
	case object:
	default:
		if o := m.r.only; o == nil || o.nodes == nil || o.nodes[node] {
			m.doubles = append(m.doubles, node)
		}
	}
	return false
}

// claim tells whether this restore is the newest to reach an object, and
// remembers that it did.
func (m *matching) claim(object Trackable) bool {
	if k, ok := object.(marked); ok && !m.probe {
		uid := k.restoredBy()
		if *uid >= m.r.uid {
			return false // by an earlier node of this restore, or by a later restore
		}
		m.marks = append(m.marks, oldMark{uid, *uid})
		*uid = m.r.uid
		return true
	}
	if m.newer[object] || m.r.seen[object] {
		return false
	}
	if m.r.seen == nil {
		m.r.seen = make(map[Trackable]bool)
	}
	m.r.seen[object] = true
	m.plain = append(m.plain, object)
	return true
}

// matchTree follows the stored object graph. The root's own tree comes first,
// then what a rooted Checkpoint attaches to it.
func (m *matching) matchTree() error {
	if m.r.only != nil {
		m.matchParts()
	}
	doubles := len(m.doubles)
	m.add(0, m.r.root.object)
	if attached := m.r.root.attached(); len(attached) > 0 {
		stored := m.r.graph.ChildMap(0)
		for _, e := range attached {
			if node, ok := stored[e.name]; ok && e.name != rootName && m.r.bound[node] == nil {
				m.add(node, e.child)
			}
		}
	}
	if m.r.only != nil {
		m.doubles = m.doubles[:doubles] // objects of other parts
		m.restrict()
	}
	return m.failed
}

// add begins at a node and follows it breadth-first.
func (m *matching) add(node int, object Trackable) {
	if m.bind(node, object) {
		m.queue = append(m.queue, pair{node, object})
		m.drain()
	}
}

func (m *matching) drain() {
	for i := 0; i < len(m.queue) && m.failed == nil; i++ {
		next := m.queue[i]
		m.gather(next.node, next.object)
		m.children(next.node, next.object)
		m.slotVariables(next.node)
	}
	m.queue = m.queue[:0]
}

// gather notes what an object reads (TensorFlow's gather_ops_or_named_saveables).
func (m *matching) gather(node int, object Trackable) {
	if o := m.r.only; o != nil && o.nodes == nil {
		m.held = append(m.held, pair{node, object})
		return
	}
	if !m.r.covers(node) || !m.claim(object) {
		return
	}
	stored := &m.r.graph.Nodes[node]
	if done := m.gatherRegistered(node, object); done {
		if m.probe && m.failed != nil {
			m.foreign = append(m.foreign, &MismatchError{Key: m.r.name(node), Want: saverOf(object), Got: savedBy(stored), Err: m.failed})
			m.failed = nil
		}
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
		var names []string
		for _, a := range stored.Attributes {
			names = append(names, a.Name)
		}
		m.unused = append(m.unused, unusedNode{node, names})
		return
	}
	first := stored.Attributes[0].Key
	if m.reads == nil {
		m.reads = make([]read, 0, min(m.r.left, len(m.queue)))
	}
	for _, value := range values {
		spec := value.Spec()
		key := first
		if !spec.State {
			var err error
			if key, err = siblingKey(first, spec.Attribute+spec.Suffix, len(values)); err != nil {
				m.failed = fault.Locate(err, m.r.files.indexName(), first)
				return
			}
		}
		m.reads = append(m.reads, read{key: key, object: object, value: value, spec: spec})
	}
}

// children matches an object's children by name.
func (m *matching) children(node int, object Trackable) {
	stored := m.r.graph.Nodes[node].Children
	if len(stored) == 0 {
		return
	}
	m.live = m.live[:0]
	for name, child := range object.Children() {
		if err := checkTrackable(name, child); err != nil {
			m.failed = fmt.Errorf("%w (below %s)", err, fault.Printable(m.r.name(node)))
			return
		}
		m.live = append(m.live, edge{name, child})
	}
	find := finder{edges: m.live}
	for _, e := range stored {
		child := find.child(e.Name)
		old := m.r.bound[e.Node]
		if child == nil {
			m.lacks(node, object, e)
		}
		switch {
		case child == nil && old == nil && m.r.minds(e.Node) && m.r.graph.Nodes[e.Node].MayHaveValues():
			m.parks = append(m.parks, parking{object, e.Name, e.Node})
		case child != nil && m.bind(e.Node, child):
			m.queue = append(m.queue, pair{e.Node, child})
			if m.fresh[object] {
				m.fresh[child] = true
			}
		}
	}
}

// finder looks children up that are mostly asked for in their own order.
type finder struct {
	edges []edge
	next  int
	index map[string]int
}

func (f *finder) child(name string) Trackable {
	i := -1
	switch {
	case f.next < len(f.edges) && f.edges[f.next].name == name:
		i = f.next
	case len(f.edges) <= manyEdges:
		for k, e := range f.edges {
			if e.name == name {
				i = k
			}
		}
	default:
		if f.index == nil {
			f.index = make(map[string]int, len(f.edges))
			for k, e := range f.edges {
				f.index[e.name] = k
			}
		}
		if k, ok := f.index[name]; ok {
			i = k
		}
	}
	if i < 0 {
		return nil
	}
	f.next = i + 1
	return f.edges[i].child
}

// commit makes what the round found part of the restoration.
func (m *matching) commit() {
	r := m.r
	for _, node := range m.nodes {
		delete(r.parked, node)
		if holdsValues(&r.graph.Nodes[node]) {
			r.left--
		}
	}
	for _, u := range m.unused {
		if r.unused == nil {
			r.unused = make(map[int][]string)
		}
		r.unused[u.node] = u.names
	}
	for node := range m.slots {
		delete(r.slots, node)
	}
	for node := range m.taken {
		delete(r.slotWait, node)
	}
	for node, list := range m.slotWait {
		if r.slotWait == nil {
			r.slotWait = make(map[int][]slotRestoration)
		}
		r.slotWait[node] = append(r.slotWait[node], list...)
	}
	for _, p := range m.parks {
		r.park(p)
	}
	for _, node := range m.doubles {
		if r.warned == nil {
			r.warned = make(map[int]bool)
		}
		r.warned[node] = true
	}
	m.commitNames()
	r.releaseIfDone()
}

// rollback takes the bindings back.
func (m *matching) rollback() {
	for _, node := range m.nodes {
		m.r.bound[node] = nil
	}
	for _, o := range m.marks {
		*o.mark = o.uid
	}
	for _, object := range m.plain {
		delete(m.r.seen, object)
	}
	m.nodes, m.marks, m.plain = nil, nil, nil
	m.cancelGrowths()
	m.rollbackNames()
}
