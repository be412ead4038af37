package ckpt_test

import (
	"context"
	"errors"
	"io/fs"
	"sync"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
)

// A training loop that saves in the background, a reader, a watcher and
// retention at work on one directory: nobody sees a mixture, none fails. The
// race detector tells the rest.
func TestTogether(t *testing.T) {
	for _, busy := range []ckpt.Busy{ckpt.BusyWait, ckpt.BusySkip, ckpt.BusyReplace} {
		dir, p := t.TempDir(), newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
		saveSteps(t, p, m, 1)
		ctx, cancel := context.WithCancel(t.Context())
		var others sync.WaitGroup
		others.Go(func() { watchSteps(t, ctx, dir) })
		others.Go(func() { readSteps(t, ctx, dir, m) })
		saved := 0
		o := &ckpt.SaveOptions{Background: true, Busy: busy, Done: func(_ string, err error) {
			if err == nil {
				saved++
			} else if !errors.Is(err, ckpt.ErrReplaced) {
				t.Error(err)
			}
		}}
		for step := int64(2); step < 40; step++ {
			p.setStep(step)
			if _, err := m.Save(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		p.setStep(1000) // of no checkpoint
		if err := m.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		saveSteps(t, p, m, 40)
		cancel()
		others.Wait()
		if saved < 1 {
			t.Errorf("Busy %d: %d saves", busy, saved)
		}
		if list, err := ckpt.VerifyDirectory(t.Context(), dir, nil); err != nil || len(list) < 2 {
			t.Errorf("%v, %v", list, err)
		}
	}
}

// watchSteps restores each new checkpoint; steps only go up.
func watchSteps(t *testing.T, ctx context.Context, dir string) {
	last := int64(0)
	o := &ckpt.IterateOptions{Poll: time.Millisecond, Verify: true, Problem: func(err error) { t.Error(err) }}
	for prefix, err := range ckpt.Iterate(ctx, dir, o) {
		if errors.Is(err, context.Canceled) {
			return
		}
		if err != nil {
			t.Error(err)
			return
		}
		p := newProgram()
		status, err := p.Read(t.Context(), prefix, nil)
		if err != nil {
			t.Errorf("%s: %v", prefix, err)
			continue
		}
		status.Close()
		step, err := p.atStep()
		if err != nil || step <= last || step == 1000 {
			t.Errorf("%s: step %d after %d: %v", prefix, step, last, err)
		}
		last = step
	}
}

// readSteps opens whatever is the latest, again and again.
func readSteps(t *testing.T, ctx context.Context, dir string, m *ckpt.Manager) {
	for ctx.Err() == nil {
		m.Checkpoints()
		r, err := ckpt.Open(ctx, m.Latest(), nil)
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, context.Canceled) {
			continue // retention was faster
		}
		if err != nil {
			t.Error(err)
			return
		}
		step, err := ckpt.Read[int64](ctx, r, "step/.ATTRIBUTES/VARIABLE_VALUE")
		if err == nil {
			weights, werr := ckpt.Read[float32](ctx, r, "weights/.ATTRIBUTES/VARIABLE_VALUE")
			if err = werr; err == nil && weights[0] != float32(step[0]) {
				t.Errorf("%s: step %d, weights %v", r.Prefix(), step, weights)
			}
		}
		r.Close()
		if err != nil && ctx.Err() == nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s: %v", r.Prefix(), err)
		}
	}
}
