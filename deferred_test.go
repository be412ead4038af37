package ckpt_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

func TestRS5DeferredCounter(t *testing.T) {
	v := scalar(3)
	c := ckpt.New(ckpt.Objects{"v": v})
	var s saved
	for range 12 {
		s = save(t, c)
	}
	loaded := ckpt.New(nil)
	status := s.restore(t, loaded)
	if got := loaded.SaveCounter(); got != 12 {
		t.Errorf("got counter %d, want 12", got)
	}
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).v")
	late := scalar(0)
	if err := loaded.Track("v", late); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "v", late, 3)
	wantChecks(t, status, "", "", "")
}

func TestRS10LateTracking(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"dep": branch("var", scalar(123))}))
	for name, late := range map[string]func(c *ckpt.Checkpoint, v *ckpt.Variable[float32]) error{
		"object with variable": func(c *ckpt.Checkpoint, v *ckpt.Variable[float32]) error {
			return c.Track("dep", branch("var", v))
		},
		"object, then variable": func(c *ckpt.Checkpoint, v *ckpt.Variable[float32]) error {
			dep := branch()
			return errors.Join(c.Track("dep", dep), dep.Track("var", v))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, v := ckpt.New(nil), scalar(0)
			status := s.read(t, c)
			wantChecks(t, status, "(root).dep.var", "", "Nothing to load")
			if err := late(c, v); err != nil {
				t.Fatal(err)
			}
			wantValues(t, "var", v, 123)
			wantChecks(t, status, "", "", "")
		})
	}
}

func TestRS11OverlappingRestores(t *testing.T) {
	first := write(t, ckpt.New(ckpt.Objects{"dep": branch("var", scalar(12))}))
	second := write(t, ckpt.New(ckpt.Objects{"dep": branch("var", scalar(13))}))
	for _, reversed := range []bool{false, true} {
		t.Run(fmt.Sprintf("reversed=%v", reversed), func(t *testing.T) {
			a, b := ckpt.New(nil), ckpt.New(nil)
			var statusA, statusB *ckpt.RestoreStatus
			want := float32(13)
			if reversed {
				statusB, statusA = second.read(t, b), first.read(t, a)
				want = 12
			} else {
				statusA, statusB = first.read(t, a), second.read(t, b)
			}
			v := scalar(0)
			dep := branch("var", v)
			if err := a.Track("dep", dep); err != nil {
				t.Fatal(err)
			}
			wantValues(t, "after a", v, 12)
			wantChecks(t, statusA, "", "", "")
			if err := b.Track("dep", dep); err != nil {
				t.Fatal(err)
			}
			wantValues(t, "after b", v, want)
			wantChecks(t, statusB, "", "", "")
		})
	}
}

// Several restores wait: the newest wins, the older ones are satisfied too.
func TestNewestRestoreWins(t *testing.T) {
	one := write(t, ckpt.New(ckpt.Objects{"v": scalar(1)}))
	two := write(t, ckpt.New(ckpt.Objects{"v": scalar(2), "w": scalar(22)}))
	three := write(t, ckpt.New(ckpt.Objects{"v": scalar(3)}))
	c := ckpt.New(nil)
	statuses := []*ckpt.RestoreStatus{one.read(t, c), two.read(t, c), three.read(t, c)}
	v, w := scalar(0), scalar(0)
	if err := errors.Join(c.Track("v", v), c.Track("w", w)); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "v", v, 3)
	wantValues(t, "w", w, 22)
	// Of the first and the third, which have no w, the checks miss a value for it.
	wantChecks(t, statuses[0], "(root).w", "(root).w", "")
	wantChecks(t, statuses[1], "", "", "")
	wantChecks(t, statuses[2], "(root).w", "(root).w", "")
	write(t, c)
}

func TestRS18RootedDeferred(t *testing.T) {
	c, err := ckpt.NewRooted(branch("v", scalar(2), "deferred_variable", scalar(5)), nil)
	if err != nil {
		t.Fatal(err)
	}
	s := save(t, c)
	v, late := scalar(0), scalar(1)
	m := branch("v", v)
	if c, err = ckpt.NewRooted(m, nil); err != nil {
		t.Fatal(err)
	}
	s.restore(t, c)
	wantValues(t, "v", v, 2)
	if err := m.Track("deferred_variable", late); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "deferred_variable", late, 5)
}

func TestRS21Waiting(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"model": branch("branch_with_value", branch("v", scalar(1)), "branch_no_value", branch("child", branch()), "v", scalar(2))}))
	model := branch()
	status := s.read(t, ckpt.New(ckpt.Objects{"model": model}))
	if diff := cmp.Diff(status.Waiting(), []string{"(root).model.branch_with_value", "(root).model.v"}); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	if err := errors.Join(model.Track("branch_with_value", branch("v", scalar(0))), model.Track("v", scalar(0))); err != nil {
		t.Fatal(err)
	}
	if got := status.Waiting(); len(got) != 0 {
		t.Errorf("got %v, want none", got)
	}
}

func TestRS26Nested(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"my_template": branch("i1", branch("v", vector(20)), "i2", branch("v", vector(25)))}))
	template := branch()
	status := s.read(t, ckpt.New(ckpt.Objects{"my_template": template}))
	for name, want := range map[string]float32{"i1": 20, "i2": 25} {
		inner, v := branch(), vector(0)
		if err := errors.Join(template.Track(name, inner), inner.Track("v", v)); err != nil {
			t.Fatal(err)
		}
		wantValues(t, name, v, want)
	}
	wantChecks(t, status, "", "", "")
}

// A value that does not fit: nothing is tracked, and it goes on waiting.
func TestTrackMisfit(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": vector(1, 2)}))
	for name, all := range map[string]bool{"Track": false, "TrackAll": true} {
		t.Run(name, func(t *testing.T) {
			c, a, b := ckpt.New(nil), scalar(0), vector(0)
			status := s.read(t, c)
			var err error
			if all {
				err = c.TrackAll(seqOnce([]string{"a", "b"}, func(i int) ckpt.Trackable { return []ckpt.Trackable{a, b}[i] }))
			} else {
				err = c.Track("b", b)
			}
			var m *ckpt.MismatchError
			if !errors.As(err, &m) || m.Key != "b"+value {
				t.Fatalf("got %v, want a MismatchError", err)
			}
			if c.Child("a") != nil || c.Child("b") != nil {
				t.Error("something is tracked")
			}
			wantValues(t, "a", a, 0)
			if got := status.Waiting(); len(got) != 2 {
				t.Errorf("waiting: got %v, want both", got)
			}
			fits := vector(0, 0)
			if err := errors.Join(c.Track("a", a), c.Track("b", fits)); err != nil {
				t.Fatal(err)
			}
			wantValues(t, "a", a, 1)
			wantValues(t, "b", fits, 1, 2)
			wantChecks(t, status, "", "", "")
		})
	}
}

func TestSaveWhileValuesWait(t *testing.T) {
	s := save(t, ckpt.New(ckpt.Objects{"a": scalar(1), "m": branch("b", scalar(2))}))
	make := func() (*ckpt.Checkpoint, *ckpt.RestoreStatus) {
		c := ckpt.New(ckpt.Objects{"a": scalar(0)})
		return c, s.restore(t, c)
	}
	t.Run("refused", func(t *testing.T) {
		c, _ := make()
		for range 2 {
			_, err := c.Save(t.Context(), "d", &ckpt.SaveOptions{Bucket: s.bucket})
			var u *ckpt.UnmatchedError
			if !errors.As(err, &u) || !cmp.Equal(u.Names, []string{"(root).m.b"}) {
				t.Errorf("got %v, want an UnmatchedError for (root).m.b", err)
			}
		}
		if got := c.SaveCounter(); got != 1 {
			t.Errorf("got counter %d, want 1", got)
		}
	})
	t.Run("DropWaiting", func(t *testing.T) {
		c, _ := make()
		if _, err := c.Save(t.Context(), "d", &ckpt.SaveOptions{Bucket: mem.New(), DropWaiting: true}); err != nil {
			t.Error(err)
		}
	})
	t.Run("Close", func(t *testing.T) {
		c, status := make()
		if err := errors.Join(status.Close(), status.Close()); err != nil {
			t.Fatal(err)
		}
		wantKeys(t, save(t, c), "a", "save_counter")
		late := scalar(9)
		if err := c.Track("m", branch("b", late)); err != nil {
			t.Fatal(err)
		}
		wantValues(t, "b", late, 9)
		if got := status.Waiting(); len(got) != 0 {
			t.Errorf("waiting: got %v", got)
		}
	})
	t.Run("another Checkpoint of the same objects", func(t *testing.T) {
		m := branch()
		s.read(t, ckpt.New(ckpt.Objects{"m": m, "a": scalar(0)}))
		_, err := ckpt.New(ckpt.Objects{"model": m}).Write(t.Context(), "d", &ckpt.SaveOptions{Bucket: s.bucket})
		wantError(t, "Write", err, "(root).m.b")
		wantKeys(t, write(t, ckpt.New(ckpt.Objects{"x": scalar(1)})), "x")
	})
	t.Run("a counter that waits", func(t *testing.T) {
		c := ckpt.New(ckpt.Objects{"a": scalar(0), "m": branch("b", scalar(0))})
		s.read(t, c)
		wantKeys(t, write(t, c), "a", "m/b")
		if got := save(t, c).prefix; got != "c-2" {
			t.Errorf("got %s, want c-2", got)
		}
	})
}

// The same graph again takes the place of what still waits.
func TestRestoreAgainWhileWaiting(t *testing.T) {
	one := write(t, ckpt.New(ckpt.Objects{"d": scalar(1)}))
	two := write(t, ckpt.New(ckpt.Objects{"d": scalar(2)}))
	c, d := ckpt.New(nil), scalar(0)
	first := one.read(t, c)
	var last *ckpt.RestoreStatus
	for range 100 {
		last = two.read(t, c)
	}
	// Only the last is read: the first one's files may go.
	if err := errors.Join(one.bucket.Remove(t.Context(), "c.index"), one.bucket.Remove(t.Context(), dataOf("c"))); err != nil {
		t.Fatal(err)
	}
	if err := c.Track("d", d); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "d", d, 2)
	wantChecks(t, first, "", "", "")
	wantChecks(t, last, "", "", "")
}

// Trackables that only list their children cannot notice new ones.
func TestFill(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"l": branch("a", scalar(1), "b", branch("c", scalar(2)))}))
	l := new(lister)
	c := ckpt.New(ckpt.Objects{"l": l})
	status := s.read(t, c)
	a, inner, deep, wrong := scalar(0), new(lister), scalar(0), vector(0)
	l.add("a", wrong)
	if err := status.Fill(t.Context()); !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
	l.children[0] = a
	l.add("b", inner)
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "a", a, 1)
	if got := status.Waiting(); !cmp.Equal(got, []string{"(root).l.b.c"}) {
		t.Errorf("waiting: got %v", got)
	}
	inner.add("c", deep)
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "c", deep, 2)
	wantChecks(t, status, "", "", "")
	a.Assign(5)
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "a", a, 5)
}
