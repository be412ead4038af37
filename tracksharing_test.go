package ckpt_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/ckpt-go/ckpt"
)

// sharer is a struct with pointers in every place, which lead to each other.
type sharer struct {
	List  []*shared
	Map   map[string]*shared
	Lists [][]*shared
	Inner struct{ Best *shared }
	First *shared
}

type shared struct {
	V    []float32
	Next *shared
}

func newSharer() *sharer {
	x, y := &shared{V: []float32{1, 2}}, &shared{V: []float32{3}}
	y.Next = x
	s := &sharer{
		List: []*shared{x, x, y}, Map: map[string]*shared{"a": x, "b": x, "c": y},
		Lists: [][]*shared{{y}, {x, y}}, First: x,
	}
	s.Inner.Best = y
	return s
}

// A struct that several pointers lead to is one again, whichever of them a
// restore makes.
func TestTrackSharedPointers(t *testing.T) {
	s := save(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(newSharer())}))
	for _, start := range []struct {
		name string
		make func() *sharer
	}{
		{"empty", func() *sharer { return &sharer{First: new(shared)} }},
		{"nil", func() *sharer { return new(sharer) }},
		{"deeper", func() *sharer {
			got := &sharer{First: new(shared)}
			got.Inner.Best = &shared{Next: got.First}
			return got
		}},
		{"half", func() *sharer {
			x := new(shared)
			return &sharer{First: x, List: []*shared{x}, Map: map[string]*shared{"b": x}, Lists: [][]*shared{{new(shared)}, nil}}
		}},
		{"nil elements", func() *sharer {
			return &sharer{List: []*shared{nil, nil, nil}, Map: map[string]*shared{"a": nil, "b": nil, "c": nil}, Lists: [][]*shared{{nil}, {nil, nil}}, First: new(shared)}
		}},
		{"all", newSharer},
	} {
		for _, inPlace := range []bool{false, true} {
			t.Run(start.name, func(t *testing.T) {
				got := start.make()
				c := ckpt.New(ckpt.Objects{"s": ckpt.Track(got)})
				status, err := s.options(t, c, ckpt.RestoreOptions{InPlace: inPlace})
				if err != nil {
					t.Fatal(err)
				}
				if start.name == "nil elements" { // the struct that a nil one led to is made nowhere
					wantOne(t, got.First, got.List[0], got.List[1], got.Map["a"], got.Map["b"], got.Lists[1][0])
					return
				}
				wantChecks(t, status, "", "", "")
				wantSharer(t, got)
				again := new(sharer)
				save(t, c).restore(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(again)}))
				wantSharer(t, again)
			})
		}
	}
}

func wantSharer(t *testing.T, got *sharer) {
	t.Helper()
	if d := cmp.Diff(newSharer(), got); d != "" {
		t.Fatal(d)
	}
	wantOne(t, got.First, got.List[0], got.List[1], got.Map["a"], got.Map["b"], got.Lists[1][0], got.Inner.Best.Next)
	wantOne(t, got.Inner.Best, got.List[2], got.Map["c"], got.Lists[0][0], got.Lists[1][1])
}

func wantOne(t *testing.T, first *shared, others ...*shared) {
	t.Helper()
	for i, other := range others {
		if other != first {
			t.Errorf("pointer %d leads to another struct", i)
		}
	}
}

// Resume, which demands all, takes what a struct shares.
func TestResumeSharedPointers(t *testing.T) {
	b := newMem()
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(newSharer())}), "", &ckpt.ManagerOptions{Bucket: b}).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	got := &sharer{First: new(shared)}
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}), "", &ckpt.ManagerOptions{Bucket: b}).Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantSharer(t, got)
}

// Elements may lead back to the struct that holds them.
func TestTrackGrowsCycle(t *testing.T) {
	type tree struct {
		V    int64
		Kids []*tree
		By   map[string]*tree
	}
	root := &tree{V: 1}
	leaf := &tree{V: 2, By: map[string]*tree{"up": root}}
	root.Kids = []*tree{root, leaf}
	s := write(t, ckpt.New(ckpt.Objects{"t": ckpt.Track(root)}))
	got := new(tree)
	wantChecks(t, s.read(t, ckpt.New(ckpt.Objects{"t": ckpt.Track(got)})), "", "", "")
	if len(got.Kids) != 2 || got.Kids[0] != got || got.Kids[1].V != 2 || got.Kids[1].By["up"] != got {
		t.Errorf("got %+v", got)
	}
}

// Nil elements between others stay nil, and cost the file nothing, so that there
// may not be many.
func TestTrackGrowsAroundNil(t *testing.T) {
	type state struct{ L []*shared }
	for _, test := range []struct {
		name string
		gap  int
		want int // elements
	}{{"few", 3, 5}, {"many", 1000, 1}} {
		t.Run(test.name, func(t *testing.T) {
			from := &state{make([]*shared, test.gap+2)}
			from.L[0], from.L[test.gap+1] = &shared{V: []float32{1}}, &shared{V: []float32{2}}
			s := write(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(from)}))
			got := new(state)
			status := s.read(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}))
			if len(got.L) != test.want {
				t.Fatalf("got %d elements, want %d; waiting %q", len(got.L), test.want, status.Waiting())
			}
			if test.want > 1 {
				if d := cmp.Diff(from, got, cmpopts.EquateEmpty()); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

// A restore that fails leaves pointers and lists as they were.
func TestTrackSharedPointersFailed(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(newSharer()), "z": vector(1, 2)}))
	s.damage(t, "z/.ATTRIBUTES/VARIABLE_VALUE")
	for _, inPlace := range []bool{false, true} {
		got := &sharer{Map: map[string]*shared{"a": nil}}
		target := ckpt.Track(got)
		if _, err := s.options(t, ckpt.New(ckpt.Objects{"s": target, "z": vector(0, 0)}), ckpt.RestoreOptions{InPlace: inPlace}); err == nil {
			t.Fatal("no error")
		}
		if d := cmp.Diff(&sharer{Map: map[string]*shared{"a": nil}}, got); d != "" {
			t.Errorf("in place %v: %s", inPlace, d)
		}
		if _, err := s.options(t, ckpt.New(ckpt.Objects{"s": target}), ckpt.RestoreOptions{InPlace: inPlace}); err != nil {
			t.Fatal(err)
		}
		wantOne(t, got.List[0], got.List[1], got.Map["a"], got.Map["b"], got.First)
	}
}

// Diff counts what a restore makes, of which it makes nothing.
func TestDiffGrowth(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(newSharer()), "g": ckpt.Track(newGrown())}))
	got, large := &sharer{First: new(shared)}, new(grown)
	root := ckpt.New(ckpt.Objects{"s": ckpt.Track(got), "g": ckpt.Track(large)})
	for range 2 {
		d, err := s.view(t).Diff(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		if !d.Fits() {
			t.Errorf("got %v", d)
		}
		if len(d.OnlyStored) == 0 {
			t.Error("what the program lacks now is not listed")
		}
	}
	if got.List != nil || got.Map != nil || large.Blocks != nil {
		t.Errorf("Diff changed the program: %+v", got)
	}
	wantChecks(t, s.read(t, root), "", "", "")
	wantSharer(t, got)
	large.Rows[0] = []float64{1, 2} // a slice takes any length
	if d, err := s.view(t).Diff(t.Context(), root); err != nil || !d.Fits() {
		t.Errorf("got %v, %v", d, err)
	}
}

// Fill finds pointers that the program has set in a map's values since, and
// keeps what else it has set there.
func TestFillInMap(t *testing.T) {
	type inner struct{ P *shared }
	type value struct {
		A  float32
		In inner
		P  *shared
	}
	type state struct {
		M map[string]value
		L []map[string]value
	}
	full := func() map[string]value {
		return map[string]value{"k": {1, inner{&shared{V: []float32{2}}}, &shared{V: []float32{3}}}}
	}
	s := write(t, ckpt.New(ckpt.Objects{"t": ckpt.Track(&state{full(), []map[string]value{full()}})}))
	got := &state{M: map[string]value{"k": {}}, L: []map[string]value{{"k": {}}}}
	c := ckpt.New(ckpt.Objects{"t": ckpt.Track(got)})
	status := s.read(t, c)
	var v value
	for i, m := range []map[string]value{got.M, got.L[0]} {
		v = m["k"]
		v.P, v.In.P = new(shared), new(shared)
		m["k"] = v
		if _, err := ckpt.NewTrackableView(c); err != nil { // looks at the map
			t.Fatal(err)
		}
		v.A = 100 + float32(i)
		m["k"] = v
	}
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, "", "", "")
	for i, m := range []map[string]value{got.M, got.L[0]} {
		if v := m["k"]; v.A != 100+float32(i) || v.P.V[0] != 3 || v.In.P.V[0] != 2 {
			t.Errorf("got %v, %v, %v, want the program's value and the checkpoint's", v.A, v.P, v.In.P)
		}
	}
}

// The values of a map are set one after the other, however many are read at once.
func TestTrackMapInPlace(t *testing.T) {
	type value struct {
		Slice []float32
		Array [1 << 16]float32
		Deep  map[string]float32
	}
	type state struct{ M map[string]value }
	filled := func(x float32) *state {
		s := &state{make(map[string]value)}
		for _, key := range []string{"a", "b", "c", "d"} {
			v := value{Slice: make([]float32, 1<<17), Deep: map[string]float32{"x": x, "y": x}}
			v.Slice[9], v.Array[9] = x, x
			s.M[key] = v
		}
		return s
	}
	want := filled(3)
	s := write(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(want)}))
	got := filled(0)
	before := got.M["a"].Slice
	c := ckpt.New(ckpt.Objects{"s": ckpt.Track(got)})
	for range 3 {
		if _, err := s.options(t, c, ckpt.RestoreOptions{InPlace: true}); err != nil {
			t.Fatal(err)
		}
	}
	for key, v := range got.M {
		if v.Slice[9] != 3 || v.Array[9] != 3 || v.Deep["x"] != 3 || v.Deep["y"] != 3 {
			t.Errorf("%s: got %v, %v, %v", key, v.Slice[9], v.Array[9], v.Deep)
		}
	}
	if &before[0] != &got.M["a"].Slice[0] {
		t.Error("a slice of the right length was not read in place")
	}
}
