package bundle_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// crowded is a disk that has room for no more names. That of a file that was removed
// can be used again, unless it is too short.
type crowded struct {
	*storagetest.Crashable
	full  error
	short bool
	freed int
}

func (c *crowded) Link(context.Context, string, string) error { return c.full }

func (c *crowded) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	if c.freed == 0 || c.short {
		return nil, c.full
	}
	return c.Crashable.Create(ctx, name, o)
}

func (c *crowded) Claim(context.Context, string) (func() error, error) { return nil, c.full }

func (c *crowded) Remove(ctx context.Context, name string) error {
	err := c.Crashable.Remove(ctx, name)
	if err == nil {
		c.freed++
	}
	return err
}

// crowdedWith has a checkpoint in three shards, and one beside it.
func crowdedWith(t *testing.T, full error, short bool) *crowded {
	t.Helper()
	c := &crowded{Crashable: storagetest.NewCrashable(), full: full, short: short}
	for _, prefix := range []string{"p", "q"} {
		if err := savers[3](t.Context(), c.Crashable, prefix, state(t, 1)...); err != nil {
			t.Fatal(err)
		}
	}
	return c
}

// TestRemoveFull removes a checkpoint where nothing can be created: without room for
// the trace of a removal there would never be any again.
func TestRemoveFull(t *testing.T) {
	for _, full := range []error{syscall.ENOSPC, syscall.EDQUOT} {
		for _, short := range []bool{false, true} {
			c := crowdedWith(t, full, short)
			if err := bundle.Remove(t.Context(), c, "p"); err != nil {
				t.Errorf("%v, short %v: %v", full, short, err)
			}
			for _, name := range files(t, c) {
				if !strings.HasPrefix(name, "q.") {
					t.Errorf("%v, short %v: %s is left", full, short, name)
				}
			}
		}
	}
	c := crowdedWith(t, syscall.EIO, false)
	before := files(t, c)
	wantErr(t, bundle.Remove(t.Context(), c, "p"), syscall.EIO)
	if got := files(t, c); !slices.Equal(got, before) {
		t.Errorf("after another error: got files %q, want %q", got, before)
	}
}

// TestRemoveFullCrash pulls the plug after each step of that: the checkpoint is
// whole or gone, the trace tells whose the data is as soon as it is there, and
// whoever knows without it removes the rest.
func TestRemoveFullCrash(t *testing.T) {
	for _, short := range []bool{false, true} {
		for _, share := range []float64{0, 0.5, 1} {
			for steps := 0; ; steps++ {
				crashed := false
				for seed := range uint64(8) {
					c := crowdedWith(t, syscall.ENOSPC, short)
					c.CrashAfter(steps)
					err := bundle.Remove(t.Context(), c, "p")
					if crashed = c.Crashed(); err != nil && !crashed {
						t.Fatal(err)
					}
					checkRemoveFull(t, c.Crash(seed, share), fmt.Sprintf("short %v, share %v, seed %d, %q", short, share, seed, c.Steps()))
				}
				if !crashed {
					break
				}
			}
		}
	}
}

func checkRemoveFull(t *testing.T, b storage.Bucket, when string) {
	t.Helper()
	got, err := stateOf(t, b, "p")
	gone := errors.Is(err, fs.ErrNotExist)
	if !gone && (err != nil || got != 1) {
		t.Errorf("%s: got p = %v, %v, want 1 or none", when, got, err)
	}
	traced := slices.Contains(files(t, b), ".ckpt-gone.p.index")
	if _, err := bundle.Clean(t.Context(), b, func(string) bool { return true }); err != nil {
		t.Errorf("%s: Clean: %v", when, err)
	}
	if gone && !traced {
		if err := bundle.Discard(t.Context(), b, "p"); err != nil {
			t.Errorf("%s: Discard: %v", when, err)
		}
	}
	left := slices.DeleteFunc(files(t, b), func(name string) bool { return strings.HasPrefix(name, "q.") })
	if gone && len(left) > 0 {
		t.Errorf("%s: %q are left, traced %v", when, left, traced)
	}
	if _, err := stateOf(t, b, "q"); err != nil {
		t.Errorf("%s: q: %v", when, err)
	}
	wantNoLeftovers(t, b)
}
