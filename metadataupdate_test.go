package ckpt_test

import (
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

func TestUpdateMetadata(t *testing.T) {
	dir := t.TempDir()
	prefix := filepath.Join(dir, "c")
	update := func(change func(m *ckpt.Metadata)) {
		t.Helper()
		if err := ckpt.UpdateMetadata(t.Context(), prefix, change, nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := ckpt.UpdateMetadata(t.Context(), prefix, func(*ckpt.Metadata) {}, nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("without a checkpoint: got %v", err)
	}
	if _, err := newProgram().Write(t.Context(), prefix, &ckpt.SaveOptions{Digests: true}); err != nil {
		t.Fatal(err)
	}
	update(func(m *ckpt.Metadata) { m.Metrics = map[string]float64{"accuracy": 0.5} })
	update(func(m *ckpt.Metadata) { m.Pinned = true })
	m, err := ckpt.ReadMetadata(t.Context(), prefix, nil)
	if err != nil || !m.Pinned || m.Metrics["accuracy"] != 0.5 || m.Program.Go == "" {
		t.Errorf("got %+v, %v", m, err)
	}
	wantDigestProblems(t, prefix) // they are kept

	// What a later version wrote stays.
	name := prefix + ".meta.json"
	writeFile(t, name, []byte(strings.Replace(string(readFile(t, name)), "{", `{"colour": ["red", 1e400],`, 1)))
	update(func(m *ckpt.Metadata) { m.Pinned = false })
	if text := strings.Join(strings.Fields(string(readFile(t, name))), ""); !strings.Contains(text, `"colour":["red",1e400]`) || strings.Contains(text, "pinned") {
		t.Errorf("got %s", text)
	}

	// What cannot be read is not overwritten.
	writeFile(t, name, []byte("{"))
	if err := ckpt.UpdateMetadata(t.Context(), prefix, func(m *ckpt.Metadata) { m.Pinned = true }, nil); !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("garbage: got %v", err)
	}
	removeFile(t, name)
	update(func(m *ckpt.Metadata) { m.Pinned = true })
	update(func(m *ckpt.Metadata) { m.Pinned = false })
	wantFiles(t, dir, "c.data-00000-of-00001", "c.index")
}

// TestPin pins a checkpoint of a Manager, by another one.
func TestPin(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	o := &ckpt.ManagerOptions{MaxToKeep: 1}
	m := newManager(t, p.Checkpoint, dir, o)
	saveSteps(t, p, m, 1, 2)
	other := newManager(t, newProgram().Checkpoint, dir, o)
	for _, name := range []string{"2", "ckpt-2", filepath.Join(dir, "ckpt-2.index")} {
		if err := other.Pin(t.Context(), name, true); err != nil {
			t.Fatal(err)
		}
	}
	if err := other.Pin(t.Context(), "7", true); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of nothing: got %v", err)
	}
	saveSteps(t, p, m, 3, 4)
	wantManaged(t, m, "ckpt-2", "ckpt-4")
	if err := m.Pin(t.Context(), "2", false); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 5)
	wantManaged(t, m, "ckpt-5")
	wantFiles(t, dir, filesOf("ckpt-5")...)
}

// TestBranchesAreRemembered goes on from an older checkpoint, and then from one of
// the line that was left.
func TestBranchesAreRemembered(t *testing.T) {
	dir := t.TempDir()
	o := &ckpt.ManagerOptions{MaxToKeep: 2}
	run := func(prefix string, steps ...int64) *ckpt.Manager {
		t.Helper()
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, o)
		if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: prefix}); err != nil {
			t.Fatal(err)
		}
		saveSteps(t, p, m, steps...)
		return m
	}
	run("", 1, 2)
	wantFiles(t, dir, filesOf("ckpt-1", "ckpt-2")...) // nothing to say
	wantManaged(t, run("1", 3), "ckpt-1", "ckpt-2", "ckpt-3")
	wantBranches(t, dir, "", "ckpt-3", "")
	// A later run, which knows only what is written: ckpt-2 does not count.
	wantManaged(t, run("", 4, 5), "ckpt-2", "ckpt-4", "ckpt-5")
	// And back to the line that was left.
	wantManaged(t, run("2", 6), "ckpt-2", "ckpt-4", "ckpt-5", "ckpt-6")
	for name, want := range map[string]string{"ckpt-2": "", "ckpt-4": "ckpt-6", "ckpt-5": "ckpt-6"} {
		if got := branchOf(t, filepath.Join(dir, name)); got != want {
			t.Errorf("%s: got branch %q, want %q", name, got, want)
		}
	}
	wantManaged(t, run("", 7, 8), "ckpt-4", "ckpt-5", "ckpt-7", "ckpt-8")
}

func branchOf(t *testing.T, prefix string) string {
	t.Helper()
	m, err := ckpt.ReadMetadata(t.Context(), prefix, nil)
	if errors.Is(err, fs.ErrNotExist) {
		return ""
	}
	if err != nil {
		t.Fatal(err)
	}
	return m.Branch
}

// wantBranches compares the branches of ckpt-1, ckpt-2, ….
func wantBranches(t *testing.T, dir string, want ...string) {
	t.Helper()
	var got []string
	for i := range want {
		got = append(got, branchOf(t, filepath.Join(dir, "ckpt-"+string(rune('1'+i)))))
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("branches: -got +want:\n%s", diff)
	}
}

// TestOrphanMetadata removes what TensorFlow's retention leaves, and nothing else.
func TestOrphanMetadata(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	p.setStep(1)
	if _, err := m.Save(t.Context(), &ckpt.SaveOptions{Metadata: said()}); err != nil {
		t.Fatal(err)
	}
	note := readFile(t, filepath.Join(dir, "ckpt-1.meta.json"))
	for _, name := range []string{"ckpt-7.meta.json", "other-7.meta.json", "ckpt-x.meta.json"} {
		writeFile(t, filepath.Join(dir, name), note)
	}
	writeFile(t, filepath.Join(dir, "ckpt-8.meta.json"), []byte("a stranger's"))
	p = newProgram()
	m = newManager(t, p.Checkpoint, dir, nil)
	saveSteps(t, p, m, 2)
	if m.Latest() != filepath.Join(dir, "ckpt-2") {
		t.Errorf("got %s", m.Latest())
	}
	wantFiles(t, dir, withMetadata(filesOf("ckpt-1", "ckpt-2"), "ckpt-1", "other-7", "ckpt-x", "ckpt-8")...)
}
