package ckpt_test

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

func TestCM15Order(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2, Name: "s"})
	for i, after := range []struct {
		number int64
		want   []string
	}{
		{1, []string{"s-1"}},
		{2, []string{"s-1", "s-2"}},
		{3, []string{"s-2", "s-3"}},
		{2, []string{"s-3", "s-2"}},
		{1, []string{"s-2", "s-1"}},
	} {
		p.setStep(int64(i))
		if _, err := m.SaveNumber(t.Context(), after.number, nil); err != nil {
			t.Fatal(err)
		}
		wantManaged(t, m, after.want...)
		wantFiles(t, dir, filesOf(after.want...)...)
		s := readState(t, dir, nil)
		if !slices.Equal(s.All, m.Checkpoints()) || s.Latest != m.Latest() || filepath.Base(s.Latest) != after.want[len(after.want)-1] {
			t.Errorf("state after %d: got %+v", after.number, s)
		}
		if _, err := m.RestoreOrInitialize(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.wantStep(t, int64(i))
	}
}

// TestCM16Order records the operations of a save that removes one.
func TestCM16Order(t *testing.T) {
	f := storagetest.NewFaulty(mem.New())
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: f})
	saveSteps(t, p, m, 1)
	f.Set(storagetest.Fault{})
	saveSteps(t, p, m, 2)
	var got []string
	for _, operation := range f.Operations() {
		what, name, _ := strings.Cut(operation, " ")
		if what == "commit" || what == "remove" && strings.HasPrefix(name, "ckpt-") {
			got = append(got, operation)
		}
	}
	want := []string{
		"commit ckpt-2.data-00000-of-00001", "commit ckpt-2.index", "commit checkpoint",
		"remove ckpt-1.index", "remove ckpt-1.data-00000-of-00001", "commit checkpoint",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("operations (-got +want):\n%s", diff)
	}
}

func TestCM17AfterWrite(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	saveSteps(t, p, m, 1)
	before := string(readFile(t, filepath.Join(dir, "checkpoint")))
	var called []string
	hook := func(result error) func(string) error {
		return func(prefix string) error {
			called = append(called, prefix)
			if !fileExists(prefix+".index") || !fileExists(prefix+".data-00000-of-00001") {
				t.Errorf("%s: the hook runs before the files have their names", prefix)
			}
			if got := string(readFile(t, filepath.Join(dir, "checkpoint"))); got != before {
				t.Errorf("%s: the state file changed before the hook: %s", prefix, got)
			}
			return result
		}
	}
	second := filepath.Join(dir, "ckpt-2")
	wantErr := errors.New("upload refused")
	_, err := m.Save(t.Context(), &ckpt.SaveOptions{AfterWrite: []func(string) error{hook(nil), hook(wantErr), hook(nil)}})
	if !errors.Is(err, wantErr) {
		t.Errorf("Save: got %v, want %v", err, wantErr)
	}
	if want := []string{second, second}; !slices.Equal(called, want) {
		t.Errorf("hooks called with %q, want %q", called, want)
	}
	wantFiles(t, dir, filesOf("ckpt-1", "ckpt-2")...)
	wantFile(t, filepath.Join(dir, "checkpoint"), before)
	if p.SaveCounter() != 2 || filepath.Base(m.Latest()) != "ckpt-1" {
		t.Errorf("counter %d and latest %q, want 2 and ckpt-1", p.SaveCounter(), m.Latest())
	}
	called = nil
	if got, err := m.Save(t.Context(), &ckpt.SaveOptions{AfterWrite: []func(string) error{hook(nil)}}); err != nil || filepath.Base(got) != "ckpt-3" || len(called) != 1 {
		t.Errorf("Save: got %q, %v, hooks %q", got, err, called)
	}
}
