package ckpt_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/local"
)

// TestStateFileIsAFolder saves where a folder has the name of the state file: each save
// says that it is complete and unrecorded, removes nothing, and once the folder is gone
// what a Manager saved is looked after again.
func TestStateFileIsAFolder(t *testing.T) {
	dir := savedDir(t, 3)
	makeFolder(t, filepath.Join(dir, "checkpoint"))
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
	for number := 4; number <= 6; number++ {
		path, err := m.Save(t.Context(), nil)
		if want := filepath.Join(dir, fmt.Sprint("ckpt-", number)); path != want || err == nil || !strings.Contains(err.Error(), "is complete") {
			t.Errorf("got %q, %v, want %q and an error that says it is complete", path, err, want)
		}
		if !fileExists(filepath.Join(dir, "ckpt-1.index")) || !fileExists(filepath.Join(dir, "ckpt-4.index")) {
			t.Errorf("something is gone after save %d: %q", number, filesIn(t, dir))
		}
	}
	removeFile(t, filepath.Join(dir, "checkpoint"))
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantManaged(t, m, "ckpt-6", "ckpt-7")
	wantFiles(t, dir, filesOf("ckpt-1", "ckpt-2", "ckpt-3", "ckpt-6", "ckpt-7")...)
}

// TestPinOddNames pins what is no checkpoint of the directory by its usual spelling: an
// error, and no file comes of it.
func TestPinOddNames(t *testing.T) {
	dir := savedDir(t, 3)
	m := newManager(t, newProgram().Checkpoint, dir, nil)
	before := filesIn(t, dir)
	for _, name := range []string{"03", "+3", "-3", "", "checkpoint", "ckpt-3/", "../" + filepath.Base(dir) + "/ckpt-3", "ckpt-3\x00"} {
		if err := m.Pin(t.Context(), name, true); err == nil {
			t.Errorf("Pin(%q): no error", name)
		}
	}
	if got := filesIn(t, dir); !slices.Equal(got, before) {
		t.Errorf("files: got %q, want %q", got, before)
	}
}

// TestPruneStaysInside prunes by state files that name checkpoints elsewhere: none of
// those is touched.
func TestPruneStaysInside(t *testing.T) {
	for name, stored := range map[string]func(other string) string{
		"absolute path":       func(other string) string { return filepath.Join(other, "ckpt-%d") },
		"relative path":       func(string) string { return "../other/ckpt-%d" },
		"through a link":      func(string) string { return "link/ckpt-%d" },
		"through it and back": func(string) string { return "./link/../../other/ckpt-%d" },
		"files are links":     func(string) string { return "linked-%d" },
	} {
		t.Run(name, func(t *testing.T) {
			top := t.TempDir()
			other, dir := filepath.Join(top, "other"), filepath.Join(top, "train")
			for _, folder := range []string{other, dir} {
				p := newProgram()
				saveSteps(t, p, newManager(t, p.Checkpoint, folder, nil), 1, 2, 3)
			}
			links := map[string]string{"link": other}
			for _, file := range filesOf("ckpt-1", "ckpt-2") {
				if file != "checkpoint" {
					links[strings.Replace(file, "ckpt", "linked", 1)] = filepath.Join(other, file)
				}
			}
			for from, to := range links {
				if err := os.Symlink(to, filepath.Join(dir, from)); err != nil {
					t.Fatal(err)
				}
			}
			path := stored(other)
			s := &ckpt.State{Latest: "ckpt-3", All: []string{fmt.Sprintf(path, 1), fmt.Sprintf(path, 2), "ckpt-3"}, Timestamps: []float64{1000, 1001, 1002}}
			writeFile(t, filepath.Join(dir, "checkpoint"), s.AppendText(nil))
			before := filesIn(t, other)
			verdicts, err := newManager(t, ckpt.New(nil), dir, &ckpt.ManagerOptions{MaxToKeep: 1}).Prune(t.Context(), nil)
			t.Logf("%q, %v", actions(verdicts), err)
			if got := filesIn(t, other); !slices.Equal(got, before) {
				t.Errorf("outside: got %q, want %q", got, before)
			}
			if !fileExists(filepath.Join(dir, "ckpt-3.index")) {
				t.Error("the latest is gone")
			}
		})
	}
}

// TestClosedTwice closes a Manager again when another one has the directory: that one
// keeps its lock.
func TestClosedTwice(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	first := newManager(t, p.Checkpoint, dir, nil)
	saveSteps(t, p, first, 1)
	closeIt := func(m *ckpt.Manager) {
		t.Helper()
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	closeIt(first)
	closeIt(first)
	second := newManager(t, p.Checkpoint, dir, nil)
	saveSteps(t, p, second, 2)
	closeIt(first)
	if unlock, err := local.Open(dir, nil).Lock(t.Context(), ""); err == nil {
		t.Error("the lock of the second one is gone", unlock())
	}
	closeIt(second)
}
