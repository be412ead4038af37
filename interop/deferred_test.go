package interop_test

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// edgeOf is a child edge of a layout's node.
type edgeOf struct {
	node int
	name string
}

func childrenOf(t *testing.T, line layoutLine) map[string]int {
	t.Helper()
	children := make(map[string]int)
	for _, child := range line.children {
		name, target := splitChild(t, child)
		children[name] = target
	}
	return children
}

// earlyEdges are the edges of the layout late that the layout early has too: what
// a program has before its model is called.
func earlyEdges(t *testing.T, early, late string) map[edgeOf]bool {
	t.Helper()
	few, all := readLayout(t, early), readLayout(t, late)
	same := map[int]int{0: 0}
	edges := make(map[edgeOf]bool)
	for id, line := range few {
		for name, child := range childrenOf(t, line) {
			target, ok := childrenOf(t, all[same[id]])[name]
			if !ok {
				t.Fatalf("layout %s: node %d has a child %s that %s lacks", early, id, name, late)
			}
			same[child] = target
			edges[edgeOf{same[id], name}] = true
		}
	}
	return edges
}

// TestProgramDeferred restores checkpoints of trained programs before their
// models are built. Values wait, cannot be lost by a save, and arrive when the
// objects do, in whatever order.
func TestProgramDeferred(t *testing.T) {
	tests := []struct {
		early, late, dir string
		saves            int
	}{
		{"sequential-fresh", "sequential-steps", "sequential-steps", 2},
		{"subclassed-unbuilt", "subclassed-steps", "subclassed-steps", 3},
		{"encoder-unbuilt", "encoder-steps", "encoderdecoder-steps/encoder_checkpoints", 2},
		{"decoder-built", "decoder-steps", "encoderdecoder-steps/decoder_checkpoints", 2},
	}
	for _, test := range tests {
		for _, upwards := range []bool{false, true} {
			order := "parents first"
			if upwards {
				order = "children first"
			}
			t.Run(test.late+" "+order, func(t *testing.T) {
				golden := prefixIn(goldens("tensorflow-2.21.0-programs", filepath.FromSlash(test.dir)), test.saves)
				want := newLayout(t, test.late)
				want.fill(t, golden)

				early := earlyEdges(t, test.early, test.late)
				l, later := buildLayout(t, test.late, func(node int, name string) bool { return early[edgeOf{node, name}] })
				c := ckpt.New(l.objects)
				status, err := c.Restore(t.Context(), golden, nil)
				if err != nil {
					t.Fatal(err)
				}
				if err := status.CheckConsumed(); err == nil {
					t.Error("everything is consumed before the objects exist")
				}
				if _, err := c.Write(t.Context(), filepath.Join(t.TempDir(), "early"), nil); err == nil {
					t.Error("a save that drops waiting values was not refused")
				} else if !strings.Contains(err.Error(), "(root)") {
					t.Errorf("got %q, want it to name what waits", err)
				}
				for i := range later {
					if upwards {
						i = len(later) - 1 - i
					}
					if err := later[i](); err != nil {
						t.Fatal(err)
					}
				}
				if err := status.CheckConsumed(); err != nil {
					t.Error(err)
				}
				if diff := cmp.Diff(l.hashes(t), want.hashes(t)); diff != "" {
					t.Errorf("-got +want:\n%s", diff)
				}
				if upwards {
					return // lists were filled from their ends: the graph is another one
				}
				again, err := c.Write(t.Context(), filepath.Join(t.TempDir(), "again"), nil)
				if err != nil {
					t.Fatal(err)
				}
				sameFiles(t, again, golden)
			})
		}
	}
}
