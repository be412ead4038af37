package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

var behind = &ckpt.SaveOptions{Background: true}

// gate is a bucket whose writers wait to be let through.
type gate struct {
	storage.Bucket
	open chan struct{}
}

func (g *gate) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	select {
	case <-g.open:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	return g.Bucket.Create(ctx, name, o)
}

func newGate() *gate { return &gate{newMem(), make(chan struct{})} }

// AS-4: what is saved is what was there when Save was called, and the call does
// not wait for the writing.
func TestAS4OneCut(t *testing.T) {
	g, p := newGate(), newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: g})
	p.setStep(1)
	prefix, err := m.Save(t.Context(), behind)
	if err != nil || prefix != "ckpt-1" {
		t.Fatalf("got %q, %v", prefix, err)
	}
	p.setStep(2) // nothing is written yet
	if m.Latest() != "" || len(m.Checkpoints()) != 0 {
		t.Errorf("Latest %q, Checkpoints %q before anything is written", m.Latest(), m.Checkpoints())
	}
	close(g.open)
	if err := m.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.Latest() != "ckpt-1" {
		t.Errorf("Latest: got %q", m.Latest())
	}
	if _, err := m.RestoreOrInitialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 1)
}

// AS-4 and AS-8: the files are those of a save in the foreground, byte for byte.
func TestAS8SameBytes(t *testing.T) {
	dir, p := t.TempDir(), newProgram()
	p.setStep(7)
	for _, save := range []struct {
		name string
		call func(prefix string, o *ckpt.SaveOptions) (string, error)
	}{
		{"write", func(prefix string, o *ckpt.SaveOptions) (string, error) { return p.Write(t.Context(), prefix, o) }},
		{"save", func(prefix string, o *ckpt.SaveOptions) (string, error) {
			q := newProgram()
			q.setStep(7)
			defer q.Wait(t.Context())
			return q.Save(t.Context(), prefix, o)
		}},
	} {
		a, err := save.call(filepath.Join(dir, save.name+"-fore"), nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := save.call(filepath.Join(dir, save.name+"-back"), behind)
		if err == nil {
			err = p.Wait(t.Context())
		}
		if err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{".index", ".data-00000-of-00001"} {
			if string(readFile(t, a+suffix)) != string(readFile(t, b+suffix)) {
				t.Errorf("%s%s differs", save.name, suffix)
			}
		}
	}
}

// AS-1, AS-2: a restore waits for the running write.
func TestAS2RestoreWaits(t *testing.T) {
	p, prefix := newProgram(), filepath.Join(t.TempDir(), "c")
	p.setStep(42)
	path, err := p.Save(t.Context(), prefix, behind)
	if err != nil {
		t.Fatal(err)
	}
	p.setStep(43)
	status, err := p.Restore(t.Context(), path, nil)
	if err == nil {
		err = status.CheckConsumed()
	}
	if err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 42)
}

// AS-3: writes in a row, without waiting.
func TestAS3Writes(t *testing.T) {
	p, dir := newProgram(), t.TempDir()
	for i := range int64(5) {
		p.setStep(i)
		if _, err := p.Write(t.Context(), filepath.Join(dir, fmt.Sprint("prefix-", 2*i)), behind); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range int64(5) {
		if _, err := p.Read(t.Context(), filepath.Join(dir, fmt.Sprint("prefix-", 2*i)), nil); err != nil {
			t.Fatal(err)
		}
		p.wantStep(t, i)
	}
}

// AS-5, AS-6, AS-7: one counter, in the files, too; one save at a time, in
// order; retention behind them.
func TestAS6Manager(t *testing.T) {
	p, dir := newProgram(), t.TempDir()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
	var done []string
	o := &ckpt.SaveOptions{Background: true, Done: func(prefix string, err error) { done = append(done, fmt.Sprint(filepath.Base(prefix), err)) }}
	for i := range int64(4) {
		p.setStep(i + 1)
		if prefix, err := m.Save(t.Context(), o); err != nil || prefix != filepath.Join(dir, fmt.Sprint("ckpt-", i+1)) {
			t.Fatalf("got %q, %v", prefix, err)
		}
		p.setStep(100)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"ckpt-1<nil>", "ckpt-2<nil>", "ckpt-3<nil>", "ckpt-4<nil>"}; !slices.Equal(done, want) {
		t.Errorf("Done: got %q, want %q", done, want)
	}
	wantManaged(t, m, "ckpt-3", "ckpt-4")
	wantFiles(t, dir, filesOf("ckpt-3", "ckpt-4")...)
	for i := int64(3); i <= 4; i++ {
		r, err := ckpt.Open(t.Context(), filepath.Join(dir, fmt.Sprint("ckpt-", i)), nil)
		if err != nil {
			t.Fatal(err)
		}
		counter, err := ckpt.Read[int64](t.Context(), r, "save_counter/.ATTRIBUTES/VARIABLE_VALUE")
		if err != nil || counter[0] != i {
			t.Errorf("stored save_counter %v, %v, want %d", counter, err, i)
		}
		r.Close()
	}
	if _, err := m.Save(t.Context(), nil); err == nil {
		t.Error("a closed Manager saved")
	}
}

// The context of a save ends its writing, too, and nothing is left; that of Wait
// ends the waiting only.
func TestBackgroundCancel(t *testing.T) {
	g, p := newGate(), newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: g})
	ctx, cancel := context.WithCancel(t.Context())
	if _, err := m.Save(ctx, behind); err != nil {
		t.Fatal(err)
	}
	gone, stop := context.WithCancel(t.Context())
	stop()
	if err := m.Wait(gone); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait with an ended context: %v", err)
	}
	cancel()
	if err := m.Wait(t.Context()); !errors.Is(err, context.Canceled) {
		t.Errorf("Wait for a cancelled save: %v", err)
	}
	if files := inBucket(t, g.Bucket, ""); len(files) != 0 {
		t.Errorf("left behind: %q", files)
	}
	close(g.open)
	if err := m.Wait(t.Context()); err != nil {
		t.Errorf("the error came twice: %v", err)
	}
	saveSteps(t, p, m, 3)
}

// Every operation of a background save fails once: the error comes back once, at
// Wait or the next call, which then does nothing else; saving goes on.
func TestBackgroundFaults(t *testing.T) {
	fired := forEachFault(t, func(t *testing.T, fault storagetest.Fault) bool {
		inner := storagetest.NewCrashable()
		f := storagetest.NewFaulty(inner)
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: f})
		saveSteps(t, p, m, 1, 2)
		f.Set(fault)
		p.setStep(3)
		_, err := m.Save(t.Context(), behind)
		p.setStep(99)
		if err == nil && fault.N%2 == 0 {
			err = m.Wait(t.Context())
		} else if err == nil {
			if _, err = m.Save(t.Context(), behind); err == nil {
				err = m.Wait(t.Context())
			}
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
		if err := m.Wait(t.Context()); err != nil {
			t.Errorf("the error came twice: %v", err)
		}
		wantAllWhole(t, inner)
		saveSteps(t, p, m, 4)
		want := filesOf(m.Checkpoints()...)
		if got := inBucket(t, inner, ""); !slices.Equal(got, want) {
			t.Errorf("files after one more save: got %q, want %q", got, want)
		}
		return true
	})
	t.Logf("%d faults fired", fired)
	if fired < 40 {
		t.Errorf("only %d faults fired", fired)
	}
}

// A failed background save is told to Done as well, with its prefix.
func TestBackgroundDone(t *testing.T) {
	f := storagetest.NewFaulty(newMem())
	p := newProgram()
	f.Set(storagetest.Fault{N: 1, Err: syscall.ENOSPC, Sticky: true})
	var told error
	_, err := p.Write(t.Context(), "w", &ckpt.SaveOptions{Background: true, Bucket: f, Done: func(_ string, err error) { told = err }})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Wait(t.Context()); !errors.Is(err, syscall.ENOSPC) || told == nil || told.Error() != err.Error() {
		t.Errorf("Wait: %v, Done: %v", err, told)
	}
}

// trainBehind is train with saves in the background: a save is acknowledged
// when Wait says so.
func trainBehind(t *testing.T, b storage.Bucket, steps ...int64) (acknowledged, tried int64, err error) {
	t.Helper()
	return trainWith(t, b, func(p *program, m *ckpt.Manager) error {
		if _, err := m.Save(t.Context(), behind); err != nil {
			return err
		}
		p.setStep(-p.step.Value())
		return m.Wait(t.Context())
	}, steps...)
}

// A crash after each step of background saves is like one of foreground saves.
func TestBackgroundCrash(t *testing.T) {
	cases := 0
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		c.CrashAfter(n)
		acknowledged, tried, err := trainBehind(t, c, 1, 2, 3)
		if !c.Crashed() {
			if err != nil || acknowledged != 3 {
				t.Fatalf("without a crash: step %d, %v", acknowledged, err)
			}
			t.Logf("%d steps, %d crashes", n, cases)
			return
		}
		cases += forEachCrash(t, c, fmt.Sprint("step ", n), func(t *testing.T, disk *storagetest.Crashable) {
			checkDisk(t, disk, acknowledged, tried, strayOf(t, c, disk)...)
		})
	}
}
