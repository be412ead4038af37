package ckpt

import (
	"errors"
	"fmt"
	"regexp"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// Registered is a Saveable whose tensors a registered saver writes: a Python
// program that calls register_checkpoint_saver gives the tensors of some of its
// objects names of its own, and data files before all others. A Go type that
// implements Registered reads and writes such checkpoints; TensorFlow finds the
// saver by the name. A checkpoint that stores the object in another way does not
// fit it.
//
// Saver and SaverKey must give the same whenever they are called.
type Registered interface {
	Saveable
	// Saver is the registered name, "package.name".
	Saver() string
	// SaverKey is the name in the file of one of the object's tensors, where path
	// is the object's path when it was saved: "model/table".
	SaverKey(path string, spec Spec) string
}

var saverName = regexp.MustCompile(`^[a-zA-Z0-9._-]+\.[a-zA-Z0-9._-]+$`)

// registeredSaver marks the node of an object that has a registered saver.
func (p *plan) registeredSaver(id int) (Registered, error) {
	object, ok := p.walker.objects[id].(Registered)
	if !ok {
		return nil, nil
	}
	name := object.Saver()
	if !saverName.MatchString(name) {
		return nil, fmt.Errorf("ckpt: object %s: %q is no name of a registered saver: it is a package and a name of letters, digits, \".\", \"_\" and \"-\", with a \".\" between", p.walker.name(id), name)
	}
	p.graph.Nodes[id].RegisteredSaver = &objectgraph.RegisteredSaver{Name: name, Object: p.walker.origins[id].path()}
	return object, nil
}

// registeredItems are the tensors of registered savers, by saver in the order of
// their first objects.
type registeredItems struct {
	savers []string
	items  map[string][]item
}

func (r *registeredItems) add(saver string, it item) {
	if r.items == nil {
		r.items = make(map[string][]item)
	}
	if _, known := r.items[saver]; !known {
		r.savers = append(r.savers, saver)
	}
	it.saver = saver
	r.items[saver] = append(r.items[saver], it)
}

func (r *registeredItems) all() []item {
	var all []item
	for _, saver := range r.savers {
		all = append(all, r.items[saver]...)
	}
	return all
}

// gatherRegistered notes what an object reads that a registered saver wrote; done
// is false if neither side has one.
func (m *matching) gatherRegistered(node int, object Trackable) (done bool) {
	stored := &m.r.graph.Nodes[node]
	own, has := object.(Registered)
	switch {
	case stored.RegisteredSaver == nil && !has:
		return false
	case stored.RegisteredSaver == nil && !holdsValues(stored):
		return true // there is nothing to read
	case !has:
		// A misfit too: an older checkpoint of this program would have it as well.
		m.failed = fmt.Errorf("ckpt: %s was written by the registered saver %q, which this program does not have; its object would have to implement ckpt.Registered: %w (%w)",
			m.r.name(node), stored.RegisteredSaver.Name, ErrMismatch, errors.ErrUnsupported)
		return true
	case stored.RegisteredSaver == nil:
		m.failed = fmt.Errorf("ckpt: %s has the registered saver %q in this program, but was written without one: %w", m.r.name(node), own.Saver(), ErrMismatch)
		return true
	case stored.RegisteredSaver.Name != own.Saver():
		m.failed = fmt.Errorf("ckpt: %s was written by the registered saver %q, and has %q in this program: %w",
			m.r.name(node), stored.RegisteredSaver.Name, own.Saver(), ErrMismatch)
		return true
	}
	for _, value := range own.Values() {
		spec := value.Spec()
		m.reads = append(m.reads, read{key: own.SaverKey(stored.RegisteredSaver.Object, spec), object: object, value: value, spec: spec})
	}
	return true
}

// saverOf says who writes an object.
func saverOf(object Trackable) string {
	if own, ok := object.(Registered); ok {
		return fmt.Sprintf("a %T of the registered saver %q", object, own.Saver())
	}
	return fmt.Sprintf("a %T", object)
}

// savedBy says who wrote a stored object.
func savedBy(stored *objectgraph.Node) string {
	if stored.RegisteredSaver == nil {
		return "an object of no registered saver"
	}
	return fmt.Sprintf("an object of the registered saver %q", stored.RegisteredSaver.Name)
}
