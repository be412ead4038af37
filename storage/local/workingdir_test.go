package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// TestFolderStays has a program change its working directory: the folder is that of the
// moment it was opened, and errors name it as it was given.
func TestFolderStays(t *testing.T) {
	for _, o := range []*local.Options{nil, {FollowLinks: true}} {
		start, elsewhere := t.TempDir(), t.TempDir()
		t.Chdir(start)
		for _, dir := range []string{"", "sub/folder/", "./other"} {
			t.Chdir(start)
			b := local.Open(dir, o)
			t.Chdir(elsewhere)
			storagetest.Put(t, b, "a", "x")
			if got := storagetest.Get(t, b, "a"); got != "x" {
				t.Errorf("folder %q: got %q", dir, got)
			}
			if _, err := os.Stat(filepath.Join(start, dir, "a")); err != nil {
				t.Errorf("folder %q: %v", dir, err)
			}
			if got := b.Path(); !filepath.IsAbs(got) {
				t.Errorf("Path of %q: got %q, want an absolute one", dir, got)
			}
			if unlock, err := b.Lock(t.Context(), ""); err == nil {
				unlock()
			} else if !errors.Is(err, errors.ErrUnsupported) {
				t.Errorf("Lock of %q: %v", dir, err)
			}
			if _, err := b.Open(t.Context(), "missing"); err == nil || strings.Contains(err.Error(), start) || !strings.Contains(err.Error(), filepath.Join(dir, "missing")) {
				t.Errorf("folder %q: got %v, want the path as given", dir, err)
			}
			beside := b.Beside("beside", o)
			storagetest.Put(t, beside, "a", "x")
			if _, err := os.Stat(filepath.Join(start, "beside", "a")); err != nil || beside.Dir() != "beside" {
				t.Errorf("Beside: %v, Dir %q, want beside", err, beside.Dir())
			}
		}
		if entries, err := os.ReadDir(elsewhere); err != nil || len(entries) > 0 {
			t.Errorf("in the new working directory: %v, %v", entries, err)
		}
	}
}

// TestWorkingDirectoryWithoutPath opens a relative folder where no path leads to the
// working directory: it works as the system lets it.
func TestWorkingDirectoryWithoutPath(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("a working directory cannot be removed")
	}
	gone := filepath.Join(t.TempDir(), "gone")
	if err := os.Mkdir(gone, 0o777); err != nil {
		t.Fatal(err)
	}
	t.Chdir(gone)
	if err := os.Remove(gone); err != nil {
		t.Skip(err)
	}
	b := local.Open("sub", nil)
	if got := b.Path(); got != "sub" {
		t.Errorf("Path: got %q, want sub", got)
	}
	if w, err := b.Create(t.Context(), "a", nil); err == nil {
		t.Error("Create in a folder that is gone: got no error")
		w.Abort()
	}
}

// TestDotsBehindALink has a relative folder lead through a link: `..` is above the
// link's target, as for the system.
func TestDotsBehindALink(t *testing.T) {
	top := t.TempDir()
	t.Chdir(top)
	for _, dir := range []string{"far/away", "far/model", "model"} {
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("far/away", "link"); err != nil {
		t.Skip(err)
	}
	storagetest.Put(t, local.Open("link/../model", nil), "a", "x")
	if _, err := os.Stat("far/model/a"); err != nil {
		t.Error(err)
	}
}

// TestIdentifyByAnyName tells one folder by several names, and another one that took
// its place.
func TestIdentifyByAnyName(t *testing.T) {
	top := t.TempDir()
	dir := filepath.Join(top, "real")
	storagetest.Put(t, local.Open(dir, nil), "a", "x")
	if err := os.Symlink("real", filepath.Join(top, "alias")); err != nil {
		t.Skip(err)
	}
	same := func(known storage.Identifier, folder string) bool {
		t.Helper()
		x, err := local.Open(dir, nil).Identify(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		y, err := known.Identify(t.Context(), folder)
		if err != nil {
			t.Fatal(err)
		}
		return os.SameFile(x, y)
	}
	for name, got := range map[string]bool{
		"link":           same(local.Open(filepath.Join(top, "alias"), nil), ""),
		"link in bucket": same(local.Open(top, nil), "alias"),
		"folder":         same(local.Open(top, nil), "real"),
		"dots":           same(local.Open(dir+"/../alias/.", nil), ""),
	} {
		if !got {
			t.Errorf("%s: another folder, want the same", name)
		}
	}
	was, err := local.Open(dir, nil).Identify(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, dir+".old"); err != nil {
		t.Fatal(err)
	}
	storagetest.Put(t, local.Open(dir, nil), "a", "x")
	is, err := local.Open(dir, nil).Identify(t.Context(), "")
	if err != nil || os.SameFile(was, is) {
		t.Errorf("the folder that took its place: %v, the same %v", err, err == nil)
	}
}
