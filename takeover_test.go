package ckpt_test

import (
	"testing"

	"github.com/ckpt-go/ckpt"
)

// TestRestoreAgainAfterReplace restores the same checkpoint again after an object
// for which values wait was replaced: it gets them all the same when its own
// appear, and so does the one in its place.
func TestRestoreAgainAfterReplace(t *testing.T) {
	t.Run("a child", func(t *testing.T) {
		s := write(t, ckpt.New(ckpt.Objects{"m": branch("d", scalar(1))}))
		before, after := branch(), branch()
		c := ckpt.New(ckpt.Objects{"m": before})
		first := s.read(t, c)
		if err := c.Replace("m", after); err != nil {
			t.Fatal(err)
		}
		s.read(t, c)
		for name, m := range map[string]*ckpt.Node{"replaced": before, "in its place": after} {
			d := scalar(0)
			if err := m.Track("d", d); err != nil {
				t.Fatal(err)
			}
			wantValues(t, name, d, 1)
		}
		if waiting := first.Waiting(); len(waiting) > 0 {
			t.Errorf("still waiting: %q", waiting)
		}
	})
	t.Run("an optimizer", func(t *testing.T) {
		v := scalar(0)
		with, _ := slotFiles(t)
		before, after := newAdam(), newAdam()
		c := ckpt.New(ckpt.Objects{"var": v, "optimizer": before})
		first := with.read(t, c)
		if err := c.Replace("optimizer", after); err != nil {
			t.Fatal(err)
		}
		second := with.read(t, c)
		for status, o := range map[*ckpt.RestoreStatus]*adam{first: before, second: after} {
			o.set(v, "m", 0)
			if err := status.Fill(t.Context()); err != nil {
				t.Fatal(err)
			}
			wantValues(t, "m", o.slots["m"][v], 14)
		}
	})
}
