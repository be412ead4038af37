package storagetest

import (
	"errors"
	"io/fs"
	"os"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
)

func testLink(t *testing.T, b storage.Bucket) {
	l, ok := b.(storage.Linker)
	if !ok {
		t.Skip("no storage.Linker")
	}
	Put(t, b, "a", "first")
	if err := l.Link(t.Context(), "a", "b"); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatalf("Link: %v", err)
	}
	wantContents(t, b, "b", "first")
	wantList(t, b, "", "a", "b")

	Put(t, b, "a", "second")
	wantContents(t, b, "b", "first")
	wantError(t, "Link to a name that exists", l.Link(t.Context(), "a", "b"), fs.ErrExist)
	wantError(t, "Link to itself", l.Link(t.Context(), "a", "a"), fs.ErrExist)
	wantContents(t, b, "b", "first")

	if err := b.Remove(t.Context(), "a"); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	wantContents(t, b, "b", "first")
	wantError(t, "Link of a missing file", l.Link(t.Context(), "a", "c"), fs.ErrNotExist)
	if err := l.Link(t.Context(), "b", "folder/d"); err != nil {
		t.Errorf("Link into a folder: %v", err)
	}
	wantContents(t, b, "folder/d", "first")
}

func testCommitAll(t *testing.T, b storage.Bucket) {
	g, ok := b.(storage.GroupCommitter)
	if !ok {
		t.Skip("no storage.GroupCommitter")
	}
	Put(t, b, "a", "old")
	group := []storage.Writer{
		create(t, b, "a", nil),
		create(t, b, "b", &storage.CreateOptions{Exclusive: true}),
		create(t, b, "folder/c", nil),
	}
	for _, w := range group {
		write(t, w, "new")
	}
	if err := g.CommitAll(t.Context(), group); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatalf("CommitAll: %v", err)
	}
	for _, name := range []string{"a", "b", "folder/c"} {
		wantContents(t, b, name, "new")
	}
	for _, w := range group {
		if err := w.Abort(); err != nil {
			t.Errorf("Abort after CommitAll: %v", err)
		}
		if err := w.Commit(t.Context()); err == nil {
			t.Error("Commit after CommitAll: got no error")
		}
	}
	wantList(t, b, "", "a", "b")
	wantNoLeftovers(t, b)
	if err := g.CommitAll(t.Context(), nil); err != nil {
		t.Errorf("CommitAll of nothing: %v", err)
	}
}

func testCommitAllFails(t *testing.T, b storage.Bucket) {
	g, ok := b.(storage.GroupCommitter)
	if !ok {
		t.Skip("no storage.GroupCommitter")
	}
	Put(t, b, "b", "old")
	group := []storage.Writer{
		create(t, b, "b", &storage.CreateOptions{Exclusive: true}),
		create(t, b, "a", nil),
	}
	if err := g.CommitAll(t.Context(), group); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else {
		wantError(t, "CommitAll", err, fs.ErrExist)
	}
	wantContents(t, b, "b", "old")
	wantNoLeftovers(t, b)

	group = []storage.Writer{create(t, b, "x", nil), create(t, b, "y", nil)}
	if err := group[1].Abort(); err != nil {
		t.Fatalf("Abort: %v", err)
	}
	if err := g.CommitAll(t.Context(), group); err == nil {
		t.Error("CommitAll with an aborted Writer: got no error")
	}
	wantMissing(t, b, "x")
	wantMissing(t, b, "y")
	wantNoLeftovers(t, b)
}

func testSync(t *testing.T, b storage.Bucket) {
	s, ok := b.(storage.Syncer)
	if !ok {
		t.Skip("no storage.Syncer")
	}
	if err := s.Sync(t.Context()); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Errorf("Sync of an empty bucket: %v", err)
	}
	Put(t, b, "a", "x")
	Put(t, b, "folder/b", "x")
	for _, name := range []string{"a", "folder/b"} {
		if err := b.Remove(t.Context(), name); err != nil {
			t.Fatalf("Remove: %v", err)
		}
	}
	if err := s.Sync(t.Context()); err != nil {
		t.Errorf("Sync: %v", err)
	}
}

func testIdentify(t *testing.T, b storage.Bucket) {
	known, ok := b.(storage.Identifier)
	if !ok {
		t.Skip("no storage.Identifier")
	}
	if _, err := known.Identify(t.Context(), ""); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	}
	Put(t, b, "folder/a", "x")
	Put(t, b, "other/a", "x")
	identify := func(folder string) fs.FileInfo {
		t.Helper()
		info, err := known.Identify(t.Context(), folder)
		if err != nil {
			t.Fatalf("Identify(%q): %v", folder, err)
		}
		return info
	}
	for _, x := range []string{"", "folder", "other"} {
		for _, y := range []string{"", "folder", "other"} {
			if got := os.SameFile(identify(x), identify(y)); got != (x == y) {
				t.Errorf("%q and %q are one: got %v, want %v", x, y, got, x == y)
			}
		}
	}
	if _, err := known.Identify(t.Context(), "missing"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing folder: got %v, want fs.ErrNotExist", err)
	}
	if _, err := known.Identify(t.Context(), "folder/a"); err == nil {
		t.Error("a file: got no error")
	}
}

func testLock(t *testing.T, b storage.Bucket) {
	l, ok := b.(storage.Locker)
	if !ok {
		t.Skip("no storage.Locker")
	}
	for range 2 {
		unlock, err := l.Lock(t.Context(), "")
		if errors.Is(err, errors.ErrUnsupported) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatalf("Lock: %v", err)
		}
		again, err := l.Lock(t.Context(), "")
		if _, ok := errors.AsType[*storage.LockedError](err); !ok {
			t.Errorf("second Lock: got %v, want a *storage.LockedError", err)
		}
		if err == nil {
			again()
		}
		other, err := l.Lock(t.Context(), "folder")
		if err != nil {
			t.Errorf("Lock of another folder: %v", err)
		} else if err := other(); err != nil {
			t.Errorf("unlock: %v", err)
		}
		Put(t, b, "a", "a lock does not keep files from being written")
		wantList(t, b, "", "a")
		for range 2 {
			if err := unlock(); err != nil {
				t.Errorf("unlock: %v", err)
			}
		}
	}
	wantList(t, b, "", "a")
}

func testClaim(t *testing.T, b storage.Bucket) {
	c, ok := b.(storage.Claimer)
	if !ok {
		t.Skip("no storage.Claimer")
	}
	Put(t, b, "folder/file", "x")
	for _, name := range []string{"a", "folder/a"} {
		for range 2 {
			release, err := c.Claim(t.Context(), name)
			if errors.Is(err, errors.ErrUnsupported) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatalf("Claim(%q): %v", name, err)
			}
			again, err := c.Claim(t.Context(), name)
			if _, ok := errors.AsType[*storage.LockedError](err); !ok {
				t.Errorf("second Claim of %q: got %v, want a *storage.LockedError", name, err)
			}
			if err == nil {
				again()
			}
			other, err := c.Claim(t.Context(), name+"b")
			if err != nil {
				t.Errorf("Claim of another name: %v", err)
			} else if err := other(); err != nil {
				t.Errorf("release: %v", err)
			}
			Put(t, b, "b", "a claim does not keep files from being written")
			wantNoLeftovers(t, b)
			for range 2 {
				if err := release(); err != nil {
					t.Errorf("release: %v", err)
				}
			}
		}
	}
	wantList(t, b, "", "b")
	wantList(t, b, "folder/", "folder/file")
	wantNoLeftovers(t, b)
}

func testLeftovers(t *testing.T, b storage.Bucket) {
	s, ok := b.(storage.Sweeper)
	if !ok {
		t.Skip("no storage.Sweeper")
	}
	Put(t, b, "a", "x")
	w := create(t, b, "a", nil)
	write(t, w, "the writer of these bytes lives")
	wantNoLeftovers(t, b)
	err := s.RemoveLeftover(t.Context(), storage.Leftover{Name: "a", ID: "0123456789abcdef"})
	if !errors.Is(err, errors.ErrUnsupported) {
		wantError(t, "RemoveLeftover of what is not there", err, fs.ErrNotExist)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantNoLeftovers(t, b)
}

// wantNoLeftovers fails the test if the bucket knows of leftovers.
func wantNoLeftovers(t testing.TB, b storage.Bucket) {
	t.Helper()
	s, ok := b.(storage.Sweeper)
	if !ok {
		return
	}
	for l, err := range s.Leftovers(t.Context()) {
		if errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
			return
		}
		if err != nil {
			t.Fatalf("Leftovers: %v", err)
		}
		t.Errorf("Leftovers: got %+v, want none", l)
	}
}
