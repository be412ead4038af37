package ckpt_test

import (
	"errors"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// Damage found while memory is being overwritten in place takes the new elements
// back, too.
func TestTrackGrowthInPlaceDamage(t *testing.T) {
	type state struct {
		Layers []layer
		M      map[string][]float32
	}
	full := &state{Layers: []layer{{Bias: []float32{1, 2, 3}}, {Bias: []float32{4, 5, 6}}}, M: map[string][]float32{"a": {7}}}
	prefix, err := ckpt.New(ckpt.Objects{"s": ckpt.Track(full)}).Write(t.Context(), filepath.Join(t.TempDir(), "c"), nil)
	if err != nil {
		t.Fatal(err)
	}
	flipBit(t, dataOf(prefix), 50, 1)
	got := new(state)
	_, err = ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}).Read(t.Context(), prefix, &ckpt.RestoreOptions{InPlace: true})
	if !errors.Is(err, ckpt.ErrCorrupt) {
		t.Fatalf("got %v, want damage", err)
	}
	if len(got.Layers) != 0 || len(got.M) != 0 {
		t.Errorf("got %+v, want it empty", got)
	}
}

// A file may claim more elements than it has tensors for.
func TestTrackHostileGrowth(t *testing.T) {
	type state struct{ Layers []layer }
	full := &state{Layers: make([]layer, 1)}
	c := ckpt.New(ckpt.Objects{"s": ckpt.Track(full)})
	for name, change := range map[string]func(g *objectgraph.Graph){
		"far index": func(g *objectgraph.Graph) { g.Nodes[2].Children[0].Name = "4000000000" },
		"one node many times": func(g *objectgraph.Graph) {
			g.Nodes[2].Children = append(g.Nodes[2].Children, objectgraph.Edge{Name: "1", Node: 3}, objectgraph.Edge{Name: "2", Node: 3}, objectgraph.Edge{Name: "01", Node: 3})
		},
		"the list in itself": func(g *objectgraph.Graph) {
			g.Nodes[2].Children = append(g.Nodes[2].Children, objectgraph.Edge{Name: "1", Node: 2}, objectgraph.Edge{Name: "2", Node: 0})
		},
	} {
		t.Run(name, func(t *testing.T) {
			s := rewrite(t, c, change)
			got := new(state)
			_, err := ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
			if err != nil {
				t.Logf("got %v", err)
			}
			if len(got.Layers) > 3 {
				t.Errorf("got %d elements", len(got.Layers))
			}
		})
	}
}
