package ckpt

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// plan is what a save writes: the graph, and the values in the order TensorFlow
// writes them.
type plan struct {
	walker *walker
	graph  objectgraph.Graph
	items  []item
}

type item struct {
	key   string
	value Value
	spec  Spec
	saver string // the registered saver that writes it, "" if none
}

// newPlan walks the objects, about as many as said, and lays the save out. It
// does no I/O.
func newPlan(from root, objects int) (*plan, error) {
	w, err := walkMany(from, objects)
	if err != nil {
		return nil, err
	}
	if err := w.addSlots(); err != nil {
		return nil, err
	}
	p := &plan{walker: w}
	p.graph.Nodes = make([]objectgraph.Node, len(w.objects))
	for id := range w.edges {
		p.graph.Nodes[id].Children = w.edges[id]
	}
	for _, s := range w.slots {
		n := &p.graph.Nodes[s.optimizer]
		n.Slots = append(n.Slots, s.SlotVariable)
	}
	if err := p.addValues(); err != nil {
		return nil, err
	}
	p.graph.SetHasValues()
	return p, nil
}

// addValues lists the tensors: those of ordinary objects in node order, then
// configuration (PythonState) in node order.
func (p *plan) addValues() error {
	var late []item
	var registered registeredItems
	p.items = make([]item, 0, len(p.walker.objects))
	keys := make(map[string]struct{}, len(p.walker.objects))
	attributes := make([]objectgraph.Attribute, 0, len(p.walker.objects)) // those of all nodes
	for id, object := range p.walker.objects {
		saveable, ok := object.(Saveable)
		if !ok {
			continue
		}
		saver, err := p.registeredSaver(id)
		if err != nil {
			return err
		}
		first := len(attributes)
		for _, value := range saveable.Values() {
			spec := value.Spec()
			if err := checkSpec(spec); err != nil {
				return fmt.Errorf("ckpt: object %s: %w", p.walker.name(id), err)
			}
			origin := &p.walker.origins[id]
			attribute := origin.key // of the attribute, which may have several tensors
			if spec.Attribute != VariableValue {
				attribute = objectgraph.AttributeKey(origin.path(), spec.Attribute)
			}
			key := attribute + spec.Suffix
			if saver != nil {
				key = saver.SaverKey(origin.path(), spec)
			}
			if _, twice := keys[key]; twice || key == graphKey {
				return fmt.Errorf("ckpt: object %s: duplicate key %q", p.walker.name(id), key)
			}
			keys[key] = struct{}{}
			it := item{key: key, value: value, spec: spec}
			if saver != nil {
				registered.add(saver.Saver(), it)
				continue
			}
			if n := len(attributes); n == first || attributes[n-1].Name != spec.Attribute {
				fullName, _, _ := strings.Cut(spec.FullName, ":")
				attributes = append(attributes, objectgraph.Attribute{Name: spec.Attribute, FullName: fullName, Key: attribute})
			}
			if spec.State {
				late = append(late, it)
			} else {
				p.items = append(p.items, it)
			}
		}
		p.graph.Nodes[id].Attributes = attributes[first:len(attributes):len(attributes)]
	}
	p.items = append(p.items, late...)
	if first := registered.all(); len(first) > 0 {
		p.items = append(first, p.items...)
	}
	return nil
}

func checkSpec(spec Spec) error {
	switch {
	case spec.Attribute == "":
		return errors.New("a value without an attribute name")
	case strings.ContainsAny(spec.Attribute+spec.Suffix, "./"):
		return fmt.Errorf("attribute %q: names with \".\" or \"/\" can be saved but not restored by TensorFlow; choose another", spec.Attribute+spec.Suffix)
	case !spec.DType.Known():
		return fmt.Errorf("attribute %q: unknown dtype %v", spec.Attribute, spec.DType)
	}
	return nil
}
