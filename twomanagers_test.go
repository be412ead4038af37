package ckpt_test

import (
	"bytes"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// Two Managers on one directory by mistake: neither overwrites what the other
// saved, and both logs say so.
func TestTwoManagersOverwriteNothing(t *testing.T) {
	dir := t.TempDir()
	var log bytes.Buffer
	o := &ckpt.ManagerOptions{MaxToKeep: ckpt.KeepAll, Logger: slog.New(slog.NewTextHandler(&log, nil))}
	a, b := newProgram(), newProgram()
	ma, mb := newManager(t, a.Checkpoint, dir, o), newManager(t, b.Checkpoint, dir, o)
	for step := range int64(3) {
		saveSteps(t, a, ma, 10+step)
		saveSteps(t, b, mb, 20+step)
	}
	for i, want := range []int64{10, 20, 11, 21, 12, 22} {
		p := newProgram()
		if _, err := p.Restore(t.Context(), filepath.Join(dir, "ckpt-"+string(rune('1'+i))), nil); err != nil {
			t.Fatal(err)
		}
		p.wantStep(t, want)
	}
	if !strings.Contains(log.String(), "another program saves into this directory") {
		t.Errorf("the log does not tell: %s", log.String())
	}
}

// A field that was renamed: the error names both sides.
func TestResumeRenamedField(t *testing.T) {
	type before struct {
		Weights []float32 `ckpt:"weights"`
	}
	type after struct {
		W []float32 `ckpt:"w"`
	}
	dir := t.TempDir()
	if _, err := newManager(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(&before{[]float32{1}})}), dir, nil).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	_, err := newManager(t, ckpt.New(ckpt.Objects{"s": ckpt.Track(new(after))}), dir, nil).Resume(t.Context(), nil)
	if err == nil || !strings.Contains(err.Error(), "(root).s.w;") || !strings.Contains(err.Error(), "it has (root).s.weights, which the program has not: was something renamed?") {
		t.Errorf("got %v", err)
	}
}
