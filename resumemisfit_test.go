package ckpt_test

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// structState is a program kept in a struct.
type structState struct {
	Step    int64     `ckpt:"step"`
	Weights []float32 `ckpt:"weights"`
}

type structWithoutWeights struct {
	Step int64 `ckpt:"step"`
}

// TestResumeMisfit checks that a checkpoint that does not fit is an error, not a
// reason to take an older one.
func TestResumeMisfit(t *testing.T) {
	fitting := func() ckpt.Objects {
		p := newProgram()
		return ckpt.Objects{"step": p.step, "weights": p.weights, "note": p.note}
	}
	for _, test := range []struct {
		name    string
		stored  ckpt.Objects
		objects func() ckpt.Objects
		text    string
		partial bool // AllowPartial takes it
	}{
		{"dtype", fitting(), func() ckpt.Objects {
			o := fitting()
			o["weights"] = ckpt.NewVariable[float64]("weights", tensor.Shape{3}, nil)
			return o
		}, "weights", false},
		{"shape", fitting(), func() ckpt.Objects {
			o := fitting()
			o["weights"] = ckpt.NewVariable[float32]("weights", tensor.Shape{4}, nil)
			return o
		}, "[4]", false},
		{"additional object", fitting(), func() ckpt.Objects {
			o := fitting()
			o["bias"] = ckpt.NewScalar("bias", float32(3))
			return o
		}, "(root).bias", true},
		{"struct field missing in the program", ckpt.Objects{"state": ckpt.Track(&structState{Step: 3, Weights: []float32{1}})}, func() ckpt.Objects {
			return ckpt.Objects{"state": ckpt.Track(new(structWithoutWeights))}
		}, "(root).state.weights", true},
		{"struct field missing in the checkpoint", ckpt.Objects{"state": ckpt.Track(&structWithoutWeights{3})}, func() ckpt.Objects {
			return ckpt.Objects{"state": ckpt.Track(new(structState))}
		}, "(root).state.weights", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			m := newManager(t, ckpt.New(test.objects()), dir, nil) // the older one fits
			if _, err := m.Save(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			m = newManager(t, ckpt.New(test.stored), dir, nil)
			if _, err := m.SaveNumber(t.Context(), 2, nil); err != nil {
				t.Fatal(err)
			}
			c := ckpt.New(test.objects())
			m = newManager(t, c, dir, &ckpt.ManagerOptions{Init: func(context.Context) error { t.Error("Init called"); return nil }})
			r, err := m.Resume(t.Context(), nil)
			if r != nil || !errors.Is(err, ckpt.ErrMismatch) || errors.Is(err, ckpt.ErrNoCheckpoint) || errors.Is(err, ckpt.ErrCorrupt) {
				t.Fatalf("Resume: got %+v, %v, want ErrMismatch", r, err)
			}
			if !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), "ckpt-2") {
				t.Errorf("the error says: %v", err)
			}
			if c.SaveCounter() != 0 {
				t.Errorf("SaveCounter: got %d, want 0", c.SaveCounter())
			}
			r, err = m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true})
			if (err == nil) != test.partial || err == nil && filepath.Base(r.Prefix) != "ckpt-2" {
				t.Errorf("AllowPartial: got %+v, %v", r, err)
			}
		})
	}
}

// TestResumeForeignMisfit has a checkpoint of another program in the directory:
// found by looking only, it is passed over if it does not fit.
func TestResumeForeignMisfit(t *testing.T) {
	dir := savedDir(t, 1)
	if _, err := ckpt.New(ckpt.Objects{"other": ckpt.NewScalar("other", int64(1))}).Write(t.Context(), filepath.Join(dir, "export"), nil); err != nil {
		t.Fatal(err)
	}
	removeFile(t, filepath.Join(dir, "checkpoint"))
	p, _, r := resume(t, dir)
	p.wantStep(t, 1)
	if len(r.Refused) != 0 {
		t.Errorf("Refused: got %v", r.Refused)
	}
	removeFile(t, filepath.Join(dir, "ckpt-1.index"))
	m := newManager(t, newProgram().Checkpoint, dir, nil)
	if r, err := m.Resume(t.Context(), nil); errors.Is(err, ckpt.ErrNoCheckpoint) || !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("Resume: got %+v, %v", r, err)
	}
}
