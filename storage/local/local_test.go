package local_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

func TestContract(t *testing.T) {
	for name, o := range map[string]*local.Options{"root": nil, "follow links": {FollowLinks: true}} {
		t.Run(name, func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storage.Bucket { return local.Open(t.TempDir(), o) })
		})
		t.Run(name+", missing folder", func(t *testing.T) {
			storagetest.Run(t, func(t *testing.T) storage.Bucket {
				return local.Open(filepath.Join(t.TempDir(), "not", "there"), o)
			})
		})
	}
}

func TestOpenDoesNothing(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	b := local.Open(dir, nil)
	if b.Dir() != dir {
		t.Errorf("Dir: got %q, want %q", b.Dir(), dir)
	}
	if _, err := b.Open(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Open: got %v, want fs.ErrNotExist", err)
	}
	for _, err := range b.List(t.Context(), "") {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("List: got %v, want fs.ErrNotExist", err)
		}
	}
	for _, err := range b.Leftovers(t.Context()) {
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Leftovers: got %v, want fs.ErrNotExist", err)
		}
	}
	if err := b.Remove(t.Context(), "a"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Remove: got %v, want fs.ErrNotExist", err)
	}
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Stat: got %v, want no folder", err)
	}
}

func TestRelativeFolder(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"", ".", "sub/folder/", "./other"} {
		b := local.Open(dir, nil)
		storagetest.Put(t, b, "a", "x")
		if _, err := os.Stat(filepath.Join(dir, "a")); err != nil {
			t.Errorf("folder %q: %v", dir, err)
		}
		if err := b.Weak(); err != nil && runtime.GOOS == "linux" {
			t.Errorf("Weak: %v", err)
		}
	}
}

func TestErrorsNameThePathOnce(t *testing.T) {
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "folder"), 0o777); err != nil {
		t.Fatal(err)
	}
	for _, o := range []*local.Options{nil, {FollowLinks: true}} {
		b := local.Open(dir, o)
		storagetest.Put(t, b, "there", "x")
		_, open := b.Open(t.Context(), "missing")
		_, isFolder := b.Open(t.Context(), "folder")
		_, notFolder := b.Create(t.Context(), "there/a", nil)
		w, err := b.Create(t.Context(), "folder", nil)
		if err != nil {
			t.Fatal(err)
		}
		for name, test := range map[string]struct {
			err  error
			path string
		}{
			"open":              {open, "missing"},
			"open a folder":     {isFolder, "folder"},
			"remove":            {b.Remove(t.Context(), "missing"), "missing"},
			"remove a folder":   {b.Remove(t.Context(), "folder"), "folder"},
			"link":              {b.Link(t.Context(), "missing", "new"), "missing"},
			"link to a name":    {b.Link(t.Context(), "there", "folder"), "folder"},
			"commit":            {w.Commit(t.Context()), "folder"},
			"folder is a file":  {notFolder, "there/a"},
			"remove a leftover": {b.RemoveLeftover(t.Context(), storage.Leftover{Name: "a", ID: "0123456789abcdef"}), ".a.0123456789abcdef.ckpt-tmp"},
		} {
			if test.err == nil {
				t.Errorf("%s: got no error", name)
				continue
			}
			var located *fs.PathError
			if !errors.As(test.err, &located) || located.Path != filepath.Join(dir, test.path) {
				t.Errorf("%s: got %v, want a PathError of %s", name, test.err, test.path)
			}
			if text := test.err.Error(); strings.Count(text, dir) != 1 {
				t.Errorf("%s: got %q, want the path once", name, text)
			}
		}
	}
}

func TestReservedNames(t *testing.T) {
	dir := t.TempDir()
	b := local.Open(dir, nil)
	for _, name := range []string{".a.0123456789abcdef.ckpt-tmp", "folder/.a.0123456789abcdef.ckpt-tmp"} {
		if _, err := b.Create(t.Context(), name, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("Create(%q): got %v, want fs.ErrInvalid", name, err)
		}
	}
	// Names that only look similar are ordinary.
	want := []string{".a.0123456789ABCDEF.ckpt-tmp", ".a.0123456789abcde.ckpt-tmp", "..0123456789abcdef.ckpt-tmp", "a.0123456789abcdef.ckpt-tmp", ".a.lock"}
	slices.Sort(want)
	for _, name := range want {
		storagetest.Put(t, b, name, "x")
	}
	if got := storagetest.List(t, b, ""); !slices.Equal(got, want) {
		t.Errorf("List: got %q, want %q", got, want)
	}
	for l, err := range b.Leftovers(t.Context()) {
		t.Errorf("Leftovers: got %+v, %v, want none", l, err)
	}
	for _, l := range []storage.Leftover{
		{Name: "a", ID: ""}, {Name: "a", ID: "0123456789ABCDEF"}, {Name: "a", ID: "x/../../x/345678"}, {Name: "../a", ID: "0123456789abcdef"},
	} {
		if err := b.RemoveLeftover(t.Context(), l); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("RemoveLeftover(%+v): got %v, want fs.ErrInvalid", l, err)
		}
	}
}

func TestTemporaryFile(t *testing.T) {
	dir := t.TempDir()
	b := local.Open(dir, nil)
	w, err := b.Create(t.Context(), "folder/a", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	entries, err := os.ReadDir(filepath.Join(dir, "folder"))
	if err != nil || len(entries) != 1 {
		t.Fatalf("folder: got %v, %v, want one file", entries, err)
	}
	name := entries[0].Name()
	if ok, _ := filepath.Match(".a.????????????????.ckpt-tmp", name); !ok {
		t.Errorf("temporary name: got %q", name)
	}
	if err := w.Abort(); err != nil {
		t.Fatal(err)
	}
	if entries, _ := os.ReadDir(filepath.Join(dir, "folder")); len(entries) != 0 {
		t.Errorf("folder after Abort: got %v, want nothing", entries)
	}
}

// TestCommitElsewhere removes the folder under a Writer.
func TestCommitElsewhere(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not remove open files")
	}
	dir := filepath.Join(t.TempDir(), "a")
	b := local.Open(dir, nil)
	w, err := b.Create(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Commit: got %v, want fs.ErrNotExist", err)
	}
	storagetest.Put(t, b, "b", "x") // makes the folder again
}

func TestForeignWriter(t *testing.T) {
	one, two := local.Open(t.TempDir(), nil), local.Open(t.TempDir(), nil)
	var group []storage.Writer
	for _, b := range []*local.Bucket{one, two} {
		w, err := b.Create(context.Background(), "a", nil)
		if err != nil {
			t.Fatal(err)
		}
		group = append(group, w)
	}
	if err := one.CommitAll(t.Context(), group); err == nil {
		t.Error("CommitAll: got no error")
	}
	for _, b := range []*local.Bucket{one, two} {
		if entries, err := os.ReadDir(b.Dir()); err != nil || len(entries) != 0 {
			t.Errorf("folder: got %v, %v, want nothing", entries, err)
		}
	}
}
