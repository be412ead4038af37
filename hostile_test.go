package ckpt_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/tensor"
)

// Graphs that no program writes: whatever happens, nothing panics, and what
// can be restored is.
func TestOddGraphs(t *testing.T) {
	for name, test := range map[string]struct {
		change func(g *objectgraph.Graph)
		want   string // of the error, "" if it restores
		class  error
		value  float32 // of m.v
	}{
		"as it is": {func(*objectgraph.Graph) {}, "", nil, 1},
		"self-reference": {func(g *objectgraph.Graph) {
			g.Nodes[1].Children = append(g.Nodes[1].Children, objectgraph.Edge{Name: "self", Node: 1})
		}, "", nil, 1},
		"back to the root": {func(g *objectgraph.Graph) {
			g.Nodes[2].Children = append(g.Nodes[2].Children, objectgraph.Edge{Name: "up", Node: 0})
		}, "", nil, 1},
		"one name twice": {func(g *objectgraph.Graph) {
			g.Nodes[1].Children = append(g.Nodes[1].Children, objectgraph.Edge{Name: "v", Node: 0})
		}, "", nil, 1},
		"one name twice, new node": {func(g *objectgraph.Graph) {
			g.Nodes = append(g.Nodes, objectgraph.Node{Attributes: g.Nodes[2].Attributes})
			g.Nodes[1].Children = append(g.Nodes[1].Children, objectgraph.Edge{Name: "v", Node: 3})
		}, "", nil, 1},
		"a key that does not exist": {func(g *objectgraph.Graph) { g.Nodes[2].Attributes[0].Key = "x/.ATTRIBUTES/VARIABLE_VALUE" }, "Key x/", ckpt.ErrMismatch, 0},
		"a key without a marker":    {func(g *objectgraph.Graph) { g.Nodes[2].Attributes[0].Key = objectgraph.Key }, "dtype", ckpt.ErrMismatch, 0},
		"no key":                    {func(g *objectgraph.Graph) { g.Nodes[2].Attributes[0].Key = "" }, "not found", ckpt.ErrMismatch, 0},
		"registered saver": {func(g *objectgraph.Graph) {
			g.Nodes[2].Attributes, g.Nodes[2].RegisteredSaver = nil, &objectgraph.RegisteredSaver{Name: "Custom.pp", Object: "m/v"}
		}, "Custom.pp", errors.ErrUnsupported, 0},
		"values missing": {func(g *objectgraph.Graph) {
			for i := range g.Nodes {
				g.Nodes[i].HasValues = objectgraph.ValuesMissing
			}
		}, "", nil, 1},
		"values denied": {func(g *objectgraph.Graph) {
			for i := range g.Nodes {
				g.Nodes[i].HasValues = objectgraph.ValuesFalse
			}
		}, "", nil, 1},
		"slots everywhere": {func(g *objectgraph.Graph) {
			for i := range g.Nodes {
				for j := range g.Nodes {
					g.Nodes[i].Slots = append(g.Nodes[i].Slots, objectgraph.SlotVariable{Name: "m", Original: j, Node: (i + j) % 3})
				}
			}
		}, "", nil, 1},
		"no nodes":         {func(g *objectgraph.Graph) { g.Nodes = nil }, "no nodes", ckpt.ErrCorrupt, 0},
		"an id beyond":     {func(g *objectgraph.Graph) { g.Nodes[1].Children[0].Node = 3 }, "node 3", ckpt.ErrCorrupt, 0},
		"a negative id":    {func(g *objectgraph.Graph) { g.Nodes[1].Children[0].Node = -1 }, "node -1", ckpt.ErrCorrupt, 0},
		"a slot id beyond": {func(g *objectgraph.Graph) { g.Nodes[1].Slots = []objectgraph.SlotVariable{{Name: "m", Node: 99}} }, "node 99", ckpt.ErrCorrupt, 0},
	} {
		for _, optimizer := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/optimizer=%v", name, optimizer), func(t *testing.T) {
				s := rewrite(t, ckpt.New(ckpt.Objects{"m": branch("v", scalar(1))}), test.change)
				v := scalar(0)
				m := ckpt.Trackable(branch("v", v))
				if optimizer {
					o := new(creator)
					if err := o.Track("v", v); err != nil {
						t.Fatal(err)
					}
					m = o
				}
				c := ckpt.New(ckpt.Objects{"m": m})
				status, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
				wantError(t, "Read", err, test.want)
				if test.class != nil && !errors.Is(err, test.class) {
					t.Errorf("got %v, want %v", err, test.class)
				}
				wantValues(t, "v", v, test.value)
				if err == nil {
					status.CheckConsumed()
					status.CheckExistingObjectsMatched()
					status.CheckNontrivialMatch()
					status.Warnings()
					if err := errors.Join(status.Fill(t.Context()), status.Close()); err != nil {
						t.Error(err)
					}
				}
			})
		}
	}
}

// has_checkpoint_values decides what waits, not the attributes.
func TestDeniedValuesDoNotWait(t *testing.T) {
	for _, has := range []objectgraph.HasValues{objectgraph.ValuesFalse, objectgraph.ValuesMissing} {
		s := rewrite(t, ckpt.New(ckpt.Objects{"v": scalar(1), "empty": branch()}), func(g *objectgraph.Graph) {
			for i := range g.Nodes {
				g.Nodes[i].HasValues = has
			}
		})
		c, v := ckpt.New(nil), scalar(0)
		s.read(t, c)
		if err := c.Track("v", v); err != nil {
			t.Fatal(err)
		}
		want := float32(1)
		if has == objectgraph.ValuesFalse {
			want = 0
		}
		wantValues(t, "v", v, want)
	}
}

func TestGraphTensorIsNoString(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": scalar(1)}))
	two, err := tensor.NewStrings([]int64{2}, [][]byte{{1}, {2}})
	if err != nil {
		t.Fatal(err)
	}
	for name, x := range map[string]*tensor.Tensor{"numbers": floats(t, 1), "two strings": two} {
		bad := s.with(t, map[string]*tensor.Tensor{objectgraph.Key: x})
		_, err := ckpt.New(nil).Read(t.Context(), bad.prefix, &ckpt.RestoreOptions{Bucket: bad.bucket})
		var c *ckpt.CorruptError
		if !errors.As(err, &c) || c.Kind != ckpt.KindGraph || c.Key != objectgraph.Key {
			t.Errorf("%s: got %v", name, err)
		}
	}
	bad := s.with(t, map[string]*tensor.Tensor{objectgraph.Key: nil})
	if _, err = ckpt.New(nil).Read(t.Context(), bad.prefix, &ckpt.RestoreOptions{Bucket: bad.bucket}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("no graph: got %v, want errors.ErrUnsupported", err)
	}
	wantError(t, "no graph", err, objectgraph.Key)
}

// A chain is followed without recursion, and its names do not explode.
func TestDeepChain(t *testing.T) {
	const depth = 20_000
	bottom := scalar(1)
	object := ckpt.Trackable(bottom)
	for range depth {
		object = branch("n", object)
	}
	begin := time.Now()
	s := write(t, ckpt.New(ckpt.Objects{"n": object}))
	status := s.read(t, ckpt.New(nil))
	if got := len(status.Waiting()); got != 1 {
		t.Errorf("got %d names, want 1", got)
	}
	bottom.Assign(0)
	wantChecks(t, s.read(t, ckpt.New(ckpt.Objects{"n": object})), "", "", "")
	wantValues(t, "bottom", bottom, 1)
	if took := time.Since(begin); took > 30*time.Second {
		t.Errorf("took %v", took)
	}
}
