package ckpt_test

import (
	"errors"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
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
