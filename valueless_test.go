package ckpt_test

import (
	"errors"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// TestTensorBecomesChildren changes a field from one tensor to an object with
// children. The value must not be lost without a word.
func TestTensorBecomesChildren(t *testing.T) {
	type before struct {
		A [2][3]float32 `ckpt:"a"`
		B float32       `ckpt:"b"`
	}
	dir := t.TempDir()
	c := ckpt.New(ckpt.Objects{"s": ckpt.Track(&before{A: [2][3]float32{{1, 2, 3}, {4, 5, 6}}, B: 7})})
	m := newManager(t, c, dir, nil)
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for name, now := range map[string]any{
		"a list": &struct {
			A [][]float32 `ckpt:"a"`
			B float32     `ckpt:"b"`
		}{},
		"a map": &struct {
			A [2][3]float32      `ckpt:"a"`
			B map[string]float32 `ckpt:"b"`
		}{},
	} {
		c := ckpt.New(ckpt.Objects{"s": ckpt.Track(now)})
		m := newManager(t, c, dir, nil)
		_, err := m.Resume(t.Context(), nil)
		if !errors.Is(err, ckpt.ErrMismatch) {
			t.Errorf("%s: got %v, want ErrMismatch", name, err)
		}
		wantError(t, name, err, "was a field changed")
		r, err := ckpt.Open(t.Context(), dir, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		v, err := r.View(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		d, err := v.Diff(t.Context(), c)
		if err != nil || d.Fits() || len(d.Misfits) != 1 {
			t.Errorf("%s: Diff %v, %v, want one misfit", name, d, err)
		}
		if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true}); err != nil {
			t.Errorf("%s, in part: %v", name, err)
		}
	}
}
