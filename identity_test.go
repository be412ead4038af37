package ckpt_test

import (
	"fmt"
	"iter"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// seqOnce is a sequence that can be used once.
func seqOnce(names []string, object func(i int) ckpt.Trackable) iter.Seq2[string, ckpt.Trackable] {
	used := false
	return func(yield func(string, ckpt.Trackable) bool) {
		if used {
			return
		}
		used = true
		for i, name := range names {
			if !yield(name, object(i)) {
				return
			}
		}
	}
}

func TestTrackAllTakesOneShotSequences(t *testing.T) {
	c := ckpt.New(nil)
	if err := c.TrackAll(seqOnce([]string{"a", "b"}, func(i int) ckpt.Trackable { return scalar(float32(i)) })); err != nil {
		t.Fatal(err)
	}
	wantKeys(t, write(t, c), "a", "b")
	err := c.TrackAll(seqOnce([]string{"x", "save_counter"}, func(int) ckpt.Trackable { return scalar(0) }))
	wantError(t, "save_counter", err, "save_counter")
	err = c.TrackAll(seqOnce([]string{"x", "a"}, func(int) ckpt.Trackable { return scalar(0) }))
	wantError(t, "a again", err, "already declared")
	wantKeys(t, write(t, c), "a", "b")
}

// empty is a type without memory, whose pointers need not differ.
type empty struct{}

func (*empty) Children() iter.Seq2[string, ckpt.Trackable] {
	return func(func(string, ckpt.Trackable) bool) {}
}

// byValue is a Trackable that is no pointer and cannot be compared.
type byValue struct{ list []int }

func (byValue) Children() iter.Seq2[string, ckpt.Trackable] {
	return func(func(string, ckpt.Trackable) bool) {}
}

func TestObjectsWithoutIdentity(t *testing.T) {
	for name, object := range map[string]struct {
		object ckpt.Trackable
		want   string
	}{
		"nil":         {nil, "is nil"},
		"nil pointer": {(*ckpt.Variable[float32])(nil), "is nil"},
		"empty type":  {new(empty), "embed ckpt.Node"},
		"by value":    {byValue{[]int{1}}, "is no pointer"},
	} {
		t.Run(name, func(t *testing.T) {
			wantError(t, "Track", branch().Track("x", object.object), object.want)
			l := new(lister)
			l.add("x", object.object)
			c := ckpt.New(ckpt.Objects{"l": l})
			_, err := c.Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: mem.New()})
			wantError(t, "Write", err, object.want)
			wantError(t, "Write", err, "(root).l")
			s := write(t, ckpt.New(ckpt.Objects{"l": branch("x", scalar(1))}))
			_, err = c.Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
			wantError(t, "Read", err, object.want)
		})
	}
}

func TestNewPanics(t *testing.T) {
	for name, objects := range map[string]ckpt.Objects{
		"save_counter": {"save_counter": scalar(1)},
		"is nil":       {"x": nil},
	} {
		wantPanic(t, name, func() { ckpt.New(objects) })
	}
}

func wantPanic(t *testing.T, want string, fn func()) {
	t.Helper()
	defer func() {
		t.Helper()
		switch got := fmt.Sprint(recover()); {
		case !strings.Contains(got, want):
			t.Errorf("got panic %q, want %q in it", got, want)
		}
	}()
	fn()
}
