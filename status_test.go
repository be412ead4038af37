package ckpt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

func TestRS6RS7UnusedAttributes(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v1": scalar(2), "v2": scalar(3)}))
	v2 := scalar(0)
	status := s.read(t, ckpt.New(ckpt.Objects{"v1": branch(), "v2": v2}))
	wantValues(t, "v2", v2, 3)
	wantChecks(t, status, "Unused attributes", "", "")
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).v1")
	if w := strings.Join(status.Warnings(), "\n"); !strings.Contains(w, "(root).v1: [VARIABLE_VALUE]") || strings.Contains(w, "v2") {
		t.Errorf("got warnings %q, want (root).v1 only", w)
	}
}

func TestRS8NontrivialMatch(t *testing.T) {
	objects := ckpt.Objects{"v": scalar(1)}
	wantError(t, "Read", write(t, ckpt.New(objects)).read(t, ckpt.New(ckpt.Objects{"w": scalar(0)})).CheckNontrivialMatch(),
		"Nothing except the root object matched")
	wantError(t, "Restore", save(t, ckpt.New(objects)).restore(t, ckpt.New(ckpt.Objects{"w": scalar(0)})).CheckNontrivialMatch(), "")
	wantError(t, "nothing tracked", write(t, ckpt.New(objects)).read(t, ckpt.New(nil)).CheckNontrivialMatch(), "Nothing to load")
}

func TestRS13RS17EmptyContainers(t *testing.T) {
	s := save(t, ckpt.New(ckpt.Objects{"a": ckpt.NewList()}))
	c := ckpt.New(ckpt.Objects{"b": ckpt.NewList(), "dep": ckpt.NewList(ckpt.NewList())})
	wantChecks(t, s.restore(t, c), "", "", "")

	s = save(t, ckpt.New(ckpt.Objects{"model": branch("v", scalar(1))}))
	c = ckpt.New(ckpt.Objects{"model": branch("v", scalar(0), "d", branch(), "l", ckpt.NewList())})
	wantChecks(t, s.restore(t, c), "", "", "")
}

func TestStatusLists(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "m": branch("x", scalar(2), "y", scalar(3))}))
	status := s.read(t, ckpt.New(ckpt.Objects{"other": scalar(0)}))
	if diff := cmp.Diff(status.Unused(), []string{"(root).a", "(root).m.x", "(root).m.y"}); diff != "" {
		t.Errorf("Unused: -got +want:\n%s", diff)
	}
	if diff := cmp.Diff(status.Waiting(), []string{"(root).a", "(root).m"}); diff != "" {
		t.Errorf("Waiting: -got +want:\n%s", diff)
	}
	if got := len(status.Warnings()); got != 3 {
		t.Errorf("got %d warnings, want 3", got)
	}
	if status.Prefix() != "c" {
		t.Errorf("got prefix %q", status.Prefix())
	}
	var u *ckpt.UnmatchedError
	if err := status.CheckExistingObjectsMatched(); !errors.As(err, &u) || !errors.Is(err, ckpt.ErrMismatch) || !cmp.Equal(u.Names, []string{"(root).other"}) {
		t.Errorf("got %v", err)
	}
}
