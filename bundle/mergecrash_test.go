package bundle_test

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// inputsOf writes x and s into one input each, as state has them.
func inputsOf(t *testing.T, b storage.Bucket, value float32) {
	t.Helper()
	mustSave(t, b, "one", state(t, value)[:1]...)
	mustSave(t, b, "two", state(t, value)[1:]...)
}

// mergeCases are outputs that are new, that replace a checkpoint, and that are an
// input. before is what the output holds, 0 for nothing.
var mergeCases = []struct {
	name    string
	prepare func(t *testing.T, b storage.Bucket)
	inputs  []string
	before  float32
}{
	{"new", func(t *testing.T, b storage.Bucket) { inputsOf(t, b, 2) }, []string{"one", "two"}, 0},
	{"over one", func(t *testing.T, b storage.Bucket) {
		inputsOf(t, b, 2)
		mustSave(t, b, "p", state(t, 1)...)
	}, []string{"one", "two"}, 1},
	{"over two", func(t *testing.T, b storage.Bucket) {
		inputsOf(t, b, 1)
		merge(t, b, "p", "one", "two")
		inputsOf(t, b, 2)
	}, []string{"two", "one"}, 1},
	{"itself", func(t *testing.T, b storage.Bucket) {
		inputsOf(t, b, 2)
		merge(t, b, "p", "one", "two")
	}, []string{"p"}, 2},
}

// mergedState reads the output, or the inputs if there is none: all that was in
// the inputs must be there.
func mergedState(t *testing.T, b storage.Bucket, when string, before float32, inputs []string) {
	t.Helper()
	got, err := stateOf(t, b, "p")
	if err == nil && got == 2 {
		return
	}
	if err != nil && (!errors.Is(err, fs.ErrNotExist) || before != 0) || err == nil && got != before {
		t.Errorf("%s: the output is %v, %v", when, got, err)
	}
	for _, input := range inputs {
		r, err := bundle.Open(t.Context(), b, input, nil)
		if err != nil {
			t.Errorf("%s: neither output nor input: %v", when, err)
			continue
		}
		for c := range r.CheckLayout(t.Context()) {
			t.Errorf("%s: %s: %v", when, input, c)
		}
		for _, key := range keys(t, r) {
			if err := r.Check(t.Context(), key); err != nil {
				t.Errorf("%s: %s: %v", when, input, err)
			}
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
}

// TestMergeCrash pulls the plug after each step of a merge: the output is
// complete, or the inputs are.
func TestMergeCrash(t *testing.T) {
	for _, c := range mergeCases {
		t.Run(c.name, func(t *testing.T) {
			for steps := 0; ; steps++ {
				disk := storagetest.NewCrashable()
				c.prepare(t, disk)
				disk.CrashAfter(steps)
				err := bundle.Merge(t.Context(), disk, "p", c.inputs, nil)
				if !disk.Crashed() {
					if err != nil {
						t.Fatal(err)
					}
					return
				}
				for seed := range uint64(12) {
					for _, share := range []float64{0, 0.5, 1} {
						when := fmt.Sprintf("%d steps, seed %d, share %v, %q", steps, seed, share, disk.Steps())
						left := disk.Crash(seed, share)
						mergedState(t, left, when, c.before, c.inputs)
						if _, err := bundle.Clean(t.Context(), left, func(string) bool { return true }); err != nil {
							t.Errorf("%s: Clean: %v", when, err)
						}
						mergedState(t, left, when+", cleaned", c.before, c.inputs)
						wantNoStrays(t, left, when, share != 0.5)
						again := bundle.Merge(t.Context(), left, "p", c.inputs, nil)
						if got, err := stateOf(t, left, "p"); err != nil || got != 2 && again == nil {
							t.Errorf("%s: again: got %v, %v, %v", when, got, err, again)
						}
					}
				}
			}
		})
	}
}

// wantNoStrays looks for data without an index, and for second names. Out of
// order, a disk may forget what proves that data is ours.
func wantNoStrays(t *testing.T, b storage.Bucket, when string, inOrder bool) {
	t.Helper()
	for _, name := range files(t, b) {
		prefix, _, _, isData := bundle.ParseDataName(name)
		found, err := bundle.Exists(t.Context(), b, prefix)
		if err != nil || strings.HasPrefix(name, ".") || isData && !found && inOrder {
			t.Errorf("%s: Clean left %s, %v", when, name, err)
		}
	}
}

// TestMergeFails fails each operation of a merge in turn.
func TestMergeFails(t *testing.T) {
	for _, c := range mergeCases {
		for _, kind := range buckets {
			for _, fault := range []storagetest.Fault{{}, {Late: true}, {Sticky: true}, {Sticky: true, Late: true}} {
				t.Run(fmt.Sprintf("%s/%s/late=%v/sticky=%v", c.name, kind.name, fault.Late, fault.Sticky), func(t *testing.T) {
					for n := 1; ; n++ {
						inner := mem.New()
						c.prepare(t, inner)
						f := storagetest.NewFaulty(inner)
						fault.N, fault.Err = n, errDisk
						f.Set(fault)
						err := bundle.Merge(t.Context(), kind.wrap(f), "p", c.inputs, nil)
						if !f.Fired() {
							if err != nil {
								t.Fatal(err)
							}
							return
						}
						mergedState(t, inner, fmt.Sprintf("%q", f.Operations()), c.before, c.inputs)
						wantNoLeftovers(t, inner)
					}
				})
			}
		}
	}
}
