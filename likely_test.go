package ckpt_test

import (
	"runtime"
	"strconv"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// A graph made to have endless names costs a guess little.
func TestLikelyRenamedBounds(t *testing.T) {
	s := rewrite(t, ckpt.New(ckpt.Objects{"v": scalar(1)}), func(g *objectgraph.Graph) {
		for i := range 100_000 {
			g.Nodes = append(g.Nodes, objectgraph.Node{})
			last := len(g.Nodes) - 1
			from := last - 1
			if i == 0 {
				from = 0
			}
			g.Nodes[from].Children = append(g.Nodes[from].Children, objectgraph.Edge{Name: "deeper" + strconv.Itoa(i), Node: last})
		}
		g.Nodes[len(g.Nodes)-1].Attributes = []objectgraph.Attribute{{Name: ckpt.VariableValue, Key: "v/.ATTRIBUTES/VARIABLE_VALUE"}}
		g.SetHasValues()
	})
	c := ckpt.New(ckpt.Objects{"x": scalar(1), "y": vector(1)})
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	d, err := s.view(t).Diff(t.Context(), c)
	if err != nil || d.Fits() {
		t.Errorf("got %v, %v", d, err)
	}
	wantError(t, "the check", s.read(t, c).CheckExistingObjectsMatched(), "(root).x")
	_, err = s.options(t, c, ckpt.RestoreOptions{Rename: map[string]string{"(root).deeper1": "(root).x"}})
	wantMismatch(t, "Rename", err, `no object "(root).deeper1"`)
	runtime.ReadMemStats(&after)
	const most = 512 << 20 // of three looks at a graph of 3 MB, all that was ever allocated
	if got := after.TotalAlloc - before.TotalAlloc; got > most {
		t.Errorf("%d MiB were allocated", got>>20)
	}
}
