package ckpt

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// walker numbers the objects breadth-first, the first path found naming each
// (TensorFlow's TrackableView._descendants_with_paths). Slot variables, which
// no edge leads to, come last.
type walker struct {
	root    root
	ids     map[Trackable]int
	objects []Trackable
	origins []origin
	edges   [][]objectgraph.Edge // none for slot variables
	slots   []slotEdge
}

// origin is how a walk came to an object.
type origin struct {
	key    string // the key it has if it is a variable; keys begin with the path
	name   string // of the edge or slot
	parent int    // −1 for the root; the optimizer for slot variables
	of     int    // the variable, for slot variables
}

// valueKey is how the key of a variable goes on behind its path.
const valueKey = "/.ATTRIBUTES/" + VariableValue

// path is the object path: escaped names joined by slashes.
func (o *origin) path() string { return o.key[:len(o.key)-len(valueKey)] }

type slotEdge struct {
	optimizer int
	objectgraph.SlotVariable
}

func walk(from root) (*walker, error) { return walkMany(from, 0) }

// walkMany is walk where about so many objects are expected.
func walkMany(from root, objects int) (*walker, error) {
	w := &walker{root: from, ids: make(map[Trackable]int, objects)}
	w.objects, w.origins = make([]Trackable, 0, objects), make([]origin, 0, objects)
	w.edges = make([][]objectgraph.Edge, 0, objects)
	w.number(from.object, origin{key: valueKey, parent: -1})
	for id := 0; id < len(w.objects); id++ {
		if err := w.expand(id); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *walker) expand(id int) error {
	var edges []objectgraph.Edge
	for name, child := range w.objects[id].Children() {
		e, err := w.edge(id, name, child)
		if err != nil {
			return err
		}
		edges = append(edges, e)
	}
	if name, twice := duplicate(edges); twice {
		return fmt.Errorf("ckpt: object %s lists the child %q twice", w.name(id), name)
	}
	if id == 0 {
		own := len(edges)
		for _, a := range w.root.attached() {
			e, err := w.edge(id, a.name, a.child)
			if err != nil {
				return err
			}
			// The root may have tracked it by itself since. TensorFlow then writes the
			// edge twice.
			for _, o := range edges[:own] {
				if o.Name == e.Name && o.Node != e.Node {
					return fmt.Errorf("ckpt: root.%s is another object than the one given to NewRooted", a.name)
				}
			}
			edges = append(edges, e)
		}
	}
	w.edges = append(w.edges, edges)
	return nil
}

func (w *walker) edge(id int, name string, child Trackable) (objectgraph.Edge, error) {
	if err := checkTrackable(name, child); err != nil {
		return objectgraph.Edge{}, fmt.Errorf("%w (below %s)", err, w.name(id))
	}
	to, known := w.ids[child]
	if !known {
		key := objectgraph.Escape(name)
		if id != 0 {
			key = w.origins[id].path() + "/" + key + valueKey
		} else {
			key += valueKey
		}
		to = w.number(child, origin{key: key, name: name, parent: id})
	}
	return objectgraph.Edge{Name: name, Node: to}, nil
}

func (w *walker) number(object Trackable, from origin) int {
	id := len(w.objects)
	w.ids[object] = id
	w.objects = append(w.objects, object)
	w.origins = append(w.origins, from)
	return id
}

// duplicate finds a name that two edges have.
func duplicate(edges []objectgraph.Edge) (string, bool) {
	if len(edges) <= manyEdges {
		for i, e := range edges {
			for _, other := range edges[:i] {
				if other.Name == e.Name {
					return e.Name, true
				}
			}
		}
		return "", false
	}
	seen := make(map[string]struct{}, len(edges))
	for _, e := range edges {
		seen[e.Name] = struct{}{}
	}
	if len(seen) == len(edges) {
		return "", false
	}
	clear(seen)
	for _, e := range edges {
		if _, twice := seen[e.Name]; twice {
			return e.Name, true
		}
		seen[e.Name] = struct{}{}
	}
	return "", false
}

// addSlots numbers the slot variables behind all other objects
// (TensorFlow's serialize_slot_variables).
func (w *walker) addSlots() error {
	reachable := len(w.objects)
	for id := range reachable {
		owner, ok := w.objects[id].(SlotOwner)
		if !ok {
			continue
		}
		for _, name := range owner.SlotNames() {
			for original := range reachable {
				slot := owner.Slot(w.objects[original], name)
				if absent(slot) {
					continue
				}
				if err := w.addSlot(id, original, name, slot); err != nil {
					return fmt.Errorf("ckpt: slot %q of %s for %s: %w", name, w.name(id), w.name(original), err)
				}
			}
		}
	}
	return nil
}

func (w *walker) addSlot(optimizer, original int, name string, slot Trackable) error {
	if err := identity(slot); err != nil {
		return err
	}
	if _, known := w.ids[slot]; known {
		return errors.New("it is tracked as an object too, or twice as a slot")
	}
	for child := range slot.Children() {
		return fmt.Errorf("it has a child %q; slot variables are leaves", child)
	}
	path := objectgraph.SlotPath(w.origins[original].path(), w.origins[optimizer].path(), name)
	to := w.number(slot, origin{key: path + valueKey, name: name, parent: optimizer, of: original})
	w.slots = append(w.slots, slotEdge{optimizer, objectgraph.SlotVariable{Name: name, Original: original, Node: to}})
	return nil
}

// withSlots is every object a save would write, slot variables last.
func (w *walker) withSlots() ([]Trackable, error) {
	err := w.addSlots()
	return w.objects, err
}

// name is an object's path for messages: (root).model.dense.
func (w *walker) name(id int) string {
	if id >= len(w.objects)-len(w.slots) {
		o := w.origins[id]
		return fmt.Sprintf("%s's state '%s' for %s", w.name(o.parent), o.name, w.name(o.of))
	}
	var b strings.Builder
	b.WriteString(rootPath)
	for _, name := range w.names(id) {
		b.WriteString("." + name)
	}
	return b.String()
}

// names are the names of the edges that lead to an object from the root.
func (w *walker) names(id int) []string {
	var names []string
	for ; id > 0; id = w.origins[id].parent {
		names = append(names, w.origins[id].name)
	}
	slices.Reverse(names)
	return names
}

func absent(t Trackable) bool {
	if t == nil {
		return true
	}
	v := reflect.ValueOf(t)
	return v.Kind() == reflect.Pointer && v.IsNil()
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
