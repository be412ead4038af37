package ckpt

import (
	"fmt"
	"reflect"
	"strings"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// root is where a walk begins: node 0 with its own children, then the
// dependencies that a rooted Checkpoint attaches to it.
type root struct {
	object   Trackable
	attached []edge
}

// plan is what a save writes: the graph, and the values in the order TensorFlow
// writes them.
type plan struct {
	objects []Trackable // by node id
	graph   objectgraph.Graph
	items   []item
}

type item struct {
	key   string
	value Value
	spec  Spec
}

// walker numbers the objects breadth-first, the first path found naming each
// (TensorFlow's TrackableView._descendants_with_paths).
type walker struct {
	root    root
	ids     map[Trackable]int
	objects []Trackable
	paths   []string // escaped key paths
	edges   [][]objectgraph.Edge
}

func walk(from root) (*walker, error) {
	w := &walker{root: from, ids: map[Trackable]int{from.object: 0}, objects: []Trackable{from.object}, paths: []string{""}}
	for id := 0; id < len(w.objects); id++ {
		if err := w.expand(id); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *walker) expand(id int) error {
	var edges []objectgraph.Edge
	var seen map[string]bool
	add := func(name string, child Trackable) error {
		if seen[name] {
			return fmt.Errorf("ckpt: object %s lists the child %q twice", w.name(id), name)
		}
		if seen == nil {
			seen = make(map[string]bool)
		}
		seen[name] = true
		if err := checkTrackable(name, child); err != nil {
			return fmt.Errorf("%w (below %s)", err, w.name(id))
		}
		to, known := w.ids[child]
		if !known {
			to = len(w.objects)
			w.ids[child] = to
			w.objects = append(w.objects, child)
			w.paths = append(w.paths, objectgraph.JoinPath(w.paths[id], name))
		}
		edges = append(edges, objectgraph.Edge{Name: name, Node: to})
		return nil
	}
	for name, child := range w.children(id) {
		if err := add(name, child); err != nil {
			return err
		}
	}
	w.edges = append(w.edges, edges)
	return nil
}

// children yields the children of an object, the attached ones of node 0 last.
func (w *walker) children(id int) func(func(string, Trackable) bool) {
	return func(yield func(string, Trackable) bool) {
		for name, child := range w.objects[id].Children() {
			if !yield(name, child) {
				return
			}
		}
		if id != 0 {
			return
		}
		for _, e := range w.root.attached {
			if !yield(e.name, e.child) {
				return
			}
		}
	}
}

// name is an object's path for messages.
func (w *walker) name(id int) string {
	if w.paths[id] == "" {
		return "(root)"
	}
	return "(root)." + strings.ReplaceAll(w.paths[id], "/", ".")
}

// newPlan walks the objects and lays the save out. It does no I/O.
func newPlan(from root) (*plan, error) {
	w, err := walk(from)
	if err != nil {
		return nil, err
	}
	p := &plan{objects: w.objects}
	p.graph.Nodes = make([]objectgraph.Node, len(w.objects))
	for id := range w.objects {
		p.graph.Nodes[id].Children = w.edges[id]
	}
	if err := p.addSlots(w); err != nil {
		return nil, err
	}
	if err := p.addValues(w); err != nil {
		return nil, err
	}
	p.graph.SetHasValues()
	return p, nil
}

// addSlots numbers the slot variables behind all other objects
// (TensorFlow's serialize_slot_variables).
func (p *plan) addSlots(w *walker) error {
	reachable := len(w.objects)
	for id := range reachable {
		owner, ok := w.objects[id].(SlotOwner)
		if !ok {
			continue
		}
		for _, name := range owner.SlotNames() {
			for original := range reachable {
				slot := owner.Slot(w.objects[original], name)
				if slot == nil {
					continue
				}
				if err := identity(slot); err != nil {
					return fmt.Errorf("ckpt: slot %q of %s: %w", name, w.name(original), err)
				}
				if _, known := w.ids[slot]; known {
					return fmt.Errorf("ckpt: slot %q of %s is tracked as an object too, or twice", name, w.name(original))
				}
				for child := range slot.Children() {
					return fmt.Errorf("ckpt: slot %q of %s has a child %q; slot variables are leaves", name, w.name(original), child)
				}
				to := len(p.objects)
				w.ids[slot] = to
				w.objects = append(w.objects, slot)
				w.paths = append(w.paths, objectgraph.SlotPath(w.paths[original], w.paths[id], name))
				p.objects = w.objects
				p.graph.Nodes = append(p.graph.Nodes, objectgraph.Node{})
				p.graph.Nodes[id].Slots = append(p.graph.Nodes[id].Slots,
					objectgraph.SlotVariable{Name: name, Original: original, Node: to})
			}
		}
	}
	return nil
}

// withSlots is every object a save would write, slot variables last.
func (w *walker) withSlots() ([]Trackable, error) {
	p := &plan{objects: w.objects}
	p.graph.Nodes = make([]objectgraph.Node, len(w.objects))
	err := p.addSlots(w)
	return p.objects, err
}

// addValues lists the tensors: those of ordinary objects in node order, then
// configuration (PythonState) in node order.
func (p *plan) addValues(w *walker) error {
	var late []item
	keys := make(map[string]bool)
	for id, object := range p.objects {
		saveable, ok := object.(Saveable)
		if !ok {
			continue
		}
		for _, value := range saveable.Values() {
			spec := value.Spec()
			if err := checkSpec(spec); err != nil {
				return fmt.Errorf("ckpt: object %s: %w", w.name(id), err)
			}
			key := objectgraph.AttributeKey(w.paths[id], spec.Attribute)
			if keys[key] || key == objectgraph.Key {
				return fmt.Errorf("ckpt: object %s: duplicate key %q", w.name(id), key)
			}
			keys[key] = true
			fullName, _, _ := strings.Cut(spec.FullName, ":")
			p.graph.Nodes[id].Attributes = append(p.graph.Nodes[id].Attributes,
				objectgraph.Attribute{Name: spec.Attribute, FullName: fullName, Key: key})
			it := item{key: key, value: value, spec: spec}
			if spec.State {
				late = append(late, it)
			} else {
				p.items = append(p.items, it)
			}
		}
	}
	p.items = append(p.items, late...)
	return nil
}

func checkSpec(spec Spec) error {
	switch {
	case spec.Attribute == "":
		return fmt.Errorf("a value without an attribute name")
	case strings.ContainsAny(spec.Attribute, "./"):
		return fmt.Errorf("attribute %q: names with \".\" or \"/\" can be saved but not restored by TensorFlow; choose another", spec.Attribute)
	case !spec.DType.Known():
		return fmt.Errorf("attribute %q: unknown dtype %v", spec.Attribute, spec.DType)
	}
	return nil
}

// identity refuses objects whose pointers do not tell them apart.
func identity(t Trackable) error {
	if t == nil {
		return errNil
	}
	v := reflect.ValueOf(t)
	if v.Kind() != reflect.Pointer {
		return fmt.Errorf("a %T is no pointer; an object's identity is its pointer", t)
	}
	if v.IsNil() {
		return errNil
	}
	if v.Type().Elem().Size() == 0 {
		return fmt.Errorf("a %T points to an empty type, whose pointers are not distinct; embed ckpt.Node", t)
	}
	return nil
}
