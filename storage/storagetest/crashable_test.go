package storagetest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

func TestCrashableContract(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Bucket { return storagetest.NewCrashable() })
}

// replace writes text under name and says whether Commit acknowledged it.
func replace(t *testing.T, c *storagetest.Crashable, name, text string, o *storage.CreateOptions) error {
	t.Helper()
	w, err := c.Create(t.Context(), name, o)
	if err != nil {
		return err
	}
	defer w.Abort()
	for _, part := range []string{text[:len(text)/2], text[len(text)/2:]} {
		if _, err := w.Write([]byte(part)); err != nil {
			return err
		}
	}
	return w.Commit(t.Context())
}

func leftovers(t *testing.T, c *storagetest.Crashable) []storage.Leftover {
	t.Helper()
	var all []storage.Leftover
	for l, err := range c.Leftovers(t.Context()) {
		if err != nil {
			t.Fatalf("Leftovers: %v", err)
		}
		all = append(all, l)
	}
	return all
}

// TestCrashableReplace crashes a replacement after each step: the disk has
// the old text or the new one, the new one if it was acknowledged, and both
// outcomes occur where they may.
func TestCrashableReplace(t *testing.T) {
	const seeds = 50
	want := []string{"create a", "write a", "write a", "sync a", "rename a", "sync folder ."}
	for n := 0; n <= len(want); n++ {
		c := storagetest.NewCrashable()
		storagetest.Put(t, c, "a", "the old text")
		before := len(c.Steps())
		c.CrashAfter(n)
		err := replace(t, c, "a", "the new text", nil)
		if crashed := n < len(want); crashed != errors.Is(err, storagetest.ErrCrashed) || crashed != c.Crashed() {
			t.Fatalf("crash after %d: got %v, crashed %v", n, err, c.Crashed())
		}
		if got := c.Steps()[before:]; !slices.Equal(got, want[:n]) {
			t.Errorf("crash after %d: got steps %q, want %q", n, got, want[:n])
		}
		outcomes := map[string]int{}
		for seed := range uint64(seeds) {
			disk := c.Crash(seed, 0.5)
			outcomes[storagetest.Get(t, disk, "a")]++
			for _, l := range leftovers(t, disk) {
				outcomes["leftover"]++
				if err := disk.RemoveLeftover(t.Context(), l); err != nil {
					t.Errorf("RemoveLeftover: %v", err)
				}
			}
			if left := leftovers(t, disk); len(left) != 0 {
				t.Errorf("leftovers after removal: %v", left)
			}
		}
		old, replaced := outcomes["the old text"], outcomes["the new text"]
		switch {
		case old+replaced != seeds:
			t.Errorf("crash after %d: got mixtures: %v", n, outcomes)
		case n < 5 && replaced > 0, n == 6 && old > 0:
			t.Errorf("crash after %d: got %v", n, outcomes)
		case n == 5 && (old == 0 || replaced == 0):
			t.Errorf("crash after an unsynced rename: got %v, want both outcomes", outcomes)
		}
		if some := outcomes["leftover"] > 0; some != (n > 0 && n < 6) {
			t.Errorf("crash after %d: got %d leftovers", n, outcomes["leftover"])
		}
	}
}

func TestCrashableShare(t *testing.T) {
	c := storagetest.NewCrashable()
	c.CrashAfter(5) // all but the sync of the folder
	if err := replace(t, c, "a", "text", nil); !errors.Is(err, storagetest.ErrCrashed) {
		t.Fatalf("got %v, want ErrCrashed", err)
	}
	for seed := range uint64(20) {
		if got := storagetest.List(t, c.Crash(seed, 0), ""); len(got) != 0 {
			t.Errorf("share 0: got %q, want nothing", got)
		}
		if got, want := storagetest.List(t, c.Crash(seed, 1), ""), []string{"a"}; !slices.Equal(got, want) {
			t.Errorf("share 1: got %q, want %q", got, want)
		}
		one, two := c.Crash(seed, 0.5), c.Crash(seed, 0.5)
		if got, want := storagetest.List(t, one, ""), storagetest.List(t, two, ""); !slices.Equal(got, want) {
			t.Errorf("seed %d: got %q and %q, want the same twice", seed, got, want)
		}
	}
}

// TestCrashableUnsyncedBytes finds unsynced writes torn.
func TestCrashableUnsyncedBytes(t *testing.T) {
	c := storagetest.NewCrashable()
	w, err := c.Create(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{"ab", "cd"} {
		if _, err := w.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	sizes := map[int64]bool{}
	for seed := range uint64(100) {
		for _, l := range leftovers(t, c.Crash(seed, 0.5)) {
			sizes[l.Size] = true
		}
	}
	if !sizes[0] || !sizes[2] || !sizes[4] || len(sizes) != 3 {
		t.Errorf("sizes of leftovers: got %v, want 0, 2 and 4", sizes)
	}
}

func TestCrashableRemove(t *testing.T) {
	c := storagetest.NewCrashable()
	storagetest.Put(t, c, "a", "x")
	storagetest.Put(t, c, "folder/b", "x")
	for _, name := range []string{"a", "folder/b"} {
		if err := c.Remove(t.Context(), name); err != nil {
			t.Fatal(err)
		}
	}
	got := map[string]bool{}
	for seed := range uint64(100) {
		disk := c.Crash(seed, 0.5)
		got[fmt.Sprint(storagetest.List(t, disk, ""), storagetest.List(t, disk, "folder/"))] = true
	}
	if len(got) != 4 {
		t.Errorf("two removals without a sync: got %v, want each by itself", got)
	}
	if err := c.Sync(t.Context()); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		disk := c.Crash(seed, 0.5)
		if got := append(storagetest.List(t, disk, ""), storagetest.List(t, disk, "folder/")...); len(got) != 0 {
			t.Errorf("after Sync: got %q, want nothing", got)
		}
	}
}

func TestCrashableLinkThenRemove(t *testing.T) {
	c := storagetest.NewCrashable()
	storagetest.Put(t, c, "a", "x")
	before := len(c.Steps())
	if err := c.Link(t.Context(), "a", "undo/a"); err != nil {
		t.Fatal(err)
	}
	if got, want := c.Steps()[before:], []string{"link a undo/a", "sync folder undo"}; !slices.Equal(got, want) {
		t.Errorf("steps: got %q, want %q", got, want)
	}
	if err := c.Remove(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	for seed := range uint64(20) {
		if got := storagetest.Get(t, c.Crash(seed, 0.5), "undo/a"); got != "x" {
			t.Errorf("linked file: got %q, want %q", got, "x")
		}
	}
	// A link that crashed before the sync may be lost together with the name.
	c = storagetest.NewCrashable()
	storagetest.Put(t, c, "a", "x")
	c.CrashAfter(1)
	if err := c.Link(t.Context(), "a", "b"); !errors.Is(err, storagetest.ErrCrashed) {
		t.Errorf("Link: got %v, want ErrCrashed", err)
	}
	if got, want := storagetest.List(t, c.Crash(1, 0), ""), []string{"a"}; !slices.Equal(got, want) {
		t.Errorf("unsynced link: got %q, want %q", got, want)
	}
}

func TestCrashableExclusive(t *testing.T) {
	exclusive := &storage.CreateOptions{Exclusive: true}
	for n := range 8 {
		c := storagetest.NewCrashable()
		c.CrashAfter(n)
		err := replace(t, c, "a", "text", exclusive)
		for seed := range uint64(20) {
			got := storagetest.List(t, c.Crash(seed, 0.5), "")
			if err == nil && len(got) == 0 {
				t.Errorf("crash after %d: an acknowledged file is lost", n)
			}
			if len(got) > 0 && storagetest.Get(t, c.Crash(seed, 0.5), "a") != "text" {
				t.Errorf("crash after %d: the file is torn", n)
			}
		}
	}
}

func TestCrashableGroup(t *testing.T) {
	c := storagetest.NewCrashable()
	var group []storage.Writer
	for _, name := range []string{"a", "b"} {
		w, err := c.Create(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		group = append(group, w)
	}
	before := len(c.Steps())
	c.CrashAfter(4)
	if err := c.CommitAll(t.Context(), group); !errors.Is(err, storagetest.ErrCrashed) {
		t.Fatalf("CommitAll: got %v, want ErrCrashed", err)
	}
	if got, want := c.Steps()[before:], []string{"sync a", "sync b", "rename a", "rename b"}; !slices.Equal(got, want) {
		t.Errorf("steps: got %q, want %q", got, want)
	}
	got := map[string]bool{}
	for seed := range uint64(100) {
		got[fmt.Sprint(storagetest.List(t, c.Crash(seed, 0.5), ""))] = true
	}
	if len(got) != 4 {
		t.Errorf("got %v, want each rename by itself", got)
	}
}

func TestCrashableAllFailsAfterwards(t *testing.T) {
	c := storagetest.NewCrashable()
	storagetest.Put(t, c, "a", "x")
	file, err := c.Open(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	c.CrashAfter(0)
	if err := c.Remove(t.Context(), "a"); !errors.Is(err, storagetest.ErrCrashed) {
		t.Errorf("Remove: got %v, want ErrCrashed", err)
	}
	_, open := c.Open(t.Context(), "a")
	_, read := file.ReadAt(make([]byte, 1), 0)
	_, create := c.Create(t.Context(), "b", nil)
	var list, left error
	for _, list = range c.List(t.Context(), "") {
	}
	for _, left = range c.Leftovers(t.Context()) {
	}
	for name, err := range map[string]error{
		"Open": open, "ReadAt": read, "Create": create, "List": list, "Leftovers": left,
		"Link": c.Link(t.Context(), "a", "b"), "Sync": c.Sync(t.Context()),
	} {
		if !errors.Is(err, storagetest.ErrCrashed) {
			t.Errorf("%s: got %v, want ErrCrashed", name, err)
		}
	}
	// The next machine works, and crashes on its own account.
	disk := c.Crash(1, 0)
	if got := storagetest.Get(t, disk, "a"); got != "x" {
		t.Errorf("contents: got %q, want %q", got, "x")
	}
	if err := disk.Remove(t.Context(), "a"); err != nil {
		t.Errorf("Remove: %v", err)
	}
	if _, err := disk.Open(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: got %v, want fs.ErrNotExist", err)
	}
	if got := storagetest.Get(t, disk.Crash(1, 0), "a"); got != "x" {
		t.Errorf("unsynced removal: got %q, want %q", got, "x")
	}
}
