package ckpt_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// The newest restore wins, also over what it has no value for.
func TestNewestNamesWin(t *testing.T) {
	older := nameFile(t)
	newer := writeNames(t, mem.New(), "n", map[string]*tensor.Tensor{"a": tensorOf[float32](t, nil, 11)})
	a, b, late := called("a"), called("scope/b", 2), called("a")
	c := ckpt.New(ckpt.Objects{"a": a})
	first, second := older.read(t, c), newer.read(t, c)
	wantValues(t, "a", a, 11)
	if err := c.Track("b", b); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "b", b, 0, 0)
	wantChecks(t, first, "", "", "")
	wantChecks(t, second, "(root).b", "(root).b", "(root).b")
	if got := first.Waiting(); len(got) != 0 {
		t.Errorf("the first, which cannot get anything any more, waits for %q", got)
	}

	// Over objects that wait by their place, and the other way round.
	graph := write(t, ckpt.New(ckpt.Objects{"late": ckpt.NewScalar("x", float32(20))}))
	c = ckpt.New(nil)
	graph.read(t, c)
	older.read(t, c)
	if err := c.Track("late", late); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "late", late, 1)
	c, late = ckpt.New(nil), called("a")
	older.read(t, c)
	status := graph.read(t, c)
	if err := c.Track("late", late); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "late", late, 20)
	wantChecks(t, status, "", "", "")
}

// Two Checkpoints with an object in common: what appears in it is the newer
// restore's and known to the older, also if it keeps no mark itself.
func TestNamesInCommon(t *testing.T) {
	common, x := branch(), &tensorsOf{values: []ckpt.Value{called("a")}}
	older := nameFile(t).read(t, ckpt.New(ckpt.Objects{"n": common}))
	newer := writeNames(t, mem.New(), "n", map[string]*tensor.Tensor{"a": tensorOf[float32](t, nil, 11)}).read(t, ckpt.New(ckpt.Objects{"n": common}))
	if err := common.Track("x", x); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "x", x.values[0].(*ckpt.Variable[float32]), 11)
	wantChecks(t, older, "", "", "")
	wantChecks(t, newer, "", "", "")
}

// Objects that only list their children are looked at again by Fill; slot
// variables go by their full names, too.
func TestNameFill(t *testing.T) {
	s := nameFile(t)
	variable, slot := called("a"), called("scope/b", 2)
	optimizer := newAdam()
	list := new(lister)
	c := ckpt.New(ckpt.Objects{"list": list, "optimizer": optimizer})
	status := s.read(t, c)
	list.add("v", variable)
	wantChecks(t, status, "Object not restored: (root).", "Object not restored", "Object not restored")
	optimizer.slots = map[string]map[ckpt.Trackable]*ckpt.Variable[float32]{"m": {variable: slot}}
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "variable", variable, 1)
	wantValues(t, "slot", slot, 2, 3)
	wantChecks(t, status, "", "", "")
}

// While values wait nothing is open, and another file of the name is noticed.
func TestNamesWaitForTheSameFile(t *testing.T) {
	dir := t.TempDir()
	values := map[string]*tensor.Tensor{"a": tensorOf[float32](t, nil, 1)}
	writeNames(t, local.Open(dir, nil), "m", values)
	c := ckpt.New(nil)
	if _, err := c.Read(t.Context(), filepath.Join(dir, "m"), nil); err != nil {
		t.Fatal(err)
	}
	noOpenFiles(t, dir)
	values["a"] = tensorOf[float32](t, nil, 2)
	writeNames(t, local.Open(dir, nil), "m", values)
	a := called("a")
	wantError(t, "Track", c.Track("a", a), "another checkpoint took this name")
	wantValues(t, "a", a, 0)
	if err := c.Track("other", called("other")); err != nil {
		t.Errorf("what needs no file: %v", err)
	}
}

// resumeNames is a folder with a state file and one name-based checkpoint.
func resumeNames(t *testing.T, prefix string) string {
	t.Helper()
	dir := t.TempDir()
	writeNames(t, local.Open(dir, nil), prefix, map[string]*tensor.Tensor{
		"a": tensorOf[float32](t, nil, 1), "scope/b": tensorOf[float32](t, tensor.Shape{2}, 2, 3),
	})
	state := fmt.Sprintf("model_checkpoint_path: %q\nall_model_checkpoint_paths: %q\nall_model_checkpoint_timestamps: 1\n", prefix, prefix)
	if err := os.WriteFile(filepath.Join(dir, "checkpoint"), []byte(state), 0o666); err != nil {
		t.Fatal(err)
	}
	return dir
}

func TestResumeNames(t *testing.T) {
	dir := resumeNames(t, "model.ckpt-1000")
	a, b := called("a"), called("scope/b", 2)
	c := ckpt.New(ckpt.Objects{"a": a})
	m := newManager(t, c, dir, nil)
	r, err := m.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := r.Prefix, filepath.Join(dir, "model.ckpt-1000"); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	wantValues(t, "a", a, 1)
	// While the checkpoint has values that nobody took, all that appears needs one.
	other := called("scope/bb")
	wantError(t, "Track", c.Track("other", branch("v", other)),
		`has no values for 1 object that appeared now: (root).other.v; it is a name-based checkpoint, as TensorFlow 1 wrote them, and has no "scope/bb" (did you mean "scope/b"?)`)
	if c.Child("other") != nil {
		t.Error("the object is tracked")
	}
	if err := c.Track("b", b); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "b", b, 2, 3)
	if err := c.Track("other", branch("v", other)); err != nil {
		t.Errorf("all values are taken: %v", err)
	}
	if got, err := m.Save(t.Context(), nil); err != nil || filepath.Base(got) != "ckpt-1" {
		t.Errorf("Save: got %q, %v", got, err)
	}
}

// Retention leaves a checkpoint alone while it has values that may be asked for.
func TestResumeNamesPinned(t *testing.T) {
	dir := resumeNames(t, "ckpt-5")
	c := ckpt.New(ckpt.Objects{"a": called("a")})
	m := newManager(t, c, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for _, want := range []bool{true, false} {
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		if got := fileExists(filepath.Join(dir, "ckpt-5.index")); got != want {
			t.Errorf("ckpt-5 is there: got %t, want %t", got, want)
		}
		if err := c.Track("b", called("scope/b", 2)); err != nil && want {
			t.Fatal(err)
		}
	}
}

func TestResumeNamesIncomplete(t *testing.T) {
	dir := resumeNames(t, "ckpt-5")
	a, zz := called("a"), called("zz")
	program := func() *ckpt.Manager { return newManager(t, ckpt.New(ckpt.Objects{"a": a, "zz": zz}), dir, nil) }
	_, err := program().Resume(t.Context(), nil)
	wantError(t, "Resume", err, `has no values for 1 object of the program, nothing was restored: (root).zz; it is a name-based checkpoint, as TensorFlow 1 wrote them, and has no "zz"`)
	if !strings.Contains(err.Error(), "set ResumeOptions.AllowPartial") || !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("got %v", err)
	}
	wantValues(t, "a", a, 0)
	r, err := program().Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true})
	if err != nil {
		t.Fatal(err)
	}
	wantValues(t, "a", a, 1)
	wantChecks(t, r.Status, "(root).zz", "(root).zz", "(root).zz")
	a.Assign(0)
	if got, err := program().RestoreOrInitialize(t.Context()); err != nil || got != filepath.Join(dir, "ckpt-5") {
		t.Errorf("RestoreOrInitialize: got %q, %v", got, err)
	}
	wantValues(t, "a", a, 1)
}

// A damaged value is found although nobody asks for it, and leads back to an
// older checkpoint.
func TestResumeNamesDamaged(t *testing.T) {
	dir := resumeNames(t, "ckpt-5")
	a := called("a")
	c := ckpt.New(ckpt.Objects{"a": a})
	a.Assign(4)
	if _, err := c.Write(t.Context(), filepath.Join(dir, "ckpt-4"), nil); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(dir, "ckpt-5.data-00000-of-00001")
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	data[len(data)-1] ^= 1
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
	a.Assign(0)
	r, err := newManager(t, c, dir, nil).Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true})
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Refused) != 1 || !errors.Is(r.Refused[0], ckpt.ErrCorrupt) || filepath.Base(r.Prefix) != "ckpt-4" {
		t.Errorf("got %q, refused %v", r.Prefix, r.Refused)
	}
	wantValues(t, "a", a, 4)
}
