package ckpt

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// View looks at the stored objects of a checkpoint and compares them with live
// ones, of which it changes nothing: tf.train.CheckpointView. It needs its
// Reader open and is safe for concurrent use, except that Match and Diff must
// not run beside a use of the objects they are given.
type View struct {
	r     *Reader
	graph *objectgraph.Graph
	names []string
}

// View decodes the object graph for a closer look. A name-based checkpoint,
// which has none, is errors.ErrUnsupported and the error names the missing key.
func (r *Reader) View(ctx context.Context) (*View, error) {
	graph, err := r.Graph(ctx)
	if err != nil {
		return nil, err
	}
	return &View{r, graph, graph.Names()}, nil
}

// Children lists the named edges from a stored object, in stored order; of
// several edges of one name the last counts. A node the checkpoint does not have
// is an error.
func (v *View) Children(node int) ([]objectgraph.Edge, error) {
	if node < 0 || node >= len(v.graph.Nodes) {
		return nil, fmt.Errorf("ckpt: %s has no node %d: its nodes are 0 to %d", v.r.at.prefix, node, len(v.graph.Nodes)-1)
	}
	return distinct(v.graph.Nodes[node].Children), nil
}

// distinct leaves one edge of each name, in the place of the first, to where the
// last one leads.
func distinct(edges []objectgraph.Edge) []objectgraph.Edge {
	place := make(map[string]int, len(edges))
	list := make([]objectgraph.Edge, 0, len(edges))
	for _, e := range edges {
		if i, twice := place[e.Name]; twice {
			list[i].Node = e.Node
			continue
		}
		place[e.Name] = len(list)
		list = append(list, objectgraph.Edge{Name: e.Name, Node: e.Node})
	}
	return list
}

// Descendants lists the stored objects that edges lead to from the root,
// breadth first, the root first. Slot variables are not among them.
func (v *View) Descendants() []int { return v.graph.Descendants() }

// Path is a stored object's name in messages, such as (root).model.dense.
func (v *View) Path(node int) string { return pathAt(v.names, node) }

func pathAt(names []string, node int) string {
	if node < 0 || node >= len(names) {
		return "node " + strconv.Itoa(node)
	}
	return names[node]
}

// Match finds the live object of each stored one, by the names of edges from
// the root: CheckpointView.match. The root always matches. A Checkpoint stands
// for the objects it saves. Of two live objects in the place of one stored, the
// first counts; see Diff.
func (v *View) Match(root Trackable) (map[int]Trackable, error) {
	m, err := v.match(root)
	if err != nil {
		return nil, err
	}
	return m.byNode(v.graph.Descendants()), nil
}

// match is what Restore would find, without any trace in the objects.
func (v *View) match(object Trackable) (*matching, error) {
	if err := identity(object); err != nil {
		return nil, fmt.Errorf("ckpt: the root: %w", err)
	}
	f := &files{bucket: v.r.at.bucket, name: v.r.at.name, prefix: v.r.at.prefix, held: v.r.rd, keep: true}
	r := newRestoration(rootOf(object), f, v.graph, false)
	r.names = v.names
	m := r.newMatching()
	m.probe = true
	return m, m.matchTree()
}

// byNode lists what is bound of some nodes.
func (m *matching) byNode(nodes []int) map[int]Trackable {
	found := make(map[int]Trackable)
	for _, node := range nodes {
		if object := m.r.bound[node]; object != nil {
			found[node] = object
		}
	}
	return found
}

// rootOf is where a walk over an object begins.
func rootOf(object Trackable) root {
	if c, ok := object.(*Checkpoint); ok {
		return c.top()
	}
	return root{object: object}
}

// TrackableView is the objects below a root as a save would number them:
// tf.train.TrackableView. It is as of the time it was made, and safe for
// concurrent use.
type TrackableView struct {
	w     *walker
	names []string
}

// NewTrackableView walks over the objects below a root. A Checkpoint stands for
// the objects it saves. Children that cannot be saved, as nil ones, are an error.
func NewTrackableView(root Trackable) (*TrackableView, error) {
	if err := identity(root); err != nil {
		return nil, fmt.Errorf("ckpt: the root: %w", err)
	}
	w, err := walk(rootOf(root))
	if err != nil {
		return nil, err
	}
	v := &TrackableView{w: w, names: make([]string, len(w.objects))}
	for id := range w.objects {
		v.names[id] = w.name(id)
	}
	return v, nil
}

// Descendants lists the objects breadth first, the root first: the place of an
// object is its node in a save. Slot variables, which a save puts behind them,
// are not among them. The slice is the caller's.
func (v *TrackableView) Descendants() []Trackable {
	return append([]Trackable(nil), v.w.objects...)
}

// Children lists the named edges from an object, by its place among the
// descendants. A node that is not there is an error.
func (v *TrackableView) Children(node int) ([]objectgraph.Edge, error) {
	if node < 0 || node >= len(v.w.edges) {
		return nil, fmt.Errorf("ckpt: there is no node %d: the root leads to nodes 0 to %d", node, len(v.w.edges)-1)
	}
	return distinct(v.w.edges[node]), nil
}

// Path is an object's name in messages, such as (root).model.dense.
func (v *TrackableView) Path(node int) string { return pathAt(v.names, node) }
