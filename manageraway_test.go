package ckpt_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// TestManagerChdir has a program with a relative directory change its working
// directory: the Manager stays where it was made, and does not touch a folder of that
// name that somebody else has there.
func TestManagerChdir(t *testing.T) {
	ours, theirs := t.TempDir(), t.TempDir()
	t.Chdir(theirs)
	q := newProgram()
	other := newManager(t, q.Checkpoint, "model", nil)
	saveSteps(t, q, other, 1, 2)
	if err := other.Close(); err != nil {
		t.Fatal(err)
	}
	before := filesIn(t, "model")

	t.Chdir(ours)
	p := newProgram()
	m := newManager(t, p.Checkpoint, "model", &ckpt.ManagerOptions{MaxToKeep: 2})
	saveSteps(t, p, m, 1, 2, 3)
	t.Chdir(theirs)
	r, err := ckpt.Open(t.Context(), "model/ckpt-2", nil) // theirs, which keeps none of ours
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	p.setStep(4)
	if prefix, err := m.Save(t.Context(), nil); err != nil || prefix != "model/ckpt-4" {
		t.Errorf("Save: got %q, %v, want model/ckpt-4", prefix, err)
	}
	if got := filesIn(t, "model"); !slices.Equal(got, before) {
		t.Errorf("another directory: got %q, want %q", got, before)
	}
	there := filepath.Join(ours, "model")
	wantFiles(t, there, filesOf("ckpt-3", "ckpt-4")...)
	if text := string(readFile(t, filepath.Join(there, "checkpoint"))); !strings.Contains(text, `model_checkpoint_path: "ckpt-4"`) || strings.Contains(text, ours) {
		t.Errorf("state file: got %s, want relative paths", text)
	}
	verdicts, err := m.Prune(t.Context(), nil)
	if err != nil || len(verdicts) != 2 {
		t.Errorf("Prune: got %+v, %v, want two checkpoints", verdicts, err)
	}
	resumed, err := m.Resume(t.Context(), nil)
	if err != nil || resumed.Prefix != "model/ckpt-4" {
		t.Errorf("Resume: got %+v, %v, want model/ckpt-4", resumed, err)
	}
	p.wantStep(t, 4)
}

// TestManagerChdirOutside has the state file of a relative directory name a
// checkpoint beside it.
func TestManagerChdirOutside(t *testing.T) {
	top := t.TempDir()
	t.Chdir(top)
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, "b", nil), 5)
	if err := os.Mkdir("a", 0o777); err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join("a", "checkpoint"), []byte("model_checkpoint_path: \"../b/ckpt-1\"\nall_model_checkpoint_paths: \"../b/ckpt-1\"\n"))
	q := newProgram()
	m := newManager(t, q.Checkpoint, "a", nil)
	t.Chdir(t.TempDir())
	if r, err := m.Resume(t.Context(), nil); err != nil || r.Prefix != "a/../b/ckpt-1" {
		t.Fatalf("Resume: got %+v, %v, want a/../b/ckpt-1", r, err)
	}
	q.wantStep(t, 5)
}

// replacements are the ways in which another folder comes to be what model is.
var replacements = map[string]func(t *testing.T, top string){
	"moved": func(t *testing.T, top string) {
		if err := os.Rename(filepath.Join(top, "model"), filepath.Join(top, "old")); err != nil {
			t.Fatal(err)
		}
	},
	"removed": func(t *testing.T, top string) {
		if err := os.RemoveAll(filepath.Join(top, "model")); err != nil {
			t.Fatal(err)
		}
	},
	"link": func(t *testing.T, top string) {
		removeFile(t, filepath.Join(top, "model"))
		symlink(t, "b", filepath.Join(top, "model"))
	},
}

// replaceable makes a folder of which model may be a link.
func replaceable(t *testing.T, how string) (top, dir string) {
	t.Helper()
	top = t.TempDir()
	if how == "link" {
		for _, name := range []string{"a", "b"} {
			if err := os.Mkdir(filepath.Join(top, name), 0o777); err != nil {
				t.Fatal(err)
			}
		}
		symlink(t, "a", filepath.Join(top, "model"))
	}
	return top, filepath.Join(top, "model")
}

func symlink(t *testing.T, target, name string) {
	t.Helper()
	if err := os.Symlink(target, name); err != nil {
		t.Skip(err)
	}
}

// TestReplacedDirectory has another folder take the place of a Manager's directory
// between two saves, with checkpoints of the same names in it. The old list does not
// count there: only what that folder's own state file lists is looked after.
func TestReplacedDirectory(t *testing.T) {
	skipWithoutLocks(t)
	for how, replace := range replacements {
		for _, stranger := range []bool{false, true} {
			for _, background := range []bool{false, true} {
				t.Run(fmt.Sprint(how, " stranger ", stranger, " background ", background), func(t *testing.T) {
					top, dir := replaceable(t, how)
					p := newProgram()
					m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
					saveSteps(t, p, m, 1, 2)
					replace(t, top)
					var want []string
					if stranger {
						q := newProgram()
						if _, err := q.Write(t.Context(), filepath.Join(dir, "ckpt-1"), nil); err != nil {
							t.Fatal(err)
						}
						want = filesOf("ckpt-1")
					}
					p.setStep(3)
					prefix, err := m.Save(t.Context(), &ckpt.SaveOptions{Background: background})
					if err == nil {
						err = m.Wait(t.Context())
					}
					if err != nil || filepath.Base(prefix) != "ckpt-3" {
						t.Fatalf("Save: got %q, %v, want ckpt-3", prefix, err)
					}
					wantManaged(t, m, "ckpt-3")
					saveSteps(t, p, m, 4, 5)
					wantManaged(t, m, "ckpt-4", "ckpt-5")
					want = append(want, filesOf("ckpt-4", "ckpt-5")...)
					slices.Sort(want)
					wantFiles(t, dir, slices.Compact(want)...)
					if how == "moved" {
						wantFiles(t, filepath.Join(top, "old"), filesOf("ckpt-1", "ckpt-2")...)
						wantLocked(t, filepath.Join(top, "old"), false)
					}
				})
			}
		}
	}
}

// TestReplacedDuringSave has the directory moved away while a save is under way, and
// one with checkpoints of the same names put into its place: the save fails, and
// removes nothing there.
func TestReplacedDuringSave(t *testing.T) {
	skipWithoutLocks(t)
	for _, background := range []bool{false, true} {
		top, dir := replaceable(t, "moved")
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
		saveSteps(t, p, m, 1)
		var before []string
		var state []byte
		o := &ckpt.SaveOptions{Background: background, AfterWrite: []func(string) error{func(string) error {
			replacements["moved"](t, top)
			q := newProgram()
			other := newManager(t, q.Checkpoint, dir, nil)
			saveSteps(t, q, other, 11)
			before, state = filesIn(t, dir), readFile(t, filepath.Join(dir, "checkpoint"))
			return other.Close()
		}}}
		_, err := m.Save(t.Context(), o)
		if err == nil {
			err = m.Wait(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "moved, removed or replaced") {
			t.Errorf("Save: got %v, want that the directory was replaced", err)
		}
		if got := filesIn(t, dir); !slices.Equal(got, before) {
			t.Errorf("the new directory: got %q, want %q", got, before)
		}
		if got := readFile(t, filepath.Join(dir, "checkpoint")); !bytes.Equal(got, state) {
			t.Errorf("its state file: got %s, want %s", got, state)
		}
		saveSteps(t, p, m, 12)
		wantManaged(t, m, "ckpt-3")
		wantFiles(t, dir, filesOf("ckpt-3")...) // the other's was listed
	}
}

// TestReplacedBesideSave asks for a save while another one is being written and the
// directory has been moved away: it waits, and saves nothing where nothing is locked.
func TestReplacedBesideSave(t *testing.T) {
	skipWithoutLocks(t)
	top, dir := replaceable(t, "moved")
	synctest.Test(t, func(t *testing.T) {
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, nil)
		saveSteps(t, p, m, 1)
		goOn := make(chan bool)
		o := &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace, AfterWrite: []func(string) error{func(string) error { <-goOn; return nil }}}
		if _, err := m.Save(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		replacements["moved"](t, top)
		saved := make(chan error, 1)
		go func() {
			_, err := m.Save(t.Context(), o)
			saved <- err
		}()
		synctest.Wait()
		if len(saved) > 0 {
			t.Errorf("Save did not wait: %v", <-saved)
		}
		close(goOn)
		if err := <-saved; err == nil || !strings.Contains(err.Error(), "moved, removed or replaced") {
			t.Errorf("Save: got %v, want that the directory was replaced", err)
		}
		if fileExists(dir) {
			t.Errorf("the new directory: got %q, want none", filesIn(t, dir))
		}
		saveSteps(t, p, m, 3)
		wantLocked(t, dir, true)
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	})
}

// openWatched is a folder that calls open before a file of it is opened.
type openWatched struct {
	*local.Bucket
	open func(name string)
}

func (w *openWatched) Open(ctx context.Context, name string) (storage.File, error) {
	if w.open != nil {
		w.open(name)
	}
	return w.Bucket.Open(ctx, name)
}

// TestReplacedDuringPrune has it moved while Prune looks for a good checkpoint.
func TestReplacedDuringPrune(t *testing.T) {
	skipWithoutLocks(t)
	top, dir := replaceable(t, "moved")
	w := &openWatched{Bucket: local.Open(dir, nil)}
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, dir, nil), 1, 2, 3)
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: w, MaxToKeep: 1})
	w.open = func(name string) {
		if name == dataOf("ckpt-3") {
			w.open = nil
			replacements["moved"](t, top)
			q := newProgram()
			for i := range int64(4) {
				if _, err := q.Write(t.Context(), filepath.Join(dir, fmt.Sprint("ckpt-", i)), nil); err != nil {
					t.Error(err)
				}
			}
		}
	}
	_, err := m.Prune(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "moved, removed or replaced") {
		t.Errorf("Prune: got %v, want that the directory was replaced", err)
	}
	if got := filesIn(t, dir); len(got) != 8 {
		t.Errorf("the new directory: got %q, want four checkpoints", got)
	}
}
