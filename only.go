package ckpt

import (
	"fmt"
	"slices"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// only is a restore of parts of the program: RestoreOptions.Only. Everything is
// matched, because slot variables need their variables, but only what is stored
// below the parts is read, waits or counts.
type only struct {
	tops  []Trackable // the parts
	nodes []bool      // what is stored of them; nil until they were matched
}

// covers tells whether a restore is about a stored object.
func (r *restoration) covers(node int) bool {
	return r.only == nil || r.only.nodes != nil && r.only.nodes[node]
}

// newOnly finds the parts of the program that paths name.
func newOnly(from root, paths []string, prefix string) (*only, error) {
	w, err := walk(from)
	if err != nil {
		return nil, err
	}
	o := new(only)
	for _, path := range paths {
		id, err := w.find(path)
		if err != nil {
			return nil, fmt.Errorf("ckpt: %s: the option Only: %w, nothing was restored", prefix, err)
		}
		o.tops = append(o.tops, w.objects[id])
	}
	return o, nil
}

// find gives the object that a path leads to.
func (w *walker) find(path string) (id int, err error) {
	names, err := parsePath(path)
	if err != nil {
		return 0, err
	}
	found := true
	for _, name := range names {
		i := slices.IndexFunc(w.edges[id], func(e objectgraph.Edge) bool { return e.Name == name })
		if found = i >= 0; !found {
			break
		}
		id = w.edges[id][i].Node
	}
	if found {
		return id, nil
	}
	var paths []string
	for id := range min(len(w.objects), mostPaths) {
		if w.name(id) == path { // as messages print it, with single dots
			return id, nil
		}
		paths = append(paths, printPath(w.names(id)))
	}
	return 0, unknownPath(path, "the program", paths)
}

// inside marks the objects of a walk that belong to the parts.
func (o *only) inside(w *walker) []bool {
	marks := make([]bool, len(w.objects))
	var queue []int
	push := func(id int) {
		if !marks[id] {
			marks[id] = true
			queue = append(queue, id)
		}
	}
	for _, top := range o.tops {
		if id, ok := w.ids[top]; ok {
			push(id)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		if id := queue[0]; id < len(w.edges) {
			for _, e := range w.edges[id] {
				push(e.Node)
			}
		}
	}
	for _, s := range w.slots {
		marks[s.Node] = marks[s.Node] || marks[s.optimizer]
	}
	return marks
}

// restrict ends the matching of a restore of parts: it finds what is stored of
// them, and keeps of what was found what belongs there.
func (m *matching) restrict() {
	o := m.r.only
	if o == nil || m.failed != nil {
		return
	}
	o.nodes = make([]bool, len(m.r.graph.Nodes))
	var queue []int
	push := func(node int) {
		if !o.nodes[node] {
			o.nodes[node] = true
			queue = append(queue, node)
		}
	}
	for node, object := range m.r.bound {
		if object != nil && slices.Contains(o.tops, object) {
			push(node)
		}
	}
	for ; len(queue) > 0; queue = queue[1:] {
		n := &m.r.graph.Nodes[queue[0]]
		for _, e := range n.Children {
			push(e.Node)
		}
		for _, s := range n.Slots {
			push(s.Node)
		}
	}
	covered := func(node int) bool { return o.nodes[node] }
	m.parks = slices.DeleteFunc(m.parks, func(p parking) bool { return !covered(p.node) })
	m.doubles = slices.DeleteFunc(m.doubles, func(node int) bool { return !covered(node) })
	m.growths = slices.DeleteFunc(m.growths, func(g *growth) bool {
		if !covered(g.node) && g.cancel != nil {
			g.cancel()
		}
		return !covered(g.node)
	})
	other := func(s slotRestoration) bool { return !covered(s.optimizer) }
	m.create = slices.DeleteFunc(m.create, other)
	for _, waiting := range []map[int][]slotRestoration{m.r.slots, m.slotWait} {
		for node, list := range waiting {
			if waiting[node] = slices.DeleteFunc(list, other); len(waiting[node]) == 0 {
				delete(waiting, node)
			}
		}
	}
	for _, p := range m.held {
		m.gather(p.node, p.object)
	}
	m.held = nil
}
