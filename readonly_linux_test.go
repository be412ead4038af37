package ckpt_test

import (
	"errors"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// TestReadOnlyFolder works on a file system that is mounted read-only: what reads does,
// and what writes says why not. It needs to be root.
func TestReadOnlyFolder(t *testing.T) {
	mount := t.TempDir()
	if err := syscall.Mount("tmpfs", mount, "tmpfs", 0, ""); err != nil {
		t.Skip("no file system can be mounted here: ", err)
	}
	t.Cleanup(func() { syscall.Unmount(mount, syscall.MNT_DETACH) })
	dir := filepath.Join(mount, "m")
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: ckpt.KeepAll})
	saveSteps(t, p, m, 1, 2, 3)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", mount, "tmpfs", syscall.MS_REMOUNT|syscall.MS_RDONLY, ""); err != nil {
		t.Fatal(err)
	}
	before := filesIn(t, dir)
	r := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
	verdicts, err := r.Prune(t.Context(), &ckpt.PruneOptions{DryRun: true})
	if got, want := actions(verdicts), []string{"ckpt-1 remove", "ckpt-2 remove", "ckpt-3 keep"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("dry run: got %q, %v, want %q", got, err, want)
	}
	if _, err := r.Resume(t.Context(), nil); err != nil {
		t.Error(err)
	}
	p.wantStep(t, 3)
	wantReadOnly := func(what string, err error) {
		t.Helper()
		if !errors.Is(err, syscall.EROFS) {
			t.Errorf("%s: got %v, want EROFS", what, err)
		}
	}
	_, err = r.Prune(t.Context(), nil)
	wantReadOnly("Prune", err)
	_, err = r.Save(t.Context(), nil)
	wantReadOnly("Save", err)
	wantReadOnly("Pin", r.Pin(t.Context(), "1", true))
	if got := filesIn(t, dir); !slices.Equal(got, before) {
		t.Errorf("files: got %q, want %q", got, before)
	}
}
