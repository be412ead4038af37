// Package storagetest is the contract of storage.Bucket as a test suite, two
// buckets that misbehave on purpose, Faulty, which fails chosen operations, and
// Crashable, which loses what was not synced, and one that can do no more than an
// object store, Objects.
package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
)

// Run checks that buckets keep the contract of package storage, and that of
// the optional interfaces they have. What it does not check is not promised.
// newBucket returns an empty, writable bucket of its own for each call.
func Run(t *testing.T, newBucket func(t *testing.T) storage.Bucket) {
	t.Helper()
	for _, test := range []struct {
		name string
		run  func(t *testing.T, b storage.Bucket)
	}{
		{"publish", testPublish},
		{"empty file", testEmpty},
		{"replace", testReplace},
		{"exclusive", testExclusive},
		{"abort", testAbort},
		{"finished writer", testFinished},
		{"write at", testWriteAt},
		{"concurrent write at", testConcurrentWriteAt},
		{"concurrent writers", testConcurrentWriters},
		{"read at", testReadAt},
		{"open missing", testOpenMissing},
		{"remove", testRemove},
		{"open survives remove and replace", testOpenSurvives},
		{"names", testNames},
		{"invalid names", testInvalidNames},
		{"list", testList},
		{"list stops", testListStops},
		{"cancelled", testCancelled},
		{"link", testLink},
		{"commit all", testCommitAll},
		{"commit all fails", testCommitAllFails},
		{"sync", testSync},
		{"lock", testLock},
		{"identify", testIdentify},
		{"claim", testClaim},
		{"leftovers", testLeftovers},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, newBucket(t)) })
	}
}

// Put publishes a file and fails the test if it cannot.
func Put(t testing.TB, b storage.Bucket, name, data string) {
	t.Helper()
	w := create(t, b, name, nil)
	write(t, w, data)
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit(%q): %v", name, err)
	}
}

// Get returns the contents of a file and fails the test if it cannot.
func Get(t testing.TB, b storage.Bucket, name string) string {
	t.Helper()
	f, err := b.Open(t.Context(), name)
	if err != nil {
		t.Fatalf("Open(%q): %v", name, err)
	}
	defer f.Close()
	return contents(t, f)
}

// List returns the names List yields for prefix, none if nothing is there,
// and fails the test on other errors.
func List(t testing.TB, b storage.Bucket, prefix string) []string {
	t.Helper()
	var found []string
	for info, err := range b.List(t.Context(), prefix) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			t.Fatalf("List(%q): %v", prefix, err)
		}
		found = append(found, info.Name)
	}
	return found
}

func contents(t testing.TB, f storage.File) string {
	t.Helper()
	data := make([]byte, f.Size())
	if n, err := f.ReadAt(data, 0); n != len(data) || (err != nil && err != io.EOF) {
		t.Fatalf("ReadAt of %d bytes: got %d, %v", len(data), n, err)
	}
	return string(data)
}

func create(t testing.TB, b storage.Bucket, name string, o *storage.CreateOptions) storage.Writer {
	t.Helper()
	w, err := b.Create(t.Context(), name, o)
	if err != nil {
		t.Fatalf("Create(%q): %v", name, err)
	}
	t.Cleanup(func() { w.Abort() })
	return w
}

func write(t testing.TB, w storage.Writer, data string) {
	t.Helper()
	if n, err := io.WriteString(w, data); n != len(data) || err != nil {
		t.Fatalf("Write of %d bytes: got %d, %v", len(data), n, err)
	}
}

func wantError(t testing.TB, what string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: got error %v, want %v", what, got, want)
	}
}

func wantContents(t testing.TB, b storage.Bucket, name, want string) {
	t.Helper()
	if got := Get(t, b, name); got != want {
		t.Errorf("contents of %q: got %.80q, want %.80q", name, got, want)
	}
}

func wantList(t testing.TB, b storage.Bucket, prefix string, want ...string) {
	t.Helper()
	if got := List(t, b, prefix); !slices.Equal(got, want) {
		t.Errorf("List(%q): got %q, want %q", prefix, got, want)
	}
}

func wantMissing(t testing.TB, b storage.Bucket, name string) {
	t.Helper()
	f, err := b.Open(t.Context(), name)
	if err == nil {
		f.Close()
	}
	wantError(t, "Open("+name+")", err, fs.ErrNotExist)
}

func testPublish(t *testing.T, b storage.Bucket) {
	w := create(t, b, "a", &storage.CreateOptions{Size: 9})
	write(t, w, "some ")
	wantMissing(t, b, "a")
	wantList(t, b, "")
	write(t, w, "data")
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantContents(t, b, "a", "some data")
	wantList(t, b, "", "a")
	for info, err := range b.List(t.Context(), "") {
		if err != nil || info.Size != 9 || info.ModTime.IsZero() {
			t.Errorf("List: got %+v, %v, want 9 bytes and a time", info, err)
		}
	}
	if err := w.Abort(); err != nil {
		t.Errorf("Abort after Commit: got %v, want nil", err)
	}
	wantContents(t, b, "a", "some data")
}

func testEmpty(t *testing.T, b storage.Bucket) {
	Put(t, b, "nothing", "")
	wantContents(t, b, "nothing", "")
	wantList(t, b, "", "nothing")
}

func testReplace(t *testing.T, b storage.Bucket) {
	Put(t, b, "a", "a long first text")
	w := create(t, b, "a", &storage.CreateOptions{Size: 1 << 20}) // a hint that is wrong
	write(t, w, "second")
	wantContents(t, b, "a", "a long first text")
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantContents(t, b, "a", "second")
	wantList(t, b, "", "a")
}

func testExclusive(t *testing.T, b storage.Bucket) {
	exclusive := &storage.CreateOptions{Exclusive: true}
	first, second := create(t, b, "a", exclusive), create(t, b, "a", exclusive)
	write(t, first, "first")
	write(t, second, "second")
	if err := first.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantError(t, "second Commit", second.Commit(t.Context()), fs.ErrExist)
	wantContents(t, b, "a", "first")
	wantList(t, b, "", "a")
	wantNoLeftovers(t, b)

	if err := b.Remove(t.Context(), "a"); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	third := create(t, b, "a", exclusive)
	write(t, third, "third")
	if err := third.Commit(t.Context()); err != nil {
		t.Errorf("Commit after Remove: %v", err)
	}
	wantContents(t, b, "a", "third")
}

func testAbort(t *testing.T, b storage.Bucket) {
	Put(t, b, "a", "old")
	w := create(t, b, "a", nil)
	write(t, w, "new")
	for range 2 {
		if err := w.Abort(); err != nil {
			t.Errorf("Abort: %v", err)
		}
	}
	wantContents(t, b, "a", "old")
	wantList(t, b, "", "a")
	wantNoLeftovers(t, b)
}

func testFinished(t *testing.T, b storage.Bucket) {
	aborted, committed := create(t, b, "a", nil), create(t, b, "b", nil)
	if err := aborted.Abort(); err != nil {
		t.Fatalf("Abort: %v", err)
	}
	if err := committed.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	for name, w := range map[string]storage.Writer{"aborted": aborted, "committed": committed} {
		if _, err := w.Write([]byte("x")); err == nil {
			t.Errorf("Write to an %s Writer: got no error", name)
		}
		if _, err := w.WriteAt([]byte("x"), 0); err == nil {
			t.Errorf("WriteAt to an %s Writer: got no error", name)
		}
		if err := w.Commit(t.Context()); err == nil {
			t.Errorf("Commit of an %s Writer: got no error", name)
		}
	}
	wantMissing(t, b, "a")
	wantContents(t, b, "b", "")
}

func testWriteAt(t *testing.T, b storage.Bucket) {
	w := create(t, b, "a", nil)
	for _, part := range []struct {
		off  int64
		data string
	}{{6, "789"}, {0, "123"}, {2, "x"}} {
		if n, err := w.WriteAt([]byte(part.data), part.off); n != len(part.data) || err != nil {
			t.Fatalf("WriteAt(%q, %d): got %d, %v", part.data, part.off, n, err)
		}
	}
	write(t, w, "A") // Write has its own position
	write(t, w, "B")
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	wantContents(t, b, "a", "ABx\x00\x00\x00789") // gaps are zeros

	w = create(t, b, "b", nil)
	if _, err := w.WriteAt([]byte("x"), -1); err == nil {
		t.Error("WriteAt at −1: got no error")
	}
	if err := w.Commit(t.Context()); err == nil {
		t.Error("Commit after a write that failed: got no error")
	}
	wantMissing(t, b, "b")
	wantNoLeftovers(t, b)
}

func testConcurrentWriteAt(t *testing.T, b storage.Bucket) {
	const parts, size = 16, 10000
	w := create(t, b, "a", nil)
	var want []byte
	var group sync.WaitGroup
	for i := range parts {
		part := bytes.Repeat([]byte{byte('a' + i)}, size)
		want = append(want, part...)
		group.Go(func() {
			if _, err := w.WriteAt(part, int64(i*size)); err != nil {
				t.Errorf("WriteAt: %v", err)
			}
		})
	}
	group.Wait()
	if err := w.Commit(t.Context()); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if got := Get(t, b, "a"); got != string(want) {
		t.Error("parts written side by side are mixed up")
	}
}

func testConcurrentWriters(t *testing.T, b storage.Bucket) {
	const writers = 8
	var group sync.WaitGroup
	for i := range writers {
		group.Go(func() {
			w, err := b.Create(t.Context(), "a", nil)
			if err != nil {
				t.Errorf("Create: %v", err)
				return
			}
			defer w.Abort()
			if _, err := w.Write(bytes.Repeat([]byte{byte('0' + i)}, 1000)); err != nil {
				t.Errorf("Write: %v", err)
			}
			if err := w.Commit(t.Context()); err != nil {
				t.Errorf("Commit: %v", err)
			}
		})
	}
	group.Wait()
	got := Get(t, b, "a")
	if len(got) != 1000 || strings.Trim(got, got[:1]) != "" {
		t.Errorf("contents are of more than one writer: %.80q", got)
	}
	wantList(t, b, "", "a")
}

func testReadAt(t *testing.T, b storage.Bucket) {
	Put(t, b, "a", "0123456789")
	f, err := b.Open(t.Context(), "a")
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer f.Close()
	if got := f.Size(); got != 10 {
		t.Errorf("Size: got %d, want 10", got)
	}
	for _, test := range []struct {
		off  int64
		want string
		err  error
	}{{0, "0123", nil}, {4, "4567", nil}, {8, "89", io.EOF}, {10, "", io.EOF}, {1 << 40, "", io.EOF}} {
		p := make([]byte, 4)
		n, err := f.ReadAt(p, test.off)
		if got := string(p[:n]); got != test.want || err != test.err {
			t.Errorf("ReadAt(4 bytes, %d): got %q, %v, want %q, %v", test.off, got, err, test.want, test.err)
		}
	}
	var group sync.WaitGroup
	for i := range 10 {
		group.Go(func() {
			p := make([]byte, 1)
			if _, err := f.ReadAt(p, int64(i)); (err != nil && err != io.EOF) || p[0] != byte('0'+i) {
				t.Errorf("ReadAt(1 byte, %d): got %q, %v", i, p, err)
			}
		})
	}
	group.Wait()
}

func testOpenMissing(t *testing.T, b storage.Bucket) {
	wantMissing(t, b, "a")
	wantMissing(t, b, "folder/a")
	Put(t, b, "folder/a", "x")
	if f, err := b.Open(t.Context(), "folder"); err == nil {
		f.Close()
		t.Error("Open of a folder: got no error")
	}
}

func testRemove(t *testing.T, b storage.Bucket) {
	wantError(t, "Remove from an empty bucket", b.Remove(t.Context(), "a"), fs.ErrNotExist) // AW-4
	Put(t, b, "a", "x")
	Put(t, b, "folder/b", "y")
	for _, name := range []string{"a", "folder/b"} {
		if err := b.Remove(t.Context(), name); err != nil {
			t.Errorf("Remove(%q): %v", name, err)
		}
		wantMissing(t, b, name)
		wantError(t, "second Remove of "+name, b.Remove(t.Context(), name), fs.ErrNotExist)
	}
	if err := b.Remove(t.Context(), "folder"); err == nil {
		t.Error("Remove of a folder: got no error")
	}
	wantList(t, b, "")
}

func testOpenSurvives(t *testing.T, b storage.Bucket) {
	Put(t, b, "a", "first")
	f, err := b.Open(t.Context(), "a")
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	defer f.Close()
	if runtime.GOOS == "windows" {
		t.Skip("Windows may refuse to replace or remove an open file")
	}
	Put(t, b, "a", "second")
	if got := contents(t, f); got != "first" {
		t.Errorf("open file after replacement: got %q, want %q", got, "first")
	}
	if err := b.Remove(t.Context(), "a"); err != nil {
		t.Fatalf("Remove: %v", err)
	}
	if got := contents(t, f); got != "first" {
		t.Errorf("open file after removal: got %q, want %q", got, "first")
	}
}

func testCancelled(t *testing.T, b storage.Bucket) {
	Put(t, b, "a", "x")
	w := create(t, b, "b", nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := b.Open(ctx, "a")
	wantError(t, "Open", err, context.Canceled)
	_, err = b.Create(ctx, "c", nil)
	wantError(t, "Create", err, context.Canceled)
	wantError(t, "Remove", b.Remove(ctx, "a"), context.Canceled)
	wantError(t, "Commit", w.Commit(ctx), context.Canceled)
	if err := w.Commit(t.Context()); err == nil {
		t.Error("Commit after a Commit that failed: got no error")
	}
	yields := 0
	for _, err := range b.List(ctx, "") {
		wantError(t, "List", err, context.Canceled)
		yields++
	}
	if yields != 1 {
		t.Errorf("List: got %d yields, want the error alone", yields)
	}
	if l, ok := b.(storage.Linker); ok {
		wantError(t, "Link", l.Link(ctx, "a", "d"), context.Canceled)
	}
	wantList(t, b, "", "a")
	wantNoLeftovers(t, b)
}
