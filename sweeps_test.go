package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// swept is a program and its manager in the middle of an operation that faults
// are put into. Before it, step saved was acknowledged.
type swept struct {
	p     *program
	m     *ckpt.Manager
	b     storage.Bucket
	saved int64
}

// tries sets the values of a step that is about to be saved.
func (s *swept) tries(step int64) { s.p.setStep(step) }

// A sweptOperation is something that must survive every fault. It begins with
// checkpoints of steps 1 to 3, of which two are kept.
type sweptOperation struct {
	name string
	keep int // MaxToKeep, 0 for 2
	// prepare does more before faults come; nil is nothing.
	prepare func(t *testing.T, s *swept)
	// run is the operation. Step 4 is what it saves, if anything.
	run func(ctx context.Context, s *swept) error
	// reads says that it saves nothing.
	reads bool
	// done looks at what else must be durable once it has succeeded; nil is
	// nothing.
	done func(t *testing.T, disk storage.Bucket)
}

var threeFiles = &ckpt.SaveOptions{Shard: func(key string, _ ckpt.Spec) string { return key }}

func saving(o *ckpt.SaveOptions) func(ctx context.Context, s *swept) error {
	return func(ctx context.Context, s *swept) error {
		s.tries(4)
		if _, err := s.m.Save(ctx, o); err != nil {
			return err
		}
		return s.m.Wait(ctx)
	}
}

// pinned wants a checkpoint to be pinned or not.
func pinned(name string, want bool) func(t *testing.T, disk storage.Bucket) {
	return func(t *testing.T, disk storage.Bucket) {
		m, err := ckpt.ReadMetadata(t.Context(), name, &ckpt.OpenOptions{Bucket: disk})
		if errors.Is(err, fs.ErrNotExist) && !want {
			return
		}
		if err != nil || m.Pinned != want {
			t.Errorf("%s: pinned %+v, %v, want %v", name, m, err, want)
		}
	}
}

var sweptOperations = []sweptOperation{
	{name: "save", keep: ckpt.KeepAll, run: saving(nil)},
	{name: "save and retention", run: saving(nil)},
	{name: "background save", run: saving(&ckpt.SaveOptions{Background: true})},
	{name: "save of several files", run: saving(threeFiles)},
	{name: "save with digests", run: saving(&ckpt.SaveOptions{Digests: true, Metadata: &ckpt.Metadata{Metrics: map[string]float64{"loss": 1}}})},
	{name: "save over a checkpoint", run: func(ctx context.Context, s *swept) error {
		s.tries(4)
		_, err := s.m.SaveNumber(ctx, 3, nil)
		return err
	}},
	{name: "save of several files over one", run: func(ctx context.Context, s *swept) error {
		s.tries(4)
		_, err := s.m.SaveNumber(ctx, 3, threeFiles)
		return err
	}},
	{name: "retention of three", keep: 3, run: func(ctx context.Context, s *swept) error {
		m, err := ckpt.NewManager(s.p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: s.b})
		if err != nil {
			return err
		}
		s.tries(4)
		_, err = m.Save(ctx, nil)
		return err
	}},
	{name: "pin", reads: true, done: pinned("ckpt-2", true), run: func(ctx context.Context, s *swept) error { return s.m.Pin(ctx, "2", true) }},
	{name: "unpin", reads: true, done: pinned("ckpt-3", false), prepare: func(t *testing.T, s *swept) {
		if err := s.m.Pin(t.Context(), "3", true); err != nil {
			t.Fatal(err)
		}
	}, run: func(ctx context.Context, s *swept) error { return s.m.Pin(ctx, "3", false) }},
	{name: "resume and save", run: func(ctx context.Context, s *swept) error {
		m, err := ckpt.NewManager(s.p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: s.b})
		if err != nil {
			return err
		}
		if _, err := m.Resume(ctx, nil); err != nil {
			return err
		}
		s.tries(4)
		_, err = m.Save(ctx, nil)
		return err
	}},
	{name: "go back and save", keep: 3, run: func(ctx context.Context, s *swept) error {
		if _, err := s.m.Resume(ctx, &ckpt.ResumeOptions{Prefix: "3"}); err != nil {
			return err
		}
		s.tries(4)
		_, err := s.m.Save(ctx, nil)
		return err
	}},
	{name: "prune", keep: 3, reads: true, run: func(ctx context.Context, s *swept) error {
		m, err := ckpt.NewManager(ckpt.New(nil), "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: s.b})
		if err != nil {
			return err
		}
		_, err = m.Prune(ctx, nil)
		return err
	}},
	{name: "merge", reads: true, run: func(ctx context.Context, s *swept) error {
		return ckpt.Merge(ctx, "merged-1", []string{"ckpt-3"}, &ckpt.MergeOptions{Bucket: s.b, Keep: true})
	}},
	{name: "remove", reads: true, done: func(t *testing.T, disk storage.Bucket) {
		if there, err := ckpt.Exists(t.Context(), "ckpt-2", &ckpt.FindOptions{Bucket: disk}); err != nil || there {
			t.Errorf("ckpt-2 is there: %v, %v", there, err)
		}
	}, run: func(ctx context.Context, s *swept) error {
		return ckpt.Remove(ctx, "ckpt-2", &ckpt.FindOptions{Bucket: s.b})
	}},
}

// begin makes the checkpoints an operation starts from.
func (o *sweptOperation) begin(t *testing.T, b storage.Bucket) *swept {
	t.Helper()
	keep := o.keep
	if keep == 0 {
		keep = 2
	}
	s := &swept{p: newProgram(), b: b, saved: 3}
	s.m = newManager(t, s.p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: keep, Bucket: b})
	saveSteps(t, s.p, s.m, 1, 2, 3)
	if o.prepare != nil {
		o.prepare(t, s)
	}
	return s
}

// check is what must hold on the disk after a fault: the newest checkpoint
// resumes, bit for bit; it is the old or, if the operation said that it was done,
// the new one; and after one more save there is nothing but what is listed.
func (o *sweptOperation) check(t *testing.T, disk storage.Bucket, done, disorder bool) {
	t.Helper()
	before := inBucket(t, disk, "")
	defer func() {
		if t.Failed() {
			t.Logf("before: %q\nafter:  %q", before, inBucket(t, disk, ""))
		}
	}()
	wantAllWhole(t, disk)
	if done && o.done != nil {
		o.done(t, disk)
	}
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: disk})
	r, err := m.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	step, err := p.atStep()
	if err != nil || len(r.Refused) > 0 || step != 3 && (step != 4 || o.reads) || step == 3 && done && !o.reads {
		t.Fatalf("resumed step %d of %q, %v, refused %v; done %v", step, r.Prefix, err, r.Refused, done)
	}
	saveSteps(t, p, m, 100)
	p = newProgram()
	m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: disk})
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 100)
	saveSteps(t, p, m, 101)
	listed := m.Checkpoints()
	for _, name := range inBucket(t, disk, "") {
		of := name
		if prefix, _, _, ok := bundle.ParseDataName(name); ok {
			of = prefix
		}
		of = strings.TrimSuffix(strings.TrimSuffix(of, ".meta.json"), ".index")
		if name != "checkpoint" && !slices.Contains(listed, of) && !strings.HasPrefix(name, "merged-1.") && (!disorder || !unproved(before, name)) {
			t.Errorf("%s is left, the manager lists %q", name, listed)
		}
	}
}

// sweepShares are the shares of what was not synced that survive a crash.
var sweepShares = []float64{0, 0.25, 0.5, 0.75, 1}

// sweepSeeds is how many draws there are of each share but 0 and 1, which leave no
// choice.
func sweepSeeds() uint64 {
	if testing.Short() || raceDetector {
		return 1
	}
	return 10
}

// TestCrashSweep pulls the plug after each step of each operation, and looks at
// what may be on the disk then.
func TestCrashSweep(t *testing.T) {
	total := 0
	for _, o := range sweptOperations {
		t.Run(o.name, func(t *testing.T) {
			steps, cases := o.crash(t)
			t.Logf("%-32s %3d steps, %5d crashes", o.name, steps, cases)
			total += cases
		})
	}
	t.Logf("%d crashes in all", total)
}

func (o *sweptOperation) crash(t *testing.T) (steps, cases int) {
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		s := o.begin(t, c)
		c.CrashAfter(n)
		err := o.run(t.Context(), s)
		if !c.Crashed() && err != nil {
			t.Fatalf("without a crash: %v", err)
		}
		for _, share := range sweepShares {
			seeds := sweepSeeds()
			if share == 0 || share == 1 {
				seeds = 1
			}
			for seed := range seeds {
				cases++
				disk := c.Crash(seed, share)
				t.Run(fmt.Sprintf("step %d, share %v, seed %d", n, share, seed), func(t *testing.T) {
					o.check(t, disk, err == nil, share > 0 && share < 1)
				})
			}
		}
		if !c.Crashed() {
			return n, cases // and when it was done
		}
	}
}

// sweptFaults are the ways an operation of the disk fails.
var sweptFaults = []storagetest.Fault{
	{Err: syscall.EIO}, {Err: syscall.EIO, Sticky: true}, {Err: syscall.EIO, Late: true}, {Err: syscall.EIO, Sticky: true, Late: true},
	{Err: syscall.ENOSPC}, {Err: syscall.ENOSPC, Sticky: true}, {Err: syscall.EDQUOT}, {Err: syscall.EDQUOT, Sticky: true},
	{Err: syscall.EACCES}, {Err: syscall.EACCES, Sticky: true}, {Err: syscall.EINTR}, {Err: io.ErrShortWrite},
}

// TestFaultSweep fails each operation of the disk in each operation of ours, in
// every way. What is done must be durable in spite of it, what is not must say so,
// and either must leave a disk with which the next program goes on.
func TestFaultSweep(t *testing.T) {
	fired, table := 0, &strings.Builder{}
	if testing.Short() || raceDetector {
		sweptFaults = sweptFaults[:3]
	}
	for _, o := range sweptOperations {
		fmt.Fprintf(table, "\n%-32s", o.name)
		for _, kind := range sweptFaults {
			n := o.fail(t, kind)
			fmt.Fprintf(table, "%5d", n)
			fired += n
			if n < 3 {
				t.Errorf("%s: only %d faults of %+v fired", o.name, n, kind)
			}
		}
	}
	names := make([]string, len(sweptFaults))
	for i, k := range sweptFaults {
		names[i] = fmt.Sprintf("%v, from then on %v, after it happened %v", k.Err, k.Sticky, k.Late)
	}
	t.Logf("%d faults fired; by operation, in the order of %s:%s", fired, strings.Join(names, "; "), table)
}

// fail fails the first, second, … operation of the disk, and tells how many.
func (o *sweptOperation) fail(t *testing.T, kind storagetest.Fault) (fired int) {
	for n := 1; ; n++ {
		kind.N = n
		inner := storagetest.NewCrashable()
		f := storagetest.NewFaulty(inner)
		s := o.begin(t, f)
		f.Set(kind)
		err := o.run(t.Context(), s)
		happened := f.Fired()
		if !happened {
			if err != nil {
				t.Errorf("%s without a fault: %v", o.name, err)
			}
			return fired
		}
		fired++
		t.Run(fmt.Sprintf("%s, operation %d, %v, sticky %v, late %v", o.name, n, kind.Err, kind.Sticky, kind.Late), func(t *testing.T) {
			if err != nil && !errors.Is(err, kind.Err) {
				t.Errorf("got %v, want %v", err, kind.Err)
			}
			o.check(t, inner.Crash(0, 1), err == nil, false) // the program ends
			if t.Failed() {
				t.Logf("operations: %q, error: %v", f.Operations(), err)
			}
		})
	}
}
