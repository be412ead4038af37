package objectgraph_test

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"reflect"
	"testing"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// goldenGraphs returns the graphs of the goldens and those in testdata.
func goldenGraphs(t testing.TB) [][]byte {
	t.Helper()
	var graphs [][]byte
	for _, g := range goldens {
		graphs = append(graphs, unhex(t, g.graph))
	}
	root := filepath.Join("..", "testdata")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || filepath.Ext(name) != ".index" {
			return err
		}
		if b := graphOf(t, name); b != nil {
			graphs = append(graphs, b)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(graphs) < 20 {
		t.Fatalf("only %d graphs, those of %s are missing", len(graphs), root)
	}
	return graphs
}

// FuzzReader looks for graphs that do not survive encoding, and works out for
// itself what the methods say.
func FuzzReader(f *testing.F) {
	for _, b := range goldenGraphs(f) {
		f.Add(b)
	}
	f.Add([]byte(field(1, field(3, varint(1, 0), field(2, "m"), varint(3, 1))) + field(1, varint(9, 9))))
	f.Add([]byte(field(1, field(1, varint(1, 1)), field(4), field(5)) + field(1, field(2, varint(4, 1)))))
	f.Fuzz(func(t *testing.T, b []byte) {
		given := bytes.Clone(b)
		g, err := objectgraph.Decode(given)
		clear(given) // no reference to it is kept
		if err != nil {
			if !errors.Is(err, objectgraph.ErrCorrupt) {
				t.Fatalf("%v is not ErrCorrupt", err)
			}
			return
		}
		encoded := g.Append(nil)
		again, err := objectgraph.Decode(encoded)
		if err != nil || !reflect.DeepEqual(again, g) {
			t.Fatalf("encoded and decoded: %+v, %v, want %+v", again, err, g)
		}
		if second := again.Append([]byte("x")); string(second) != "x"+string(encoded) {
			t.Fatalf("encoded as %x, then as %x", encoded, second)
		}
		checkNodes(t, g)
	})
}

// checkNodes compares what a graph says of its nodes with a plain walk.
func checkNodes(t *testing.T, g *objectgraph.Graph) {
	t.Helper()
	n := min(len(g.Nodes), 100)
	names := g.Names()
	if len(names) != len(g.Nodes) {
		t.Fatalf("%d names of %d nodes", len(names), len(g.Nodes))
	}
	below := make([]map[int]bool, n) // the nodes that child edges lead to, and the node
	for i := range n {
		below[i] = reach(g, i)
		children := map[string]int{}
		for _, e := range g.Nodes[i].Children {
			children[e.Name] = e.Node
		}
		if got := g.ChildMap(i); len(got) != len(children) || len(got) > 0 && !reflect.DeepEqual(got, children) {
			t.Fatalf("node %d: ChildMap %v, want %v", i, got, children)
		}
		for name, node := range children {
			if got, ok := g.Child(i, name); !ok || got != node {
				t.Fatalf("node %d: Child(%q) = %d, %v, want %d", i, name, got, ok, node)
			}
		}
		if g.Path(i) != names[i] {
			t.Fatalf("node %d is %q and %q", i, g.Path(i), names[i])
		}
	}
	descendants := map[int]bool{}
	for _, i := range g.Descendants() {
		if descendants[i] {
			t.Fatalf("node %d is a descendant twice", i)
		}
		descendants[i] = true
	}
	if !reflect.DeepEqual(descendants, below[0]) {
		t.Fatalf("descendants %v, want %v", descendants, below[0])
	}
	g.SetHasValues()
	for i := range n {
		want := objectgraph.ValuesFalse
		for j := range below[i] {
			if node := &g.Nodes[j]; len(node.Attributes) > 0 || len(node.Slots) > 0 || node.RegisteredSaver != nil {
				want = objectgraph.ValuesTrue
			}
		}
		if got := g.Nodes[i].HasValues; got != want || g.Nodes[i].MayHaveValues() != (want == objectgraph.ValuesTrue) {
			t.Fatalf("node %d: HasValues %v, want %v", i, got, want)
		}
	}
}

// reach returns the nodes that child edges lead to from a node, and itself.
func reach(g *objectgraph.Graph, node int) map[int]bool {
	found := map[int]bool{node: true}
	for queue := []int{node}; len(queue) > 0; queue = queue[1:] {
		for _, e := range g.Nodes[queue[0]].Children {
			if !found[e.Node] {
				found[e.Node] = true
				queue = append(queue, e.Node)
			}
		}
	}
	return found
}
