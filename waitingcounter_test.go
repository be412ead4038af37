package ckpt_test

import (
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// TestWaitingCounter restores a file without a save counter after a Read of one
// that has it: the counter is made, and takes the value that waited. The next save
// overwrites nothing.
func TestWaitingCounter(t *testing.T) {
	b := newMem()
	p := newProgram()
	p.setStep(1)
	for range 3 {
		if _, err := p.Save(t.Context(), "c", &ckpt.SaveOptions{Bucket: b}); err != nil {
			t.Fatal(err)
		}
	}
	fresh := newProgram()
	fresh.setStep(2)
	if _, err := fresh.Write(t.Context(), "w", &ckpt.SaveOptions{Bucket: b}); err != nil { // no counter in it
		t.Fatal(err)
	}
	for _, rooted := range []bool{false, true} {
		q := newProgram()
		c := q.Checkpoint
		if rooted {
			var err error
			if c, err = ckpt.NewRooted(q.Checkpoint, nil); err != nil {
				t.Fatal(err)
			}
		}
		first, err := c.Read(t.Context(), "c-3", &ckpt.RestoreOptions{Bucket: b})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := c.Restore(t.Context(), "w", &ckpt.RestoreOptions{Bucket: b}); err != nil {
			t.Fatal(err)
		}
		q.wantStep(t, 2)
		if c.SaveCounter() != 3 {
			t.Errorf("rooted %v: counter %d, want the one that waited, 3", rooted, c.SaveCounter())
		}
		if err := first.CheckConsumed(); err != nil {
			t.Errorf("rooted %v: the first restore: %v", rooted, err)
		}
		// A later file with a counter wins over one that waits.
		q = newProgram()
		if _, err := q.Read(t.Context(), "c-3", &ckpt.RestoreOptions{Bucket: b}); err != nil {
			t.Fatal(err)
		}
		if _, err := q.Restore(t.Context(), "c-2", &ckpt.RestoreOptions{Bucket: b}); err != nil {
			t.Fatal(err)
		}
		if q.SaveCounter() != 2 {
			t.Errorf("counter %d, want the later file's, 2", q.SaveCounter())
		}
	}
}

// TestNestedRoot lists, below a Checkpoint that is a child, the objects it was
// given, whoever tracks them besides.
func TestNestedRoot(t *testing.T) {
	root := new(ckpt.Node)
	v, w := ckpt.NewScalar("v", float32(1)), ckpt.NewScalar("w", float32(2))
	if err := root.Track("b", v); err != nil {
		t.Fatal(err)
	}
	inner, err := ckpt.NewRooted(root, ckpt.Objects{"b": v, "a": w})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inner.Save(t.Context(), "x", &ckpt.SaveOptions{Bucket: newMem()}); err != nil {
		t.Fatal(err)
	}
	var got []string
	for name := range inner.Children() {
		got = append(got, name)
	}
	if want := []string{"_root", "a", "b", "root", "save_counter"}; !slices.Equal(got, want) {
		t.Errorf("children: got %q, want %q", got, want)
	}
}
