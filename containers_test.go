package ckpt_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

func TestCT2ListOnlyGrows(t *testing.T) {
	first, second := scalar(1), scalar(2)
	l := ckpt.NewList(first)
	wantError(t, "Replace", l.Replace("0", second), "are not replaced")
	wantError(t, "Replace beyond the end", l.Replace("1", second), "are not replaced")
	if err := l.Replace("0", first); err != nil {
		t.Errorf("the same element again: %v", err)
	}
	wantError(t, "nil", l.Append(nil), "nil")
	if err := l.Append(second); err != nil {
		t.Fatal(err)
	}
	wantEdges(t, write(t, ckpt.New(ckpt.Objects{"l": l})).graph(t), 1, "0→2 1→3")
}

func TestCT3NestedList(t *testing.T) {
	b, c, d := scalar(1), scalar(2), scalar(4)
	inner := ckpt.NewList(b, c)
	inner.Skip(1) // a number
	if err := inner.Append(d); err != nil {
		t.Fatal(err)
	}
	s := write(t, ckpt.New(ckpt.Objects{"l": ckpt.NewList(inner)}))
	wantEdges(t, s.graph(t), 1, "0→2")
	wantEdges(t, s.graph(t), 2, "0→3 1→4 3→5")
	wantKeys(t, s, "l/0/0", "l/0/1", "l/0/3")
}

func TestCT4SameObjectTwice(t *testing.T) {
	v := scalar(1)
	l := new(ckpt.List)
	four := func() {
		l.Skip(4)
		if err := l.Append(v); err != nil {
			t.Fatal(err)
		}
	}
	four()
	c := ckpt.New(ckpt.Objects{"l": l})
	first := write(t, c)
	v.Assign(5)
	four()
	second := write(t, c)
	wantEdges(t, second.graph(t), 1, "4→2 9→2")
	wantKeys(t, second, "l/4")
	wantChecks(t, first.read(t, c), "", "", "")
	wantValues(t, "v", v, 1)
	wantChecks(t, second.read(t, c), "", "", "")
	wantValues(t, "v", v, 5)
}

// The numbers between the objects of a list are not part of a checkpoint: other
// ones, or more of them behind the last object, change nothing.
func TestCT5NumbersAreNotSaved(t *testing.T) {
	make := func(behind int) *ckpt.List {
		l := new(ckpt.List)
		l.Skip(2)
		if err := l.Append(scalar(1)); err != nil {
			t.Fatal(err)
		}
		l.Skip(behind)
		return l
	}
	one, other := write(t, ckpt.New(ckpt.Objects{"l": make(0)})), write(t, ckpt.New(ckpt.Objects{"l": make(3)}))
	for _, suffix := range []string{".index", ".data-00000-of-00001"} {
		if !cmp.Equal(one.file(t, one.prefix+suffix), other.file(t, other.prefix+suffix)) {
			t.Errorf("%s differs", suffix)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a negative Skip did not panic")
		}
	}()
	new(ckpt.List).Skip(-1)
}

func TestCT6Map(t *testing.T) {
	output, bn, d := scalar(1), scalar(2), scalar(3)
	m := new(ckpt.Map)
	for _, e := range []struct {
		key   string
		value ckpt.Trackable
	}{{"output", output}, {"norm", ckpt.NewList(bn, bn)}, {"dense", ckpt.NewList(d, d)}} {
		if err := m.Set(e.key, e.value); err != nil {
			t.Fatal(err)
		}
	}
	c := ckpt.New(ckpt.Objects{"m": m})
	s := write(t, c)
	wantEdges(t, s.graph(t), 1, "output→2 norm→3 dense→4")
	for _, v := range []*ckpt.Variable[float32]{output, bn, d} {
		v.Assign(0)
	}
	wantChecks(t, s.read(t, c), "", "", "")
	for i, v := range []*ckpt.Variable[float32]{output, bn, d} {
		wantValues(t, fmt.Sprint(i), v, float32(i+1))
	}
	sorted := ckpt.NewMap(map[string]ckpt.Trackable{"output": output, "norm": bn, "dense": d})
	wantEdges(t, write(t, ckpt.New(ckpt.Objects{"m": sorted})).graph(t), 1, "dense→2 norm→3 output→4")
}

// The keys of a Map are strings by its type, so that a key which TensorFlow
// refuses to save cannot be; the values of a dict that are no objects have no place.
func TestCT7MapKeys(t *testing.T) {
	m := new(ckpt.Map)
	wantError(t, "nil", m.Set("1", nil), "nil")
	if err := m.Set("1", scalar(1)); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, write(t, ckpt.New(ckpt.Objects{"m": m})), "m/1")
}

func TestCT8MapOrder(t *testing.T) {
	v1, v2 := scalar(1), scalar(2)
	m := new(ckpt.Map)
	for _, e := range []struct {
		key   string
		value *ckpt.Variable[float32]
	}{{"b", v1}, {"a", scalar(0)}, {"a", v2}} { // the second "a" replaces the first in its place
		if err := m.Set(e.key, e.value); err != nil {
			t.Fatal(err)
		}
	}
	s := write(t, ckpt.New(ckpt.Objects{"a": branch("d", m)}))
	wantEdges(t, s.graph(t), 2, "b→3 a→4")
	wantKeys(t, s, "a/d/a", "a/d/b")
	offsets := make(map[string]int64)
	for v, err := range s.open(t).Variables() {
		if err != nil {
			t.Fatal(err)
		}
		offsets[v.Name] = v.Offset
	}
	if b, a := offsets["a/d/b/.ATTRIBUTES/VARIABLE_VALUE"], offsets["a/d/a/.ATTRIBUTES/VARIABLE_VALUE"]; b >= a {
		t.Errorf("got b at %d and a at %d, want b first", b, a)
	}
}

// A value waits for the key of a Map as for any other child.
func TestCT9MapBasics(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": ckpt.NewMap(map[string]ckpt.Trackable{"b": branch("v", scalar(1)), "c": ckpt.NewList(scalar(2))})}))
	wantEdges(t, s.graph(t), 1, "b→2 c→3")
	m := new(ckpt.Map)
	status := s.read(t, ckpt.New(ckpt.Objects{"a": m}))
	b, c := scalar(0), scalar(0)
	for key, value := range map[string]ckpt.Trackable{"b": branch("v", b), "c": ckpt.NewList(c)} {
		if err := m.Set(key, value); err != nil {
			t.Fatal(err)
		}
	}
	wantChecks(t, status, "", "", "")
	wantValues(t, "b", b, 1)
	wantValues(t, "c", c, 2)
}

func TestCT10OrderedGroup(t *testing.T) {
	group := ckpt.NewList(scalar(1))
	group.Skip(1)
	if err := group.Append(scalar(3)); err != nil {
		t.Fatal(err)
	}
	s := write(t, ckpt.New(ckpt.Objects{"g": group}))
	wantEdges(t, s.graph(t), 1, "0→2 2→3")
	wantKeys(t, s, "g/0", "g/2")
}

// golden is a checkpoint that TensorFlow wrote.
func golden(name string) string {
	return filepath.Join("testdata", "tensorflow-2.21.0-objects", name)
}

// What Python saved of a table, a generator, a state and an iterator is held by
// Go objects and saved again with the same bytes.
func TestOG15PythonObjects(t *testing.T) {
	var words string
	table := ckpt.NewTable[string, int64]()
	generator := ckpt.NewVariable[int64]("StateVar", []int64{3}, nil)
	state := ckpt.NewPythonState(
		func() ([]byte, error) { return []byte(words), nil },
		func(data []byte) (func(), error) { return func() { words = string(data) }, nil })
	for name, objects := range map[string]ckpt.Objects{
		"state-1":    {"state": state, "table": table, "generator": branch("_state_var", generator), "v": scalar(0)},
		"iterator-1": {"iterator": new(ckpt.IteratorState), "v": scalar(0)},
	} {
		t.Run(name, func(t *testing.T) {
			c := ckpt.New(objects)
			status, err := c.Restore(t.Context(), golden(name), nil)
			if err != nil {
				t.Fatal(err)
			}
			wantChecks(t, status, "", "", "")
			for _, background := range []bool{false, true} {
				prefix := filepath.Join(t.TempDir(), "c")
				if _, err := c.Write(t.Context(), prefix, &ckpt.SaveOptions{Background: background}); err != nil {
					t.Fatal(err)
				}
				if err := c.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
				sameAs(t, prefix, golden(name))
			}
		})
	}
	if got := maps.Collect(table.All()); !cmp.Equal(got, map[string]int64{"one": 1}) {
		t.Errorf("got %v", got)
	}
}

// sameAs compares two checkpoints of one data file byte for byte.
func sameAs(t *testing.T, got, want string) {
	t.Helper()
	for _, suffix := range []string{".index", ".data-00000-of-00001"} {
		ours, err := os.ReadFile(got + suffix)
		if err != nil {
			t.Fatal(err)
		}
		theirs, err := os.ReadFile(want + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(ours, theirs) {
			t.Errorf("%s differs", suffix)
		}
	}
}

func TestIteratorStateWithoutPosition(t *testing.T) {
	_, err := ckpt.New(ckpt.Objects{"it": new(ckpt.IteratorState)}).Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: mem.New()})
	wantError(t, "Write", err, "was never restored")
}

// RestoreNodes takes objects of several tensors under one attribute, those of a
// registered saver, and values of a tracked map.
func TestRestoreNodesOfContainers(t *testing.T) {
	type state struct {
		M map[string]float32
		V map[string][]float32
	}
	objects := func() (ckpt.Objects, *ckpt.Table[string, int64], *custom, *state) {
		table, c, s := ckpt.NewTable[string, int64](), newCustom(0), &state{M: map[string]float32{"a": 0}, V: map[string][]float32{"b": nil}}
		return ckpt.Objects{"t": table, "c": c, "s": ckpt.Track(s)}, table, c, s
	}
	from, table, c, s := objects()
	table.Insert("one", 1)
	c.Assign(2)
	s.M["a"], s.V["b"] = 3, []float32{4, 5}
	at := write(t, ckpt.New(from))
	g := at.graph(t)
	to, table, c, s := objects()
	nodes := map[int]ckpt.Trackable{}
	var find func(node int, object ckpt.Trackable)
	find = func(node int, object ckpt.Trackable) {
		if _, ok := object.(ckpt.Saveable); ok {
			nodes[node] = object
		}
		for name, child := range object.Children() {
			if id, ok := g.Child(node, name); ok {
				find(id, child)
			}
		}
	}
	find(0, ckpt.New(to))
	if len(nodes) != 4 {
		t.Fatalf("got %d nodes, want 4", len(nodes))
	}
	if err := ckpt.RestoreNodes(t.Context(), at.prefix, nodes, &ckpt.RestoreOptions{Bucket: at.bucket}); err != nil {
		t.Fatal(err)
	}
	if v, _ := table.Lookup("one"); v != 1 || c.Value() != 2 || s.M["a"] != 3 || !cmp.Equal(s.V["b"], []float32{4, 5}) {
		t.Errorf("got %v, %v, %+v", v, c.Value(), s)
	}
}

// Elements that were tracked by their names count.
func TestListTrackedByName(t *testing.T) {
	l := ckpt.NewList(scalar(1))
	if err := l.TrackAll(func(yield func(string, ckpt.Trackable) bool) { _ = yield("1", scalar(2)) && yield("2", scalar(3)) }); err != nil {
		t.Fatal(err)
	}
	l.Skip(1)
	if err := l.Append(scalar(4)); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, write(t, ckpt.New(ckpt.Objects{"l": l})), "l/0", "l/1", "l/2", "l/4")
}
