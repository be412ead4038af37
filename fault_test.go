package ckpt_test

import (
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// logged is a log that can be asked what it heard.
type logged struct{ strings.Builder }

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

// faultySave makes two checkpoints without a fault, then has the manager of the
// second one save step 3 with it. It returns the bucket below.
func faultySave(t *testing.T, fault storagetest.Fault, log *logged) (f *storagetest.Faulty, inner storage.Bucket, p *program, m *ckpt.Manager, err error) {
	t.Helper()
	inner = storagetest.NewCrashable() // it never crashes, and it knows what stays unpublished
	f = storagetest.NewFaulty(inner)
	p = newProgram()
	m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: f, Logger: log.logger()})
	saveSteps(t, p, m, 1, 2)
	f.Set(fault)
	p.setStep(3)
	_, err = m.Save(t.Context(), nil)
	return f, inner, p, m, err
}

// forEachFault runs check with the first, second, … operation failing, once or
// from then on, before or after it has happened, until none is left to fail. It
// returns how many faults fired.
func forEachFault(t *testing.T, check func(t *testing.T, fault storagetest.Fault) (fired bool)) (fired int) {
	for _, kind := range []storagetest.Fault{
		{Err: syscall.EIO}, {Err: syscall.ENOSPC, Sticky: true}, {Err: syscall.EIO, Late: true}, {Err: syscall.EIO, Sticky: true, Late: true},
	} {
		for n := 1; ; n++ {
			kind.N = n
			happened := false
			t.Run(fmt.Sprintf("operation %d, %v, sticky %v, late %v", n, kind.Err, kind.Sticky, kind.Late), func(t *testing.T) {
				happened = check(t, kind)
			})
			if !happened {
				if n < 10 {
					t.Errorf("%+v: only %d operations", kind, n-1)
				}
				break
			}
			fired++
		}
	}
	return fired
}

// TestSaveFaults fails each operation of a save. The error reaches the caller,
// or the log where the save was durable already; no file is left half done; the
// newest checkpoint there is restores; and saving goes on.
func TestSaveFaults(t *testing.T) {
	fired := forEachFault(t, func(t *testing.T, fault storagetest.Fault) bool {
		var log logged
		f, inner, p, m, err := faultySave(t, fault, &log)
		if !f.Fired() {
			if err != nil {
				t.Fatal(err)
			}
			return false
		}
		operations := slices.DeleteFunc(f.Operations(), func(s string) bool { return strings.HasPrefix(s, "abort ") }) // those do not count
		defer func() {
			if t.Failed() {
				t.Logf("operations: %q\nerror: %v\nlog: %s", operations, err, log.String())
			}
		}()
		if err != nil && !errors.Is(err, fault.Err) {
			t.Errorf("got %v, want %v", err, fault.Err)
		}
		if err == nil && !strings.Contains(log.String(), fault.Err.Error()) && !(fault.Late && harmless(operations[fault.N-1])) &&
			operations[fault.N-1] != "open ckpt-3.meta.json" { // what stays of another's metadata is not taken for this one's
			t.Errorf("%q failed and nobody says so", operations[fault.N-1])
		}
		wantNewest(t, inner, err)
		f.Set(storagetest.Fault{})
		p.setStep(4)
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		want := filesOf(m.Checkpoints()...)
		if got := inBucket(t, inner, ""); !slices.Equal(got, want) || len(m.Checkpoints()) != 2 {
			t.Errorf("files after one more save: got %q, want %q", got, want)
		}
		return true
	})
	t.Logf("%d faults fired", fired)
}

// harmless tells operations whose late failure is like an early one of which
// nothing was expected: a file that is not there was not opened.
func harmless(operation string) bool {
	return strings.HasPrefix(operation, "open .ckpt-") || operation == "open ckpt-3.index" || operation == "open ckpt-3.data-00000-of-00001" ||
		operation == "open ckpt-1.meta.json"
}

// wantNewest restores by what is in the bucket after a save of step 3 that
// ended in err.
func wantNewest(t *testing.T, b storage.Bucket, saveErr error) {
	t.Helper()
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
	r, err := m.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	step, err := p.atStep()
	if err != nil || len(r.Refused) != 0 || step != 3 && (step != 2 || saveErr == nil) {
		t.Errorf("resumed step %d, %v, refused %v, after %v", step, err, r.Refused, saveErr)
	}
	wantAllWhole(t, b)
}

// TestStartFaults fails each operation of a start: opening a directory that a
// crash left in disorder, resuming, and the first save, which cleans up. It
// either succeeds with the newest state that can be read, or says why not; and
// the next start finds everything.
func TestStartFaults(t *testing.T) {
	fired := forEachFault(t, func(t *testing.T, fault storagetest.Fault) bool {
		disk := disorder(t)
		f := storagetest.NewFaulty(disk)
		f.Set(fault)
		p := newProgram()
		p.setStep(50)
		m, err := ckpt.NewManager(p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: f})
		var r *ckpt.Resumed
		if err == nil {
			r, err = m.Resume(t.Context(), nil)
		}
		saved, tried := int64(2), int64(3)
		switch {
		case err == nil && r.Prefix == "":
			t.Errorf("started from scratch, at %q", f.Operations())
		case err == nil:
			step, err := p.atStep()
			if err != nil || step != 2 && (step != 1 || len(r.Refused) == 0) {
				t.Errorf("resumed step %d, %v, refused %v", step, err, r.Refused)
			}
			p.setStep(60)
			tried = 60
			if _, err := m.Save(t.Context(), nil); err == nil {
				saved = 60
			} else if !errors.Is(err, fault.Err) {
				t.Errorf("got %v, want %v", err, fault.Err)
			}
		case !errors.Is(err, fault.Err):
			t.Errorf("got %v, want %v", err, fault.Err)
		default:
			p.wantStep(t, 50)
			if p.SaveCounter() != 0 {
				t.Errorf("SaveCounter: got %d, want 0", p.SaveCounter())
			}
		}
		happened := f.Fired()
		checkDisk(t, disk, saved, tried)
		return happened
	})
	t.Logf("%d faults fired", fired)
}

// disorder is a disk on which a third save died after its data had its name.
func disorder(t *testing.T) *storagetest.Crashable {
	t.Helper()
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: c})
		saveSteps(t, p, m, 1, 2)
		c.CrashAfter(n)
		p.setStep(3)
		if _, err := m.Save(t.Context(), nil); err == nil {
			t.Fatal("no crash left the disorder that is looked for")
		}
		disk := c.Crash(1, 1)
		files := inBucket(t, disk, "")
		if slices.Contains(files, dataOf("ckpt-3")) && !slices.Contains(files, "ckpt-3.index") {
			return disk
		}
	}
}

// TestReplaceFaults fails each operation of a write over a checkpoint: the old
// or the new one is there, at once and after the next start.
func TestReplaceFaults(t *testing.T) {
	fired := forEachFault(t, func(t *testing.T, fault storagetest.Fault) bool {
		inner := storagetest.NewCrashable()
		f := storagetest.NewFaulty(inner)
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: f})
		p.setStep(1)
		if _, err := m.SaveNumber(t.Context(), 7, nil); err != nil {
			t.Fatal(err)
		}
		f.Set(fault)
		p.setStep(2)
		_, err := m.SaveNumber(t.Context(), 7, nil)
		happened := f.Fired()
		if err != nil && !errors.Is(err, fault.Err) {
			t.Errorf("got %v, want %v", err, fault.Err)
		}
		old := newProgram()
		if _, err := old.Restore(t.Context(), "ckpt-7", &ckpt.RestoreOptions{Bucket: inner}); err != nil {
			t.Fatalf("%v, after %q", err, f.Operations())
		}
		if step, stateErr := old.atStep(); stateErr != nil || step != 2 && (step != 1 || err == nil) {
			t.Errorf("restored step %d, %v, after %v", step, stateErr, err)
		}
		checkReplaced(t, inner, err == nil)
		return happened
	})
	t.Logf("%d faults fired", fired)
}
