package interop_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// restored is the answer of restore in server.py.
type restored struct {
	Consumed    string `json:"consumed"`
	Existing    string `json:"existing"`
	SaveCounter int64  `json:"save_counter"`
	Values      map[string]struct {
		SHA256 string `json:"sha256"`
	} `json:"values"`
}

func (r *restored) hashes() map[string]string {
	all := make(map[string]string, len(r.Values))
	for path, v := range r.Values {
		all[path] = v.SHA256
	}
	return all
}

func newCheckpoint(t *testing.T, o *objects, rooted bool) *ckpt.Checkpoint {
	t.Helper()
	if !rooted {
		return ckpt.New(o.top)
	}
	rest := make(ckpt.Objects)
	for name, object := range o.top {
		if object != o.root {
			rest[name] = object
		}
	}
	c, err := ckpt.NewRooted(o.root, rest)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// bothWays saves a tree on both sides, compares the files byte for byte, and
// lets each side restore what the other wrote.
func bothWays(t *testing.T, tr tree, rooted bool) {
	t.Helper()
	ctx := t.Context()
	dir := t.TempDir()
	args := func(prefix string) map[string]any {
		return map[string]any{"prefix": prefix, "tree": tr, "rooted": rooted}
	}
	var theirs string
	tensorflow.Call(t, "save", args(filepath.Join(dir, "python", "x")), &theirs)

	made := tr.build(t, false)
	ours, err := newCheckpoint(t, made, rooted).Save(ctx, filepath.Join(dir, "go", "x"), nil)
	if err != nil {
		t.Fatal(err)
	}
	sameFiles(t, ours, theirs)
	if t.Failed() {
		t.Log(tr.describe())
	}

	blank := tr.build(t, true)
	status, err := newCheckpoint(t, blank, rooted).Restore(ctx, theirs, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := status.CheckConsumed(); err != nil {
		t.Error(err)
	}
	want := made.hashes(t)
	if diff := cmp.Diff(blank.hashes(t), want); diff != "" {
		t.Errorf("Go restored: -got +want:\n%s", diff)
	}

	var r restored
	tensorflow.Call(t, "restore", args(ours), &r)
	if r.Consumed != "" || r.SaveCounter != 1 {
		t.Errorf("TensorFlow restored: got assert_consumed %q and save_counter %d, want none and 1", r.Consumed, r.SaveCounter)
	}
	if diff := cmp.Diff(r.hashes(), want); diff != "" {
		t.Errorf("TensorFlow restored: -got +want:\n%s", diff)
	}
}

// TestGoldenObjects writes the golden object trees and compares the files.
func TestGoldenObjects(t *testing.T) {
	folder := goldens("tensorflow-2.21.0-objects")
	for _, test := range []struct {
		name   string
		rooted bool
	}{{"nested", false}, {"rooted", true}} {
		t.Run(test.name, func(t *testing.T) {
			var tr tree
			readJSON(t, filepath.Join(folder, test.name+".tree.json"), &tr)
			c := newCheckpoint(t, tr.build(t, false), test.rooted)
			prefix, err := c.Save(t.Context(), filepath.Join(t.TempDir(), test.name), nil)
			if err != nil {
				t.Fatal(err)
			}
			sameFiles(t, prefix, filepath.Join(folder, test.name+"-1"))
		})
	}
	t.Run("nested-written", func(t *testing.T) {
		var tr tree
		readJSON(t, filepath.Join(folder, "nested.tree.json"), &tr)
		prefix, err := newCheckpoint(t, tr.build(t, false), false).Write(t.Context(), filepath.Join(t.TempDir(), "x"), nil)
		if err != nil {
			t.Fatal(err)
		}
		sameFiles(t, prefix, filepath.Join(folder, "nested-written"))
	})
}

// TestObjectsBothWays does so for the golden trees with TensorFlow beside.
func TestObjectsBothWays(t *testing.T) {
	tensorflow.Require(t)
	for _, name := range []string{"nested", "rooted"} {
		t.Run(name, func(t *testing.T) {
			var tr tree
			readJSON(t, goldens("tensorflow-2.21.0-objects", name+".tree.json"), &tr)
			bothWays(t, tr, name == "rooted")
		})
	}
}

// TestRandomObjectsBothWays does so for random graphs of modules, lists, dicts
// and variables of every dtype, with shared objects.
func TestRandomObjectsBothWays(t *testing.T) {
	tensorflow.Require(t)
	for seed := range 40 {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			m := treeMaker{r: rand.New(rand.NewPCG(uint64(seed), 5))}
			bothWays(t, m.tree(), false)
		})
	}
}
