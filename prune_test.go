package ckpt_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// prunable is a directory with checkpoints 1 to 4, and a Manager with other rules.
func prunable(t *testing.T, b *storagetest.Faulty, o *ckpt.ManagerOptions) *ckpt.Manager {
	t.Helper()
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}), 1, 2, 3, 4)
	o.Bucket = b
	return newManager(t, ckpt.New(nil), "", o)
}

func actions(verdicts []ckpt.Verdict) (list []string) {
	for _, v := range verdicts {
		list = append(list, v.Name+" "+v.Action.String())
	}
	return list
}

func TestPrune(t *testing.T) {
	b := storagetest.NewFaulty(newMem())
	m := prunable(t, b, &ckpt.ManagerOptions{MaxToKeep: 2})
	want := []string{"ckpt-1 remove", "ckpt-2 remove", "ckpt-3 keep", "ckpt-4 keep"}
	all := inBucket(t, b, "")
	for _, dry := range []bool{true, false} {
		verdicts, err := m.Prune(t.Context(), &ckpt.PruneOptions{DryRun: dry})
		if err != nil || !slices.Equal(actions(verdicts), want) {
			t.Errorf("dry %v: got %q, %v, want %q", dry, actions(verdicts), err, want)
		}
		if got := inBucket(t, b, ""); dry && !slices.Equal(got, all) {
			t.Errorf("a dry run changed the files to %q", got)
		}
	}
	if got, want := inBucket(t, b, ""), filesOf("ckpt-3", "ckpt-4"); !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}
	s, err := ckpt.ReadState(t.Context(), "", &ckpt.FindOptions{Bucket: b})
	if err != nil || len(s.All) != 2 || s.Latest != "ckpt-4" {
		t.Errorf("state: %+v, %v", s, err)
	}
}

// TestPruneDamaged never removes the last good one, whatever is newer.
func TestPruneDamaged(t *testing.T) {
	b := storagetest.NewFaulty(newMem())
	m := prunable(t, b, &ckpt.ManagerOptions{MaxToKeep: 1})
	for _, name := range []string{"ckpt-4", "ckpt-3"} {
		data := []byte(storagetest.Get(t, b, dataOf(name)))
		data[3] ^= 1
		storagetest.Put(t, b, dataOf(name), string(data))
	}
	verdicts, err := m.Prune(t.Context(), nil)
	if want := []string{"ckpt-1 remove", "ckpt-2 keep", "ckpt-3 keep", "ckpt-4 keep"}; err != nil || !slices.Equal(actions(verdicts), want) {
		t.Errorf("got %q, %v, want %q", actions(verdicts), err, want)
	}
	data := []byte(storagetest.Get(t, b, dataOf("ckpt-2")))
	data[3] ^= 1
	storagetest.Put(t, b, dataOf("ckpt-2"), string(data))
	before := inBucket(t, b, "")
	if _, err := m.Prune(t.Context(), nil); !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("with none that is good: got %v, want ErrCorrupt", err)
	}
	if got := inBucket(t, b, ""); !slices.Equal(got, before) {
		t.Errorf("with none that is good: files %q became %q", before, got)
	}
}

// TestPruneMetric does not take a metric that nobody measured for a rule that keeps
// nothing.
func TestPruneMetric(t *testing.T) {
	b := storagetest.NewFaulty(newMem())
	m := prunable(t, b, &ckpt.ManagerOptions{MaxToKeep: 1, KeepBest: []ckpt.Best{{Metric: "acuracy", Count: 1}}})
	before := inBucket(t, b, "")
	if _, err := m.Prune(t.Context(), nil); err == nil || !strings.Contains(err.Error(), `"acuracy"`) {
		t.Errorf("got %v, want to hear of the metric", err)
	}
	if got := inBucket(t, b, ""); !slices.Equal(got, before) {
		t.Errorf("files %q became %q", before, got)
	}
}

func TestPruneRefused(t *testing.T) {
	b := storagetest.NewFaulty(newMem())
	m := newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: b})
	if _, err := m.Prune(t.Context(), nil); !errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Errorf("an empty directory: got %v, want ErrNoCheckpoint", err)
	}
	storagetest.Put(t, b, "checkpoint", "garbage {")
	m = newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: b})
	if _, err := m.Prune(t.Context(), nil); err == nil {
		t.Error("a garbage state file: got no error")
	}
}

// TestPruneLatest never takes what the state file calls the latest, and makes one of
// the newest good one where there is no state file.
func TestPruneLatest(t *testing.T) {
	b := storagetest.NewFaulty(newMem())
	prunable(t, b, &ckpt.ManagerOptions{MaxToKeep: 1})
	state, err := ckpt.ReadState(t.Context(), "", &ckpt.FindOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	state.Latest = "ckpt-2" // somebody went back by hand
	storagetest.Put(t, b, "checkpoint", string(state.AppendText(nil)))
	m := newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 1})
	before := inBucket(t, b, "")
	if _, err := m.Prune(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "ckpt-2") {
		t.Errorf("got %v, want to hear of the latest", err)
	}
	if got := inBucket(t, b, ""); !slices.Equal(got, before) {
		t.Errorf("files %q became %q", before, got)
	}
	if err := b.Remove(t.Context(), "checkpoint"); err != nil {
		t.Fatal(err)
	}
	m = newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 1, Adopt: ckpt.AdoptAll})
	if _, err := m.Prune(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if got, err := ckpt.Latest(t.Context(), "", &ckpt.FindOptions{Bucket: b}); err != nil || got != "ckpt-4" {
		t.Errorf("latest: got %q, %v, want ckpt-4", got, err)
	}
}

// TestPruneGone does not count checkpoints whose index somebody took away.
func TestPruneGone(t *testing.T) {
	b := storagetest.NewFaulty(newMem())
	m := prunable(t, b, &ckpt.ManagerOptions{MaxToKeep: 2})
	if err := b.Remove(t.Context(), "ckpt-3.index"); err != nil {
		t.Fatal(err)
	}
	verdicts, err := m.Prune(t.Context(), nil)
	if want := []string{"ckpt-1 remove", "ckpt-2 keep", "ckpt-3 remove", "ckpt-4 keep"}; err != nil || !slices.Equal(actions(verdicts), want) {
		t.Errorf("got %q, %v, want %q", actions(verdicts), err, want)
	}
}

// TestPruneMetricOfDamaged does not take a metric that only a damaged one has for a rule
// that keeps something.
func TestPruneMetricOfDamaged(t *testing.T) {
	b := storagetest.NewFaulty(newMem())
	m := prunable(t, b, &ckpt.ManagerOptions{MaxToKeep: 1, KeepBest: []ckpt.Best{{Metric: "loss", Count: 1}}})
	measure := func(name string) {
		t.Helper()
		err := ckpt.UpdateMetadata(t.Context(), name, func(said *ckpt.Metadata) { said.Metrics = map[string]float64{"loss": 1} }, &ckpt.OpenOptions{Bucket: b})
		if err != nil {
			t.Fatal(err)
		}
	}
	measure("ckpt-4")
	flip(t, b, dataOf("ckpt-4"))
	before := inBucket(t, b, "")
	if _, err := m.Prune(t.Context(), nil); err == nil || !strings.Contains(err.Error(), `"loss"`) {
		t.Errorf("got %v, want to hear of the metric", err)
	}
	if got := inBucket(t, b, ""); !slices.Equal(got, before) {
		t.Errorf("files %q became %q", before, got)
	}
	measure("ckpt-1")
	verdicts, err := m.Prune(t.Context(), nil)
	if want := []string{"ckpt-1 keep", "ckpt-2 remove", "ckpt-3 keep", "ckpt-4 keep"}; err != nil || !slices.Equal(actions(verdicts), want) {
		t.Errorf("got %q, %v, want %q", actions(verdicts), err, want)
	}
}

// flip damages a file.
func flip(t *testing.T, b storage.Bucket, name string) {
	t.Helper()
	data := []byte(storagetest.Get(t, b, name))
	data[3] ^= 1
	storagetest.Put(t, b, name, string(data))
}

// TestPruneBranch looks for a good one of the line that the program is on: one that was
// left is not counted, so it is no reason to remove others.
func TestPruneBranch(t *testing.T) {
	b := storagetest.NewFaulty(newMem())
	prunable(t, b, &ckpt.ManagerOptions{})
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: ckpt.KeepAll})
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "3"}); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 5)
	for _, name := range []string{"ckpt-5", "ckpt-3"} {
		flip(t, b, dataOf(name))
	}
	r := newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 1})
	verdicts, err := r.Prune(t.Context(), nil)
	if want := []string{"ckpt-1 remove", "ckpt-2 keep", "ckpt-3 keep", "ckpt-4 keep", "ckpt-5 keep"}; err != nil || !slices.Equal(actions(verdicts), want) {
		t.Errorf("got %q, %v, want %q", actions(verdicts), err, want)
	}
}

// unstamped takes the time stamps out of the state file.
func unstamped(t *testing.T, b storage.Bucket, all ...string) {
	t.Helper()
	s := readState(t, "", b)
	s.All, s.Timestamps, s.LastPreserved = all, nil, 0
	storagetest.Put(t, b, "checkpoint", string(s.AppendText(nil)))
}

// TestPruneNoTimestamps goes by a list without time stamps, as tf.compat.v1.train.Saver
// writes it, and leaves such a one.
func TestPruneNoTimestamps(t *testing.T) {
	for _, steps := range []int64{0, 2} { // rules that have a list adopted whatever its time stamps
		b := storagetest.NewFaulty(newMem())
		prunable(t, b, &ckpt.ManagerOptions{})
		unstamped(t, b, "ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4")
		o := &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 2, KeepEverySteps: steps}
		left := []string{"ckpt-3", "ckpt-4"}
		if steps > 0 {
			left = []string{"ckpt-2", "ckpt-3", "ckpt-4"}
		}
		for range 2 {
			if _, err := newManager(t, ckpt.New(nil), "", o).Prune(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if got, want := inBucket(t, b, ""), filesOf(left...); !slices.Equal(got, want) {
				t.Errorf("files: got %q, want %q", got, want)
			}
			if s := readState(t, "", b); !slices.Equal(s.All, left) || len(s.Timestamps) > 0 || s.Latest != "ckpt-4" {
				t.Errorf("state: got %+v, want %q without time stamps", s, left)
			}
		}
		// A program's retention does not look after them, with TensorFlow or here.
		p := newProgram()
		saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 1}), 5, 6)
		if got, want := inBucket(t, b, ""), filesOf(append(left, "ckpt-6")...); !slices.Equal(got, want) {
			t.Errorf("files after saves: got %q, want %q", got, want)
		}
	}
}

// TestPruneNoTimestampsKept does not make a program's Manager look after what it asked a
// dry run about, nor after what a save has struck off the list.
func TestPruneNoTimestampsKept(t *testing.T) {
	b := storagetest.NewFaulty(newMem())
	prunable(t, b, &ckpt.ManagerOptions{})
	unstamped(t, b, "ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4")
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 1})
	dry, err := m.Prune(t.Context(), &ckpt.PruneOptions{DryRun: true})
	if want := []string{"ckpt-1 remove", "ckpt-2 remove", "ckpt-3 remove", "ckpt-4 keep"}; err != nil || !slices.Equal(actions(dry), want) {
		t.Errorf("dry run: got %q, %v, want %q", actions(dry), err, want)
	}
	saveSteps(t, p, m, 5)
	verdicts, err := m.Prune(t.Context(), nil)
	if want := []string{"ckpt-5 keep"}; err != nil || !slices.Equal(actions(verdicts), want) {
		t.Errorf("after a save: got %q, %v, want %q", actions(verdicts), err, want)
	}
	if got, want := inBucket(t, b, ""), filesOf("ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4", "ckpt-5"); !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}

	// One alone is what Checkpoint.Save lists, which looks after none.
	unstamped(t, b, "ckpt-5")
	m = newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 1})
	if _, err := m.Prune(t.Context(), nil); !errors.Is(err, ckpt.ErrNoCheckpoint) || !strings.Contains(err.Error(), "AdoptAll") {
		t.Errorf("a list of one: got %v, want to hear of AdoptAll", err)
	}
}
