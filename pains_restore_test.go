package ckpt_test

import (
	"errors"
	"io/fs"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// What users of TensorFlow trip over when they restore, by the numbers of the
// list of known defects. The rows 26, 27, 28, 30 and 31 are in
// containerpains_test.go; row 25, for a real model, in keras as well.

// Row 11: a restore that sets nothing passes, and a warning at exit tells. Here
// Resume refuses, every check of a Restore's status says it, each with what the
// file has instead, and what is called differently now is named.
func TestPain11NothingRestored(t *testing.T) {
	dir := t.TempDir()
	kept, err := newManager(t, ckpt.New(ckpt.Objects{"model": branch("dense", vector(1, 2))}), dir, nil).Save(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	fresh := func() (*ckpt.Checkpoint, *ckpt.Variable[float32]) {
		v := vector(8, 9)
		return ckpt.New(ckpt.Objects{"net": branch("dense", v)}), v
	}
	c, v := fresh()
	_, err = newManager(t, c, dir, nil).Resume(t.Context(), nil)
	wantMismatch(t, "Resume", err, "has no values for 1 object of the program, nothing was restored: (root).net.dense; it has (root).model.dense")
	wantError(t, "Resume", err, "likely renamed: (root).model is (root).net now")
	wantValues(t, "after Resume", v, 8, 9)

	c, v = fresh()
	status, err := c.Read(t.Context(), kept, nil)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "objects", status.CheckExistingObjectsMatched(), "(root).net.dense")
	wantError(t, "consumed", status.CheckConsumed(), "(root).net.dense")
	wantError(t, "trivial", status.CheckNontrivialMatch(), "Nothing except the root object matched")
	if got := strings.Join(status.Unused(), " "); !strings.Contains(got, "(root).model.dense") {
		t.Errorf("got unused %s", got)
	}
	if _, err := c.Write(t.Context(), dir+"/over", nil); err == nil || !strings.Contains(err.Error(), "(root).model.dense") {
		t.Errorf("a save that would lose the values: got %v", err)
	}
	wantValues(t, "after Read", v, 8, 9)
}

// Row 12: containers without values made assert_consumed fail. They hold nothing
// that could be missing, on either side, nor does Resume mind them.
func TestPain12EmptyContainers(t *testing.T) {
	dir := t.TempDir()
	program := func(names ...string) *ckpt.Checkpoint {
		o := ckpt.Objects{"v": scalar(1)}
		for _, name := range names {
			o[name] = branch("list", ckpt.NewList(), "map", new(ckpt.Map), "deep", ckpt.NewList(branch()))
		}
		return ckpt.New(o)
	}
	prefix, err := newManager(t, program("a", "b"), dir, nil).Save(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, names := range [][]string{{"a", "b"}, {"a"}, {"b", "c"}, nil} {
		c := program(names...)
		status, err := c.Restore(t.Context(), prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantChecks(t, status, "", "", "")
		if resumed, err := newManager(t, program(names...), dir, nil).Resume(t.Context(), nil); err != nil || resumed.Prefix != prefix {
			t.Errorf("with %v: got %v, %v", names, resumed, err)
		}
	}
}

// Row 13: the state of an optimizer is not restored, or restored into another
// configuration, without a word. Whether it exists already or appears at the
// first step, it is set, or the error names it and nothing is changed.
func TestPain13OptimizerState(t *testing.T) {
	dir := t.TempDir()
	optimizer := func(slots ...ckpt.Trackable) *ckpt.Node {
		o := branch("iterations", ckpt.NewScalar("iterations", int64(0)))
		if slots != nil {
			if err := o.Track("variables", ckpt.NewList(slots...)); err != nil {
				t.Fatal(err)
			}
		}
		return o
	}
	program := func(o *ckpt.Node) *ckpt.Checkpoint {
		return ckpt.New(ckpt.Objects{"optimizer": o, "w": vector(1, 2)})
	}
	if _, err := newManager(t, program(optimizer(vector(3, 4), vector(5, 6))), dir, nil).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	resume := func(o *ckpt.Node) error {
		_, err := newManager(t, program(o), dir, nil).Resume(t.Context(), nil)
		return err
	}

	m, v := vector(0, 0), vector(0, 0)
	if err := resume(optimizer(m, v)); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "m", m, 3, 4)
	wantValues(t, "v", v, 5, 6)

	late := optimizer()
	if err := resume(late); err != nil {
		t.Fatal(err)
	}
	m, v = vector(0, 0), vector(0, 0)
	if err := late.Track("variables", ckpt.NewList(m, v)); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "m of the first step", m, 3, 4)
	wantValues(t, "v of the first step", v, 5, 6)

	// Another optimizer: one slot more, another shape, other names.
	m = vector(7, 7)
	wantMismatch(t, "a slot more", resume(optimizer(m, vector(0, 0), vector(0, 0))), "(root).optimizer.variables.2")
	wantMismatch(t, "another shape", resume(optimizer(m, vector(0, 0, 0))), "optimizer/variables/1/.ATTRIBUTES/VARIABLE_VALUE: the program has float32 [3]")
	other := optimizer()
	if err := resume(other); err != nil {
		t.Fatal(err)
	}
	wantMismatch(t, "other names at the first step", other.Track("momentum", ckpt.NewList(m)), "(root).optimizer.momentum.0")
	wantValues(t, "m after errors", m, 7, 7)
}

// Row 22: what comes before a shape that does not fit is set already when
// TensorFlow fails. Here all dtypes and shapes are checked first: with staged
// reads, in place, of chosen nodes, and of what appears later.
func TestPain22AllOrNothing(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": vector(1, 2), "n": branch("c", scalar(3), "d", vector(1))}))
	for _, inPlace := range []bool{false, true} {
		a, b := scalar(0), vector(0)
		_, err := s.options(t, ckpt.New(ckpt.Objects{"a": a, "b": b}), ckpt.RestoreOptions{InPlace: inPlace})
		wantMismatch(t, "Restore", err, "b/.ATTRIBUTES/VARIABLE_VALUE: the program has float32 [1], the checkpoint has float32 [2]: incompatible tensor with shape")
		wantValues(t, "a", a, 0)
		wantValues(t, "b", b, 0)
	}
	a := scalar(0)
	wantMismatch(t, "RestoreNodes", s.restoreNodes(t, map[int]ckpt.Trackable{1: a, 2: vector(0)}), "b/.ATTRIBUTES/VARIABLE_VALUE")
	wantValues(t, "a of RestoreNodes", a, 0)

	c := ckpt.New(ckpt.Objects{"b": vector(0, 0)})
	s.read(t, c)
	later := scalar(0)
	wantMismatch(t, "Track", c.Track("n", branch("c", later, "d", vector(0, 0, 0))), "n/d/.ATTRIBUTES/VARIABLE_VALUE")
	if wantValues(t, "c that appeared", later, 0); c.Child("n") != nil {
		t.Error("n is tracked")
	}
	// What was refused waits on.
	if err := c.Track("n", branch("c", later, "d", vector(0))); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "c that fits", later, 3)
}

// Row 25: a model whose variables its first call makes keeps their random values
// when it was restored before. Here they start with the stored ones.
func TestPain25RestoredBeforeFirstCall(t *testing.T) {
	dir := t.TempDir()
	call := func(model *ckpt.Node, values ...float32) (kernel *ckpt.Variable[float32]) {
		kernel = vector(values...)
		if model.Child("dense") == nil {
			if err := model.Track("dense", branch("kernel", kernel, "bias", scalar(0))); err != nil {
				t.Fatal(err)
			}
		}
		return kernel
	}
	trained := branch()
	call(trained, 1, 2)
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"model": trained}), dir, nil).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	model := branch()
	resumed, err := newManager(t, ckpt.New(ckpt.Objects{"model": model}), dir, nil).Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantError(t, "before the first call", resumed.Status.CheckConsumed(), "(root).model.dense.kernel")
	kernel := call(model, 0.123, 0.456)
	wantValues(t, "after the first call", kernel, 1, 2)
	wantChecks(t, resumed.Status, "", "", "")
}

// Row 29: a save after a restore, but before the optimizer is built, drops its
// restored state. Here it is refused until the values found their objects or the
// program says that they may go.
func TestPain29SaveBeforeBuilt(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"optimizer": branch("variables", ckpt.NewList(vector(3, 4))), "w": scalar(1)}))
	optimizer := branch()
	c := ckpt.New(ckpt.Objects{"optimizer": optimizer, "w": scalar(0)})
	s.read(t, c)
	b := mem.New()
	_, err := c.Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: b})
	wantError(t, "Write", err, "(root).optimizer.variables")
	if _, err := ckpt.Open(t.Context(), "c", &ckpt.OpenOptions{Bucket: b}); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("the refused save left something: %v", err)
	}
	m := vector(0, 0)
	if err := optimizer.Track("variables", ckpt.NewList(m)); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "m", m, 3, 4)
	if got := write(t, c).keys(t); len(got) != 2 || got[0] != "optimizer/variables/0" {
		t.Errorf("got keys %v", got)
	}

	c = ckpt.New(ckpt.Objects{"w": scalar(0)})
	s.read(t, c)
	if _, err := c.Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: b, DropWaiting: true}); err != nil {
		t.Errorf("DropWaiting: %v", err)
	}
}

// Row 35: a tensor that an existing file does not have is reported as a wrong
// path. Here the error names the tensor, and only a missing file asks about the
// path.
func TestPain35MissingKey(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "p": newPair(1)}))
	a := scalar(0)
	_, err := s.options(t, ckpt.New(ckpt.Objects{"a": a, "p": newPair(0, 0)}), ckpt.RestoreOptions{})
	wantMismatch(t, "a key", err, "p/.ATTRIBUTES/v2: the program has float32 [], the checkpoint has no such tensor")
	if errors.Is(err, fs.ErrNotExist) || strings.Contains(err.Error(), "is the path right") {
		t.Errorf("got %v, which blames the path", err)
	}
	wantValues(t, "a", a, 0)
	s.prefix = "c-no"
	_, err = s.options(t, ckpt.New(ckpt.Objects{"a": a}), ckpt.RestoreOptions{})
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "is the path right?") {
		t.Errorf("got %v, want fs.ErrNotExist with a question about the path", err)
	}
}
