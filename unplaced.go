package ckpt

import (
	"fmt"
	"slices"
	"strings"
)

// unplaced names what the checkpoint has and the program has not, which a renamed
// object or another program explains; "" if there is nothing. What hangs below an
// object that is missing near the root comes first, under that object's name:
// before the state of an optimizer, which is missing until the optimizer makes a
// step.
func (r *restoration) unplaced() string {
	g := &gaps{r: r, parent: make([]int, len(r.graph.Nodes)), edge: make([]string, len(r.graph.Nodes))}
	nodes := g.nodes()
	const shown = 5
	more := ""
	if len(nodes) > shown {
		more, nodes = fmt.Sprintf(" and %d more", len(nodes)-shown), nodes[:shown]
	}
	names := make([]string, len(nodes))
	for i, node := range nodes {
		names[i] = g.name(node)
	}
	return strings.Join(names, ", ") + more
}

// gaps is a walk over what a restoration did not bind.
type gaps struct {
	r      *restoration
	parent []int    // by node
	edge   []string // that led to it, with a dot; "" for what was not reached
}

// nodes lists the stored objects with values that have no live one. It walks
// over those that have one first, from the root; the others are reached from
// there, the nearest first, and slot variables come last.
func (g *gaps) nodes() []int {
	live := []int{0}
	for i := 0; i < len(live); i++ {
		g.reach(live[i], &live, func(node int) bool { return g.r.bound[node] != nil })
	}
	var found []int
	listed := make([]bool, len(g.edge))
	list := func(node int) {
		if g.r.bound[node] == nil && len(g.r.graph.Nodes[node].Attributes) > 0 && !listed[node] {
			listed[node] = true
			found = append(found, node)
		}
	}
	unbound := func(node int) bool { return g.r.bound[node] == nil }
	var queue []int
	for _, from := range live {
		for g.reach(from, &queue, unbound); len(queue) > 0; queue = queue[1:] {
			list(queue[0])
			g.reach(queue[0], &queue, unbound)
		}
	}
	for node := range listed {
		list(node)
	}
	return found
}

// reach adds the children of a node that fit and were not reached yet.
func (g *gaps) reach(from int, queue *[]int, fits func(node int) bool) {
	for _, e := range g.r.graph.Nodes[from].Children {
		if e.Node != 0 && g.edge[e.Node] == "" && fits(e.Node) {
			g.parent[e.Node], g.edge[e.Node] = from, "."+e.Name
			*queue = append(*queue, e.Node)
		}
	}
}

// name is the way that led to a node; a graph made to have endless ones gets the
// usual name, which is bounded.
func (g *gaps) name(node int) string {
	const longest = 1 << 10
	var edges []string
	length, at := 0, node
	for ; g.edge[at] != "" && g.r.bound[at] == nil; at = g.parent[at] {
		edges = append(edges, g.edge[at])
		length += len(g.edge[at])
	}
	if length > longest || len(edges) == 0 {
		return g.r.name(node)
	}
	slices.Reverse(edges)
	return g.r.name(at) + strings.Join(edges, "")
}
