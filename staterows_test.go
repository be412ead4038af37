package ckpt_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// The rows ST-1 to ST-3 of the state's text; more of them are in
// TestStateAppendText and TestNewState.
func TestST1ST2ST3Paths(t *testing.T) {
	absolute := ckpt.State{Latest: "/a/b/model-0", All: []string{"/a/b/model-0"}}
	s, err := ckpt.ParseState(absolute.AppendText(nil))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*s, absolute, sameStates); diff != "" {
		t.Errorf("ST-1 (-got +want):\n%s", diff)
	}
	for _, test := range []struct {
		row, dir, latest string
		all, want        []string
	}{
		{"ST-2", "train", "train/model-0", []string{"train/model-0"}, []string{"model-0"}},
		{"ST-3 nil", "/a/b", "/a/b/model-0", nil, []string{"model-0"}},
		{"ST-3 empty", "/a/b", "/a/b/model-0", []string{}, []string{"model-0"}},
		{"ST-3 another", "/a/b", "/a/b/model-0", []string{"model-2"}, []string{"model-2", "model-0"}},
	} {
		s, err := ckpt.NewState(test.dir, test.latest, test.all, nil, 0)
		if err != nil || s.Latest != "model-0" || !slices.Equal(s.All, test.want) {
			t.Errorf("%s: got %+v, %v, want %q", test.row, s, err, test.want)
		}
	}
}

// TestST5SaveRelativePaths writes what ST-5 says and reads it back.
func TestST5SaveRelativePaths(t *testing.T) {
	dir := t.TempDir()
	s, err := ckpt.NewState(dir, filepath.Join(dir, "model-2"), []string{"model-0", filepath.Join(dir, "model-2")}, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, filepath.Join(dir, "checkpoint"), s.AppendText(nil))
	want := "model_checkpoint_path: \"model-2\"\nall_model_checkpoint_paths: \"model-0\"\nall_model_checkpoint_paths: \"model-2\"\n"
	if got := string(readFile(t, filepath.Join(dir, "checkpoint"))); got != want {
		t.Errorf("file: got %q, want %q", got, want)
	}
	read := readState(t, dir, nil)
	if all := []string{filepath.Join(dir, "model-0"), filepath.Join(dir, "model-2")}; read.Latest != all[1] || !slices.Equal(read.All, all) {
		t.Errorf("read back: got %+v, want %q", read, all)
	}
}

// TestST6EmptyStateFile: an empty state file is invalid, which is not "no
// checkpoint"; a Manager can be made all the same, where TensorFlow's cannot.
func TestST6EmptyStateFile(t *testing.T) {
	dir := savedDir(t, 2)
	writeFile(t, filepath.Join(dir, "checkpoint"), nil)
	_, err := ckpt.ReadState(t.Context(), dir, nil)
	if !errors.Is(err, ckpt.ErrCorrupt) || errors.Is(err, ckpt.ErrNoCheckpoint) || !strings.Contains(err.Error(), "invalid checkpoint state") {
		t.Errorf("ReadState: got %v", err)
	}
	p, _, _ := resume(t, dir)
	p.wantStep(t, 2)
}

func TestST10Text(t *testing.T) {
	dir := t.TempDir()
	writeFile(t, filepath.Join(dir, "checkpoint"), []byte("# by hand\nmodel_checkpoint_path: 'a\\x41\\101'; all_model_checkpoint_paths: [\"p\", \"q\" \"r\"]\n"))
	s := readState(t, dir, nil)
	if want := []string{filepath.Join(dir, "p"), filepath.Join(dir, "qr")}; s.Latest != filepath.Join(dir, "aAA") || !slices.Equal(s.All, want) {
		t.Errorf("got %+v", s)
	}
}

func TestST11Garbage(t *testing.T) {
	for _, text := range []string{"garbage {", "model_checkpoint_path: \"ckpt-1\"\ncolour: 3\n"} {
		dir := savedDir(t, 2)
		writeFile(t, filepath.Join(dir, "checkpoint"), []byte(text))
		if _, err := ckpt.ReadState(t.Context(), dir, nil); !errors.Is(err, ckpt.ErrCorrupt) || errors.Is(err, ckpt.ErrNoCheckpoint) {
			t.Errorf("ReadState of %q: got %v", text, err)
		}
		p, _, r := resume(t, dir)
		p.wantStep(t, 2)
		if !errors.Is(r.State, ckpt.ErrCorrupt) {
			t.Errorf("Resume with %q: State %v", text, r.State)
		}
	}
}

func TestST12Missing(t *testing.T) {
	dir := t.TempDir()
	for _, dir := range []string{dir, filepath.Join(dir, "none")} {
		if _, err := ckpt.ReadState(t.Context(), dir, nil); !errors.Is(err, ckpt.ErrNoCheckpoint) || !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("ReadState: got %v", err)
		}
		if _, err := ckpt.Latest(t.Context(), dir, nil); !errors.Is(err, ckpt.ErrNoCheckpoint) {
			t.Errorf("Latest: got %v", err)
		}
	}
}

// TestCM11LatestAfterSave is CM-11; TestCM10PathAsGiven has more spellings.
func TestCM11LatestAfterSave(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Name: "ckpt_name"}), 1)
	if got, err := ckpt.Latest(t.Context(), dir, nil); err != nil || got != filepath.Join(dir, "ckpt_name-1") {
		t.Errorf("got %q, %v", got, err)
	}
}

// layouts makes checkpoints of every layout below a folder, and gives their
// prefixes.
func layouts(t *testing.T, dir string) []string {
	t.Helper()
	p := newProgram()
	one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
	if _, err := p.Write(t.Context(), one, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Write(t.Context(), two, &ckpt.SaveOptions{MaxShardSize: 24}); err != nil {
		t.Fatal(err)
	}
	names := os.DirFS("testdata/tensorflow-2.21.0-names")
	prefixes := []string{one, two, filepath.Join(dir, "v1"), filepath.Join(dir, "v1-sharded-?????-of-00001")}
	for _, name := range []string{"v1", "v1-sharded-00000-of-00001"} {
		b, err := fs.ReadFile(names, name)
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(dir, name), b)
	}
	return prefixes
}

func TestST13Exists(t *testing.T) {
	dir := t.TempDir()
	wantExists := func(prefix string, want bool) {
		t.Helper()
		if got, err := ckpt.Exists(t.Context(), prefix, nil); err != nil || got != want {
			t.Errorf("Exists(%q): got %v, %v, want %v", prefix, got, err, want)
		}
	}
	for _, name := range []string{"one", "two", "v1", "none/ckpt-1", "", "one\x00"} {
		wantExists(filepath.Join(dir, name), false)
	}
	for _, prefix := range layouts(t, dir) {
		wantExists(prefix, true)
	}
	wantExists(filepath.Join(dir, "one.index"), false)
	wantExists(dir+"/", false)
	p := newProgram()
	b := newMem()
	m := newManager(t, p.Checkpoint, "train", &ckpt.ManagerOptions{Bucket: b})
	saveSteps(t, p, m, 1)
	if there, err := ckpt.Exists(t.Context(), m.Latest(), &ckpt.FindOptions{Bucket: b}); err != nil || !there {
		t.Errorf("Exists of Latest: got %v, %v", there, err)
	}
}

func TestST14Remove(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	latest, err := p.Save(t.Context(), filepath.Join(dir, "ckpt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, prefix := range append(layouts(t, dir), latest) {
		if err := ckpt.Remove(t.Context(), prefix, nil); err != nil {
			t.Errorf("Remove(%q): %v", prefix, err)
		}
		if err := ckpt.Remove(t.Context(), prefix, nil); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), prefix) {
			t.Errorf("Remove(%q) again: got %v", prefix, err)
		}
	}
	wantFiles(t, dir, "checkpoint")
	if _, err := ckpt.Latest(t.Context(), dir, nil); !errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Errorf("Latest: got %v", err)
	}
	if err := ckpt.Remove(t.Context(), dir+"/", nil); err == nil {
		t.Error("Remove of a directory: got no error")
	}
}

// TestRemoveInUse checks that what this process reads stays.
func TestRemoveInUse(t *testing.T) {
	prefix := filepath.Join(savedDir(t, 1), "ckpt-1")
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := ckpt.Remove(t.Context(), prefix, nil); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("Remove: got %v", err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if err := ckpt.Remove(t.Context(), prefix, nil); err != nil {
		t.Error(err)
	}
}
