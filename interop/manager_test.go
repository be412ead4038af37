package interop_test

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// managed is the answer of manage in server.py.
type managed struct {
	Found       []string         `json:"found"`
	Restored    string           `json:"restored"`
	Saved       []string         `json:"saved"`
	Checkpoints []string         `json:"checkpoints"`
	Latest      string           `json:"latest"`
	Files       []string         `json:"files"`
	Values      map[string]value `json:"values"`
}

func readManagerTree(t *testing.T) tree {
	t.Helper()
	var tr tree
	readJSON(t, goldens("tensorflow-2.21.0-manager", "tree.json"), &tr)
	return tr
}

// number is the value of n, which counts the saves.
func number(t *testing.T, o *objects) int {
	t.Helper()
	return int(binary.LittleEndian.Uint64(content(t, o.variables["n"]).Bytes()))
}

// saveManaged raises n and saves, some times.
func saveManaged(t *testing.T, manager *ckpt.Manager, o *objects, times int) {
	t.Helper()
	n := o.variables["n"].(*ckpt.RawVariable).Bytes()
	for range times {
		binary.LittleEndian.PutUint64(n, binary.LittleEndian.Uint64(n)+1)
		if _, err := manager.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

func fileNames(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

func prefixesIn(dir string, first, last int) []string {
	var all []string
	for i := first; i <= last; i++ {
		all = append(all, prefixIn(dir, i))
	}
	return all
}

// TestManagerGolden saves seven times with room for five: the directory must be
// TensorFlow's, file by file.
func TestManagerGolden(t *testing.T) {
	golden := goldens("tensorflow-2.21.0-manager", "checkpoints")
	dir := t.TempDir()
	o := readManagerTree(t).build(t, false)
	manager, err := ckpt.NewManager(ckpt.New(o.top), dir, &ckpt.ManagerOptions{MaxToKeep: 5})
	if err != nil {
		t.Fatal(err)
	}
	saveManaged(t, manager, o, 7)
	if diff := cmp.Diff(fileNames(t, dir), fileNames(t, golden)); diff != "" {
		t.Errorf("files: -got +want:\n%s", diff)
	}
	for i := 3; i <= 7; i++ {
		sameFiles(t, prefixIn(dir, i), prefixIn(golden, i))
	}
	sameState(t, dir, golden)
}

// TestManagerBothWays lets Go save seven times, TensorFlow's manager take over
// the directory for the eighth, and Go resume from that.
func TestManagerBothWays(t *testing.T) {
	tensorflow.Require(t)
	dir := t.TempDir()
	tr := readManagerTree(t)
	o := tr.build(t, false)
	manager, err := ckpt.NewManager(ckpt.New(o.top), dir, &ckpt.ManagerOptions{MaxToKeep: 5})
	if err != nil {
		t.Fatal(err)
	}
	saveManaged(t, manager, o, 7)

	var theirs managed
	tensorflow.Call(t, "manage", map[string]any{"directory": dir, "saves": 1, "max_to_keep": 5, "tree": tr, "resume": true}, &theirs)
	if diff := cmp.Diff(theirs.Found, prefixesIn(dir, 3, 7)); diff != "" {
		t.Errorf("TensorFlow found: -got +want:\n%s", diff)
	}
	if want := prefixIn(dir, 7); theirs.Restored != want {
		t.Errorf("TensorFlow restored %q, want %q", theirs.Restored, want)
	}
	if diff := cmp.Diff(theirs.Checkpoints, prefixesIn(dir, 4, 8)); diff != "" {
		t.Errorf("TensorFlow keeps: -got +want:\n%s", diff)
	}

	again := tr.build(t, true)
	manager, err = ckpt.NewManager(ckpt.New(again.top), dir, &ckpt.ManagerOptions{MaxToKeep: 5})
	if err != nil {
		t.Fatal(err)
	}
	resumed, err := manager.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if want := prefixIn(dir, 8); resumed.Prefix != want || len(resumed.Refused) != 0 {
		t.Errorf("resumed from %q, refused %v, want %q and none", resumed.Prefix, resumed.Refused, want)
	}
	if err := resumed.Status.CheckConsumed(); err != nil {
		t.Error(err)
	}
	if got := number(t, again); got != 8 {
		t.Errorf("got n = %d, want 8", got)
	}
	saveManaged(t, manager, again, 1)
	if diff := cmp.Diff(manager.Checkpoints(), prefixesIn(dir, 5, 9)); diff != "" {
		t.Errorf("Go keeps: -got +want:\n%s", diff)
	}
	var latest string
	tensorflow.Call(t, "latest", map[string]any{"directory": dir}, &latest)
	if want := prefixIn(dir, 9); latest != want {
		t.Errorf("latest_checkpoint: got %q, want %q", latest, want)
	}
}

// TestManagerFromTensorFlow resumes from a directory of TensorFlow's manager
// and compares the names of what both keep.
func TestManagerFromTensorFlow(t *testing.T) {
	tensorflow.Require(t)
	dir := filepath.Join(t.TempDir(), "made", "by python")
	tr := readManagerTree(t)
	var theirs managed
	tensorflow.Call(t, "manage", map[string]any{"directory": dir, "saves": 7, "max_to_keep": 5, "tree": tr}, &theirs)
	o := tr.build(t, true)
	manager, err := ckpt.NewManager(ckpt.New(o.top), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(manager.Checkpoints(), theirs.Checkpoints); diff != "" {
		t.Errorf("Go found: -got +want:\n%s", diff)
	}
	resumed, err := manager.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if resumed.Prefix != theirs.Latest {
		t.Errorf("resumed from %q, want %q", resumed.Prefix, theirs.Latest)
	}
	if got := number(t, o); got != 7 {
		t.Errorf("got n = %d, want 7", got)
	}
	if diff := cmp.Diff(fileNames(t, dir), theirs.Files); diff != "" {
		t.Errorf("files after resuming: -got +want:\n%s", diff)
	}
}
