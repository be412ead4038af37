package ckpt

import (
	"fmt"
	"slices"
	"sync/atomic"

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
	byName    *byName // nil unless the checkpoint has no graph, but names
	skipSlots bool
	cast      bool  // RestoreOptions.Cast
	only      *only // nil is everything
	complete  bool  // every object of the program must get its values, later ones too

	bound    []Trackable               // by node, nil while it has no object
	left     int                       // nodes with values that are not bound
	seen     map[Trackable]bool        // bound objects that keep no mark themselves
	unused   map[int][]string          // attributes of bound nodes that the object cannot read
	slots    map[int][]slotRestoration // by variable node, which is not bound yet
	slotWait map[int][]slotRestoration // by optimizer node, variable bound already
	parks    []parking                 // where unbound nodes wait
	nils     []parking                 // those of them that may be nil pointers
	parked   map[int]bool              // the nodes of parks that are not bound yet
	warned   map[int]bool              // nodes that two objects claim
	names    []string                  // node names for messages, made when first needed
	closed   bool
	next     *restoration // took this one's place
}

// slotRestoration is a stored slot variable whose variable or optimizer is not
// there yet.
type slotRestoration struct {
	optimizer, original, slot int
	name                      string
}

// parking says that a node waits for an object's child of a name.
type parking struct {
	object Trackable
	name   string
	node   int
}

// position is a node of a restoration that waits for an object.
type position struct {
	r    *restoration
	node int
}

var lastUID atomic.Int64

func newRestoration(from root, f *files, graph *objectgraph.Graph, skipSlots bool) *restoration {
	r := &restoration{
		uid: lastUID.Add(1), root: from, files: f, graph: graph, skipSlots: skipSlots,
		bound: make([]Trackable, len(graph.Nodes)),
	}
	for id := range graph.Nodes {
		n := &graph.Nodes[id]
		if holdsValues(n) {
			r.left++
		}
		if skipSlots {
			continue
		}
		for _, s := range n.Slots {
			if r.slots == nil {
				r.slots = make(map[int][]slotRestoration)
			}
			r.slots[s.Original] = append(r.slots[s.Original],
				slotRestoration{optimizer: id, original: s.Original, slot: s.Node, name: s.Name})
		}
	}
	return r
}

// holdsValues tells whether a stored object has values of its own.
func holdsValues(n *objectgraph.Node) bool {
	return len(n.Attributes) > 0 || n.RegisteredSaver != nil
}

// name is a stored object's path for messages.
func (r *restoration) name(node int) string {
	if r.names == nil {
		r.names = r.graph.Names()
	}
	return r.names[node]
}

func (r *restoration) park(p parking) {
	if r.bound[p.node] != nil {
		return
	}
	if holder, ok := p.object.(parker); ok {
		holder.park(p.name, position{r, p.node})
	}
	// Kept here too: what waits is listed without a walk over the objects, which
	// need not be able to hold it.
	r.parks = append(r.parks, p)
	if _, ok := p.object.(pointing); ok {
		r.nils = append(r.nils, p)
	}
	if r.parked == nil {
		r.parked = make(map[int]bool)
	}
	r.parked[p.node] = true
}

// releaseIfDone lets go of the files once nothing can come any more. It is
// called for every object that is tracked, so it must not look at what waits.
func (r *restoration) releaseIfDone() {
	if n := r.byName; n != nil {
		if n.done() {
			r.files.release()
		}
		return
	}
	if r.left == 0 || len(r.parked) == 0 && len(r.slotWait) == 0 {
		r.files.release()
		r.parks, r.nils = nil, nil
	}
}

// objects is the set of live objects that stored ones are bound to and that the
// restore was about.
func (r *restoration) objects() map[Trackable]bool {
	bound := make(map[Trackable]bool, len(r.bound))
	for node, object := range r.bound {
		if object != nil && r.covers(node) {
			bound[object] = true
		}
	}
	return bound
}

// close gives up what waits.
func (r *restoration) close() {
	if r.closed {
		return
	}
	r.closed = true
	r.files.release()
	for _, p := range r.parks {
		if holder, ok := p.object.(parker); ok {
			holder.unpark(p.name, r)
		}
	}
	r.parks, r.nils, r.parked, r.slotWait = nil, nil, nil, nil
}

// current is the restoration that took this one's place, if one did.
func (r *restoration) current() *restoration {
	for r.next != nil {
		r = r.next
	}
	return r
}

// warnings are the inconsistent references, in node order.
func (r *restoration) warnings() []string {
	nodes := make([]int, 0, len(r.warned))
	for node := range r.warned {
		nodes = append(nodes, node)
	}
	slices.Sort(nodes)
	var list []string
	for _, node := range nodes {
		list = append(list, fmt.Sprintf(
			"Inconsistent references when loading the checkpoint into this object graph: %s is one object in the checkpoint and two in the program; the first one found was restored",
			fault.Printable(r.name(node))))
	}
	return list
}
