package bundle_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// TestCrash pulls the plug after each step of saves and a removal, and loses
// any part of what was not synced: what was acknowledged is there, whole, and
// Clean leaves nothing but checkpoints.
func TestCrash(t *testing.T) {
	for _, share := range []float64{0, 0.3, 0.7, 1} {
		for _, shards := range []int{1, 3} {
			t.Run(fmt.Sprintf("%v/%d", share, shards), func(t *testing.T) {
				for steps := 0; ; steps++ {
					crashed := false
					for seed := range uint64(8) {
						c := storagetest.NewCrashable()
						c.CrashAfter(steps)
						acknowledged := workload(t, c, shards)
						crashed = c.Crashed()
						checkCrash(t, c.Crash(seed, share), acknowledged, share == 0 || share == 1, fmt.Sprintf("%d steps, seed %d, %q", steps, seed, c.Steps()))
					}
					if !crashed {
						return
					}
				}
			})
		}
	}
}

// workload saves p three times and q once, and removes q. With three shards, p
// has one in between. It returns how far that came.
func workload(t *testing.T, b storage.Bucket, shards int) (acknowledged int) {
	save3 := savers[shards]
	actions := []func() error{
		func() error { return save3(t.Context(), b, "p", state(t, 1)...) },
		func() error { return save3(t.Context(), b, "q", state(t, 9)...) },
		func() error { return save(t.Context(), b, "p", state(t, 2)...) },
		func() error { return bundle.Remove(t.Context(), b, "q") },
		func() error { return save3(t.Context(), b, "p", state(t, 3)...) },
	}
	for i, action := range actions {
		if action() != nil {
			return i
		}
	}
	return len(actions)
}

func checkCrash(t *testing.T, b storage.Bucket, acknowledged int, inOrder bool, when string) {
	t.Helper()
	// What p may be after that many actions: the state of the last save, or of
	// the one that was interrupted.
	allowed := [][]float32{{0, 1}, {1}, {1, 2}, {2}, {2, 3}, {3}}[acknowledged]
	check := func(stage string) float32 {
		t.Helper()
		got, err := stateOf(t, b, "p")
		if err != nil && !errors.Is(err, fs.ErrNotExist) || !slices.Contains(allowed, got) {
			t.Errorf("%s, %s: got p = %v, %v, want one of %v", when, stage, got, err, allowed)
		}
		if q, err := stateOf(t, b, "q"); err != nil && (!errors.Is(err, fs.ErrNotExist) || acknowledged == 2) {
			t.Errorf("%s, %s: got q = %v, %v", when, stage, q, err)
		}
		return got
	}
	before := check("at once")
	if _, err := bundle.Clean(t.Context(), b, func(string) bool { return true }); err != nil {
		t.Errorf("%s: Clean: %v", when, err)
	}
	if after := check("after Clean"); after != before {
		t.Errorf("%s: Clean turned p = %v into %v", when, before, after)
	}
	for _, name := range files(t, b) {
		prefix, _, _, isData := bundle.ParseDataName(name)
		if !isData {
			prefix = strings.TrimSuffix(name, ".index")
		}
		found, err := bundle.Exists(t.Context(), b, prefix)
		if isData && !found && !inOrder {
			// A disk that kept the name of the data, but forgot that of the index
			// which was created before, has lost the proof that it is ours.
			continue
		}
		if !found || err != nil || strings.HasPrefix(name, ".") {
			t.Errorf("%s: Clean left %s", when, name)
		}
		if found && isData {
			wantRead(t, b, name, when)
		}
	}
	wantNoLeftovers(t, b)
}

// wantRead wants a data file to be of as many shards as its checkpoint has.
func wantRead(t *testing.T, b storage.Bucket, name, when string) {
	t.Helper()
	prefix, _, shards, _ := bundle.ParseDataName(name)
	r, err := bundle.Open(t.Context(), b, prefix, nil)
	if err != nil {
		t.Errorf("%s: %v", when, err)
		return
	}
	if n := r.Header().NumShards; int(n) != shards {
		t.Errorf("%s: %s is there, but the checkpoint has %d shards", when, name, n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// TestCrashAgain pulls the plug a second time, while Clean repairs what an
// interrupted overwrite left.
func TestCrashAgain(t *testing.T) {
	for _, share := range []float64{0, 0.5, 1} {
		for _, shards := range []int{1, 3} {
			for steps := 0; ; steps++ {
				first := storagetest.NewCrashable()
				if err := savers[shards](t.Context(), first, "p", state(t, 1)...); err != nil {
					t.Fatal(err)
				}
				first.CrashAfter(steps)
				if err := savers[shards](t.Context(), first, "p", state(t, 2)...); err == nil && !first.Crashed() {
					break
				}
				for seed := range uint64(4) {
					crashWhileCleaning(t, first, seed, share)
				}
			}
		}
	}
}

func crashWhileCleaning(t *testing.T, first *storagetest.Crashable, seed uint64, share float64) {
	t.Helper()
	all := func(string) bool { return true }
	for steps := 0; ; steps++ {
		disk := first.Crash(seed, share)
		before, err := stateOf(t, disk, "p")
		if err != nil || before != 1 && before != 2 {
			t.Fatalf("after %q: got %v, %v", first.Steps(), before, err)
		}
		disk.CrashAfter(steps)
		_, err = bundle.Clean(t.Context(), disk, all)
		if err == nil && !disk.Crashed() {
			return
		}
		again := disk.Crash(seed+steps64(steps), share)
		if after, err := stateOf(t, again, "p"); err != nil || after != before {
			t.Errorf("after %q and %q: got %v, %v, want %v", first.Steps(), disk.Steps(), after, err, before)
		}
		if _, err := bundle.Clean(t.Context(), again, all); err != nil {
			t.Error(err)
		}
		if after, err := stateOf(t, again, "p"); err != nil || after != before {
			t.Errorf("after %q, %q and Clean: got %v, %v, want %v", first.Steps(), disk.Steps(), after, err, before)
		}
	}
}

func steps64(n int) uint64 { return uint64(n) * 31 }
