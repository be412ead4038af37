package objectgraph

import "github.com/ckpt-go/ckpt/internal/fault"

// Key is the checkpoint key of the graph: a scalar string tensor whose only
// element is the encoded Graph.
const Key = "_CHECKPOINTABLE_OBJECT_GRAPH"

// ErrCorrupt is the class of everything Decode refuses.
var ErrCorrupt = fault.ErrCorrupt

// CorruptError says what is wrong with a graph; its Kind is "graph".
type CorruptError = fault.CorruptError

// Graph is TensorFlow's TrackableObjectGraph. Node 0 is the root.
//
// A Graph may be read from several goroutines at once, but not while it is
// changed.
type Graph struct {
	Nodes   []Node
	unknown string // fields this library does not know, as they were encoded
}

// Node is one object (TrackableObject).
type Node struct {
	Children        []Edge         // in the order in which they were tracked first
	Attributes      []Attribute    // the values the object holds itself
	Slots           []SlotVariable // only optimizers of the old kind have them
	RegisteredSaver *RegisteredSaver
	HasValues       HasValues

	unknown      string
	valueUnknown string // unknown fields of has_checkpoint_values
}

// Edge is a named reference to a child (ObjectReference).
type Edge struct {
	Name string // not escaped
	Node int

	unknown string
}

// Attribute names a value of an object (SerializedTensor).
type Attribute struct {
	Name     string // "VARIABLE_VALUE" for variables; escaped once
	FullName string // the variable's own name, for name-based readers
	Key      string // checkpoint key, for some objects only its beginning

	unknown string
}

// SlotVariable says that Node is the slot called Name that an optimizer keeps
// for the variable Original (SlotVariableReference).
type SlotVariable struct {
	Name     string
	Original int
	Node     int

	unknown string
}

// RegisteredSaver names a function that saved the object by itself.
type RegisteredSaver struct {
	Name   string
	Object string

	unknown string
}

// HasValues is the field has_checkpoint_values: whether a node, or one below
// it, holds values.
type HasValues uint8

// The states of HasValues. Files of old versions lack the field.
const (
	ValuesMissing HasValues = iota
	ValuesFalse
	ValuesTrue
)

// holdsValues reports whether the node itself holds values.
func (n *Node) holdsValues() bool {
	return len(n.Attributes) > 0 || len(n.Slots) > 0 || n.RegisteredSaver != nil
}

// MayHaveValues reports whether a restore has something to find at the node
// or below it. Where has_checkpoint_values is missing, as in old files, a node
// that refers to anything may.
func (n *Node) MayHaveValues() bool {
	if n.HasValues == ValuesMissing {
		return len(n.Children) > 0 || n.holdsValues()
	}
	return n.HasValues == ValuesTrue
}

// SetHasValues fills HasValues in: true for nodes with attributes, slots or a
// registered saver and for all their ancestors through child edges (not
// through slots), false for all others. Every id must be in range.
func (g *Graph) SetHasValues() {
	// Parents in one array: those of node i are parents[start[i]:start[i+1]].
	start := make([]int, len(g.Nodes)+1)
	for i := range g.Nodes {
		for _, e := range g.Nodes[i].Children {
			start[e.Node+1]++
		}
	}
	for i := range g.Nodes {
		start[i+1] += start[i]
	}
	parents := make([]int, start[len(g.Nodes)])
	fill := append([]int(nil), start[:len(g.Nodes)]...)
	var queue []int
	for i := range g.Nodes {
		n := &g.Nodes[i]
		for _, e := range n.Children {
			parents[fill[e.Node]] = i
			fill[e.Node]++
		}
		n.HasValues = ValuesFalse
		if n.holdsValues() {
			n.HasValues = ValuesTrue
			queue = append(queue, i)
		}
	}
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		for _, p := range parents[start[i]:start[i+1]] {
			if g.Nodes[p].HasValues != ValuesTrue {
				g.Nodes[p].HasValues = ValuesTrue
				queue = append(queue, p)
			}
		}
	}
}

// Child returns the node that the edge called name leads to; of several edges
// of one name the last counts. It looks at every edge of the node: use
// ChildMap to ask for many.
func (g *Graph) Child(node int, name string) (int, bool) {
	children := g.Nodes[node].Children
	for i := len(children) - 1; i >= 0; i-- {
		if children[i].Name == name {
			return children[i].Node, true
		}
	}
	return 0, false
}

// ChildMap returns the children of a node by name, answering as Child does.
func (g *Graph) ChildMap(node int) map[string]int {
	children := g.Nodes[node].Children
	m := make(map[string]int, len(children))
	for _, e := range children {
		m[e.Name] = e.Node
	}
	return m
}

// Descendants returns the nodes that child edges reach from the root, in
// breadth-first order, the root first.
func (g *Graph) Descendants() []int {
	order, _ := g.walk()
	return order
}

// step says how the walk came to a node: through the edge-th child of parent.
// parent is −1 for the root and −2 for nodes that were not reached.
type step struct{ parent, edge int }

const (
	isRoot     = -1
	notReached = -2
)

func (g *Graph) walk() (order []int, from []step) {
	if len(g.Nodes) == 0 {
		return nil, nil
	}
	from = make([]step, len(g.Nodes))
	for i := range from {
		from[i].parent = notReached
	}
	from[0].parent = isRoot
	order = append(make([]int, 0, len(g.Nodes)), 0)
	for next := 0; next < len(order); next++ {
		parent := order[next]
		for i, e := range g.Nodes[parent].Children {
			if from[e.Node].parent == notReached {
				from[e.Node] = step{parent, i}
				order = append(order, e.Node)
			}
		}
	}
	return order, from
}

// check reports what no graph may have: no nodes, ids that lead nowhere.
func (g *Graph) check() error {
	if len(g.Nodes) == 0 {
		return fault.Corrupt(fault.KindGraph, "object graph has no nodes")
	}
	for i := range g.Nodes {
		for _, e := range g.Nodes[i].Children {
			if !g.inRange(e.Node) {
				return fault.Corrupt(fault.KindGraph, "node %d of %d: child %q is node %d", i, len(g.Nodes), clip(e.Name), e.Node)
			}
		}
		for _, s := range g.Nodes[i].Slots {
			if !g.inRange(s.Original) || !g.inRange(s.Node) {
				return fault.Corrupt(fault.KindGraph, "node %d of %d: slot %q for node %d is node %d",
					i, len(g.Nodes), clip(s.Name), s.Original, s.Node)
			}
		}
	}
	return nil
}

func (g *Graph) inRange(node int) bool { return node >= 0 && node < len(g.Nodes) }

// clip shortens a name for a message.
func clip(name string) string { return name[:min(len(name), 200)] }
