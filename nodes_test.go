package ckpt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

func (s saved) restoreNodes(t testing.TB, nodes map[int]ckpt.Trackable) error {
	t.Helper()
	return ckpt.RestoreNodes(t.Context(), s.prefix, nodes, &ckpt.RestoreOptions{Bucket: s.bucket})
}

// wantMismatch is wantError for errors of the class ErrMismatch.
func wantMismatch(t testing.TB, what string, err error, holds string) {
	t.Helper()
	wantError(t, what, err, holds)
	if !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("%s: got %v, want ErrMismatch", what, err)
	}
}

func TestRestoreNodes(t *testing.T) {
	for _, inPlace := range []bool{false, true} {
		s := write(t, ckpt.New(ckpt.Objects{"a": vector(1, 2), "n": branch("b", scalar(3)), "p": newPair(4, 5)}))
		a, b, p, below := vector(0, 0), scalar(0), newPair(0, 0), scalar(9)
		err := ckpt.RestoreNodes(t.Context(), s.prefix,
			map[int]ckpt.Trackable{1: a, 2: branch("b", below), 3: p, 4: b}, &ckpt.RestoreOptions{Bucket: s.bucket, InPlace: inPlace})
		if err != nil {
			t.Fatal(err)
		}
		wantValues(t, "a", a, 1, 2)
		wantValues(t, "p.v1", p.vars[0], 4)
		wantValues(t, "p.v2", p.vars[1], 5)
		wantValues(t, "b", b, 3)
		wantValues(t, "what is below a node", below, 9)
	}
}

func TestRS27RestoreNodesErrors(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2)}))
	a := scalar(0)
	wantMismatch(t, "node 3 of 3", s.restoreNodes(t, map[int]ckpt.Trackable{1: a, 3: scalar(0)}), "node 3 to restore does not exist in the checkpoint")
	wantMismatch(t, "node -1", s.restoreNodes(t, map[int]ckpt.Trackable{-1: a}), "node -1 to restore does not exist in the checkpoint")
	wantMismatch(t, "nil", s.restoreNodes(t, map[int]ckpt.Trackable{1: a, 2: nil}), "the object for node 2, (root).b")
	var none *ckpt.Variable[float32]
	wantMismatch(t, "nil pointer", s.restoreNodes(t, map[int]ckpt.Trackable{1: a, 2: none}), "the object for node 2, (root).b")
	wantError(t, "one object twice", s.restoreNodes(t, map[int]ckpt.Trackable{1: a, 2: a}), "both node 1 and node 2")
	wantMismatch(t, "a shape", s.restoreNodes(t, map[int]ckpt.Trackable{1: a, 2: vector(1, 2)}), "b/.ATTRIBUTES/VARIABLE_VALUE: the program has float32 [2]")
	wantValues(t, "a after errors", a, 0)
	for _, nodes := range []map[int]ckpt.Trackable{nil, {}} {
		if err := s.restoreNodes(t, nodes); err != nil {
			t.Errorf("an empty selection: got %v", err)
		}
	}
	err := ckpt.RestoreNodes(t.Context(), "", nil, nil)
	if !errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Errorf("no path: got %v, want ErrNoCheckpoint", err)
	}
	if err := nameFile(t).restoreNodes(t, nil); !errors.Is(err, errors.ErrUnsupported) || !strings.Contains(err.Error(), "_CHECKPOINTABLE_OBJECT_GRAPH") {
		t.Errorf("a name-based file: got %v", err)
	}
}

func TestRS28RestoreNodesTensors(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"one": newPair(1), "two": newPair(1, 2)}))
	wantMismatch(t, "two tensors on a node with one", s.restoreNodes(t, map[int]ckpt.Trackable{1: newPair(0, 0)}), "holds 2 tensors, but the checkpoint has 1 for node_id: 1")
	wantMismatch(t, "one tensor on a node with two", s.restoreNodes(t, map[int]ckpt.Trackable{2: newPair(0)}), "holds 1 tensor, but the checkpoint has 2 for node_id: 2")
	wantMismatch(t, "values on a node without", s.restoreNodes(t, map[int]ckpt.Trackable{0: scalar(0)}), "does not contain serialized tensors for node_id: 0")
	wantMismatch(t, "no values on a node with some", s.restoreNodes(t, map[int]ckpt.Trackable{1: branch()}), "the checkpoint has 1 tensor for node_id: 1")
	wantMismatch(t, "another attribute", s.restoreNodes(t, map[int]ckpt.Trackable{1: scalar(0)}), `a tensor "VARIABLE_VALUE", which the checkpoint does not have for node_id: 1`)
}

// An older restore whose value still waits for an object does not overwrite what
// its node gave it.
func TestRestoreNodesCountsAsNewest(t *testing.T) {
	old := write(t, ckpt.New(ckpt.Objects{"dep": scalar(1)}))
	s := write(t, ckpt.New(ckpt.Objects{"x": scalar(2)}))
	c := ckpt.New(nil)
	old.read(t, c)
	dep := scalar(0)
	if err := s.restoreNodes(t, map[int]ckpt.Trackable{1: dep}); err != nil {
		t.Fatal(err)
	}
	if err := c.Track("dep", dep); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "dep", dep, 2)
}
