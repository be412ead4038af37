package ckpt_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// roomy is a bucket that says how much room there is.
type roomy struct {
	*storagetest.Crashable
	free int64
	err  error
}

func (r *roomy) Free(context.Context) (int64, error) { return r.free, r.err }

// TestNoRoom refuses a save that cannot fit before anything is written.
func TestNoRoom(t *testing.T) {
	for _, background := range []bool{false, true} {
		b := &roomy{Crashable: storagetest.NewCrashable(), free: 1 << 30}
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 1})
		saveSteps(t, p, m, 1)
		b.free = 100
		_, err := m.Save(t.Context(), &ckpt.SaveOptions{Background: background})
		if err == nil {
			err = m.Wait(t.Context())
		}
		if !errors.Is(err, syscall.ENOSPC) || !strings.Contains(err.Error(), "room for 100") {
			t.Errorf("Save: got %v, want ENOSPC and how much room there is", err)
		}
		if got, want := inBucket(t, b, ""), filesOf("ckpt-1"); !slices.Equal(got, want) {
			t.Errorf("files: got %q, want %q", got, want)
		}
		for _, step := range b.Steps() {
			if strings.HasPrefix(step, "write ckpt-2.") {
				t.Errorf("something was written: %q", step)
			}
		}
		b.free, b.err = 0, errors.ErrUnsupported // nobody knows
		saveSteps(t, p, m, 2)
	}
}
