package ckpt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// The newest checkpoint needs a saver that the program lacks: that is no damage,
// so there is no way back to an older one.
func TestResumeRegisteredSaver(t *testing.T) {
	p := newProgram()
	p.setStep(2)
	s := save(t, p.Checkpoint)
	g := s.graph(t)
	step, _ := g.Child(0, "step")
	g.Nodes[step].Attributes, g.Nodes[step].RegisteredSaver = nil, &objectgraph.RegisteredSaver{Name: "Custom.pp", Object: "step"}
	newest := s.withGraph(t, g.Append(nil))
	bucket := newMem()
	for from, to := range map[saved]string{{newest.bucket, newest.prefix}: "d/ckpt-2", s: "d/ckpt-1"} {
		for _, end := range []string{".index", ".data-00000-of-00001"} {
			(saved{bucket: bucket}).put(t, to+end, from.file(t, from.prefix+end))
		}
	}
	_, err := newManager(t, p.Checkpoint, "d", &ckpt.ManagerOptions{Bucket: bucket}).Resume(t.Context(), nil)
	if !errors.Is(err, ckpt.ErrMismatch) || !strings.Contains(err.Error(), "Custom.pp") {
		t.Errorf("got %v, want a misfit that names the saver", err)
	}
	p.wantStep(t, 2)
}

// A save that is refused because values wait counts nothing.
func TestManagerRefusedSaveCountsNothing(t *testing.T) {
	p := newProgram()
	dir := savedDir(t, 2)
	c := ckpt.New(ckpt.Objects{"step": p.step})
	m := newManager(t, c, dir, nil)
	resumed, err := m.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Save(t.Context(), nil); !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("got %v, want an error that names what waits", err)
	}
	if got := c.SaveCounter(); got != 2 {
		t.Errorf("save counter %d after a refused save, want 2", got)
	}
	resumed.Status.Close()
	if got, err := m.Save(t.Context(), nil); err != nil || !strings.HasSuffix(got, "ckpt-3") {
		t.Errorf("got %q, %v, want ckpt-3", got, err)
	}
}

// A field that the program gave up is left behind when AllowPartial says so, and
// no later save minds it.
func TestResumePartialLeavesFieldsBehind(t *testing.T) {
	type before struct {
		Step    int64     `ckpt:"step"`
		Weights []float32 `ckpt:"weights"`
	}
	type after struct {
		Weights []float32 `ckpt:"weights"`
	}
	dir := t.TempDir()
	old := newManager(t, ckpt.New(ckpt.Objects{"state": ckpt.Track(&before{7, []float32{1, 2}})}), dir, nil)
	if _, err := old.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	s := new(after)
	m := newManager(t, ckpt.New(ckpt.Objects{"state": ckpt.Track(s)}), dir, nil)
	var misfit *ckpt.UnmatchedError
	if _, err := m.Resume(t.Context(), nil); !errors.As(err, &misfit) || len(misfit.Names) != 1 || misfit.Names[0] != "(root).state.step" {
		t.Errorf("got %v, want an error that names (root).state.step", err)
	}
	r, err := m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true})
	if err != nil || len(s.Weights) != 2 || s.Weights[1] != 2 {
		t.Fatalf("got %v, weights %v", err, s.Weights)
	}
	if got := r.Status.Waiting(); len(got) != 0 {
		t.Errorf("%v waits for a struct that has no such field", got)
	}
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Error(err)
	}
}
