package ckpt_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// What is one object in the checkpoint and two in the program goes to the part
// that is asked for.
func TestOnlyPartComesFirst(t *testing.T) {
	one := scalar(7)
	s := write(t, ckpt.New(ckpt.Objects{"a": one, "b": one, "c": branch("d", one)}))
	for _, path := range []string{"(root).a", "b", "c/d"} {
		live := map[string]*ckpt.Variable[float32]{"(root).a": scalar(0), "b": scalar(0), "c/d": scalar(0)}
		c := ckpt.New(ckpt.Objects{"a": live["(root).a"], "b": live["b"], "c": branch("d", live["c/d"])})
		status, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, Only: []string{path}})
		if err != nil {
			t.Fatal(err)
		}
		wantChecks(t, status, "", "", "")
		if len(status.Warnings()) > 0 {
			t.Errorf("%s: got warnings %q", path, status.Warnings())
		}
		for name, v := range live {
			want := float32(0)
			if name == path {
				want = 7
			}
			wantValues(t, path+": "+name, v, want)
		}
	}
}

// The other way round: one object of the program is two in the checkpoint, and the
// name that Only uses says which.
func TestOnlyNameOfPart(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2)}))
	for _, test := range []struct {
		path string
		want float32
	}{{"a", 1}, {"b", 2}} {
		one := scalar(0)
		c := ckpt.New(ckpt.Objects{"a": one, "b": one})
		if _, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, Only: []string{test.path}}); err != nil {
			t.Fatal(err)
		}
		wantValues(t, test.path, one, test.want)
	}
}

// An optimizer's slots wait for variables that come later, which are left alone,
// as is everything else that comes.
func TestOnlySlotsOfLaterVariables(t *testing.T) {
	v, w := scalar(1), scalar(2)
	o := newAdam(v, w)
	s := write(t, ckpt.New(ckpt.Objects{"model": branch("deep", branch("v", v, "w", w), "other", scalar(3)), "opt": o}))
	model, opt := branch(), new(creator)
	if err := opt.build(0, 0); err != nil {
		t.Fatal(err)
	}
	c := ckpt.New(ckpt.Objects{"model": model, "opt": opt})
	status, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, Only: []string{"opt"}})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := status.Waiting(), []string{"(root).model.deep"}; !slices.Equal(got, want) {
		t.Errorf("got waiting %q, want %q", got, want)
	}
	if _, err := c.Write(t.Context(), "d", &ckpt.SaveOptions{Bucket: s.bucket}); err == nil {
		t.Error("saved without the slots that wait")
	}
	deep, late, other := branch(), scalar(-1), scalar(-3)
	for _, err := range []error{model.Track("deep", deep), model.Track("other", other), deep.Track("v", late), deep.Track("w", scalar(-2)), deep.Track("new", scalar(9))} {
		if err != nil {
			t.Fatal(err)
		}
	}
	wantChecks(t, status, "", "", "")
	wantValues(t, "v", late, -1)
	wantValues(t, "other", other, -3)
	wantValues(t, "v's slot m", opt.slots["m"][late], 10)
	wantValues(t, "v's slot v", opt.slots["v"][late], 11)
	if _, err := c.Write(t.Context(), "d", &ckpt.SaveOptions{Bucket: s.bucket}); err != nil {
		t.Error(err)
	}
}

// An old name in Only is told from a wrong one.
func TestOnlyOldName(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"model": branch("old", branch("w", scalar(1)))}))
	for _, path := range []string{"model/old/w", "(root).model.old.w"} {
		c := ckpt.New(ckpt.Objects{"model": branch("new", branch("w", scalar(0)))})
		_, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, Only: []string{path}, Rename: map[string]string{"(root).model.old": "model/new"}})
		wantMismatch(t, path, err, `that is the checkpoint's name: Only takes the program's, "(root).model.new.w"`)
	}
}

// Resume of parts demands all of them and nothing else, goes on counting, and lets
// other objects come later.
func TestResumeOnly(t *testing.T) {
	b := newMem()
	m := newManager(t, ckpt.New(ckpt.Objects{"model": branch("w", scalar(1)), "opt": branch("x", scalar(2))}), "", &ckpt.ManagerOptions{Bucket: b})
	for range 3 {
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	w, x, fresh := scalar(0), vector(5, 5), scalar(6)
	head := branch("fresh", fresh)
	c := ckpt.New(ckpt.Objects{"model": branch("w", w), "opt": branch("x", x), "head": head})
	m = newManager(t, c, "", &ckpt.ManagerOptions{Bucket: b})
	for _, only := range [][]string{{}, {"nothing"}} {
		if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Only: only}); err == nil || !strings.Contains(err.Error(), "Only") {
			t.Errorf("%v: got %v, want an error", only, err)
		}
	}
	resumed, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Only: []string{"(root).model"}})
	if err != nil {
		t.Fatal(err)
	}
	wantChecks(t, resumed.Status, "", "", "")
	wantValues(t, "w", w, 1)
	wantValues(t, "x", x, 5, 5)
	wantValues(t, "fresh", fresh, 6)
	if err := head.Track("later", scalar(7)); err != nil {
		t.Errorf("what is no part of it: %v", err)
	}
	if prefix, err := m.Save(t.Context(), nil); err != nil || prefix != "ckpt-4" {
		t.Errorf("got %s, %v, want ckpt-4", prefix, err)
	}
	c = ckpt.New(ckpt.Objects{"model": branch("w", scalar(0), "v", scalar(0)), "opt": branch()})
	_, err = newManager(t, c, "", &ckpt.ManagerOptions{Bucket: b}).Resume(t.Context(), &ckpt.ResumeOptions{Only: []string{"model"}})
	wantMismatch(t, "a part that is not whole", err, "no values for 1 object of the program, nothing was restored: (root).model.v")
}

// Only, Rename and Cast go together, for what comes later too.
func TestOnlyRenameCast(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"old": branch("a", ckpt.NewScalar("a", 1.5), "b", ckpt.NewScalar("b", int32(2))), "rest": scalar(3)}))
	part, a, b, rest := branch(), scalar(0), ckpt.NewScalar("b", 0.0), scalar(0)
	if err := part.Track("x", a); err != nil {
		t.Fatal(err)
	}
	c := ckpt.New(ckpt.Objects{"new": part})
	status, err := c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{
		Bucket: s.bucket, Cast: true, Only: []string{"new"},
		Rename: map[string]string{"old": "new", "old/a": "new/x", "(root).old.b": "(root).new.deep.y", "rest": "new2"},
	})
	if err != nil {
		t.Fatal(err)
	}
	wantValues(t, "a", a, 1.5)
	if got, want := status.Waiting(), []string{"(root).new.deep"}; !slices.Equal(got, want) {
		t.Errorf("got waiting %q, want %q", got, want)
	}
	if err := errors.Join(part.Track("deep", branch("y", b)), c.Track("new2", rest)); err != nil {
		t.Fatal(err)
	}
	if b.Value() != 2 || rest.Value() != 0 {
		t.Errorf("got %v, %v, want 2, 0", b.Value(), rest.Value())
	}
	wantChecks(t, status, "", "", "")
}
