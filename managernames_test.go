package ckpt_test

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// skipWithoutLocks skips where nothing can be locked.
func skipWithoutLocks(t *testing.T) {
	t.Helper()
	unlock, err := local.Open(t.TempDir(), nil).Lock(t.Context(), "")
	if errors.Is(err, errors.ErrUnsupported) {
		t.Skip("no locks on this system")
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
}

// otherNames give one more name to the folder real in a folder.
var otherNames = map[string]func(t *testing.T, top string) string{
	"link": func(t *testing.T, top string) string {
		symlink(t, "real", filepath.Join(top, "alias"))
		return filepath.Join(top, "alias")
	},
	"dots": func(t *testing.T, top string) string { return filepath.Join(top, "real") + "/../real/." },
	// What `..` is depends on where the link leads.
	"dots behind a link": func(t *testing.T, top string) string {
		if err := os.MkdirAll(filepath.Join(top, "far", "away"), 0o777); err != nil {
			t.Fatal(err)
		}
		symlink(t, filepath.Join(top, "real"), filepath.Join(top, "far", "real"))
		symlink(t, filepath.Join("far", "away"), filepath.Join(top, "near"))
		return filepath.Join(top, "near") + "/../real"
	},
	"mount": func(t *testing.T, top string) string {
		alias := filepath.Join(top, "alias")
		if err := os.Mkdir(alias, 0o777); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command("mount", "--bind", filepath.Join(top, "real"), alias).CombinedOutput(); err != nil {
			t.Skipf("this machine lets the test mount nothing: %v: %s", err, out)
		}
		t.Cleanup(func() {
			if out, err := exec.Command("umount", "-l", alias).CombinedOutput(); err != nil {
				t.Errorf("umount: %v: %s", err, out)
			}
		})
		return alias
	},
}

func twoNames(t *testing.T, other func(t *testing.T, top string) string) (dir, alias string) {
	t.Helper()
	top := t.TempDir()
	dir = filepath.Join(top, "real")
	if err := os.Mkdir(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	return dir, other(t, top)
}

// TestLockOfTwoNames has two Managers save into one folder by two names. The lock is
// given up when both are closed, and no sooner.
func TestLockOfTwoNames(t *testing.T) {
	skipWithoutLocks(t)
	for how, other := range otherNames {
		t.Run(how, func(t *testing.T) {
			dir, alias := twoNames(t, other)
			p, q := newProgram(), newProgram()
			first, second := newManager(t, p.Checkpoint, dir, nil), newManager(t, q.Checkpoint, alias, nil)
			saveSteps(t, p, first, 1)
			saveSteps(t, q, second, 2)
			if err := first.Close(); err != nil {
				t.Fatal(err)
			}
			wantLocked(t, dir, true)
			saveSteps(t, q, second, 3)
			if err := second.Close(); err != nil {
				t.Fatal(err)
			}
			wantLocked(t, dir, false)
		})
	}
}

func wantLocked(t *testing.T, dir string, want bool) {
	t.Helper()
	unlock, err := local.Open(dir, nil).Lock(t.Context(), "")
	_, held := errors.AsType[*storage.LockedError](err)
	if err != nil && !held {
		t.Fatal(err)
	}
	if held != want {
		t.Errorf("the folder is locked: got %v, want %v", held, want)
	}
	if err == nil {
		unlock()
	}
}

// TestReaderOfTwoNames has a Reader open a checkpoint by another name than that by
// which retention would remove it, and by which Remove does.
func TestReaderOfTwoNames(t *testing.T) {
	for how, other := range otherNames {
		t.Run(how, func(t *testing.T) {
			dir, alias := twoNames(t, other)
			p := newProgram()
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
			saveSteps(t, p, m, 1)
			r, err := ckpt.Open(t.Context(), alias+"/ckpt-1", nil) // Join would clean it
			if err != nil {
				t.Fatal(err)
			}
			saveSteps(t, p, m, 2)
			wantManaged(t, m, "ckpt-1", "ckpt-2")
			if err := ckpt.Remove(t.Context(), filepath.Join(dir, "ckpt-1"), nil); err == nil {
				t.Error("Remove: got no error for a checkpoint that is being read")
			}
			if _, err := r.Tensor(t.Context(), "step/.ATTRIBUTES/VARIABLE_VALUE"); err != nil {
				t.Errorf("reading: %v", err)
			}
			if err := r.Close(); err != nil {
				t.Fatal(err)
			}
			saveSteps(t, p, m, 3)
			wantManaged(t, m, "ckpt-3")
		})
	}
}

// TestLockOfForgottenManager has nobody close a Manager: its lock goes with it.
func TestLockOfForgottenManager(t *testing.T) {
	skipWithoutLocks(t)
	dir := t.TempDir()
	func() {
		p := newProgram()
		m, err := ckpt.NewManager(p.Checkpoint, dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		saveSteps(t, p, m, 1)
		runtime.GC()
		wantLocked(t, dir, true)
		runtime.KeepAlive(m)
	}()
	for range 1000 {
		runtime.GC() // cleanups run some time after
		if unlock, err := local.Open(dir, nil).Lock(t.Context(), ""); err == nil {
			unlock()
			return
		}
		runtime.Gosched()
	}
	t.Error("the folder is still locked")
}
