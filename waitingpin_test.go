package ckpt_test

import (
	"runtime"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// TestWaitingPin restores into a Checkpoint without the objects, with nobody to
// close the status, and gives the Checkpoint up: retention then has the
// checkpoint again.
func TestWaitingPin(t *testing.T) {
	for _, c := range []struct {
		name    string
		restore func(t *testing.T, c *ckpt.Checkpoint, m *ckpt.Manager)
	}{
		{"RestoreOrInitialize", func(t *testing.T, _ *ckpt.Checkpoint, m *ckpt.Manager) {
			if _, err := m.RestoreOrInitialize(t.Context()); err != nil {
				t.Fatal(err)
			}
		}},
		{"Resume", func(t *testing.T, _ *ckpt.Checkpoint, m *ckpt.Manager) {
			if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true}); err != nil {
				t.Fatal(err)
			}
		}},
		{"Restore", func(t *testing.T, c *ckpt.Checkpoint, m *ckpt.Manager) {
			if _, err := c.Restore(t.Context(), m.Latest(), nil); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			p := newProgram()
			m := newManager(t, p.Checkpoint, dir, nil)
			if _, err := m.Save(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			empty := ckpt.New(nil)
			c.restore(t, empty, newManager(t, empty, dir, nil))
			runtime.GC()
			if !inUseNow(t, m) {
				t.Error("values wait, and the checkpoint is not in use")
			}
			runtime.KeepAlive(empty)
			empty = nil
			for range 1000 {
				runtime.GC()
				if !inUseNow(t, m) {
					return
				}
				runtime.Gosched()
			}
			t.Error("the Checkpoint is garbage, and what it restored is still in use")
		})
	}
}

// inUseNow tells whether a Manager's only checkpoint is in use.
func inUseNow(t *testing.T, m *ckpt.Manager) bool {
	t.Helper()
	verdicts, err := m.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return verdicts[0].InUse
}
