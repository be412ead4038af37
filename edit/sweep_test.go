package edit_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// A sweptRepair is an operation that must survive every fault.
type sweptRepair struct {
	name string
	// begin makes what it starts from.
	begin func(t *testing.T, b storage.Bucket)
	run   func(ctx context.Context, b storage.Bucket) (left int, err error)
	// check looks at the disk, where done says that the operation said so.
	check func(t *testing.T, disk storage.Bucket, done bool, left int)
}

var sweptRepairs = []sweptRepair{
	{"repair, digests", damagedOne(withDigests), repairing(edit.RepairOptions{}), wholeOrNone},
	{"repair, several files and a donor", damagedMany, repairing(edit.RepairOptions{}), wholeOrNone},
	{"repair, partial", damagedOne(nil), repairing(edit.RepairOptions{AllowPartial: true}), wholeOrNone},
	{"state", func(t *testing.T, b storage.Bucket) {
		managed(t, b)
		storagetest.Put(t, b, "d/checkpoint", "garbage")
	}, func(ctx context.Context, b storage.Bucket) (int, error) {
		_, err := edit.RebuildState(ctx, "d", &edit.StateOptions{Bucket: b})
		return 0, err
	}, checkState},
}

func damagedOne(o *ckpt.SaveOptions) func(t *testing.T, b storage.Bucket) {
	return func(t *testing.T, b storage.Bucket) {
		t.Helper()
		save(t, b, "ckpt-2", 2, o)
		flips(keyB, 77)(t, b)
	}
}

func damagedMany(t *testing.T, b storage.Bucket) {
	t.Helper()
	o := &ckpt.SaveOptions{Shard: func(key string, _ ckpt.Spec) string { return key }}
	save(t, b, "ckpt-1", 1, o)
	save(t, b, "ckpt-2", 2, o)
	shard, offset, _ := placeOf(t, b, "ckpt-2", keyA)
	name := fmt.Sprintf("ckpt-2.data-%05d-of-00005", shard)
	change(t, b, name, func(data []byte) []byte { clear(data[offset : offset+20]); return data })
}

func repairing(o edit.RepairOptions) func(ctx context.Context, b storage.Bucket) (int, error) {
	return func(ctx context.Context, b storage.Bucket) (int, error) {
		o := o
		o.Bucket = b
		r, err := edit.Repair(ctx, "ckpt-2", "good", &o)
		return len(r.LeftOut()), err
	}
}

// wholeOrNone wants a new checkpoint of all tensors but those that were left out, or
// none, and nothing that hinders the next attempt.
func wholeOrNone(t *testing.T, disk storage.Bucket, done bool, left int) {
	t.Helper()
	there, err := ckpt.Exists(t.Context(), "good", &ckpt.FindOptions{Bucket: disk})
	if err != nil || done && !there {
		t.Fatalf("there: %v, %v, done %v", there, err, done)
	}
	if !there {
		if _, err := repairing(edit.RepairOptions{AllowPartial: true})(t.Context(), disk); err != nil {
			t.Fatal(err)
		}
		wantGood(t, disk, "good", false)
		return
	}
	wantGood(t, disk, "good", false)
	if got := count(t, disk, "good"); got != 5-left {
		t.Errorf("%d tensors, and %d were left out of 5", got, left)
	}
	if _, err := ckpt.ReadMetadata(t.Context(), "good", &ckpt.OpenOptions{Bucket: disk}); err != nil {
		t.Errorf("it does not say that it was repaired: %v", err)
	}
}

// checkState wants the old state or the new one, and the old text somewhere.
func checkState(t *testing.T, disk storage.Bucket, done bool, _ int) {
	t.Helper()
	text := storagetest.Get(t, disk, "d/checkpoint")
	if text == "garbage" {
		if done {
			t.Error("it is the old one")
		}
		return
	}
	wantLatest(t, disk, "d/ckpt-4")
	if got := storagetest.Get(t, disk, "d/checkpoint.old"); got != "garbage" {
		t.Errorf("the copy is %q", got)
	}
}

// sources are the files that were there before.
func (o *sweptRepair) sources(t *testing.T, b storage.Bucket) map[string]string {
	t.Helper()
	all := everything(t, b)
	for _, name := range storagetest.List(t, b, "d/") {
		if name != "d/checkpoint" {
			all[name] = storagetest.Get(t, b, name)
		}
	}
	return all
}

func (o *sweptRepair) judge(t *testing.T, disk storage.Bucket, before map[string]string, done bool, left int) {
	t.Helper()
	for _, name := range slices.Sorted(maps.Keys(before)) {
		if got := storagetest.Get(t, disk, name); got != before[name] {
			t.Errorf("%s was changed", name)
		}
	}
	o.check(t, disk, done, left)
}

// TestRepairCrashSweep pulls the plug after each step.
func TestRepairCrashSweep(t *testing.T) {
	for _, o := range sweptRepairs {
		t.Run(o.name, func(t *testing.T) {
			cases := 0
			for n := 0; ; n++ {
				c := storagetest.NewCrashable()
				o.begin(t, c)
				before := o.sources(t, c)
				c.CrashAfter(n)
				left, err := o.run(t.Context(), c)
				if !c.Crashed() && err != nil {
					t.Fatalf("without a crash: %v", err)
				}
				for _, share := range []float64{0, 0.25, 0.5, 0.75, 1} {
					for seed := range uint64(4) {
						cases++
						t.Run(fmt.Sprintf("step %d, share %v, seed %d", n, share, seed), func(t *testing.T) {
							o.judge(t, c.Crash(seed, share), before, err == nil, left)
						})
					}
				}
				if !c.Crashed() {
					t.Logf("%d steps, %d crashes", n, cases)
					return
				}
			}
		})
	}
}

// TestRepairFaultSweep fails each operation of the disk, in every way.
func TestRepairFaultSweep(t *testing.T) {
	fired := 0
	for _, o := range sweptRepairs {
		for _, kind := range []storagetest.Fault{
			{Err: syscall.EIO}, {Err: syscall.EIO, Sticky: true}, {Err: syscall.EIO, Late: true}, {Err: syscall.EIO, Sticky: true, Late: true},
			{Err: syscall.ENOSPC}, {Err: syscall.EACCES, Sticky: true}, {Err: io.ErrShortWrite},
		} {
			for n := 1; o.fail(t, kind, n); n++ {
				fired++
			}
		}
	}
	t.Logf("%d faults", fired)
}

// fail fails the n-th operation, and says whether there was one.
func (o *sweptRepair) fail(t *testing.T, kind storagetest.Fault, n int) bool {
	t.Helper()
	kind.N = n
	inner := storagetest.NewCrashable()
	f := storagetest.NewFaulty(inner)
	o.begin(t, f)
	before := o.sources(t, inner)
	f.Set(kind)
	left, err := o.run(t.Context(), f)
	fired := f.Fired()
	if !fired && err != nil {
		t.Errorf("%s without a fault: %v", o.name, err)
	}
	t.Run(fmt.Sprintf("%s, operation %d, %v, sticky %v, late %v", o.name, n, kind.Err, kind.Sticky, kind.Late), func(t *testing.T) {
		o.judge(t, inner.Crash(0, 1), before, err == nil, left)
		if t.Failed() {
			t.Logf("operations: %q, error: %v", f.Operations(), err)
		}
	})
	return fired
}

// TestRepairObjects repairs in an object store, and dies after each request.
func TestRepairObjects(t *testing.T) {
	for _, o := range sweptRepairs {
		t.Run(o.name, func(t *testing.T) {
			for n := 0; ; n++ {
				inner := mem.New()
				b := storagetest.NewObjects(inner)
				o.begin(t, b)
				before := o.sources(t, b)
				b.CrashAfter(n)
				left, err := o.run(t.Context(), b)
				if !b.Crashed() {
					if err != nil {
						t.Fatal(err)
					}
					b.CrashAfter(math.MaxInt)
					o.judge(t, b, before, true, left)
					return
				}
				if err != nil && !errors.Is(err, storagetest.ErrCrashed) {
					t.Errorf("request %d: %v", n, err)
				}
				o.judge(t, b.Restart(), before, err == nil, left)
			}
		})
	}
}
