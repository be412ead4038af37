package ckpt_test

import (
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

type block struct {
	Layers []layer
	Note   string
}

// grown is a struct with everything that grows when it is restored.
type grown struct {
	Blocks   []block
	Rows     [][]float64
	Deep     [][][]int32
	Pointers []*layer
	Vectors  map[string][]float32
	Numbers  map[string]int
	Pairs    map[string][2]int8
	Nested   map[string]map[string]string
	Structs  map[string]layer
	ByName   map[string]*layer
	Lists    map[string][]layer
	Texts    map[string]map[string]any `ckpt:"texts,json"`
}

func newGrown() *grown {
	return &grown{
		Blocks:   []block{{Layers: []layer{{Bias: []float32{1}}, {Bias: []float32{2, 3}}}, Note: "a"}, {Note: "b", Layers: []layer{{}}}},
		Rows:     [][]float64{{1}, {2, 3}},
		Deep:     [][][]int32{{{1}, {2, 3}}, {{4}}},
		Pointers: []*layer{{Bias: []float32{4}}, {Bias: []float32{5}}},
		Vectors:  map[string][]float32{"b": {1, 2}, "a": {3}},
		Numbers:  map[string]int{"x/y.z": 4, "": 5},
		Pairs:    map[string][2]int8{"p": {6, 7}},
		Nested:   map[string]map[string]string{"n": {"k": "v", "l": ""}},
		Structs:  map[string]layer{"s": {Kernel: [2][3]float32{{1, 2, 3}, {4, 5, 6}}, Bias: []float32{8}}},
		ByName:   map[string]*layer{"q": {Bias: []float32{9}}},
		Lists:    map[string][]layer{"m": {{Bias: []float32{10}}, {Bias: []float32{11}}}},
		Texts:    map[string]map[string]any{"t": {"u": "v"}},
	}
}

// noNil makes the empty slices of what was stored as empty.
var noNil = cmp.Transformer("noNil", func(v []float32) []float32 { return append([]float32{}, v...) })

func TestTrackMapsAndGrowth(t *testing.T) {
	want := newGrown()
	s := save(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(want)}))
	g := s.graph(t)
	vectors, _ := g.Child(1, "Vectors")
	if e := g.Nodes[vectors].Children; len(e) != 2 || e[0].Name != "a" || e[1].Name != "b" {
		t.Errorf("got edges %v, want the keys sorted", e)
	}
	for _, start := range []struct {
		name string
		make func() *grown
	}{
		{"empty", func() *grown { return new(grown) }},
		{"some", func() *grown {
			return &grown{
				Blocks: []block{{Layers: make([]layer, 1)}}, Rows: [][]float64{{9}}, Deep: [][][]int32{{{9}}}, Pointers: []*layer{{Bias: []float32{7, 7}}},
				Vectors: map[string][]float32{"a": {0}}, Numbers: map[string]int{"": 1}, Pairs: map[string][2]int8{"p": {}},
				Nested:  map[string]map[string]string{"n": {"k": "w"}},
				Structs: map[string]layer{"s": {Bias: []float32{1, 2}}}, ByName: map[string]*layer{"q": {}}, Lists: map[string][]layer{"m": make([]layer, 1)},
			}
		}},
		{"all", newGrown},
	} {
		for _, inPlace := range []bool{false, true} {
			t.Run(start.name, func(t *testing.T) {
				got := start.make()
				var kept *layer
				if len(got.Pointers) > 0 {
					kept = got.Pointers[0]
				}
				c := ckpt.New(ckpt.Objects{"s": ckpt.Track(got)})
				status, err := c.Restore(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, InPlace: inPlace})
				if err != nil {
					t.Fatal(err)
				}
				wantChecks(t, status, "", "", "")
				if diff := cmp.Diff(got, want, noNil); diff != "" {
					t.Errorf("-got +want:\n%s", diff)
				}
				if kept != nil && got.Pointers[0] != kept {
					t.Error("a pointer that was there was replaced")
				}
				again := write(t, c)
				for _, name := range []string{".index", ".data-00000-of-00001"} {
					if !cmp.Equal(again.file(t, again.prefix+name), s.file(t, s.prefix+name)) {
						t.Errorf("%s differs from what was restored", name)
					}
				}
			})
		}
	}
}

// What the program puts into a map or a list later is what is saved.
func TestTrackMapChanges(t *testing.T) {
	type state struct{ M map[string]layer }
	s := &state{M: map[string]layer{"a": {Bias: []float32{1}}}}
	c := ckpt.New(ckpt.Objects{"s": ckpt.Track(s)})
	first := write(t, c)
	s.M["a"], s.M["b"] = layer{Bias: []float32{2}}, layer{}
	second := write(t, c)
	delete(s.M, "a")
	third := write(t, c)
	wantKeys(t, third, "s/M/b/bias", "s/M/b/kernel")
	wantChecks(t, second.read(t, c), "", "", "")
	if len(s.M) != 2 || s.M["a"].Bias[0] != 2 {
		t.Errorf("got %v", s.M)
	}
	s.M = nil
	wantChecks(t, first.read(t, c), "", "", "")
	if len(s.M) != 1 || s.M["a"].Bias[0] != 1 {
		t.Errorf("got %v", s.M)
	}
}

// A restore that fails leaves lengths and keys as they were.
func TestTrackGrowthIsAllOrNothing(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(newGrown()), "v": vector(1, 2)}))
	got := &grown{Blocks: make([]block, 1), Vectors: map[string][]float32{"z": {1}}, ByName: map[string]*layer{"z": {}}}
	c := ckpt.New(ckpt.Objects{"s": ckpt.Track(got), "v": vector(1)})
	_, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	if !errors.Is(err, ckpt.ErrMismatch) {
		t.Fatalf("got %v, want a mismatch", err)
	}
	want := &grown{Blocks: make([]block, 1), Vectors: map[string][]float32{"z": {1}}, ByName: map[string]*layer{"z": {}}}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	c = ckpt.New(ckpt.Objects{"s": ckpt.Track(got)})
	s.read(t, c)
	if len(got.Blocks) != 2 || len(got.ByName) != 2 || len(got.Vectors) != 3 || got.ByName["q"].Bias[0] != 9 {
		t.Errorf("got %+v", got)
	}
}

// Trackables, and elements that are large in themselves, are for the program to
// make.
func TestTrackDoesNotGrow(t *testing.T) {
	type large struct{ V [200]float32 }
	type state struct {
		Large []large
		Map   map[string]*large
		Vars  []*ckpt.Variable[float32]
		Lists []struct{ L ckpt.List }
	}
	full := &state{Large: make([]large, 2), Map: map[string]*large{"a": {}}, Vars: []*ckpt.Variable[float32]{scalar(1)}, Lists: make([]struct{ L ckpt.List }, 1)}
	full.Large[1].V[0] = 5
	if err := full.Lists[0].L.Append(scalar(3)); err != nil {
		t.Fatal(err)
	}
	s := write(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(full)}))
	got := new(state)
	c := ckpt.New(ckpt.Objects{"s": ckpt.Track(got)})
	status := s.read(t, c)
	if len(got.Large)+len(got.Map)+len(got.Vars)+len(got.Lists) != 0 {
		t.Errorf("got %+v", got)
	}
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).s.Large.0.V")
	_, err := c.Write(t.Context(), "x", &ckpt.SaveOptions{Bucket: newMem()})
	wantError(t, "Write", err, "(root).s.Large.0")
	got.Large, got.Map = make([]large, 2), map[string]*large{"a": new(large)}
	got.Vars, got.Lists = []*ckpt.Variable[float32]{scalar(0)}, make([]struct{ L ckpt.List }, 1)
	if err := got.Lists[0].L.Append(scalar(0)); err != nil {
		t.Fatal(err)
	}
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, "", "", "")
	if got.Large[1].V[0] != 5 || got.Vars[0].Value() != 1 {
		t.Errorf("got %+v", got)
	}
}

// Two restores that wait for one struct: the newer one wins.
func TestTrackGrowthOfTwoRestores(t *testing.T) {
	old, fresh := newGrown(), newGrown()
	old.Rows, old.Vectors["old"] = append(old.Rows, []float64{7}), []float32{7}
	old.Numbers[""], old.Pointers[0].Bias[0] = 70, 70
	old.ByName["q"].Bias[0] = 70
	first := write(t, ckpt.New(ckpt.Objects{"n": branch("s", ckpt.Track(old))}))
	second := write(t, ckpt.New(ckpt.Objects{"n": branch("s", ckpt.Track(fresh))}))
	n := branch()
	c := ckpt.New(ckpt.Objects{"n": n})
	first.read(t, c)
	second.read(t, c)
	got := new(grown)
	if err := n.Track("s", ckpt.Track(got)); err != nil {
		t.Fatal(err)
	}
	want := newGrown()
	want.Rows, want.Vectors["old"] = append(want.Rows, []float64{7}), []float32{7} // only the older one has them
	if diff := cmp.Diff(got, want, noNil); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
}

// A manager resumes into empty lists and maps; if the newest checkpoint is damaged,
// what it would have added is gone, and the one before it counts.
func TestTrackGrowthResumed(t *testing.T) {
	type state struct {
		Layers   []layer
		Pointers []*layer
		M        map[string]*layer
	}
	stateOf := func(n int) *state {
		s := &state{Layers: make([]layer, n), M: make(map[string]*layer)}
		for i := range n {
			s.Layers[i].Bias = []float32{float32(i)}
			s.Pointers = append(s.Pointers, &layer{Bias: []float32{float32(10 * i)}})
			s.M[string(rune('a'+i))] = &layer{Bias: []float32{float32(20 * i)}}
		}
		return s
	}
	dir := t.TempDir()
	var last string
	s := new(state)
	m, err := ckpt.NewManager(ckpt.New(ckpt.Objects{"s": ckpt.Track(s)}), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= 3; n++ {
		*s = *stateOf(n)
		if last, err = m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	for want := 3; want >= 2; want-- {
		got := new(state)
		m, err := ckpt.NewManager(ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		resumed, err := m.Resume(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(resumed.Refused) != 3-want {
			t.Errorf("got %d refused", len(resumed.Refused))
		}
		if diff := cmp.Diff(got, stateOf(want), noNil); diff != "" {
			t.Errorf("-got +want:\n%s", diff)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		flipBit(t, dataOf(last), 60, 1)
	}
}

// A restore of a part adds elements there and nowhere else.
func TestTrackGrowthOfAPart(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(newGrown())}))
	got := new(grown)
	_, err := s.options(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}), ckpt.RestoreOptions{Only: []string{"s/Blocks", "s/Vectors"}})
	if err != nil {
		t.Fatal(err)
	}
	want := &grown{Blocks: newGrown().Blocks, Vectors: newGrown().Vectors}
	if diff := cmp.Diff(got, want, noNil); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
}

// Renamed edges and other dtypes are for elements that are made, too.
func TestTrackGrowthRenamedAndCast(t *testing.T) {
	type old struct {
		Numbers map[string]int32
		Rows    [][]float64
	}
	type current struct {
		Counts map[string]int64
		Rows   [][]float32
	}
	s := save(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(&old{map[string]int32{"a": 1}, [][]float64{{2}, {3, 4}}})}))
	got := new(current)
	status, err := s.options(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}), ckpt.RestoreOptions{Cast: true, Rename: map[string]string{"s/Numbers": "s/Counts"}})
	if err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, "", "", "")
	if diff := cmp.Diff(got, &current{map[string]int64{"a": 1}, [][]float32{{2}, {3, 4}}}); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
}
