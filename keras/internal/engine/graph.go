package engine

import (
	"errors"
	"fmt"

	"github.com/gomlx/gomlx/backends"
	"github.com/gomlx/gomlx/pkg/core/graph"

	"github.com/ckpt-go/ckpt/tensor"
)

// Graph is a computation: built, compiled, then run any number of times.
type Graph struct {
	graph  *graph.Graph
	inputs int
	donate []bool
}

// Node is one array of a computation that is being built.
type Node struct{ n *graph.Node }

// NewGraph begins a computation.
func NewGraph(name string) (*Graph, error) {
	b, err := backend()
	if err != nil {
		return nil, err
	}
	return &Graph{graph: graph.NewGraph(b, name)}, nil
}

// Parameter is the next input of the computation.
func (g *Graph) Parameter(d tensor.DType, s tensor.Shape) Node {
	shape, err := shapeOf(d, s)
	if err != nil {
		panic(err)
	}
	g.inputs++
	return Node{graph.Parameter(g.graph, fmt.Sprintf("input %d", g.inputs), shape)}
}

// Scalar is a constant of a dtype; x is rounded to it.
func (g *Graph) Scalar(d tensor.DType, x float64) Node {
	kind, ok := kinds[d]
	if !ok {
		panic(fmt.Errorf("keras: no constants of dtype %v", d))
	}
	return Node{graph.Scalar(g.graph, kind, x)}
}

// Compile ends the building. At least one output is needed.
func (g *Graph) Compile(outputs []Node) error {
	list := make([]*graph.Node, len(outputs))
	for i, n := range outputs {
		list[i] = n.n
	}
	g.donate = make([]bool, g.inputs)
	return Catch(func() { g.graph.Compile(list...) })
}

// Run computes the outputs, which the caller releases, from as many inputs as
// there are parameters. The inputs stay what they are.
func (g *Graph) Run(inputs []*Value) (outputs []*Value, err error) {
	buffers := make([]backends.Buffer, len(inputs))
	for i, v := range inputs {
		if v.buffer == nil {
			return nil, errors.New("keras: a computation uses a value that was released")
		}
		buffers[i] = v.buffer
	}
	err = Catch(func() {
		for _, t := range g.graph.RunWithBuffers(buffers, g.donate, 0) {
			v, err := computed(t)
			if err != nil {
				panic(err)
			}
			outputs = append(outputs, v)
		}
	})
	return outputs, err
}

// Discard lets go of the computation's memory.
func (g *Graph) Discard() { g.graph.Finalize() }

// DType is the type of the elements.
func (n Node) DType() tensor.DType { return dtypeOf(n.n.DType()) }

// Shape is the dimensions.
func (n Node) Shape() tensor.Shape { return tensorShape(n.n.Shape()) }
