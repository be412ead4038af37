package ckpt_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/tensor"
)

func wantKeys(t *testing.T, s saved, want ...string) {
	t.Helper()
	if diff := cmp.Diff(s.keys(t), want); diff != "" {
		t.Errorf("keys: -got +want:\n%s", diff)
	}
}

func wantEdges(t *testing.T, g *objectgraph.Graph, node int, want string) {
	t.Helper()
	if got := edges(g, node); got != want {
		t.Errorf("node %d: got edges %s, want %s", node, got, want)
	}
}

func TestOG1AddVariable(t *testing.T) {
	object := branch("a_variable", scalar(1), "constant_initializer", scalar(2), "ones_initializer", scalar(3), "bare_initializer", scalar(4), "duplicate", scalar(5))
	if err := object.Track("duplicate", scalar(6)); err == nil {
		t.Error("tracking a second duplicate: got no error")
	}
	other := scalar(7) // of the same full name as all others
	c, err := ckpt.NewRooted(object, ckpt.Objects{"other": other})
	if err != nil {
		t.Fatal(err)
	}
	wantKeys(t, write(t, c), "a_variable", "bare_initializer", "constant_initializer", "duplicate", "ones_initializer", "other")
}

func TestOG2Escaping(t *testing.T) {
	object := branch("a/b/c", scalar(1), "b", scalar(2), "c/", scalar(3), "d/.S", scalar(4), "d/.ATTRIBUTES/f", scalar(5), "", scalar(6), "ünï", scalar(7))
	c, err := ckpt.NewRooted(object, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := write(t, c)
	wantKeys(t, s, "", "a.Sb.Sc", "b", "c.S", "d.S..ATTRIBUTES.Sf", "d.S..S", "ünï")
	fresh := branch("a/b/c", scalar(0), "d/.S", scalar(0), "", scalar(0))
	c, err = ckpt.NewRooted(fresh, nil)
	if err != nil {
		t.Fatal(err)
	}
	s.read(t, c)
	for name, want := range map[string]float32{"a/b/c": 1, "d/.S": 4, "": 6} {
		wantValues(t, name, fresh.Child(name).(*ckpt.Variable[float32]), want)
	}
}

// An empty edge name is allowed; TensorFlow's keys below it begin with a slash.
func TestEmptyEdgeNameAtTheRoot(t *testing.T) {
	wantKeys(t, write(t, ckpt.New(ckpt.Objects{"": branch("x", scalar(1))})), "/x")
}

func TestOG3NumberedPath(t *testing.T) {
	c, err := ckpt.NewRooted(branch("leaf", branch("v", scalar(1))), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantKeys(t, write(t, c), "leaf/v")
}

// pair is a Saveable with several tensors, each a variable under a name.
type pair struct {
	ckpt.Node
	names []string
	vars  []*ckpt.Variable[float32]
}

func newPair(v ...float32) *pair {
	p := new(pair)
	for i, x := range v {
		p.names = append(p.names, fmt.Sprintf("v%d", i+1))
		p.vars = append(p.vars, scalar(x))
	}
	return p
}

func (p *pair) Values() []ckpt.Value {
	var values []ckpt.Value
	for i, v := range p.vars {
		values = append(values, &named{v, p.names[i]})
	}
	return values
}

func (p *pair) got() []float32 {
	var all []float32
	for _, v := range p.vars {
		all = append(all, v.Value())
	}
	return all
}

// named is a value under another attribute name.
type named struct {
	*ckpt.Variable[float32]
	attribute string
}

func (n *named) Spec() ckpt.Spec {
	spec := n.Variable.Spec()
	spec.Attribute, spec.FullName = n.attribute, ""
	return spec
}

func TestOG4SeveralTensors(t *testing.T) {
	r, child := newPair(1, 2), newPair(3, 4)
	c, err := ckpt.NewRooted(r, ckpt.Objects{"child": child})
	if err != nil {
		t.Fatal(err)
	}
	s := save(t, c)
	g := s.graph(t)
	wantEdges(t, g, 0, "child→1 root→0 save_counter→2")
	for node, path := range []string{"", "child"} {
		want := []objectgraph.Attribute{{Name: "v1", Key: path + "/.ATTRIBUTES/v1"}, {Name: "v2", Key: path + "/.ATTRIBUTES/v2"}}
		if diff := cmp.Diff(g.Nodes[node].Attributes, want, cmp.AllowUnexported(objectgraph.Attribute{})); diff != "" {
			t.Errorf("node %d: attributes: -got +want:\n%s", node, diff)
		}
	}
	for _, p := range []*pair{r, child} {
		for _, v := range p.vars {
			v.Assign(0)
		}
	}
	wantChecks(t, s.restore(t, c), "", "", "")
	if got := append(r.got(), child.got()...); !cmp.Equal(got, []float32{1, 2, 3, 4}) {
		t.Errorf("got %v, want [1 2 3 4]", got)
	}
}

// loop is the two objects of OG-5 and RS-14 that lead to each other.
func loop(first, second *ckpt.Variable[float32]) (a, b *ckpt.Node) {
	a, b = branch(), branch()
	for _, e := range []struct {
		from, to *ckpt.Node
		name     string
	}{{a, b, "second"}, {b, a, "first"}} {
		if err := e.from.Track(e.name, e.to); err != nil {
			panic(err)
		}
	}
	if first != nil {
		if err := a.Track("v", first); err != nil {
			panic(err)
		}
		if err := b.Track("v", second); err != nil {
			panic(err)
		}
	}
	return a, b
}

func TestOG5Loop(t *testing.T) {
	first, _ := loop(vector(3, 1, 4), vector(1, 1, 2, 3))
	c, err := ckpt.NewRooted(first, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := save(t, c)
	g := s.graph(t)
	wantEdges(t, g, 0, "second→1 v→2 root→0 save_counter→3")
	wantEdges(t, g, 1, "first→0 v→4")
	wantKeys(t, s, "save_counter", "second/v", "v")
}

func TestOG6SharedObject(t *testing.T) {
	shared := branch("var", scalar(7))
	s := write(t, ckpt.New(ckpt.Objects{"dep_one": branch("dep_three", shared), "dep_two": branch("dep_three", shared)}))
	g := s.graph(t)
	wantEdges(t, g, 0, "dep_one→1 dep_two→2")
	wantEdges(t, g, 1, "dep_three→3")
	wantEdges(t, g, 2, "dep_three→3")
	wantKeys(t, s, "dep_one/dep_three/var")
}

func TestOG8Order(t *testing.T) {
	c := ckpt.New(ckpt.Objects{"b": scalar(1), "a": scalar(2)})
	for _, name := range []string{"aa", "", "zz"} {
		if name == "" {
			save(t, c)
		} else if err := c.Track(name, scalar(0)); err != nil {
			t.Fatal(err)
		}
	}
	wantEdges(t, save(t, c).graph(t), 0, "a→1 b→2 aa→3 save_counter→4 zz→5")
}

func TestOG9Replace(t *testing.T) {
	first, second := scalar(1), scalar(2)
	n := branch("a", first, "b", scalar(0))
	wantError(t, "Track", n.Track("a", second), "already declared")
	if got := n.Child("a"); got != ckpt.Trackable(first) {
		t.Error("a failed Track changed the child")
	}
	if err := n.Track("a", first); err != nil {
		t.Errorf("the same object again: got %v", err)
	}
	if err := n.Replace("a", second); err != nil {
		t.Fatal(err)
	}
	s := write(t, ckpt.New(ckpt.Objects{"n": n}))
	wantEdges(t, s.graph(t), 1, "a→2 b→3")
	got, err := ckpt.Read[float32](t.Context(), s.open(t), "n/a/.ATTRIBUTES/VARIABLE_VALUE")
	if err != nil || got[0] != 2 {
		t.Errorf("got %v, %v, want [2]", got, err)
	}
}

func TestOG10HasValues(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"empty": branch("below", branch()), "full": branch("below", branch("v", scalar(1)))}))
	g := s.graph(t)
	var got []objectgraph.HasValues
	for _, n := range g.Nodes {
		got = append(got, n.HasValues)
	}
	no, yes := objectgraph.ValuesFalse, objectgraph.ValuesTrue
	if want := []objectgraph.HasValues{yes, no, yes, no, yes, yes}; !cmp.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if b := hex.EncodeToString(g.Append(nil)); !strings.Contains(b, "2a00") || !strings.Contains(b, "2a020801") {
		t.Errorf("bytes %s, want 2a00 and 2a020801 in them", b)
	}
}

// counting hands out its counter and then adds one.
type counting struct {
	ckpt.Node
	value, snapshots int64
}

func (c *counting) Values() []ckpt.Value { return []ckpt.Value{c} }

func (c *counting) Spec() ckpt.Spec {
	return ckpt.Spec{Attribute: ckpt.VariableValue, DType: tensor.Int64}
}

func (c *counting) Snapshot(ctx context.Context) (ckpt.Snapshot, error) {
	c.snapshots++
	shot, err := ckpt.NewScalar("", c.value).Snapshot(ctx)
	c.value++
	return shot, err
}

func (c *counting) Stage(ctx context.Context, src ckpt.Source) (ckpt.Staged, error) {
	fresh := ckpt.NewScalar("", int64(0))
	if err := fresh.ReadInPlace(ctx, src); err != nil {
		return nil, err
	}
	return committing(func() { c.value = fresh.Value() }), nil
}

type committing func()

func (c committing) Commit() { c() }

func (committing) Discard() {}

func TestOG13OG14Snapshot(t *testing.T) {
	object := new(counting)
	c := ckpt.New(ckpt.Objects{"object": object})
	first := save(t, c)
	if object.value != 1 {
		t.Errorf("after one save: got %d, want 1", object.value)
	}
	save(t, c)
	if object.value != 2 || object.snapshots != 2 {
		t.Errorf("after two saves: got value %d and %d snapshots, want 2 and 2", object.value, object.snapshots)
	}
	first.restore(t, c)
	if object.value != 0 || object.snapshots != 2 {
		t.Errorf("after the restore: got value %d and %d snapshots, want 0 and 2", object.value, object.snapshots)
	}
}

func TestVW5Walk(t *testing.T) {
	leaf := scalar(1)
	r := branch("leaf", leaf)
	var names []string
	for name, child := range r.Children() {
		if child != ckpt.Trackable(leaf) {
			t.Errorf("child %s is %T", name, child)
		}
		names = append(names, name)
	}
	if !cmp.Equal(names, []string{"leaf"}) {
		t.Errorf("got children %v", names)
	}
	g := write(t, ckpt.New(ckpt.Objects{"r": r})).graph(t)
	if got := g.Names(); !cmp.Equal(got, []string{"(root)", "(root).r", "(root).r.leaf"}) {
		t.Errorf("got %v", got)
	}
}

func TestSH7StateComesLast(t *testing.T) {
	n := 1
	s := write(t, ckpt.New(ckpt.Objects{"a": ckpt.NewJSON(&n), "b": scalar(1), "c": branch("d", ckpt.NewJSON(&n), "e", scalar(2))}))
	offsets := make(map[string]int64)
	for v, err := range s.open(t).Variables() {
		if err != nil {
			t.Fatal(err)
		}
		if v.Shard != 0 {
			t.Errorf("%s: got shard %d", v.Name, v.Shard)
		}
		offsets[v.Name] = v.Offset
	}
	order := []string{"b/.ATTRIBUTES/VARIABLE_VALUE", "c/e/.ATTRIBUTES/VARIABLE_VALUE", "a/.ATTRIBUTES/py_state", "c/d/.ATTRIBUTES/py_state", objectgraph.Key}
	for i := 1; i < len(order); i++ {
		if offsets[order[i-1]] >= offsets[order[i]] {
			t.Errorf("got offsets %v, want the order %v", offsets, order)
			break
		}
	}
}
