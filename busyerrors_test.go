package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// A save that waits is written although the one before it failed; each error
// comes back once.
func TestBusyReplaceErrors(t *testing.T) {
	g, p := newGate(), newProgram()
	bad := errors.New("no")
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: g})
	var told heard
	o := &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace, Done: told.done}
	fails := *o
	fails.AfterWrite = []func(string) error{func(string) error { return bad }}
	for _, o := range []*ckpt.SaveOptions{&fails, o} {
		if _, err := m.Save(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	close(g.open)
	synced := make(chan struct{})
	go func() { // Restore waits for both and leaves the error
		defer close(synced)
		if _, err := p.Read(t.Context(), "ckpt-2", &ckpt.RestoreOptions{Bucket: g}); err != nil {
			t.Error(err)
		}
	}()
	<-synced
	if prefix, err := m.Save(t.Context(), o); !errors.Is(err, bad) || prefix != "" {
		t.Errorf("the next save: %q, %v", prefix, err)
	}
	if err := m.Wait(t.Context()); err != nil {
		t.Errorf("the error came twice: %v", err)
	}
	if len(told) != 2 || told[1] != "ckpt-2: <nil>" {
		t.Errorf("Done heard %q", told)
	}
	wantManaged(t, m, "ckpt-2")
	saveSteps(t, p, m, 7)
	wantManaged(t, m, "ckpt-2", "ckpt-3")
}

// While a failed save's successor is written, the next call gives the error at
// once.
func TestBusyErrorAtNextCall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, bad := newProgram(), errors.New("no")
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: newMem()})
		first, second := make(chan struct{}), make(chan struct{})
		hold := func(c chan struct{}, err error) *ckpt.SaveOptions {
			return &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace, AfterWrite: []func(string) error{func(string) error { <-c; return err }}}
		}
		for _, o := range []*ckpt.SaveOptions{hold(first, bad), hold(second, nil)} {
			if _, err := m.Save(t.Context(), o); err != nil {
				t.Fatal(err)
			}
		}
		close(first)
		synctest.Wait() // the second one is being written
		for _, busy := range []ckpt.Busy{ckpt.BusyReplace, ckpt.BusySkip} {
			prefix, err := m.Save(t.Context(), &ckpt.SaveOptions{Background: true, Busy: busy})
			if want := busy == ckpt.BusyReplace; errors.Is(err, bad) != want || prefix != "" {
				t.Errorf("Busy %d: %q, %v", busy, prefix, err)
			}
		}
		close(second)
		if err := m.Wait(t.Context()); err != nil {
			t.Errorf("the error came twice: %v", err)
		}
		wantManaged(t, m, "ckpt-2")
	})
}

// A context that ends while its save waits ends that save only.
func TestBusyReplaceCancel(t *testing.T) {
	g, p := newGate(), newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: g})
	var told heard
	o := &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace, Done: told.done}
	ctx, cancel := context.WithCancel(t.Context())
	for _, ctx := range []context.Context{t.Context(), ctx} {
		if _, err := m.Save(ctx, o); err != nil {
			t.Fatal(err)
		}
	}
	cancel()
	close(g.open)
	if err := m.Wait(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait: %v", err)
	}
	if len(told) != 2 || told[0] != "ckpt-1: <nil>" || !strings.Contains(told[1], "canceled") {
		t.Errorf("Done heard %q", told)
	}
	saveSteps(t, p, m, 3)
	wantManaged(t, m, "ckpt-1", "ckpt-3")
	if got, want := inBucket(t, g, ""), filesOf("ckpt-1", "ckpt-3"); !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}
}

// Any operation of two saves in flight fails once: nothing is lost that was
// acknowledged, the error comes back, saving goes on.
func TestBusyReplaceFaults(t *testing.T) {
	fired := forEachFault(t, func(t *testing.T, fault storagetest.Fault) bool {
		inner := storagetest.NewCrashable()
		f := storagetest.NewFaulty(inner)
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: f})
		saveSteps(t, p, m, 1, 2)
		f.Set(fault)
		o := &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace}
		var err error
		for step := int64(3); step < 6 && err == nil; step++ {
			p.setStep(step)
			_, err = m.Save(t.Context(), o)
		}
		p.setStep(99)
		if err == nil {
			err = m.Wait(t.Context())
		}
		if !f.Fired() {
			if err != nil {
				t.Fatal(err)
			}
			return false
		}
		if err != nil && !errors.Is(err, fault.Err) {
			t.Errorf("got %v, want %v", err, fault.Err)
		}
		f.Set(storagetest.Fault{})
		m.Wait(t.Context())
		wantAllWhole(t, inner)
		saveSteps(t, p, m, 6)
		want := filesOf(m.Checkpoints()...)
		if got := inBucket(t, inner, ""); !slices.Equal(got, want) {
			t.Errorf("files after one more save: got %q, want %q", got, want)
		}
		return true
	})
	if fired < 40 {
		t.Errorf("only %d faults fired", fired)
	}
}

// A hook that ends its goroutine ends its own save only.
func TestBusyReplaceGone(t *testing.T) {
	g, p := newGate(), newProgram()
	var told heard
	for i, o := range []*ckpt.SaveOptions{
		{AfterWrite: []func(string) error{func(string) error { runtime.Goexit(); return nil }}},
		{Done: told.done},
	} {
		o.Background, o.Bucket, o.Busy = true, g, ckpt.BusyReplace
		if _, err := p.Write(t.Context(), fmt.Sprint("w", i), o); err != nil {
			t.Fatal(err)
		}
	}
	close(g.open)
	if err := p.Wait(t.Context()); err == nil || !strings.Contains(err.Error(), "ended the goroutine") {
		t.Error(err)
	}
	if len(told) != 1 || told[0] != "w1: <nil>" {
		t.Errorf("Done heard %q", told)
	}
}
