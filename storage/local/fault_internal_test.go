//go:build linux

// Internal, because only a folder of our own making can fail a sync or a link:
// the public API has no seam for it.
package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
)

// bad is a folder that misbehaves on purpose.
type bad struct {
	folder
	syncs string // path of what is opened, and then synced, for a folder
	link  error
}

func (f bad) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	if flag == os.O_RDONLY && f.syncs != "" {
		return os.OpenFile(f.syncs, os.O_WRONLY, 0)
	}
	return f.folder.OpenFile(name, flag, perm)
}

func (f bad) Link(oldName, newName string) error {
	if f.link != nil {
		return &os.LinkError{Op: "linkat", Old: oldName, New: newName, Err: f.link}
	}
	return f.folder.Link(oldName, newName)
}

func start(t *testing.T, b *Bucket, name string, o *storage.CreateOptions) *writer {
	t.Helper()
	w, err := b.Create(t.Context(), name, o)
	if err != nil {
		t.Fatalf("Create: %v", err)
	}
	t.Cleanup(func() { w.Abort() })
	return w.(*writer)
}

func wantFiles(t *testing.T, b *Bucket, want ...string) {
	t.Helper()
	entries, err := os.ReadDir(b.dir)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, entry := range entries {
		got = append(got, entry.Name())
	}
	if strings.Join(got, " ") != strings.Join(want, " ") {
		t.Errorf("folder: got %q, want %q", got, want)
	}
}

// TestFolderWithoutSync has /dev/null in place of the folder: syncing it is
// EINVAL, as on file systems that do not sync folders.
func TestFolderWithoutSync(t *testing.T) {
	b := Open(t.TempDir(), nil)
	w := start(t, b, "a", nil)
	w.dir = bad{folder: w.dir, syncs: os.DevNull}
	if err := b.Weak(); err != nil {
		t.Errorf("Weak before: got %v, want nil", err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Errorf("Commit: got %v, want nil", err)
	}
	if err := b.Weak(); !errors.Is(err, syscall.EINVAL) || !strings.Contains(err.Error(), b.dir) {
		t.Errorf("Weak: got %v, want EINVAL with the folder's name", err)
	}
	wantFiles(t, b, "a")
}

// TestFileSyncFails has /dev/null in place of the temporary file: its sync
// fails with EINVAL, which for a file is final.
func TestFileSyncFails(t *testing.T) {
	b := Open(t.TempDir(), nil)
	w, other := start(t, b, "a", nil), start(t, b, "b", nil)
	null, err := os.OpenFile(os.DevNull, os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	w.file.Close()
	w.file = null
	if err := b.CommitAll(t.Context(), []storage.Writer{other, w}); !errors.Is(err, syscall.EINVAL) {
		t.Errorf("CommitAll: got %v, want EINVAL", err)
	}
	for _, w := range []*writer{w, other} {
		if err := w.Commit(t.Context()); !errors.Is(err, fs.ErrClosed) {
			t.Errorf("second Commit: got %v, want fs.ErrClosed", err)
		}
	}
	wantFiles(t, b)
}

// TestDiskFull writes to /dev/full. The error names the file once, and a
// Commit that ignores it is refused.
func TestDiskFull(t *testing.T) {
	for _, at := range []bool{false, true} {
		b := Open(t.TempDir(), nil)
		w := start(t, b, "a", nil)
		full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
		if err != nil {
			t.Skip(err)
		}
		good := w.file
		w.file = full
		if at {
			_, err = w.WriteAt([]byte("x"), 5)
		} else {
			_, err = w.Write([]byte("x"))
		}
		if !errors.Is(err, syscall.ENOSPC) || strings.Count(err.Error(), filepath.Join(b.dir, "a")) != 1 {
			t.Errorf("write: got %v, want ENOSPC with the file's path", err)
		}
		full.Close()
		w.file = good
		if err := w.Commit(t.Context()); !errors.Is(err, syscall.ENOSPC) {
			t.Errorf("Commit: got %v, want ENOSPC", err)
		}
		wantFiles(t, b)
	}
}

func TestNoHardLinks(t *testing.T) {
	exclusive := &storage.CreateOptions{Exclusive: true}
	b := Open(t.TempDir(), nil)
	for i, want := range []error{nil, fs.ErrExist} {
		w := start(t, b, "a", exclusive)
		w.dir = bad{folder: w.dir, link: syscall.EPERM}
		if err := w.Commit(t.Context()); !errors.Is(err, want) {
			t.Errorf("Commit %d: got %v, want %v", i+1, err, want)
		}
		wantFiles(t, b, "a")
	}
}

// TestPublishFails makes the second rename of a group fail.
func TestPublishFails(t *testing.T) {
	b := Open(t.TempDir(), nil)
	if err := os.Mkdir(filepath.Join(b.dir, "folder"), 0o777); err != nil {
		t.Fatal(err)
	}
	group := []storage.Writer{start(t, b, "a", nil), start(t, b, "folder", nil), start(t, b, "z", nil)}
	if err := b.CommitAll(t.Context(), group); err == nil {
		t.Error("CommitAll: got no error")
	}
	wantFiles(t, b, "a", "folder")
}

// TestMadeFolderNotDurable removes a folder it could not make durable.
func TestMadeFolderNotDurable(t *testing.T) {
	b := Open(t.TempDir(), nil)
	dir := bad{folder: plain(b.dir), syncs: filepath.Join(b.dir, "missing")}
	if err := b.makeInside(dir, "create", "x/y"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("makeInside: got %v, want the error of the sync", err)
	}
	wantFiles(t, b)
}

// unseen is a folder in which others make folders before this process does.
type unseen struct{ folder }

func (f unseen) Stat(string) (fs.FileInfo, error) { return nil, fs.ErrNotExist }

// TestFolderMadeByOthers syncs above a folder that somebody else made just now: they may
// not have come to it yet. It is theirs, and stays if that fails.
func TestFolderMadeByOthers(t *testing.T) {
	b := Open(t.TempDir(), nil)
	if err := os.Mkdir(filepath.Join(b.dir, "x"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := b.makeInside(unseen{plain(b.dir)}, "create", "x"); err != nil {
		t.Errorf("makeInside: %v", err)
	}
	dir := unseen{bad{folder: plain(b.dir), syncs: filepath.Join(b.dir, "missing")}}
	if err := b.makeInside(dir, "create", "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("makeInside: got %v, want the error of the sync", err)
	}
	wantFiles(t, b, "x")
}

// meanwhile is a folder in which something happens just after a file was opened.
type meanwhile struct {
	folder
	do func()
}

func (f meanwhile) OpenFile(name string, flag int, perm fs.FileMode) (*os.File, error) {
	file, err := f.folder.OpenFile(name, flag, perm)
	f.do()
	return file, err
}

// TestLeftoverThatIsNone has a writer publish or give up its file between the moment a
// sweeper opens it and the moment it locks it: then it is no leftover.
func TestLeftoverThatIsNone(t *testing.T) {
	for name, end := range map[string]func(w *writer) error{
		"published": func(w *writer) error { return w.Commit(context.Background()) },
		"removed":   (*writer).Abort,
		"another file of that name": func(w *writer) error {
			return errors.Join(w.Abort(), os.WriteFile(filepath.Join(w.bucket.dir, w.temp), nil, 0o666))
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := Open(t.TempDir(), nil)
			w := start(t, b, "a", nil)
			dir := meanwhile{plain(b.dir), func() {
				if err := end(w); err != nil {
					t.Error(err)
				}
			}}
			f, err := openDead(dir, w.temp)
			if !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("openDead: got %v, want fs.ErrNotExist", err)
			}
			if err == nil {
				f.Close()
			}
		})
	}
}

// TestSweepersAndWriters has sweepers remove all they find while writers
// work. None may lose a file, and nothing may stay.
func TestSweepersAndWriters(t *testing.T) {
	b := Open(t.TempDir(), nil)
	stop := make(chan struct{})
	var sweepers, writers sync.WaitGroup
	for range 2 {
		sweepers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				for l, err := range b.Leftovers(context.Background()) {
					if err != nil {
						t.Errorf("Leftovers: %v", err)
						return
					}
					b.RemoveLeftover(context.Background(), l)
				}
			}
		})
	}
	for range 4 {
		writers.Go(func() {
			for range 50 {
				w, err := b.Create(context.Background(), "a", nil)
				if err != nil {
					t.Errorf("Create: %v", err)
					return
				}
				w.Write([]byte("x"))
				if err := w.Commit(context.Background()); err != nil {
					t.Errorf("Commit: %v", err)
				}
			}
		})
	}
	writers.Wait()
	close(stop)
	sweepers.Wait()
	wantFiles(t, b, "a")
}

// TestLockers has several contend for a lock.
func TestLockers(t *testing.T) {
	b := Open(t.TempDir(), nil)
	var holders, taken int
	var mu sync.Mutex
	var group sync.WaitGroup
	for range 4 {
		group.Go(func() {
			for range 200 {
				unlock, err := b.Lock(context.Background(), "")
				if err != nil {
					continue
				}
				mu.Lock()
				holders++
				taken++
				if holders > 1 {
					t.Error("two hold the lock")
				}
				mu.Unlock()
				mu.Lock()
				holders--
				mu.Unlock()
				if err := unlock(); err != nil {
					t.Errorf("unlock: %v", err)
				}
			}
		})
	}
	group.Wait()
	if taken == 0 {
		t.Error("nobody got the lock")
	}
	wantFiles(t, b)
}
