package ckpt

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// rootPath begins the paths of objects in messages.
const rootPath = "(root)"

// parsePath splits an object path into the names of its edges. It reads what
// messages print, (root).model.dense, with dots in a name doubled, and keys or
// their beginnings, model/dense, with names escaped as objectgraph.Escape does.
func parsePath(path string) ([]string, error) {
	rest, whole := strings.CutPrefix(path, rootPath)
	if !whole {
		object, _, _ := strings.Cut(path, attributesMarker)
		var names []string
		for part := range strings.SplitSeq(object, "/") {
			name, err := objectgraph.Unescape(part)
			if err != nil {
				return nil, fmt.Errorf("object path %q: %w: is it %q?", path, err, dotted(path))
			}
			names = append(names, name)
		}
		return names, nil
	}
	if rest == "" {
		return nil, nil
	}
	if rest[0] != '.' {
		return nil, fmt.Errorf("object path %q: %s goes on with a dot, as in (root).model.dense", path, rootPath)
	}
	names := []string{""}
	for i := 1; i < len(rest); i++ {
		last := &names[len(names)-1]
		switch {
		case rest[i] != '.':
			*last += rest[i : i+1]
		case i+1 < len(rest) && rest[i+1] == '.':
			*last += "."
			i++
		default:
			names = append(names, "")
		}
	}
	return names, nil
}

// dotted is what was likely meant by a path with dots that keys do not have.
func dotted(path string) string {
	if strings.Contains(path, "/") {
		return printPath(strings.Split(path, "/"))
	}
	return rootPath + "." + path
}

// printPath is what parsePath reads. Names that the dotted form cannot tell
// apart go in the form of keys.
func printPath(names []string) string {
	var b strings.Builder
	b.WriteString(rootPath)
	for _, name := range names {
		if name == "" || name[0] == '.' {
			return objectgraph.ObjectPath(names...)
		}
		b.WriteString("." + strings.ReplaceAll(name, ".", ".."))
	}
	return b.String()
}

// renaming is one entry of RestoreOptions.Rename against a graph.
type renaming struct {
	from, to string
	parent   int      // the edges of from: the parent,
	name     string   // their name,
	node     int      // and where the last of them leads
	names    []string // of to
}

// rename moves edges of a stored graph as RestoreOptions.Rename says. Old paths
// are those of the file; new ones those of the program, which other entries may
// have led to. prefix is for messages. It gives the nodes that moved, and where to.
func rename(graph *objectgraph.Graph, paths map[string]string, prefix string) (moved map[int]string, err error) {
	if len(paths) == 0 {
		return nil, nil
	}
	var list []renaming
	var errs []error
	done := make(map[string]bool) // new paths that the file has instead of the old ones
	for _, from := range slices.Sorted(maps.Keys(paths)) {
		r, skip, err := resolveRename(graph, from, paths[from])
		if err != nil {
			errs = append(errs, fmt.Errorf("ckpt: %s: the option Rename: %w, nothing was restored", prefix, err))
		} else if skip {
			done[printPath(r.names)] = true
		} else {
			list = append(list, r)
		}
	}
	list = withoutDone(graph, list, done)
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	if err := moveEdges(graph, list); err != nil {
		return nil, fmt.Errorf("ckpt: %s: the option Rename: %w, nothing was restored", prefix, err)
	}
	graph.SetHasValues()
	moved = make(map[int]string)
	for _, r := range list {
		moved[r.node] = r.to
	}
	return moved, nil
}

// withoutDone leaves out what begins where an entry that the file does not need
// ends, if the file has its new path, too: a file with new names has both.
func withoutDone(graph *objectgraph.Graph, list []renaming, done map[string]bool) []renaming {
	for more := len(done) > 0; more; {
		more = false
		list = slices.DeleteFunc(list, func(r renaming) bool {
			names, err := parsePath(r.from)
			if err != nil || !done[printPath(names)] || !new(renaming).follow(graph, r.names) {
				return false
			}
			done[printPath(r.names)] = true
			more = true
			return true
		})
	}
	return list
}

// resolveRename finds what an entry is about; skip says that the file has the
// new path instead of the old one already.
func resolveRename(graph *objectgraph.Graph, from, to string) (r renaming, skip bool, err error) {
	r = renaming{from: from, to: to}
	names, err := parsePath(from)
	if err != nil {
		return r, false, err
	}
	if r.names, err = parsePath(to); err != nil {
		return r, false, err
	}
	if len(names) == 0 || len(r.names) == 0 {
		return r, false, fmt.Errorf("%q to %q: the root itself has no name: give the objects to restore other names with ckpt.New or ckpt.NewRooted instead", from, to)
	}
	ok := r.follow(graph, names)
	if !ok {
		if names, ok = printedAs(graph, from); ok {
			ok = r.follow(graph, names)
		}
	}
	if ok {
		return r, false, nil
	}
	if there := new(renaming).follow(graph, r.names); there {
		return r, true, nil
	}
	return r, false, unknownPath(from, "the checkpoint", pathsOf(graph))
}

// unknownPath is the error for a path that leads nowhere. It is ErrMismatch.
func unknownPath(path, where string, known []string) error {
	text := fmt.Sprintf("%s has no object %q", where, path)
	if names, err := parsePath(path); err == nil {
		path = printPath(names)
	}
	if near := nearest(path, known); len(near) > 0 {
		text += "; did you mean " + quoted(near, " or ") + "?"
	}
	return &UnmatchedError{Reason: text}
}

// follow goes from the root along named edges, and takes down the last of them.
func (r *renaming) follow(graph *objectgraph.Graph, names []string) bool {
	node := 0
	for _, name := range names {
		next, ok := graph.Child(node, name)
		if !ok {
			return false
		}
		r.parent, r.name, r.node = node, name, next
		node = next
	}
	return len(names) > 0
}

// printedAs finds the object that messages call by a name, where dots in names
// are not doubled.
func printedAs(graph *objectgraph.Graph, printed string) ([]string, bool) {
	node := slices.Index(graph.Names(), printed)
	if node <= 0 {
		return nil, false
	}
	for way := range ways(graph) {
		if way.node == node {
			return way.names(), true
		}
	}
	return nil, false
}

// What is looked through for a "did you mean": so many paths, so many bytes.
const (
	mostPaths     = 10_000
	mostPathBytes = 4 << 20
)

// pathsOf prints the paths of the first stored objects.
func pathsOf(graph *objectgraph.Graph) []string {
	var paths []string
	bytes := 0
	for way := range ways(graph) {
		path := printPath(way.names())
		paths, bytes = append(paths, path), bytes+len(path)
		if len(paths) == mostPaths || bytes > mostPathBytes {
			break
		}
	}
	return paths
}

// way is a shortest way from the root to a stored object.
type way struct {
	node, parent int
	steps        []step
}

// step is the last edge of a way.
type step struct {
	parent int
	name   string
}

// longestWay cuts the ways that a hostile graph has.
const longestWay = 1 << 10

// names are those of the edges, from the root.
func (w *way) names() []string {
	var names []string
	for at := w.node; at != 0 && len(names) < longestWay; at = w.steps[at].parent {
		names = append(names, w.steps[at].name)
	}
	slices.Reverse(names)
	return names
}

// ways yields the objects that edges lead to, breadth first, without the root.
func ways(graph *objectgraph.Graph) iter.Seq[way] {
	return func(yield func(way) bool) {
		steps := make([]step, len(graph.Nodes))
		seen := make([]bool, len(graph.Nodes))
		seen[0] = true
		queue := []int{0}
		for i := 0; i < len(queue); i++ {
			for _, e := range graph.Nodes[queue[i]].Children {
				if seen[e.Node] {
					continue
				}
				seen[e.Node], steps[e.Node] = true, step{queue[i], e.Name}
				queue = append(queue, e.Node)
				if !yield(way{e.Node, queue[i], steps}) {
					return
				}
			}
		}
	}
}

// moveEdges takes all edges away and then adds each where it belongs, those
// nearer to the root first.
func moveEdges(graph *objectgraph.Graph, list []renaming) error {
	type edges struct {
		parent int
		name   string
	}
	moved := make(map[edges]string)
	for _, r := range list {
		at := edges{r.parent, r.name}
		if other, twice := moved[at]; twice {
			return fmt.Errorf("%q and %q are the same object of the checkpoint", other, r.from)
		}
		moved[at] = r.from
		n := &graph.Nodes[r.parent]
		n.Children = slices.DeleteFunc(n.Children, func(e objectgraph.Edge) bool { return e.Name == r.name })
	}
	slices.SortStableFunc(list, func(a, b renaming) int { return cmp.Compare(len(a.names), len(b.names)) })
	for _, r := range list {
		if err := addEdge(graph, r); err != nil {
			return err
		}
	}
	return nil
}

// addEdge makes a node the last of a path, and the objects on the way that the
// file does not have.
func addEdge(graph *objectgraph.Graph, r renaming) error {
	last := len(r.names) - 1
	node := 0
	for _, name := range r.names[:last] {
		next, ok := graph.Child(node, name)
		if !ok {
			next = len(graph.Nodes)
			graph.Nodes = append(graph.Nodes, objectgraph.Node{})
			graph.Nodes[node].Children = append(graph.Nodes[node].Children, objectgraph.Edge{Name: name, Node: next})
		}
		node = next
	}
	if _, ok := graph.Child(node, r.names[last]); ok {
		return fmt.Errorf("%q cannot become %q, which the checkpoint has too: rename that one as well", r.from, r.to)
	}
	graph.Nodes[node].Children = append(graph.Nodes[node].Children, objectgraph.Edge{Name: r.names[last], Node: r.node})
	return nil
}
