package objectgraph_test

import (
	"fmt"
	"testing"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// largeGraph is a root with a list of 10000 layers of two variables.
func largeGraph() *objectgraph.Graph {
	const layers = 10000
	g := &objectgraph.Graph{Nodes: make([]node, 1, 1+3*layers)}
	for i := range layers {
		layer := len(g.Nodes)
		name := fmt.Sprint(i)
		g.Nodes[0].Children = append(g.Nodes[0].Children, edge{Name: name, Node: layer})
		g.Nodes = append(g.Nodes, node{Children: []edge{{Name: "_kernel", Node: layer + 1}, {Name: "bias", Node: layer + 2}}})
		for _, variable := range []string{"_kernel", "bias"} {
			g.Nodes = append(g.Nodes, node{Attributes: []objectgraph.Attribute{{
				Name:     objectgraph.VariableValue,
				FullName: "model/" + variable,
				Key:      objectgraph.AttributeKey(objectgraph.ObjectPath(name, variable), objectgraph.VariableValue),
			}}})
		}
	}
	g.SetHasValues()
	return g
}

func BenchmarkAppend(b *testing.B) {
	g := largeGraph()
	buf := g.Append(nil)
	b.SetBytes(int64(len(buf)))
	for b.Loop() {
		buf = g.Append(buf[:0])
	}
}

func BenchmarkDecode(b *testing.B) {
	buf := largeGraph().Append(nil)
	b.SetBytes(int64(len(buf)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := objectgraph.Decode(buf); err != nil {
			b.Fatal(err)
		}
	}
}
