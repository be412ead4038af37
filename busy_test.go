package ckpt_test

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
)

// heard collects what Done is told.
type heard []string

func (h *heard) done(prefix string, err error) {
	*h = append(*h, fmt.Sprintf("%s: %v", filepath.Base(prefix), err))
}

// saver is a way to save a program beside itself.
type saver struct {
	name  string
	save  func(o *ckpt.SaveOptions) (string, error)
	wait  func(context.Context) error
	count func() int64
}

// savers are the three ways. Each Write has its own name.
func savers(t *testing.T, p *program, b storage.Bucket) []saver {
	m := newManager(t, p.Checkpoint, "m", &ckpt.ManagerOptions{Bucket: b})
	q, r := newProgram(), newProgram()
	writes := 0
	return []saver{
		{"manager", func(o *ckpt.SaveOptions) (string, error) { return m.Save(t.Context(), o) }, m.Wait, p.SaveCounter},
		{"save", func(o *ckpt.SaveOptions) (string, error) {
			with := *o
			with.Bucket = b
			return q.Save(t.Context(), "s/ckpt", &with)
		}, q.Wait, q.SaveCounter},
		{"write", func(o *ckpt.SaveOptions) (string, error) {
			with := *o
			with.Bucket = b
			writes++
			return r.Write(t.Context(), fmt.Sprint("w/ckpt-", writes), &with)
		}, r.Wait, func() int64 { return int64(writes) }},
	}
}

// AS-7: BusySkip saves nothing while another save is written, and counts
// nothing.
func TestBusySkip(t *testing.T) {
	for i, name := range []string{"manager", "save"} {
		g, p := newGate(), newProgram()
		s := savers(t, p, g)[i]
		o := &ckpt.SaveOptions{Background: true, Busy: ckpt.BusySkip}
		if prefix, err := s.save(o); err != nil || !strings.HasSuffix(prefix, "ckpt-1") {
			t.Fatalf("%s: got %q, %v", name, prefix, err)
		}
		for range 3 {
			if prefix, err := s.save(o); err != nil || prefix != "" {
				t.Errorf("%s while busy: got %q, %v, want nothing", name, prefix, err)
			}
		}
		if got := s.count(); got != 1 {
			t.Errorf("%s: save counter %d, want 1", name, got)
		}
		close(g.open)
		if err := s.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		if prefix, err := s.save(o); err != nil || !strings.HasSuffix(prefix, "ckpt-2") {
			t.Errorf("%s afterwards: got %q, %v", name, prefix, err)
		}
		if err := s.wait(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
}

// BusyReplace lets one save wait, the newest; Wait waits for it; the ones it
// replaced hear so, in order.
func TestBusyReplace(t *testing.T) {
	for i, name := range []string{"manager", "save", "write"} {
		g, p := newGate(), newProgram()
		s := savers(t, p, g)[i]
		var told heard
		o := &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace, Done: told.done}
		for n := 1; n <= 4; n++ {
			if prefix, err := s.save(o); err != nil || !strings.HasSuffix(prefix, fmt.Sprint("ckpt-", n)) {
				t.Fatalf("%s: got %q, %v", name, prefix, err)
			}
		}
		close(g.open)
		if err := s.wait(t.Context()); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		replaced := ckpt.ErrReplaced.Error()
		if want := []string{"ckpt-1: <nil>", "ckpt-2: " + replaced, "ckpt-3: " + replaced, "ckpt-4: <nil>"}; !slices.Equal(told, want) {
			t.Errorf("%s: Done heard %q, want %q", name, told, want)
		}
		var indexes []string
		for _, file := range inBucket(t, g, name[:1]+"/") {
			if strings.HasSuffix(file, ".index") {
				indexes = append(indexes, filepath.Base(file))
			}
		}
		if want := []string{"ckpt-1.index", "ckpt-4.index"}; !slices.Equal(indexes, want) {
			t.Errorf("%s: got %q, want %q", name, indexes, want)
		}
	}
}

// What waits is a consistent cut of its moment, and the memory of one that was
// replaced is let go at once.
func TestBusyReplaceCut(t *testing.T) {
	g, p := newGate(), newProgram()
	stable := &watched{stable: true, data: []byte("abc")}
	if err := p.Track("stable", stable); err != nil {
		t.Fatal(err)
	}
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: g})
	o := &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace}
	for step := int64(1); step <= 5; step++ {
		p.setStep(step)
		if _, err := m.Save(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	p.setStep(99)
	if stable.released != 3 || stable.chunks != 0 {
		t.Errorf("while two wait: released %d, read %d, want 3, 0", stable.released, stable.chunks)
	}
	if m.Latest() != "" {
		t.Errorf("Latest %q before anything is written", m.Latest())
	}
	close(g.open)
	if err := m.Close(); err != nil { // waits for both
		t.Fatal(err)
	}
	if stable.released != 5 || stable.chunks != 2 {
		t.Errorf("written: released %d, read %d, want 5, 2", stable.released, stable.chunks)
	}
	wantManaged(t, m, "ckpt-1", "ckpt-5")
	for name, want := range map[string]int64{"ckpt-1": 1, "ckpt-5": 5} {
		q := newProgram()
		if _, err := q.Read(t.Context(), name, &ckpt.RestoreOptions{Bucket: g}); err != nil {
			t.Fatal(err)
		}
		q.wantStep(t, want)
	}
}

// Numbers are taken before the save in flight is known to be done.
func TestBusyReplaceNumbers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		g, p := newGate(), newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: g})
		o := &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace}
		if prefix, err := m.SaveNumber(t.Context(), 7, o); err != nil || prefix != "ckpt-7" {
			t.Fatal(prefix, err)
		}
		if prefix, err := m.Save(t.Context(), o); err != nil || prefix != "ckpt-8" {
			t.Fatal(prefix, err)
		}
		if prefix, err := m.SaveNumber(t.Context(), 3, o); err != nil || prefix != "ckpt-3" {
			t.Fatal(prefix, err)
		}
		// Somebody else's file of the next number: the save waits, then goes above it.
		w, err := g.Bucket.Create(t.Context(), "ckpt-10.index", nil)
		if err == nil {
			err = w.Commit(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		saved := make(chan string)
		go func() {
			prefix, err := m.Save(t.Context(), o)
			saved <- fmt.Sprint(prefix, " ", err)
		}()
		synctest.Wait()
		close(g.open)
		if got := <-saved; got != "ckpt-11 <nil>" {
			t.Errorf("got %s, want ckpt-11", got)
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
		wantManaged(t, m, "ckpt-7", "ckpt-3", "ckpt-11")
	})
}

func TestBusyUnknown(t *testing.T) {
	p := newProgram()
	if _, err := p.Write(t.Context(), "w", &ckpt.SaveOptions{Busy: 9, Bucket: newMem()}); err == nil || !strings.Contains(err.Error(), "Busy is 9") {
		t.Error(err)
	}
}

// A program that changes its working directory while saves are in flight or
// wait finds them where it started them.
func TestBackgroundChdir(t *testing.T) {
	for _, busy := range []ckpt.Busy{ckpt.BusyWait, ckpt.BusyReplace} {
		start, elsewhere := t.TempDir(), t.TempDir()
		p, q, r := newProgram(), newProgram(), newProgram()
		t.Chdir(start)
		m := newManager(t, p.Checkpoint, "m", &ckpt.ManagerOptions{MaxToKeep: 1})
		saveSteps(t, p, m, 1)
		gone := make(chan struct{})
		o := &ckpt.SaveOptions{Background: true, Busy: busy, AfterWrite: []func(string) error{func(string) error { <-gone; return nil }}}
		saves := 1
		if busy == ckpt.BusyReplace {
			saves = 2
		}
		for range saves {
			for _, save := range []func() (string, error){
				func() (string, error) { return m.Save(t.Context(), o) },
				func() (string, error) { return q.Save(t.Context(), "s/c", o) },
				func() (string, error) { return r.Write(t.Context(), filepath.Join("w", "c"), o) },
			} {
				if prefix, err := save(); err != nil || filepath.IsAbs(prefix) {
					t.Fatal(prefix, err)
				}
			}
		}
		t.Chdir(elsewhere)
		close(gone)
		for _, wait := range []func(context.Context) error{m.Wait, q.Wait, r.Wait} {
			if err := wait(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		if files := filesIn(t, elsewhere); len(files) > 0 {
			t.Errorf("in the new working directory: %q", files)
		}
		newest := fmt.Sprint("ckpt-", 1+saves)
		wantFiles(t, filepath.Join(start, "m"), filesOf(newest)...)
		for _, name := range []string{"m/" + newest, fmt.Sprint("s/c-", saves), "w/c"} {
			if _, err := newProgram().Read(t.Context(), filepath.Join(start, name), nil); err != nil {
				t.Error(err)
			}
		}
		if latest, err := ckpt.Latest(t.Context(), filepath.Join(start, "s"), nil); err != nil || filepath.Base(latest) != fmt.Sprint("c-", saves) {
			t.Error(latest, err)
		}
		if prefix, err := m.Save(t.Context(), nil); err != nil || filepath.IsAbs(prefix) { // so do those in the foreground
			t.Fatal(prefix, err)
		}
		if !fileExists(filepath.Join(start, "m", fmt.Sprint("ckpt-", 2+saves, ".index"))) {
			t.Errorf("where it was made: %q", filesIn(t, filepath.Join(start, "m")))
		}
		if files := filesIn(t, elsewhere); len(files) > 0 {
			t.Errorf("in the new working directory: %q", files)
		}
	}
}
