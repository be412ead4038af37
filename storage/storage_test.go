package storage_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// each runs a test on every bucket that can be written. dir is a folder name
// for those that have one.
func each(t *testing.T, dir string, test func(t *testing.T, b storage.Bucket)) {
	t.Run("local", func(t *testing.T) { test(t, local.Open(filepath.Join(t.TempDir(), dir), nil)) })
	t.Run("mem", func(t *testing.T) { test(t, mem.New()) })
	t.Run("crashable", func(t *testing.T) { test(t, storagetest.NewCrashable()) })
	t.Run("objects", func(t *testing.T) { test(t, storagetest.NewObjects(mem.New())) })
	t.Run("faulty", func(t *testing.T) { test(t, storagetest.NewFaulty(mem.New())) })
}

func put(t *testing.T, b storage.Bucket, name, data string, o *storage.CreateOptions) error {
	t.Helper()
	w, err := b.Create(t.Context(), name, o)
	if err != nil {
		t.Fatalf("Create(%q): %v", name, err)
	}
	defer w.Abort()
	if _, err := w.Write([]byte(data)); err != nil {
		t.Fatalf("Write: %v", err)
	}
	return w.Commit(t.Context())
}

func TestAW1AtomicWrite(t *testing.T) {
	each(t, "atomic", func(t *testing.T, b storage.Bucket) {
		if err := put(t, b, "file", "testing", nil); err != nil {
			t.Fatalf("Commit: %v", err)
		}
		if got, want := storagetest.Get(t, b, "file"), "testing"; got != want {
			t.Errorf("contents: got %q, want %q", got, want)
		}
		l, ok := b.(*local.Bucket)
		if !ok {
			return
		}
		entries, err := os.ReadDir(l.Dir())
		if err != nil || len(entries) != 1 {
			t.Errorf("folder: got %v, %v, want the file alone", entries, err)
		}
	})
}

func TestAW2NoOverwrite(t *testing.T) {
	exclusive := &storage.CreateOptions{Exclusive: true}
	each(t, "exclusive", func(t *testing.T, b storage.Bucket) {
		if err := put(t, b, "file", "old", exclusive); err != nil {
			t.Fatalf("first Commit: %v", err)
		}
		if err := put(t, b, "file", "new", exclusive); !errors.Is(err, fs.ErrExist) {
			t.Errorf("second Commit: got %v, want fs.ErrExist", err)
		}
		if got, want := storagetest.Get(t, b, "file"), "old"; got != want {
			t.Errorf("contents: got %q, want %q", got, want)
		}
		if err := b.Remove(t.Context(), "file"); err != nil {
			t.Fatalf("Remove: %v", err)
		}
		if err := put(t, b, "file", "new", exclusive); err != nil {
			t.Errorf("Commit after Remove: %v", err)
		}
		if got, want := storagetest.Get(t, b, "file"), "new"; got != want {
			t.Errorf("contents: got %q, want %q", got, want)
		}
	})
}

func TestAW3SpecialFolders(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no such names")
	}
	want := []string{"file*2?].txt", "file1.txt"}
	for _, dir := range []string{"dir_(special)", "[dir_special]"} {
		t.Run(dir, func(t *testing.T) {
			each(t, dir, func(t *testing.T, b storage.Bucket) {
				for _, name := range want {
					storagetest.Put(t, b, name, "x")
					storagetest.Put(t, b, dir+"/"+name, "x")
				}
				if got := storagetest.List(t, b, "file"); !slices.Equal(got, want) {
					t.Errorf("List: got %q, want %q", got, want)
				}
				deep := []string{dir + "/" + want[0], dir + "/" + want[1]}
				if got := storagetest.List(t, b, dir+"/"); !slices.Equal(got, deep) {
					t.Errorf("List of the folder: got %q, want %q", got, deep)
				}
			})
		})
	}
}

func TestAW4RemoveMissing(t *testing.T) {
	each(t, "missing", func(t *testing.T, b storage.Bucket) {
		for _, name := range []string{"file", "folder/file"} {
			if err := b.Remove(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("Remove(%q): got %v, want fs.ErrNotExist", name, err)
			}
		}
	})
}
