package cli

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/tensor"
)

func newTree(s *call) *cobra.Command {
	return &cobra.Command{
		Use:   "tree PATH",
		Short: "Print the object graph of a checkpoint",
		Long: `Print the object graph of a checkpoint as an indented tree: the names the program
tracked its objects under, and dtype and shape of what they hold. An object that
several names lead to is printed where it comes first, marked "(node 5)"; elsewhere
"(see node 5)" stands for it. Slot variables stand below their optimizer.`,
		Example: `  ckpt tree model/ckpt-3
  ckpt tree --json model | jq '.nodes | length'`,
		Args: exactly("PATH"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return runTree(cmd.Context(), s, args[0])
		},
	}
}

func runTree(ctx context.Context, s *call, path string) error {
	r, err := ckpt.Open(ctx, path, s.openOptions())
	if err != nil {
		return err
	}
	defer r.Close()
	g, err := r.Graph(ctx)
	if err != nil {
		return err
	}
	if s.json {
		return printTree(s, g)
	}
	vars, err := variables(ctx, r)
	if err != nil {
		return err
	}
	return newTreePrinter(s, g, vars).print()
}

// treePrinter walks the graph depth first. The graph comes from a file, so it keeps
// its own stack and every node is visited once.
type treePrinter struct {
	s      *call
	graph  *objectgraph.Graph
	names  []string            // for the variables that slots belong to
	vars   []ckpt.VariableInfo // sorted by name, as the index is
	shared []bool              // more than one edge leads to the node
	seen   []bool
	stack  []treeItem
}

type treeItem struct {
	label string
	node  int
	depth int
}

func newTreePrinter(s *call, g *objectgraph.Graph, vars []ckpt.VariableInfo) *treePrinter {
	p := &treePrinter{s: s, graph: g, names: g.Names(), vars: vars}
	p.seen = make([]bool, len(g.Nodes))
	p.shared = make([]bool, len(g.Nodes))
	reached := make([]bool, len(g.Nodes))
	reached[0] = true
	for i := range g.Nodes {
		for _, to := range successors(&g.Nodes[i]) {
			p.shared[to] = reached[to]
			reached[to] = true
		}
	}
	return p
}

func successors(n *objectgraph.Node) []int {
	to := make([]int, 0, len(n.Children)+len(n.Slots))
	for _, e := range n.Children {
		to = append(to, e.Node)
	}
	for _, v := range n.Slots {
		to = append(to, v.Node)
	}
	return to
}

func (p *treePrinter) print() error {
	p.walk("(root)", 0)
	for i := range p.seen {
		if !p.seen[i] {
			p.walk(fmt.Sprintf("(node %d, which nothing above refers to)", i), i)
		}
	}
	return p.s.out.Flush()
}

func (p *treePrinter) walk(label string, node int) {
	p.stack = append(p.stack, treeItem{label, node, 0})
	for len(p.stack) > 0 {
		item := p.stack[len(p.stack)-1]
		p.stack = p.stack[:len(p.stack)-1]
		if p.seen[item.node] {
			p.line(item.depth, fmt.Sprintf("%s  (see node %d)", item.label, item.node))
			continue
		}
		p.seen[item.node] = true
		p.node(&item)
	}
}

// node prints one object with what it holds, and puts those below it on the stack.
func (p *treePrinter) node(item *treeItem) {
	n := &p.graph.Nodes[item.node]
	text := item.label
	attributes := n.Attributes
	if len(attributes) > 0 && attributes[0].Name == objectgraph.VariableValue {
		text += "  " + p.tensor(attributes[0].Key)
		attributes = attributes[1:]
	}
	if p.shared[item.node] {
		text += fmt.Sprintf("  (node %d)", item.node)
	}
	if n.RegisteredSaver != nil {
		text += fmt.Sprintf("  (saved by %s)", printable(clip(n.RegisteredSaver.Name)))
	}
	p.line(item.depth, text)
	for _, a := range attributes {
		p.line(item.depth+1, fmt.Sprintf("<%s>  %s", printable(clip(a.Name)), p.tensor(a.Key)))
	}
	for i := len(n.Slots) - 1; i >= 0; i-- {
		v := &n.Slots[i]
		label := fmt.Sprintf("slot %s of %s", printable(clip(v.Name)), printable(clip(p.names[v.Original])))
		p.stack = append(p.stack, treeItem{label, v.Node, item.depth + 1})
	}
	for i := len(n.Children) - 1; i >= 0; i-- {
		e := &n.Children[i]
		p.stack = append(p.stack, treeItem{printable(clip(e.Name)), e.Node, item.depth + 1})
	}
}

// tensor describes what a key leads to. Objects with several tensors, as tables and
// iterators, give the beginning of their keys only.
func (p *treePrinter) tensor(key string) string {
	const most = 4
	i, found := slices.BinarySearchFunc(p.vars, key, func(v ckpt.VariableInfo, key string) int { return strings.Compare(v.Name, key) })
	if found {
		return kindOf(&p.vars[i])
	}
	var parts []string
	for ; i < len(p.vars) && strings.HasPrefix(p.vars[i].Name, key); i++ {
		if len(parts) == most {
			parts = append(parts, "…")
			break
		}
		parts = append(parts, fmt.Sprintf("%s %s", printable(clip(p.vars[i].Name[len(key):])), kindOf(&p.vars[i])))
	}
	if parts == nil {
		return fmt.Sprintf("(no tensor %s)", printable(clip(key)))
	}
	return strings.Join(parts, ", ")
}

// kindOf is dtype and shape, which many objects can have in common.
func kindOf(v *ckpt.VariableInfo) string { return v.DType.String() + " " + shapeText(v.Shape) }

// shapeText is a shape, not all of one that no tensor can have.
func shapeText(shape tensor.Shape) string {
	const most = 254 // TensorFlow's
	if len(shape) <= most {
		return shape.String()
	}
	return fmt.Sprintf("(rank %d)", len(shape))
}

// line indents by the depth. A chain of a million objects must not make a million
// times a million spaces, so far down a number tells the depth.
func (p *treePrinter) line(depth int, text string) {
	const most = 60
	if depth > most {
		text = fmt.Sprintf("[depth %d] %s", depth, text)
		depth = most
	}
	// An error stays in the buffered writer and comes back from its flush.
	_, _ = p.s.out.WriteString(strings.Repeat("  ", depth) + text + "\n")
}
