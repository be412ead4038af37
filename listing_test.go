package ckpt_test

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// TestListDirectory lists checkpoints with and without metadata, one that a
// program saved by itself, and one that is damaged.
func TestListDirectory(t *testing.T) {
	b := mem.New()
	p := newProgram()
	at := clock{1_700_000_000}
	m := newManager(t, p.Checkpoint, "d", &ckpt.ManagerOptions{Bucket: b, Now: at.now})
	for step := range int64(3) {
		at.seconds += 60
		p.setStep(step)
		o := &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Step: new(step * 10), Metrics: map[string]float64{"loss": float64(step)}, Pinned: step == 0}}
		if step == 1 {
			o = nil
		}
		if _, err := m.Save(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.Write(t.Context(), "d/other-9", &ckpt.SaveOptions{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(t.Context(), "d/ckpt-2.data-00000-of-00001"); err != nil {
		t.Fatal(err)
	}
	l, err := ckpt.ListDirectory(t.Context(), "d", &ckpt.VerifyOptions{Bucket: b, Level: ckpt.LevelNames})
	if err != nil || len(l.State) > 0 || len(l.Checkpoints) != 4 {
		t.Fatalf("got %+v, %v", l, err)
	}
	by := make(map[string]*ckpt.Listed)
	for i := range l.Checkpoints {
		by[l.Checkpoints[i].Prefix] = &l.Checkpoints[i]
	}
	for i, want := range []struct {
		prefix          string
		latest, inState bool
		ok, metadata    bool
	}{
		{"d/ckpt-1", false, true, true, true}, {"d/ckpt-2", false, true, false, false}, {"d/ckpt-3", true, true, true, true}, {"d/other-9", false, false, true, false},
	} {
		c := by[want.prefix]
		if c == nil || c.Latest != want.latest || c.InState != want.inState || c.OK() != want.ok || (c.Metadata != nil) != want.metadata || c.Stored.Tensors != 5 {
			t.Errorf("%s: got %+v", want.prefix, c)
			continue
		}
		saved := time.Time{}
		if want.inState {
			saved = time.Unix(1_700_000_060+60*int64(i), 0)
		}
		if !c.Time.Equal(saved) {
			t.Errorf("%s: saved %v, want %v", want.prefix, c.Time, saved)
		}
	}
	if c := by["d/ckpt-1"]; !c.Metadata.Pinned || *c.Metadata.Step != 0 || c.Metadata.Metrics["loss"] != 0 {
		t.Errorf("metadata of d/ckpt-1: %+v", c.Metadata)
	}
}

func TestListDirectoryDamage(t *testing.T) {
	b := mem.New()
	p := newProgram()
	m := newManager(t, p.Checkpoint, "d", &ckpt.ManagerOptions{Bucket: b})
	if _, err := m.Save(t.Context(), &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Pinned: true}}); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{"d/ckpt-1.meta.json": "{", "d/checkpoint": "garbage {"} {
		w, err := b.Create(t.Context(), name, nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	l, err := ckpt.ListDirectory(t.Context(), "d", &ckpt.VerifyOptions{Bucket: b})
	if err != nil || len(l.State) != 1 || l.State[0].Kind != ckpt.KindState || len(l.Checkpoints) != 1 {
		t.Fatalf("got %+v, %v", l, err)
	}
	c := &l.Checkpoints[0]
	if c.InState || c.Latest || !c.Time.IsZero() || !slices.ContainsFunc(c.Problems, func(p *ckpt.CorruptError) bool { return p.File == "ckpt-1.meta.json" }) {
		t.Errorf("got %+v", c)
	}
	if _, err := ckpt.ListDirectory(t.Context(), t.TempDir(), nil); !errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Errorf("an empty directory: got %v", err)
	}
}
