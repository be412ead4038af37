package ckpt_test

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// view opens a View of a checkpoint.
func (s saved) view(t testing.TB) *ckpt.View {
	t.Helper()
	v, err := s.open(t).View(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// rooted is a Checkpoint with a root.
func rooted(t testing.TB, root ckpt.Trackable) *ckpt.Checkpoint {
	t.Helper()
	c, err := ckpt.NewRooted(root, nil)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestVW1Children(t *testing.T) {
	v := save(t, rooted(t, branch("leaf", branch()))).view(t)
	got, err := v.Children(0)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"leaf 1", "root 0", "save_counter 2"}
	if names := edgeNames(got); !slices.Equal(names, want) {
		t.Errorf("got %v, want %v", names, want)
	}
}

func edgeNames(edges []objectgraph.Edge) []string {
	var names []string
	for _, e := range edges {
		names = append(names, e.Name+" "+string(rune('0'+e.Node)))
	}
	return names
}

func TestVW2Descendants(t *testing.T) {
	v := save(t, rooted(t, branch("leaf", branch()))).view(t)
	if got := v.Descendants(); !slices.Equal(got, []int{0, 1, 2}) {
		t.Errorf("got %v, want [0 1 2]", got)
	}
	if got := v.Path(1); got != "(root).leaf" {
		t.Errorf("got path %s", got)
	}
}

func TestVW3Match(t *testing.T) {
	v := save(t, rooted(t, branch(
		"leaf1", branch("leaf3", branch(), "leaf4", branch()),
		"leaf2", branch("leaf5", branch())))).view(t)
	leaf3, leaf5 := branch(), branch()
	leaf1, leaf2 := branch("leaf3", leaf3), branch("leaf5", leaf5)
	root2 := branch("leaf1", leaf1, "leaf2", leaf2)
	got, err := v.Match(root2)
	if err != nil {
		t.Fatal(err)
	}
	want := map[int]ckpt.Trackable{0: root2, 1: leaf1, 2: leaf2, 4: leaf3, 6: leaf5}
	if !maps.Equal(got, want) {
		t.Errorf("got nodes %v, want 0, 1, 2, 4 and 6", slices.Sorted(maps.Keys(got)))
	}
}

func TestVW4ViewErrors(t *testing.T) {
	v := save(t, rooted(t, branch("leaf", branch()))).view(t)
	for _, node := range []int{-1, 3, 1 << 40} {
		if _, err := v.Children(node); err == nil || !strings.Contains(err.Error(), "its nodes are 0 to 2") {
			t.Errorf("children of node %d: got error %v", node, err)
		}
		if got := v.Path(node); !strings.HasPrefix(got, "node ") {
			t.Errorf("path of node %d: got %s", node, got)
		}
	}
	if _, err := ckpt.Open(t.Context(), "none", &ckpt.OpenOptions{Bucket: mem.New()}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a missing file: got error %v, want fs.ErrNotExist", err)
	}
	r := nameFile(t).open(t)
	if _, err := r.View(t.Context()); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), objectgraph.Key) {
		t.Errorf("a name-based file: got error %v, want one that names %s", err, objectgraph.Key)
	}
	var none *ckpt.Node
	if _, err := v.Match(none); err == nil {
		t.Error("a nil root: got no error")
	}
	if _, err := ckpt.NewTrackableView(none); err == nil {
		t.Error("a nil root: got no error")
	}
}

func TestVW5TrackableView(t *testing.T) {
	leaf := scalar(1)
	root := branch("leaf", leaf, "self", branch("leaf", leaf))
	v, err := ckpt.NewTrackableView(root)
	if err != nil {
		t.Fatal(err)
	}
	got := v.Descendants()
	if len(got) != 3 || got[0] != ckpt.Trackable(root) || got[1] != ckpt.Trackable(leaf) {
		t.Fatalf("got %v, want root, leaf and self", got)
	}
	edges, err := v.Children(0)
	if names := edgeNames(edges); err != nil || !slices.Equal(names, []string{"leaf 1", "self 2"}) {
		t.Errorf("got %v, %v", names, err)
	}
	if _, err := v.Children(3); err == nil {
		t.Error("children of node 3: got no error")
	}
	c := rooted(t, root)
	stored := write(t, c).view(t)
	v, err = ckpt.NewTrackableView(c)
	if err != nil {
		t.Fatal(err)
	}
	for node := range v.Descendants() {
		live, _ := v.Children(node)
		file, err := stored.Children(node)
		if err != nil || !cmp.Equal(edgeNames(live), edgeNames(file)) || v.Path(node) != stored.Path(node) {
			t.Errorf("node %d: live %s %v, stored %s %v (%v)", node, v.Path(node), edgeNames(live), stored.Path(node), edgeNames(file), err)
		}
	}
}

// The program of CheckpointView.diff's documentation.
func TestViewDiffAsTensorFlow(t *testing.T) {
	module := func(children ...any) *ckpt.Node {
		return branch(append([]any{"a_var", scalar(5), "b_var", scalar(4), "vars", ckpt.NewList(scalar(1), scalar(2))}, children...)...)
	}
	leaf := module("leaf3", scalar(6), "leaf4", scalar(7))
	v := save(t, rooted(t, module("leaf", leaf))).view(t)
	leaf2 := module("leaf3", scalar(6), "leaf4", scalar(7))
	d, err := v.Diff(t.Context(), module("leaf2", leaf2))
	if err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(d.Matched)); !slices.Equal(got, []int{0, 1, 2, 3, 6, 7}) {
		t.Errorf("got overlaps %v", got)
	}
	if want := []int{4, 5, 8, 9, 10, 11, 12, 13, 14}; !slices.Equal(d.OnlyStored, want) {
		t.Errorf("got %v only in the checkpoint, want %v", d.OnlyStored, want)
	}
	if len(d.OnlyLive) != 8 || d.OnlyLive[0] != ckpt.Trackable(leaf2) {
		t.Errorf("got %d objects only in the program, want leaf2 and the 7 below", len(d.OnlyLive))
	}
}

func TestViewDiffFindings(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": vector(1, 2), "b": scalar(1), "n": ckpt.NewScalar("n", int32(1)), "same": scalar(3)}))
	same, a := scalar(0), vector(1, 2, 3)
	live := ckpt.New(ckpt.Objects{"a": a, "c": scalar(1), "n": ckpt.NewScalar("n", int64(1)), "same": same, "twin": same})
	d, err := s.view(t).Diff(t.Context(), live)
	if err != nil {
		t.Fatal(err)
	}
	if d.Fits() {
		t.Error("it fits")
	}
	if !slices.Equal(d.Missing, []string{"(root).c"}) || !slices.Equal(d.Unused, []string{"(root).b"}) {
		t.Errorf("got missing %v and unused %v", d.Missing, d.Unused)
	}
	text := d.String()
	for _, want := range []string{
		"4 objects of program and checkpoint match\n",
		"differs: a/.ATTRIBUTES/VARIABLE_VALUE: the program has float32 [3], the checkpoint has float32 [2]",
		"differs: n/.ATTRIBUTES/VARIABLE_VALUE: the program has int64 [], the checkpoint has int32 []",
		"missing in the checkpoint: (root).c\n", "missing in the program: (root).b\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("got\n%swant it to hold %s", text, want)
		}
	}
	if same.Value() != 0 || !slices.Equal(a.Data(), []float32{1, 2, 3}) {
		t.Error("a value changed")
	}
	fits, err := s.view(t).Diff(t.Context(), ckpt.New(ckpt.Objects{"a": vector(0, 0), "b": scalar(0), "n": ckpt.NewScalar("n", int32(0)), "same": same}))
	if err != nil || !fits.Fits() {
		t.Errorf("got %v, %v; want that it fits", fits, err)
	}
}

// The save counter, which Restore makes, is not missing in a program that has none.
func TestViewDiffCounter(t *testing.T) {
	d, err := save(t, ckpt.New(ckpt.Objects{"a": scalar(1)})).view(t).Diff(t.Context(), ckpt.New(ckpt.Objects{"a": scalar(0)}))
	if err != nil || !d.Fits() || !slices.Equal(d.OnlyStored, []int{2}) {
		t.Errorf("got %v, %v; want that it fits, and node 2 only in the checkpoint", d, err)
	}
}

// A look leaves no trace: what an older restore left waiting is set later as if
// nobody had looked.
func TestViewLeavesNoTrace(t *testing.T) {
	dep := scalar(12)
	s := write(t, ckpt.New(ckpt.Objects{"dep": dep}))
	live := ckpt.New(nil)
	s.read(t, live)
	fresh := scalar(0)
	if _, err := s.view(t).Match(branch("dep", fresh)); err != nil {
		t.Fatal(err)
	}
	if _, err := s.view(t).Diff(context.Background(), branch("dep", fresh)); err != nil {
		t.Fatal(err)
	}
	if err := live.Track("dep", fresh); err != nil || fresh.Value() != 12 {
		t.Errorf("got %v (%v), want 12", fresh.Value(), err)
	}
}

// What makes a slot variable does not make one for a look.
func TestViewDiffSlots(t *testing.T) {
	with, _ := slotFiles(t)
	fresh := new(creator)
	if err := fresh.build(0, 0); err != nil {
		t.Fatal(err)
	}
	d, err := with.view(t).Diff(t.Context(), ckpt.New(ckpt.Objects{"var": scalar(0), "optimizer": fresh}))
	if err != nil || !d.Fits() {
		t.Errorf("got %v, %v; want that it fits", d, err)
	}
	if len(fresh.made) > 0 {
		t.Errorf("a look made slots %v", fresh.made)
	}
}
