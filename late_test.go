package ckpt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// layerOf is a layer with variables of the given names.
func layerOf(t *testing.T, names ...string) *ckpt.Node {
	t.Helper()
	n := new(ckpt.Node)
	for _, name := range names {
		track(t, n, name, ckpt.NewScalar(name, float32(1)))
	}
	return n
}

func track(t *testing.T, n *ckpt.Node, name string, child ckpt.Trackable) {
	t.Helper()
	if err := n.Track(name, child); err != nil {
		t.Fatal(err)
	}
}

// What appears after Resume must have its value in the checkpoint, unless it
// was not there yet when the checkpoint was saved.
func TestLateObjects(t *testing.T) {
	stored := func(t *testing.T, dense *ckpt.Node) string {
		model := new(ckpt.Node)
		track(t, model, "dense", dense)
		dir := t.TempDir()
		if _, err := newManager(t, ckpt.New(ckpt.Objects{"model": model}), dir, nil).Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		return dir
	}
	for _, test := range []struct {
		name    string
		stored  []string // variables of the layer in the checkpoint
		late    []string // those that appear after Resume
		below   string   // the layer they appear in
		partial bool
		want    string // the error names it; "" is no error
	}{
		{"as stored", []string{"kernel", "bias"}, []string{"kernel", "bias"}, "dense", false, ""},
		{"not built when it was saved", nil, []string{"kernel", "bias"}, "dense", false, ""},
		{"one more of a known layer", []string{"kernel"}, []string{"kernel", "bias"}, "dense", false, ""},
		{"other names", []string{"kernel", "bias"}, []string{"_kernel", "bias"}, "dense", false, "(root).model.dense._kernel"},
		{"other names, partial", []string{"kernel", "bias"}, []string{"_kernel", "bias"}, "dense", true, ""},
		{"an unknown layer", []string{"kernel"}, []string{"kernel"}, "dense2", false, "(root).model.dense2.kernel"},
		{"an unknown layer, partial", []string{"kernel"}, []string{"kernel"}, "dense2", true, ""},
		{"an unknown layer without variables", []string{"kernel"}, nil, "dense2", false, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := stored(t, layerOf(t, test.stored...))
			model := new(ckpt.Node)
			layers := map[string]*ckpt.Node{"dense": new(ckpt.Node), "dense2": new(ckpt.Node)}
			track(t, model, "dense", layers["dense"])
			track(t, model, "dense2", layers["dense2"])
			m := newManager(t, ckpt.New(ckpt.Objects{"model": model}), dir, nil)
			if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: test.partial}); err != nil {
				t.Fatal(err)
			}
			late := layerOf(t, test.late...)
			err := layers[test.below].TrackAll(late.Children())
			if (err == nil) != (test.want == "") {
				t.Fatalf("got %v, want an error: %v", err, test.want != "")
			}
			if err == nil {
				return
			}
			if !errors.Is(err, ckpt.ErrMismatch) || !strings.Contains(err.Error(), test.want) || !strings.Contains(err.Error(), "AllowPartial") {
				t.Errorf("got %v, want ErrMismatch that names %s and AllowPartial", err, test.want)
			}
			for name, child := range late.Children() {
				if got := child.(*ckpt.Variable[float32]).Value(); got != 1 {
					t.Errorf("%s became %v although nothing may change", name, got)
				}
			}
			if layers[test.below].Child(test.late[0]) != nil {
				t.Error("a refused object was tracked")
			}
		})
	}
}

// What hangs below an unknown layer is unknown, too, however deep.
func TestLateObjectsBelowUnknown(t *testing.T) {
	dir := t.TempDir()
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"model": layerOf(t, "bias")}), dir, nil).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	model, extra, block := layerOf(t, "bias"), new(ckpt.Node), new(ckpt.Node)
	track(t, model, "extra", extra)
	resumed, err := newManager(t, ckpt.New(ckpt.Objects{"model": model}), dir, nil).Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	track(t, extra, "block", block)
	err = block.Track("kernel", ckpt.NewScalar("kernel", float32(1)))
	if err == nil || !strings.Contains(err.Error(), "(root).model.extra.block.kernel") {
		t.Errorf("got %v, want an error that names (root).model.extra.block.kernel", err)
	}
	if err := resumed.Status.Close(); err != nil {
		t.Fatal(err)
	}
	track(t, block, "kernel", ckpt.NewScalar("kernel", float32(1)))
}

// The error of a late object, and that of Resume, name what the checkpoint has
// instead: the model before the state of the optimizer, which only waits.
func TestUnplaced(t *testing.T) {
	stored, dir := layerOf(t, "kernel"), t.TempDir()
	moments := ckpt.NewList(ckpt.NewScalar("m", float32(1)), ckpt.NewScalar("v", float32(1)), stored.Child("kernel"))
	decoder := new(ckpt.Node)
	track(t, decoder, "dense", stored)
	optimizer := new(ckpt.Node)
	track(t, optimizer, "moments", moments)
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"model": holder(t, "decoder", decoder), "optimizer": optimizer}), dir, nil).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}

	const instead = "(root).model.decoder.dense.kernel, (root).optimizer.moments.0, (root).optimizer.moments.1"
	fresh := func(encoder *ckpt.Node) ckpt.Objects {
		optimizer := new(ckpt.Node)
		track(t, optimizer, "moments", ckpt.NewList())
		return ckpt.Objects{"model": holder(t, "encoder", encoder), "optimizer": optimizer}
	}
	dense := new(ckpt.Node)
	encoder := new(ckpt.Node)
	track(t, encoder, "dense", dense)
	if _, err := newManager(t, ckpt.New(fresh(encoder)), dir, nil).Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	err := dense.Track("kernel", ckpt.NewScalar("kernel", float32(1)))
	if want := "it does not know (root).model.encoder.dense, but has " + instead + ": is it"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}

	_, err = newManager(t, ckpt.New(fresh(layerOf(t, "kernel"))), dir, nil).Resume(t.Context(), nil)
	if want := "(root).model.encoder.kernel; it has " + instead + ", which the program has not"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}

// holder is an object with one child.
func holder(t *testing.T, name string, child ckpt.Trackable) *ckpt.Node {
	t.Helper()
	n := new(ckpt.Node)
	track(t, n, name, child)
	return n
}

// A checkpoint that has another object in the place of one that holds no values
// yet is another program's: Resume says so before anything is restored.
func TestLateStrangers(t *testing.T) {
	dir := t.TempDir()
	step := ckpt.NewScalar("step", int64(3))
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"encoder": layerOf(t, "kernel"), "step": step}), dir, nil).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	other := ckpt.NewScalar("step", int64(0))
	m := newManager(t, ckpt.New(ckpt.Objects{"decoder": new(ckpt.Node), "step": other}), dir, nil)
	_, err := m.Resume(t.Context(), nil)
	if !errors.Is(err, ckpt.ErrMismatch) || !strings.Contains(err.Error(), "(root).decoder") || !strings.Contains(err.Error(), "(root).encoder.kernel") {
		t.Errorf("got %v, want ErrMismatch that names both sides", err)
	}
	if other.Value() != 0 {
		t.Errorf("the step was restored: %d", other.Value())
	}
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true}); err != nil || other.Value() != 3 {
		t.Errorf("AllowPartial: step %d, %v", other.Value(), err)
	}
	// What is new, with nothing in its place, may start.
	more := newManager(t, ckpt.New(ckpt.Objects{"encoder": layerOf(t, "kernel"), "extra": new(ckpt.Node), "step": other}), dir, nil)
	if _, err := more.Resume(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A tree that is put together before it is tracked is no way around: what hangs
// anywhere below an unknown object, or beside values that wait, is unknown.
func TestLateTrees(t *testing.T) {
	dir := t.TempDir()
	model := holder(t, "dense", layerOf(t, "kernel"))
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"model": model}), dir, nil).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]func(model *ckpt.Node) *ckpt.Node{
		"below an unknown object": func(model *ckpt.Node) *ckpt.Node {
			deep := new(ckpt.Node)
			track(t, model.Child("extra").(*ckpt.Node), "c", holder(t, "d", deep))
			return deep
		},
		"beside what waits": func(model *ckpt.Node) *ckpt.Node {
			renamed := new(ckpt.Node)
			track(t, model, "hidden", renamed)
			return renamed
		},
	} {
		t.Run(name, func(t *testing.T) {
			model := new(ckpt.Node)
			track(t, model, "extra", new(ckpt.Node))
			if _, err := newManager(t, ckpt.New(ckpt.Objects{"model": model}), dir, nil).Resume(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			err := test(model).Track("kernel", ckpt.NewScalar("kernel", float32(1)))
			if !errors.Is(err, ckpt.ErrMismatch) || !strings.Contains(err.Error(), "(root).model.") {
				t.Errorf("got %v, want ErrMismatch", err)
			}
		})
	}
}
