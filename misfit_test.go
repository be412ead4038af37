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
