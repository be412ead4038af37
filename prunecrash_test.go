package ckpt_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// prunes is what a prune says, with its reasons.
func prunes(m *ckpt.Manager, dry bool) string {
	verdicts, err := m.Prune(background, &ckpt.PruneOptions{DryRun: dry})
	var said strings.Builder
	for _, v := range verdicts {
		fmt.Fprintf(&said, "%s %v %q\n", v.Name, v.Action, v.Reasons)
	}
	return fmt.Sprint(&said, err)
}

// checkPruneAfterCrash has a dry run tell what the real one does next, changing nothing,
// and the real one leave something to go on from.
func checkPruneAfterCrash(t *testing.T, b storage.Bucket, o ckpt.ManagerOptions) {
	t.Helper()
	o.Bucket = b
	before := inBucket(t, b, "")
	good, goodErr := ckpt.FindGood(t.Context(), "", &ckpt.VerifyOptions{Bucket: b})
	if errors.Is(goodErr, ckpt.ErrNoCheckpoint) {
		return
	}
	m := newManager(t, ckpt.New(nil), "", &o)
	want := prunes(m, true)
	if got := inBucket(t, b, ""); !slices.Equal(got, before) {
		t.Errorf("a dry run changed files\n%q to\n%q", before, got)
	}
	if again := prunes(m, true); again != want {
		t.Errorf("a second dry run says\n%s\nnot\n%s", again, want)
	}
	if got := prunes(newManager(t, ckpt.New(nil), "", &o), false); got != want {
		t.Errorf("files %q: a dry run said\n%s\nand this was done:\n%s", before, want, got)
	}
	left, err := ckpt.FindGood(t.Context(), "", &ckpt.VerifyOptions{Bucket: b})
	if err != nil || goodErr == nil && left.Prefix != good.Prefix && !slices.ContainsFunc(marksOf(left.Prefix), func(mark string) bool { return slices.Contains(before, mark) }) {
		t.Errorf("files %q: the newest good one was %v, %v, and is %v, %v", before, good, goodErr, left, err)
	}
	if latest, err := ckpt.Latest(t.Context(), "", &ckpt.FindOptions{Bucket: b}); slices.Contains(before, "checkpoint") && (err != nil || latest == "") {
		t.Errorf("files %q: latest is %q, %v", before, latest, err)
	}
	wantAllWhole(t, b)
}

// marksOf are the files that a save which died leaves to say that it was under way.
func marksOf(name string) []string { return []string{name + " (unpublished)", ".ckpt-save." + name} }

// prunedLater is the program of TestPruneAfterCrash: it saves, writes over a checkpoint,
// pins one, measures, and leaves a line.
func prunedLater(b storage.Bucket, t *testing.T) error {
	p := newProgram()
	m, err := ckpt.NewManager(p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 3})
	if err != nil {
		return err
	}
	save := func(n int64) func() error {
		return func() error {
			p.setStep(n)
			_, err := m.SaveNumber(t.Context(), n, &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Metrics: map[string]float64{"loss": float64(n % 3)}}})
			return err
		}
	}
	leave := func() error {
		_, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "3"})
		return err
	}
	pin := func() error { return m.Pin(t.Context(), "1", true) }
	for _, do := range []func() error{save(1), save(2), pin, save(3), save(4), save(4), leave, save(5), save(6)} {
		if err := do(); err != nil {
			return err
		}
	}
	return nil
}

// TestPruneAfterCrash crashes a program after each step and prunes what it left.
func TestPruneAfterCrash(t *testing.T) {
	rules := []ckpt.ManagerOptions{{MaxToKeep: 1}, {MaxToKeep: 2, KeepBest: []ckpt.Best{{Metric: "loss", Count: 1}}}, {MaxToKeep: 1, Adopt: ckpt.AdoptAll}}
	t.Run("folder", func(t *testing.T) {
		for steps := 0; ; steps++ {
			c := storagetest.NewCrashable()
			c.CrashAfter(steps)
			err := prunedLater(c, t)
			for i, share := range []float64{0, 0.5, 1} { // each rule with each share in turn
				checkPruneAfterCrash(t, c.Crash(uint64(steps), share), rules[(steps+i)%len(rules)])
			}
			if !c.Crashed() {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	})
	t.Run("objects", func(t *testing.T) {
		for steps := 0; ; steps++ {
			o := storagetest.NewObjects(newMem())
			o.CrashAfter(steps)
			err := prunedLater(o, t)
			checkPruneAfterCrash(t, o.Restart(), rules[steps%len(rules)])
			if !o.Crashed() {
				if err != nil {
					t.Fatal(err)
				}
				return
			}
		}
	})
}

// unrecordedSave is a directory with checkpoints 1 to 3, and a fourth whose save died
// before the state file named it.
func unrecordedSave(t *testing.T) *storagetest.Crashable {
	t.Helper()
	c := storagetest.NewCrashable()
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: c})
	saveSteps(t, p, m, 1, 2, 3)
	// The hook is called when the checkpoint is there, and ends the program.
	_, err := m.Save(t.Context(), &ckpt.SaveOptions{AfterWrite: []func(string) error{func(string) error { c.CrashAfter(0); return nil }}})
	if err == nil || !c.Crashed() {
		t.Fatalf("the save did not die: %v", err)
	}
	disk := c.Crash(0, 1)
	if got, want := inBucket(t, disk, ""), append(filesOf("ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4"), "ckpt-4 (unpublished)"); !slices.Equal(got, want) {
		t.Fatalf("files: got %q, want %q", got, want)
	}
	return disk
}

// TestPruneUnrecorded finishes the save, so that the rules do not keep the one before.
func TestPruneUnrecorded(t *testing.T) {
	disk := unrecordedSave(t)
	verdicts, err := newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: disk, MaxToKeep: 1}).Prune(t.Context(), nil)
	if want := []string{"ckpt-1 remove", "ckpt-2 remove", "ckpt-3 remove", "ckpt-4 keep"}; err != nil || !slices.Equal(actions(verdicts), want) {
		t.Errorf("got %q, %v, want %q", actions(verdicts), err, want)
	}
	if got, want := inBucket(t, disk, ""), filesOf("ckpt-4"); !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}
	if s := readState(t, "", disk); s.Latest != "ckpt-4" || !slices.Equal(s.All, []string{"ckpt-4"}) {
		t.Errorf("state: got %+v", s)
	}
}

// TestPruneUnrecordedDamaged keeps the one before if that checkpoint is no good.
func TestPruneUnrecordedDamaged(t *testing.T) {
	disk := unrecordedSave(t)
	flip(t, disk, dataOf("ckpt-4"))
	verdicts, err := newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: disk, MaxToKeep: 1}).Prune(t.Context(), nil)
	if want := []string{"ckpt-1 remove", "ckpt-2 remove", "ckpt-3 keep", "ckpt-4 keep"}; err != nil || !slices.Equal(actions(verdicts), want) {
		t.Errorf("got %q, %v, want %q", actions(verdicts), err, want)
	}
	if s := readState(t, "", disk); s.Latest != "ckpt-3" {
		t.Errorf("latest: got %q, want ckpt-3", s.Latest)
	}
}

// TestPruneUnrecordedByHand does not overrule who named an older one the latest.
func TestPruneUnrecordedByHand(t *testing.T) {
	disk := unrecordedSave(t)
	s := readState(t, "", disk)
	s.Latest = "ckpt-2"
	storagetest.Put(t, disk, "checkpoint", string(s.AppendText(nil)))
	before := inBucket(t, disk, "")
	m := newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: disk, MaxToKeep: 1})
	if _, err := m.Prune(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "ckpt-2") {
		t.Errorf("got %v, want to hear of the latest", err)
	}
	if got := inBucket(t, disk, ""); !slices.Equal(got, before) {
		t.Errorf("files %q became %q", before, got)
	}
}

// TestPruneUnrecordedCrash pulls the plug while a prune does that: the state file's latest
// is there at every moment.
func TestPruneUnrecordedCrash(t *testing.T) {
	for steps := 0; ; steps++ {
		crashed := false
		for seed := range uint64(5) {
			disk := unrecordedSave(t)
			disk.CrashAfter(steps)
			_, err := newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: disk, MaxToKeep: 1}).Prune(t.Context(), nil)
			if crashed = disk.Crashed(); !crashed && err != nil {
				t.Fatal(err)
			}
			after := disk.Crash(seed, float64(seed)/4)
			s := readState(t, "", after)
			if v, err := ckpt.Verify(t.Context(), s.Latest, &ckpt.VerifyOptions{Bucket: after}); err != nil || !v.OK() {
				t.Errorf("%q: the state file's latest, %s: %v, %v", disk.Steps(), s.Latest, v, err)
			}
			wantAllWhole(t, after)
		}
		if !crashed {
			return
		}
	}
}
