package ckpt

import (
	"cmp"
	"slices"
)

// waiting lists the nodes with values below what is parked and still unbound,
// in node order.
func (r *restoration) waiting() []int {
	if r == nil || r.closed {
		return nil
	}
	seen := make(map[int]bool)
	var queue []int
	push := func(node int) {
		if r.bound[node] == nil && !seen[node] {
			seen[node] = true
			queue = append(queue, node)
		}
	}
	for node := range r.parked {
		push(node)
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
		if !r.skipSlots {
			for _, s := range n.Slots {
				push(s.Node)
			}
		}
		for _, s := range r.slots[queue[i]] {
			push(s.slot)
		}
	}
	queue = slices.DeleteFunc(queue, func(node int) bool { return !holdsValues(&r.graph.Nodes[node]) || !r.covers(node) })
	slices.Sort(queue)
	return queue
}

// waitingFor lists what has to be tracked: the topmost nodes that wait, and
// slot variables, in node order.
func (r *restoration) waitingFor() []int {
	if len(r.waiting()) == 0 {
		return nil
	}
	var tops []int
	for node := range r.parked {
		tops = append(tops, node)
	}
	for _, list := range r.slotWait {
		for _, s := range list {
			if r.bound[s.slot] == nil {
				tops = append(tops, s.slot)
			}
		}
	}
	slices.Sort(tops)
	return slices.Compact(tops)
}

// appeared lists the objects that exist by now for nodes that wait, in node
// order.
func (r *restoration) appeared() ([]start, error) {
	if r.byName != nil {
		return r.unasked()
	}
	var starts []start
	found := make(map[int]bool)
	take := func(node int, object Trackable) {
		if !found[node] && r.bound[node] == nil && !absent(object) {
			found[node] = true
			starts = append(starts, start{position{r, node}, object})
		}
	}
	byObject := make(map[Trackable][]parking)
	for _, p := range r.parks {
		if r.bound[p.node] == nil {
			byObject[p.object] = append(byObject[p.object], p)
		}
	}
	for object, parks := range byObject {
		if part, ok := object.(interface{ refresh() }); ok {
			part.refresh()
		}
		var f finder
		for name, child := range object.Children() {
			f.edges = append(f.edges, edge{name, child})
		}
		for _, p := range parks {
			take(p.node, f.child(p.name))
		}
	}
	for _, list := range r.slotWait {
		for _, s := range list {
			if owner, ok := r.bound[s.optimizer].(SlotOwner); ok {
				take(s.slot, owner.Slot(r.bound[s.original], s.name))
			}
		}
	}
	slices.SortFunc(starts, func(a, b start) int { return cmp.Compare(a.p.node, b.p.node) })
	return starts, nil
}

// expected lists the objects of a walk that a restore is to set: all, or all but
// slot variables where those are skipped.
func (r *restoration) expected(w *walker) ([]Trackable, error) {
	if r.skipSlots {
		return w.objects, nil
	}
	return w.withSlots()
}

// unasked lists the objects of the program that appeared since.
func (r *restoration) unasked() ([]start, error) {
	w, err := walk(r.root)
	if err != nil {
		return nil, err
	}
	objects, err := r.expected(w)
	if err != nil {
		return nil, err
	}
	var starts []start
	for _, object := range objects {
		if !r.byName.offered[object] && object != r.byName.counter {
			starts = append(starts, start{position{r, 0}, object})
		}
	}
	return starts, nil
}

// dropFoundSlots forgets the slot variables that waited and are bound now.
func (r *restoration) dropFoundSlots() {
	for node, list := range r.slotWait {
		list = slices.DeleteFunc(list, func(s slotRestoration) bool { return r.bound[s.slot] != nil })
		if r.slotWait[node] = list; len(list) == 0 {
			delete(r.slotWait, node)
		}
	}
	r.releaseIfDone()
}

// unresolvedSlots lists the slot variables whose variable or optimizer has not
// been found.
func (r *restoration) unresolvedSlots() []int {
	var nodes []int
	for _, by := range []map[int][]slotRestoration{r.slots, r.slotWait} {
		for _, list := range by {
			for _, s := range list {
				nodes = append(nodes, s.slot)
			}
		}
	}
	slices.Sort(nodes)
	return slices.Compact(nodes)
}
