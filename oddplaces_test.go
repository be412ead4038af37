package ckpt_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// placeNames are names that a folder or a checkpoint may well have.
var placeNames = []string{
	"my model", "it's", `say "x"`, "line\nbreak", "tab\there", "*", "a?b", "[0-9]", "{a,b}", "größe", "モデル", "e\u0301", "😀", "\xff\xfe", "-rf", "~", "$HOME", "a%20b", `back\slash`,
	"ckpt-1", "x.index", "x.data-00000-of-00001", "checkpoint", "100%", "a.b.c", "..x", ".hidden", "#1", "a;b|c&d", "C:", "con",
}

// TestOddPlaces saves, resumes, keeps two and verifies in folders of odd names.
func TestOddPlaces(t *testing.T) {
	for _, name := range placeNames {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			p := newProgram()
			saveSteps(t, p, newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2}), 1, 2, 3)
			p = newProgram()
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
			if _, err := m.Resume(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			p.wantStep(t, 3)
			saveSteps(t, p, m, 4)
			if got, want := filesIn(t, dir), filesOf("ckpt-3", "ckpt-4"); !slices.Equal(got, want) {
				t.Errorf("files: got %q, want %q", got, want)
			}
			wantGoodDir(t, dir, 2)
		})
	}
}

// TestOddCheckpointNames has two Managers with names one of which is a pattern of
// the other: each removes its own.
func TestOddCheckpointNames(t *testing.T) {
	for _, name := range append(slices.Clone(placeNames), "ck*", "ckp?", "ckpt-", "[c]kpt", "ckpt.*", "ckp[a-z]") {
		if len(name) > 40 {
			continue
		}
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := newProgram()
			first := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: ckpt.KeepAll})
			saveSteps(t, p, first, 1, 2, 3)
			q := newProgram()
			m := newManager(t, q.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, Name: name, Adopt: ckpt.AdoptNone})
			saveSteps(t, q, m, 11, 12, 13)
			var own int
			for _, file := range filesIn(t, dir) {
				if file == "checkpoint" {
					continue
				}
				own++
			}
			if own != 8 {
				t.Errorf("files: got %q, want those of four checkpoints", filesIn(t, dir))
			}
			again := newProgram()
			r, err := newManager(t, again.Checkpoint, dir, &ckpt.ManagerOptions{Name: name}).Resume(t.Context(), nil)
			if err != nil || len(r.Refused) > 0 {
				t.Fatalf("Resume: %v, %+v", err, r)
			}
			again.wantStep(t, 13)
		})
	}
}

func wantGoodDir(t *testing.T, dir string, n int) {
	t.Helper()
	report, err := ckpt.VerifyDirectory(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report {
		if !v.OK() {
			t.Errorf("%s: %v", v.Prefix, v.Problems)
		}
	}
	if len(report) != n {
		t.Errorf("got %d checkpoints, want %d", len(report), n)
	}
}

// TestHardLinkedCopy saves on where the files have second names elsewhere, as
// backups by cp -l have: those never change.
func TestHardLinkedCopy(t *testing.T) {
	dir, backup := t.TempDir(), t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
	saveSteps(t, p, m, 1, 2)
	for _, name := range filesIn(t, dir) {
		if err := os.Link(filepath.Join(dir, name), filepath.Join(backup, name)); err != nil {
			t.Skipf("no hard links: %v", err)
		}
	}
	saveSteps(t, p, m, 3, 4, 5)
	p.setStep(6)
	if _, err := m.SaveNumber(t.Context(), 5, nil); err != nil {
		t.Fatal(err)
	}
	old := newProgram()
	if _, err := newManager(t, old.Checkpoint, backup, nil).Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	old.wantStep(t, 2)
	wantGoodDir(t, backup, 2)
}

// TestLinkedFolder has a symbolic link for a directory, which a program may be
// given; it saves where the link leads.
func TestLinkedFolder(t *testing.T) {
	real, link := t.TempDir(), filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(real, link); err != nil {
		t.Skip(err)
	}
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, link, &ckpt.ManagerOptions{MaxToKeep: 1}), 1, 2)
	if got, want := filesIn(t, real), filesOf("ckpt-2"); !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}
	q := newProgram()
	if _, err := newManager(t, q.Checkpoint, real, nil).Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	q.wantStep(t, 2)
}
