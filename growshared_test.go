package ckpt_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

type grownShared struct{ V []float32 }

// TestGrowShared restores structs in which one object stands at several places into
// empty ones: it is one object again.
func TestGrowShared(t *testing.T) {
	type inner struct{ Last *grownShared }
	type S struct {
		Best *grownShared
		L    []*grownShared
		M    map[string]*grownShared
		In   inner
		Deep []struct{ L []*grownShared }
	}
	x, y := &grownShared{[]float32{1, 2}}, &grownShared{[]float32{3}}
	for _, test := range []struct {
		name       string
		saved, got *S
	}{
		{"twice in a list", &S{L: []*grownShared{x, y, x}}, &S{}},
		{"in a list and a map", &S{L: []*grownShared{x}, M: map[string]*grownShared{"a": x, "b": x, "c": y}}, &S{}},
		{"a field and an element", &S{Best: x, L: []*grownShared{y, x}}, &S{Best: new(grownShared)}},
		{"a field that is found later", &S{L: []*grownShared{x}, In: inner{x}}, &S{In: inner{new(grownShared)}}},
		{"half of a list", &S{L: []*grownShared{x, y, x}}, &S{L: []*grownShared{new(grownShared)}}},
		{"lists of lists", &S{L: []*grownShared{x}, Deep: []struct{ L []*grownShared }{{[]*grownShared{y, x}}, {[]*grownShared{x}}}}, &S{}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			c := ckpt.New(ckpt.Objects{"s": ckpt.Track(test.saved)})
			if _, err := newManager(t, c, dir, nil).Save(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			c = ckpt.New(ckpt.Objects{"s": ckpt.Track(test.got)})
			m := newManager(t, c, dir, nil)
			if _, err := m.Resume(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(test.saved, test.got); d != "" {
				t.Errorf("(-saved +got)\n%s", d)
			}
			seen := make(map[float32]*grownShared)
			for _, p := range append(append([]*grownShared{test.got.Best, test.got.In.Last}, test.got.L...), test.got.M["a"], test.got.M["b"]) {
				if p == nil {
					continue
				}
				if other := seen[p.V[0]]; other != nil && other != p {
					t.Errorf("two objects where one was saved: %v", p.V)
				}
				seen[p.V[0]] = p
			}
			if _, err := m.Save(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if a, b := readFile(t, dir+"/ckpt-1.index"), readFile(t, dir+"/ckpt-2.index"); len(a) != len(b) {
				t.Errorf("saved again it has %d bytes of index, not %d", len(b), len(a))
			}
		})
	}
}

// TestFillMapValue makes what waits inside a value of a map.
func TestFillMapValue(t *testing.T) {
	type value struct {
		A float32
		P *grownShared
	}
	type S struct{ M map[string]value }
	b := newMem()
	saved := &S{map[string]value{"k": {1, &grownShared{[]float32{2}}}}}
	if _, err := ckpt.New(ckpt.Objects{"s": ckpt.Track(saved)}).Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	got := &S{map[string]value{"k": {}}}
	s, err := ckpt.New(ckpt.Objects{"s": ckpt.Track(got)}).Read(t.Context(), "c", &ckpt.RestoreOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	v := got.M["k"]
	v.P = new(grownShared)
	got.M["k"] = v
	if err := s.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(saved, got); d != "" {
		t.Errorf("(-saved +got)\n%s", d)
	}
}

// TestOptionsThatNameNothing refuses an empty Only, and a Rename to a field that
// the program's struct does not have.
func TestOptionsThatNameNothing(t *testing.T) {
	type old struct {
		Rate float32 `ckpt:"rate"`
	}
	type current struct {
		Speed float32 `ckpt:"speed"`
	}
	b := newMem()
	c := ckpt.New(ckpt.Objects{"s": ckpt.Track(&old{3})})
	if _, err := newManager(t, c, "", &ckpt.ManagerOptions{Bucket: b}).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Restore(t.Context(), "ckpt-1", &ckpt.RestoreOptions{Bucket: b, Only: []string{}}); err == nil || !strings.Contains(err.Error(), "Only") {
		t.Errorf("an empty Only: got %v, want an error that names it", err)
	}
	now := new(current)
	m := newManager(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(now)}), "", &ckpt.ManagerOptions{Bucket: b})
	_, err := m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true, Rename: map[string]string{"s/rate": "s/sped"}})
	if !errors.Is(err, ckpt.ErrMismatch) || !strings.Contains(err.Error(), "s/sped") {
		t.Errorf("a Rename to nothing: got %v, want ErrMismatch", err)
	}
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true, Rename: map[string]string{"s/rate": "s/speed"}}); err != nil || now.Speed != 3 {
		t.Errorf("a Rename to a field: got %v, %v", now.Speed, err)
	}
}

func TestListSkipTooFar(t *testing.T) {
	l := new(ckpt.List)
	l.Skip(math.MaxInt - 1)
	defer func() {
		if recover() == nil {
			t.Error("no panic")
		}
	}()
	l.Skip(1)
}
