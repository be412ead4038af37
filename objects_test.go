package ckpt_test

import (
	"iter"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// scalar is a float32 variable of rank 0.
func scalar(v float32) *ckpt.Variable[float32] { return ckpt.NewScalar("v", v) }

// vector is a float32 variable of rank 1.
func vector(v ...float32) *ckpt.Variable[float32] {
	return ckpt.NewVariable("v", []int64{int64(len(v))}, v)
}

// branch is an object with the given children: name, child, name, child, …
func branch(children ...any) *ckpt.Node {
	n := new(ckpt.Node)
	for i := 0; i < len(children); i += 2 {
		if err := n.Track(children[i].(string), children[i+1].(ckpt.Trackable)); err != nil {
			panic(err)
		}
	}
	return n
}

// saved is a checkpoint in memory.
type saved struct {
	bucket storage.Bucket
	prefix string
}

func write(t testing.TB, c *ckpt.Checkpoint) saved {
	t.Helper()
	b := mem.New()
	if _, err := c.Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	return saved{b, "c"}
}

func save(t testing.TB, c *ckpt.Checkpoint) saved {
	t.Helper()
	b := mem.New()
	prefix, err := c.Save(t.Context(), "c", &ckpt.SaveOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	return saved{b, prefix}
}

func (s saved) open(t testing.TB) *ckpt.Reader {
	t.Helper()
	r, err := ckpt.Open(t.Context(), s.prefix, &ckpt.OpenOptions{Bucket: s.bucket})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func (s saved) graph(t testing.TB) *objectgraph.Graph {
	t.Helper()
	g, err := s.open(t).Graph(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// keys are the names of the tensors, without ".ATTRIBUTES/VARIABLE_VALUE" and
// the graph.
func (s saved) keys(t testing.TB) []string {
	t.Helper()
	var keys []string
	for v, err := range s.open(t).Variables() {
		if err != nil {
			t.Fatal(err)
		}
		if v.Name != objectgraph.Key {
			keys = append(keys, strings.TrimSuffix(v.Name, "/.ATTRIBUTES/VARIABLE_VALUE"))
		}
	}
	return keys
}

// edges are the children of a node as "name→id".
func edges(g *objectgraph.Graph, node int) string {
	var list []string
	for _, e := range g.Nodes[node].Children {
		list = append(list, e.Name+"→"+string(rune('0'+e.Node)))
	}
	return strings.Join(list, " ")
}

// read is Checkpoint.Read of what must be readable.
func (s saved) read(t testing.TB, c *ckpt.Checkpoint) *ckpt.RestoreStatus {
	t.Helper()
	status, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// restore is Checkpoint.Restore of what must be readable.
func (s saved) restore(t testing.TB, c *ckpt.Checkpoint) *ckpt.RestoreStatus {
	t.Helper()
	status, err := c.Restore(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	if err != nil {
		t.Fatal(err)
	}
	return status
}

// rewrite stores the same tensors with another graph.
func rewrite(t testing.TB, c *ckpt.Checkpoint, change func(g *objectgraph.Graph)) saved {
	t.Helper()
	s := write(t, c)
	g := s.graph(t)
	change(g)
	return s.withGraph(t, g.Append(nil))
}

// check is one of the three checks of a status, and what its error must hold;
// "" means that it must pass.
type check struct {
	name string
	run  func() error
	want string
}

func wantChecks(t testing.TB, s *ckpt.RestoreStatus, consumed, existing, nontrivial string) {
	t.Helper()
	for _, c := range []check{
		{"CheckConsumed", s.CheckConsumed, consumed},
		{"CheckExistingObjectsMatched", s.CheckExistingObjectsMatched, existing},
		{"CheckNontrivialMatch", s.CheckNontrivialMatch, nontrivial},
	} {
		wantError(t, c.name, c.run(), c.want)
	}
}

// wantError wants an error that holds the text, or none if it is empty.
func wantError(t testing.TB, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: got %v, want no error", what, err)
	case want != "" && err == nil:
		t.Errorf("%s: got no error, want %q", what, want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("%s: got %q, want %q in it", what, err, want)
	}
}

func wantValues(t testing.TB, name string, v *ckpt.Variable[float32], want ...float32) {
	t.Helper()
	got := v.Data()
	if len(got) != len(want) {
		t.Errorf("%s: got %v, want %v", name, got, want)
		return
	}
	for i := range got {
		if got[i] != want[i] {
			t.Errorf("%s: got %v, want %v", name, got, want)
			return
		}
	}
}

// lister is a Trackable that only lists its children.
type lister struct {
	names    []string
	children []ckpt.Trackable
}

func (l *lister) add(name string, child ckpt.Trackable) {
	l.names, l.children = append(l.names, name), append(l.children, child)
}

func (l *lister) Children() iter.Seq2[string, ckpt.Trackable] {
	return func(yield func(string, ckpt.Trackable) bool) {
		for i, name := range l.names {
			if !yield(name, l.children[i]) {
				return
			}
		}
	}
}
