package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// canceller is a bucket that cancels a context at its n-th operation of some kinds.
type canceller struct {
	*storagetest.Faulty
	n      int
	cancel func()
}

func (c *canceller) hit() {
	if c.n--; c.n == 0 {
		c.cancel()
	}
}
func (c *canceller) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	c.hit()
	return c.Faulty.Create(ctx, name, o)
}
func (c *canceller) Open(ctx context.Context, name string) (storage.File, error) {
	c.hit()
	return c.Faulty.Open(ctx, name)
}
func (c *canceller) CommitAll(ctx context.Context, w []storage.Writer) error {
	c.hit()
	err := c.Faulty.CommitAll(ctx, w)
	c.hit()
	return err
}
func (c *canceller) List(ctx context.Context, p string) iter.Seq2[storage.Info, error] {
	c.hit()
	return c.Faulty.List(ctx, p)
}

// A save that is cancelled leaves nothing, or is too far to be cancelled: then it
// is recorded.
func TestBackgroundCancelSweep(t *testing.T) {
	for n := 1; n < 60; n++ {
		inner := storagetest.NewCrashable()
		b := &canceller{Faulty: storagetest.NewFaulty(inner)}
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: b})
		saveSteps(t, p, m, 1)
		ctx, cancel := context.WithCancel(t.Context())
		b.n, b.cancel = n, cancel
		p.setStep(2)
		_, err := m.Save(ctx, behind)
		if err == nil {
			err = m.Wait(t.Context())
		}
		fired := b.n <= 0
		b.n = 0
		cancel()
		if !fired {
			return
		}
		s := readState(t, "", inner)
		files := inBucket(t, inner, "")
		there := slices.Contains(files, "ckpt-2.index")
		if err != nil && (there || m.Latest() == "ckpt-2" || s.Latest == "ckpt-2") {
			t.Errorf("n=%d err=%v: there=%v Latest=%q state=%q", n, err, there, m.Latest(), s.Latest)
		}
		if err == nil && (!there || s.Latest != "ckpt-2") {
			t.Errorf("n=%d no error, there=%v state=%q", n, there, s.Latest)
		}
	}
}

// AS-7: Latest tells what the state file records, after any fault.
func TestAS7LatestIsRecorded(t *testing.T) {
	for n := 1; ; n++ {
		inner := storagetest.NewCrashable()
		f := storagetest.NewFaulty(inner)
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: f})
		saveSteps(t, p, m, 1)
		f.Set(storagetest.Fault{N: n, Err: syscall.EIO})
		_, err := m.Save(t.Context(), behind)
		if err == nil {
			err = m.Wait(t.Context())
		}
		if !f.Fired() {
			return
		}
		f.Set(storagetest.Fault{})
		if s := readState(t, "", inner); m.Latest() != s.Latest {
			t.Errorf("n=%d: Latest %q, state file %q (%v)", n, m.Latest(), s.Latest, err)
		}
	}
}

// The Manager logs what a background save failed of.
func TestBackgroundLog(t *testing.T) {
	var log logged
	f := storagetest.NewFaulty(storagetest.NewCrashable())
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: f, Logger: log.logger()})
	saveSteps(t, p, m, 1)
	f.Set(storagetest.Fault{N: 4, Err: syscall.EIO})
	m.Save(t.Context(), behind)
	err := m.Wait(t.Context())
	if err == nil || !strings.Contains(log.String(), "input/output") {
		t.Errorf("err %v, log %q", err, log.String())
	}
}

// AS-2: a restore leaves the error of a background save to Wait.
func TestAS2RestoreLeavesError(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	good, err := p.Write(t.Context(), filepath.Join(dir, "good"), nil)
	if err != nil {
		t.Fatal(err)
	}
	f := storagetest.NewFaulty(newMem())
	f.Set(storagetest.Fault{N: 1, Err: syscall.ENOSPC, Sticky: true})
	if _, err := p.Write(t.Context(), "w", &ckpt.SaveOptions{Background: true, Bucket: f}); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Restore(t.Context(), good, nil); err != nil {
		t.Error(err)
	}
	if w := p.Wait(t.Context()); !errors.Is(w, syscall.ENOSPC) {
		t.Errorf("Wait after it: %v", w)
	}
}

// AS-5, and SaveNumber in the background.
func TestAS5Counter(t *testing.T) {
	p, dir := newProgram(), t.TempDir()
	for i := range 4 {
		o := behind
		if i == 3 {
			o = nil
		}
		path, err := p.Save(t.Context(), filepath.Join(dir, "c"), o)
		if err != nil || filepath.Base(path) != fmt.Sprint("c-", i+1) {
			t.Fatal(path, err)
		}
	}
	q := newProgram()
	m := newManager(t, q.Checkpoint, dir, nil)
	for _, n := range []int64{7, 7, 3} {
		q.setStep(n)
		if path, err := m.SaveNumber(t.Context(), n, behind); err != nil || filepath.Base(path) != fmt.Sprint("ckpt-", n) {
			t.Fatal(path, err)
		}
		q.setStep(50)
	}
	if err := m.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if path, err := m.Save(t.Context(), behind); err != nil || filepath.Base(path) != "ckpt-8" {
		t.Fatal(path, err)
	}
	m.Close()
	wantFiles(t, dir, filesOf("c-1", "c-2", "c-3", "c-4", "ckpt-3", "ckpt-7", "ckpt-8")...)
}

// AS-9: an object that delegates.
type delegate struct{ to ckpt.Saveable }

func (d *delegate) Children() iter.Seq2[string, ckpt.Trackable] { return d.to.Children() }
func (d *delegate) Values() []ckpt.Value                        { return d.to.Values() }

func TestAS9Delegate(t *testing.T) {
	a, b := scalar(15), scalar(-15)
	c := ckpt.New(ckpt.Objects{"a": &delegate{a}, "b": &delegate{b}})
	path, err := c.Save(t.Context(), filepath.Join(t.TempDir(), "c"), behind)
	if err != nil {
		t.Fatal(err)
	}
	a.Assign(1)
	b.Assign(2)
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	s, err := ckpt.New(ckpt.Objects{"a": a, "b": b}).Restore(t.Context(), path, nil)
	if err == nil {
		err = s.CheckConsumed()
	}
	if err != nil || a.Value() != 15 || b.Value() != -15 {
		t.Error(a.Value(), b.Value(), err)
	}
}

// The options are the caller's again after the call; the race detector tells.
func TestBackgroundOptions(t *testing.T) {
	p := newProgram()
	o := &ckpt.SaveOptions{Background: true, Bucket: newMem()}
	if _, err := p.Write(t.Context(), "w", o); err != nil {
		t.Fatal(err)
	}
	o.AfterWrite = nil
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// The clock is asked by the caller's goroutine only; the race detector tells.
func TestBackgroundClock(t *testing.T) {
	p, c := newProgram(), &clock{}
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: newMem(), Now: c.now})
	if _, err := m.Save(t.Context(), behind); err != nil {
		t.Fatal(err)
	}
	c.seconds++
	if err := m.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// Checkpoints may be called beside a save that adopts what a crash left.
func TestBackgroundAdopt(t *testing.T) {
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: c})
		saveSteps(t, p, m, 1)
		c.CrashAfter(n)
		if _, err := m.Save(t.Context(), nil); err == nil {
			t.Fatal("no such crash")
		}
		disk := c.Crash(1, 1)
		if files := inBucket(t, disk, ""); !slices.Contains(files, "ckpt-2.index") {
			continue
		}
		m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: disk})
		ended := make(chan struct{})
		go func() { defer close(ended); m.Checkpoints() }()
		saveSteps(t, p, m, 3)
		<-ended
		return
	}
}
