package edit_test

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// lostIndex makes a checkpoint without an index, and a copy beside it that has one.
func lostIndex(t *testing.T, b storage.Bucket) {
	t.Helper()
	save(t, b, "ckpt-2", 2, withDigests)
	for name, data := range filesOf(t, b, "ckpt-2") {
		storagetest.Put(t, b, "copy"+name, data)
	}
	if err := b.Remove(t.Context(), "ckpt-2.index"); err != nil {
		t.Fatal(err)
	}
	change(t, b, dataFile, flip(3, 4))
}

// TestRepairInPlace asks for the source as the new checkpoint, which looks free because
// its index is lost: by its name, and by another path.
func TestRepairInPlace(t *testing.T) {
	dir := t.TempDir()
	disk := local.Open(dir, nil)
	lostIndex(t, disk)
	if err := os.Symlink(".", filepath.Join(dir, "same")); err != nil {
		t.Skip(err)
	}
	before := everything(t, disk)
	for _, to := range []string{"ckpt-2", "./ckpt-2", "same/ckpt-2"} {
		for _, dry := range []bool{true, false} {
			o := &edit.RepairOptions{Donors: []string{dir + "/copy"}, DryRun: dry}
			if r, err := edit.Repair(t.Context(), dir+"/ckpt-2", dir+"/"+to, o); !errors.Is(err, fs.ErrExist) {
				t.Errorf("to %s, dry %v: got %q, %v, want fs.ErrExist", to, dry, fates(r), err)
			}
		}
	}
	wantSame(t, everything(t, disk), before)

	b := newBucket()
	lostIndex(t, b)
	before = everything(t, b)
	if _, err := edit.Repair(t.Context(), "ckpt-2", "ckpt-2", &edit.RepairOptions{Bucket: b, Donors: []string{"copy"}}); !errors.Is(err, fs.ErrExist) {
		t.Errorf("in a bucket: got %v, want fs.ErrExist", err)
	}
	wantSame(t, everything(t, b), before)
}

// TestRepairOverLostIndex has data files without an index under the new name: another
// checkpoint lost it, unless they are what this very repair would write.
func TestRepairOverLostIndex(t *testing.T) {
	for _, c := range []struct {
		name, file string
		data       func(own string) string
		ok         bool
	}{
		{"another size", "good.data-00000-of-00001", func(own string) string { return own + "x" }, false},
		{"other bytes", "good.data-00000-of-00001", func(own string) string { return "x" + own[1:] }, false},
		{"other number of files", "good.data-00000-of-00002", func(own string) string { return own }, false},
		{"left by a repair", "good.data-00000-of-00001", func(own string) string { return own }, true},
		{"another name", "good.data", func(string) string { return "x" }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBucket()
			save(t, b, "ckpt-2", 2, nil)
			save(t, b, "ckpt-1", 1, nil)
			own := storagetest.Get(t, b, dataFile)
			flips(keyA, 17, 18)(t, b)
			storagetest.Put(t, b, c.file, c.data(own))
			before := everything(t, b)
			_, err := edit.Repair(t.Context(), "ckpt-2", "good", &edit.RepairOptions{Bucket: b})
			if c.ok {
				if err != nil {
					t.Error(err)
				}
				wantGood(t, b, "good", false)
				return
			}
			if !errors.Is(err, fs.ErrExist) {
				t.Errorf("got %v, want fs.ErrExist", err)
			}
			wantSame(t, everything(t, b), before)
		})
	}
}

// TestRepairBadTargets has names that no checkpoint can have, and places that cannot be
// read: the error says so, and not that a checkpoint is there.
func TestRepairBadTargets(t *testing.T) {
	dir := t.TempDir()
	save(t, local.Open(dir, nil), "ckpt-2", 2, nil)
	before := everything(t, local.Open(dir, nil))
	for _, to := range []string{".", "..", "", "new/", "new/.", ".ckpt-undo.ckpt-2", ".ckpt-undo.ckpt-3", "new/.ckpt-gone.x"} {
		if _, err := edit.Repair(t.Context(), dir+"/ckpt-2", dir+"/"+to, nil); !errors.Is(err, fs.ErrInvalid) {
			t.Errorf("to %q: got %v, want fs.ErrInvalid", to, err)
		}
	}
	for _, o := range []*edit.RepairOptions{nil, {Donors: []string{dir + "/ckpt-2.index/x"}}} {
		to := dir + "/new"
		if o == nil {
			to = dir + "/ckpt-2.index/x"
		}
		_, err := edit.Repair(t.Context(), dir+"/ckpt-2", to, o)
		if err == nil || errors.Is(err, fs.ErrExist) || errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "there is") {
			t.Errorf("below a file: got %v", err)
		}
	}
	wantSame(t, everything(t, local.Open(dir, nil)), before)
}

// TestRepairTwice has two repairs that write to one place of a storage where nobody can
// claim a prefix, the second at any moment of
// the first: one of them does, the other says that a checkpoint is there.
func TestRepairTwice(t *testing.T) {
	for n := 1; ; n++ {
		b := newBucket()
		save(t, b, "ckpt-2", 2, nil)
		save(t, b, "ckpt-3", 3, nil)
		var second error
		opened := 0
		h := &hooked{b, func(string) {
			if opened++; opened == n {
				_, second = edit.Repair(t.Context(), "ckpt-3", "good", &edit.RepairOptions{Bucket: &hooked{b, func(string) {}}})
			}
		}}
		_, first := edit.Repair(t.Context(), "ckpt-2", "good", &edit.RepairOptions{Bucket: h})
		wantGood(t, b, "good", false)
		if opened < n {
			return
		}
		if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), fs.ErrExist) {
			t.Errorf("at the opening of file %d: got %v and %v, want one fs.ErrExist", n, first, second)
		}
	}
}

// TestRepairTwiceAtOnce has two of them on a storage where prefixes can be claimed.
func TestRepairTwiceAtOnce(t *testing.T) {
	for range 100 {
		b := newBucket()
		save(t, b, "ckpt-2", 2, nil)
		save(t, b, "ckpt-3", 3, nil)
		done := make(chan error)
		for _, from := range []string{"ckpt-2", "ckpt-3"} {
			go func() {
				_, err := edit.Repair(context.Background(), from, "good", &edit.RepairOptions{Bucket: b})
				done <- err
			}()
		}
		first, second := <-done, <-done
		if (first == nil) == (second == nil) || !errors.Is(errors.Join(first, second), fs.ErrExist) {
			t.Errorf("got %v and %v, want one fs.ErrExist", first, second)
		}
		wantGood(t, b, "good", false)
	}
}

// hooked is a bucket that does something when a file is opened.
type hooked struct {
	storage.Bucket
	open func(name string)
}

func (h *hooked) Open(ctx context.Context, name string) (storage.File, error) {
	h.open(name)
	return h.Bucket.Open(ctx, name)
}

// TestRepairWhileReplaced has a program that writes over the source, or removes it,
// once its index was read: what does not fit the index then is no damage.
func TestRepairWhileReplaced(t *testing.T) {
	for _, replaced := range []bool{true, false} {
		b := newBucket()
		save(t, b, "ckpt-2", 2, nil)
		did := false
		h := &hooked{b, func(name string) {
			if name != dataFile || did {
				return
			}
			did = true
			if replaced {
				save(t, b, "ckpt-2", 3, nil)
			} else if err := ckpt.Remove(t.Context(), "ckpt-2", &ckpt.FindOptions{Bucket: b}); err != nil {
				t.Error(err)
			}
		}}
		r, err := edit.Repair(t.Context(), "ckpt-2", "good", &edit.RepairOptions{Bucket: h, AllowPartial: true})
		if !errors.Is(err, bundle.ErrReplaced) || !did {
			t.Errorf("replaced %v: got %q, %v, want ErrReplaced", replaced, fates(r), err)
		}
		if there, err := ckpt.Exists(t.Context(), "good", &ckpt.FindOptions{Bucket: b}); err != nil || there {
			t.Errorf("there: %v, %v", there, err)
		}
	}
}
