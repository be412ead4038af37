package ckpt

import (
	"fmt"
	"maps"
	"slices"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// only is a restore of parts of the program: RestoreOptions.Only. Everything is
// matched, because slot variables need their variables, but only what is stored
// below the parts is read, waits or counts.
type only struct {
	parts []part
	nodes []bool // what is stored of them; nil until they were matched
	needs []bool // what leads to variables whose slots are stored of them; nil is nothing
}

// part is an object that Only names.
type part struct {
	object Trackable
	names  []string // the way to it
}

// covers tells whether a restore is about a stored object.
func (r *restoration) covers(node int) bool {
	return r.only == nil || r.only.nodes != nil && r.only.nodes[node]
}

// minds tells whether a restore has a use for the object of a stored one.
func (r *restoration) minds(node int) bool {
	o := r.only
	return o == nil || o.nodes == nil || o.nodes[node] || o.needs != nil && o.needs[node]
}

// newOnly finds the parts of the program that paths name. renamed is for paths
// that are not the program's any more, prefix for messages.
func newOnly(from root, paths []string, renamed map[string]string, prefix string) (*only, error) {
	if len(paths) == 0 {
		return nil, fmt.Errorf("ckpt: %s: the option Only names no object: name those to restore, or leave it nil for all", prefix)
	}
	w, err := walk(from)
	if err != nil {
		return nil, err
	}
	o := new(only)
	for _, path := range paths {
		id, names, err := w.find(path)
		if err != nil {
			return nil, fmt.Errorf("ckpt: %s: the option Only: %w%s, nothing was restored", prefix, err, newPath(path, renamed))
		}
		o.parts = append(o.parts, part{w.objects[id], names})
	}
	return o, nil
}

// newPath is what to write for a path of the checkpoint that Rename knows.
func newPath(path string, renamed map[string]string) string {
	names, err := parsePath(path)
	if err != nil {
		return ""
	}
	for _, from := range slices.Sorted(maps.Keys(renamed)) {
		old, err := parsePath(from)
		if err != nil || len(old) == 0 || len(names) < len(old) || !slices.Equal(names[:len(old)], old) {
			continue
		}
		if to, err := parsePath(renamed[from]); err == nil {
			return fmt.Sprintf(" (that is the checkpoint's name: Only takes the program's, %q)", printPath(append(to, names[len(old):]...)))
		}
	}
	return ""
}

// has tells whether an object is one of the parts.
func (o *only) has(object Trackable) bool {
	return slices.ContainsFunc(o.parts, func(p part) bool { return p.object == object })
}

// matchParts matches the parts before everything else, so that what is stored
// once and is several objects of the program goes to theirs.
func (m *matching) matchParts() {
	for _, p := range m.r.only.parts {
		node, ok := 0, true
		for _, name := range p.names {
			if node, ok = m.r.graph.Child(node, name); !ok {
				break
			}
		}
		if ok {
			m.add(node, p.object)
		}
	}
}

// find gives the object that a path leads to, and the names of the path.
func (w *walker) find(path string) (id int, names []string, err error) {
	names, err = parsePath(path)
	if err != nil {
		return 0, nil, err
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
		return id, names, nil
	}
	var paths []string
	for id := range min(len(w.objects), mostPaths) {
		if w.name(id) == path { // as messages print it, with single dots
			return id, w.names(id), nil
		}
		paths = append(paths, printPath(w.names(id)))
	}
	return 0, nil, unknownPath(path, "the program", paths)
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
	for _, p := range o.parts {
		if id, ok := w.ids[p.object]; ok {
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
	if m.failed != nil {
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
		if object != nil && o.has(object) {
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
	other := func(s slotRestoration) bool { return !covered(s.optimizer) }
	m.create = slices.DeleteFunc(m.create, other)
	for _, waiting := range []map[int][]slotRestoration{m.r.slots, m.slotWait} {
		for node, list := range waiting {
			if waiting[node] = slices.DeleteFunc(list, other); len(waiting[node]) == 0 {
				delete(waiting, node)
			}
		}
	}
	o.need(m.r)
	m.parks = slices.DeleteFunc(m.parks, func(p parking) bool { return !m.r.minds(p.node) })
	for _, p := range m.held {
		m.gather(p.node, p.object)
	}
	m.held = nil
}

// need marks what leads to the variables that slots wait for, by edges that could
// be followed once its objects exist.
func (o *only) need(r *restoration) {
	if len(r.slots) == 0 {
		return
	}
	o.needs = make([]bool, len(r.graph.Nodes))
	above := make([][]int, len(r.graph.Nodes))
	for node := range r.graph.Nodes {
		for _, e := range r.graph.Nodes[node].Children {
			above[e.Node] = append(above[e.Node], node)
		}
	}
	var queue []int
	for original := range r.slots {
		queue = append(queue, original)
	}
	for ; len(queue) > 0; queue = queue[1:] {
		if node := queue[0]; !o.needs[node] {
			o.needs[node] = true
			queue = append(queue, above[node]...)
		}
	}
}
