package bundle_test

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// contents are all files of a bucket.
func contents(t *testing.T, b storage.Bucket) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, name := range files(t, b) {
		all[name] = string(get(t, b, name))
	}
	return all
}

// strays are data files that no index speaks of, beside a checkpoint in two
// shards: of four, and one that a save in three shards replaces.
var strays = map[string]string{"p.data-00000-of-00004": "not ours", "p.data-00001-of-00003": "nor this"}

func putStrays(t *testing.T, b storage.Bucket) {
	t.Helper()
	putTwoShards(t, b)
	for name, text := range strays {
		put(t, b, name, []byte(text))
	}
}

// strayCases are what happens to that checkpoint: saves in as many shards, and a
// merge that makes two of it.
func strayCases() map[string]func(t *testing.T, b storage.Bucket) error {
	cases := map[string]func(t *testing.T, b storage.Bucket) error{
		"merged": func(t *testing.T, b storage.Bucket) error {
			return bundle.Merge(t.Context(), b, "p", []string{"two", "one", "zero"}, &bundle.MergeOptions{Keep: true})
		},
	}
	for shards, save := range savers {
		cases[fmt.Sprintf("%d shards", shards)] = func(t *testing.T, b storage.Bucket) error { return save(t.Context(), b, "p", state(t, 2)...) }
	}
	return cases
}

// prepareStrays makes what the cases need.
func prepareStrays(t *testing.T, b storage.Bucket) {
	t.Helper()
	putStrays(t, b)
	inputsOf(t, b, 2)
	mustSave(t, b, "zero", add(t, "n", nil, int8(1)))
}

// wantWhole wants the files of the old checkpoint and of strangers, or those of
// the new one and of strangers as far as it has not replaced them. The inputs
// of a merge stay.
func wantWhole(t *testing.T, b storage.Bucket, before, after map[string]string, when string) {
	t.Helper()
	got, err := stateOf(t, b, "p")
	want := before
	if got == 2 {
		want = after
	}
	if err != nil || got != 1 && got != 2 {
		t.Errorf("%s: got %v, %v", when, got, err)
		return
	}
	all := contents(t, b)
	if maps.Equal(all, want) {
		return
	}
	t.Errorf("%s: got files %q, want %q", when, slices.Sorted(maps.Keys(all)), slices.Sorted(maps.Keys(want)))
	for name, text := range want {
		if all[name] != text {
			t.Errorf("%s: %s is another", when, name)
		}
	}
}

// strayOutcomes are the files before and after a case that goes well.
func strayOutcomes(t *testing.T, run func(t *testing.T, b storage.Bucket) error) (before, after map[string]string) {
	t.Helper()
	done := mem.New()
	prepareStrays(t, done)
	before = contents(t, done)
	if err := run(t, done); err != nil {
		t.Fatal(err)
	}
	return before, contents(t, done)
}

// TestCrashLeavesNoStrays pulls the plug after each step of replacing a checkpoint
// by one with another number of shards: Clean takes away what nobody reads and
// came with it, and leaves what was there before.
func TestCrashLeavesNoStrays(t *testing.T) {
	for name, run := range strayCases() {
		t.Run(name, func(t *testing.T) {
			before, after := strayOutcomes(t, run)
			for steps := 0; ; steps++ {
				disk := storagetest.NewCrashable()
				prepareStrays(t, disk)
				disk.CrashAfter(steps)
				if err := run(t, disk); err == nil && !disk.Crashed() {
					return
				}
				for seed := range uint64(6) {
					for _, share := range []float64{0, 0.3, 0.7, 1} {
						left := disk.Crash(seed, share)
						there := contents(t, left)
						removed, err := bundle.Clean(t.Context(), left, func(string) bool { return true })
						when := fmt.Sprintf("%d steps, the last %q, seed %d, share %v", steps, last(disk.Steps()), seed, share)
						if err != nil {
							t.Errorf("%s: Clean: %v", when, err)
						}
						wantWhole(t, left, before, after, when)
						wantTold(t, there, contents(t, left), removed, when)
					}
				}
			}
		})
	}
}

func last(steps []string) string { return steps[len(steps)-1] }

// wantTold wants Clean to tell what it removed.
func wantTold(t *testing.T, before, after map[string]string, removed []string, when string) {
	t.Helper()
	for name := range before {
		if _, stayed := after[name]; !stayed && !slices.Contains(removed, name) {
			t.Errorf("%s: Clean removed %s and told %q", when, name, removed)
		}
	}
}

// TestFailureLeavesNoStrays fails each operation instead.
func TestFailureLeavesNoStrays(t *testing.T) {
	for name, run := range strayCases() {
		for _, kind := range buckets {
			t.Run(name+"/"+kind.name, func(t *testing.T) {
				before, after := strayOutcomes(t, run)
				for n := 1; ; n++ {
					inner := mem.New()
					prepareStrays(t, inner)
					f := storagetest.NewFaulty(inner)
					f.Set(storagetest.Fault{N: n, Err: errDisk})
					err := run(t, kind.wrap(f))
					if !f.Fired() {
						if err != nil {
							t.Fatal(err)
						}
						return
					}
					if err := bundle.Recover(t.Context(), inner, "p"); err != nil {
						t.Errorf("Recover: %v", err)
					}
					wantWhole(t, inner, before, after, fmt.Sprintf("after %q", last(f.Operations())))
				}
			})
		}
	}
}

// TestStraysOnDisk replaces and undoes on a real file system.
func TestStraysOnDisk(t *testing.T) {
	b := local.Open(t.TempDir(), nil)
	prepareStrays(t, b)
	mustSave(t, b, "p", state(t, 2)...)
	if got := contents(t, b); got["p.data-00000-of-00004"] != "not ours" || got["p.data-00001-of-00003"] != "nor this" || len(got) != 2+len(strays)+6 {
		t.Errorf("got files %q", slices.Sorted(maps.Keys(got)))
	}
}
