package ckpt_test

import (
	"strconv"
	"testing"
	"unicode/utf8"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// wantPrintable wants a text that a terminal can be shown.
func wantPrintable(t *testing.T, what, text string) {
	t.Helper()
	if text == "" {
		t.Errorf("%s: got no text", what)
	}
	for i, r := range text {
		if _, size := utf8.DecodeRuneInString(text[i:]); r == utf8.RuneError && size == 1 || r != '\n' && !strconv.IsPrint(r) {
			t.Errorf("%s: %q holds %q", what, text, text[i:i+size])
			return
		}
	}
}

// TestNamesInErrors has names that do something to a terminal in a checkpoint:
// errors and warnings, which programs print, quote them.
func TestNamesInErrors(t *testing.T) {
	for _, name := range []string{"esc\x1b[31m", "rtl\u202egnp", "not\xffutf8", "c1\u009b1m"} {
		s := write(t, ckpt.New(ckpt.Objects{name: vector(1, 2), "a": branch(name, scalar(1))}))
		if _, err := s.open(t).Tensor(t.Context(), name+"x"+value); err == nil {
			t.Error("got no error of an unknown tensor")
		} else {
			wantPrintable(t, "unknown tensor", err.Error())
			wantError(t, "unknown tensor", err, "did you mean ")
		}
		read := func(s saved, objects ckpt.Objects) (*ckpt.RestoreStatus, error) {
			return ckpt.New(objects).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
		}
		if _, err := read(s, ckpt.Objects{name: vector(1)}); err == nil {
			t.Error("got no error of another shape")
		} else {
			wantPrintable(t, "another shape", err.Error())
		}
		status, err := read(s, ckpt.Objects{"a": branch("z", vector(1))})
		if err != nil {
			t.Fatal(err)
		}
		status2, err := read(s, ckpt.Objects{name: branch()})
		if err != nil {
			t.Fatal(err)
		}
		warnings := append(status.Warnings(), status2.Warnings()...)
		if len(warnings) < 3 {
			t.Errorf("got warnings %q, want three or more", warnings)
		}
		for _, warning := range warnings {
			wantPrintable(t, "warning", warning)
		}
		for what, err := range map[string]error{"unmatched": status.CheckConsumed(), "unused": status2.CheckConsumed()} {
			if err == nil {
				t.Errorf("%s: got no error", what)
				continue
			}
			wantPrintable(t, what, err.Error())
		}
		twice := rewrite(t, ckpt.New(ckpt.Objects{name: scalar(1), "b": scalar(2)}), func(g *objectgraph.Graph) {
			for i := range g.Nodes[0].Children {
				g.Nodes[0].Children[i].Node = g.Nodes[0].Children[0].Node
			}
		})
		if status, err = read(twice, ckpt.Objects{name: scalar(1), "b": scalar(2)}); err != nil {
			t.Fatal(err)
		}
		for _, warning := range status.Warnings() {
			wantPrintable(t, "warning", warning)
		}
		s.damage(t, name+value)
		for call, err := range errorsOf(t, s.prefix, s.bucket) {
			if err != nil {
				wantPrintable(t, call, err.Error())
			}
		}
	}
}
