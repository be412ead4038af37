package ckpt_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// tensorflowTrain does what tf.train.CheckpointManager(max_to_keep=2).save() of
// TensorFlow 2.21 does to the disk (strace of the real one; docs/durability.md has
// it with its sources): nothing is synced, the data is written elsewhere and
// renamed, the index is written in place, the state file is renamed into place
// before and after old checkpoints are removed.
func tensorflowTrain(t *testing.T, c *storagetest.Crashable, steps ...int64) (acknowledged int64) {
	t.Helper()
	disk := c.Raw()
	var kept []string
	for _, step := range steps {
		name := fmt.Sprint("ckpt-", step)
		data, index := bytesOf(t, name, step)
		kept = append(kept, name)
		state := func() []byte { return stateOf(kept) }
		temp := name + "_temp/part-00000-of-00001"
		for _, err := range []error{
			disk.Write(temp+".data-00000-of-00001.tempstate1", data),
			disk.Rename(temp+".data-00000-of-00001.tempstate1", temp+".data-00000-of-00001"),
			disk.Write(temp+".index.tempstate2", index),
			disk.Rename(temp+".index.tempstate2", temp+".index"),
			disk.Rename(temp+".data-00000-of-00001", dataOf(name)),
			disk.Write(name+".index", index),
			disk.Remove(temp + ".index"),
			disk.Write("checkpoint.tmp1", state()),
			disk.Rename("checkpoint.tmp1", "checkpoint"),
		} {
			if err != nil {
				return acknowledged
			}
		}
		if len(kept) > 2 {
			old := kept[0]
			kept = kept[1:]
			for _, err := range []error{disk.Remove(old + ".index"), disk.Remove(dataOf(old))} {
				if err != nil {
					return acknowledged
				}
			}
		}
		for _, err := range []error{disk.Write("checkpoint.tmp2", state()), disk.Rename("checkpoint.tmp2", "checkpoint")} {
			if err != nil {
				return acknowledged
			}
		}
		acknowledged = step
	}
	return acknowledged
}

// bytesOf are the files of a checkpoint, which are TensorFlow's byte for byte.
func bytesOf(t *testing.T, name string, step int64) (data, index []byte) {
	t.Helper()
	b := mem.New()
	p := newProgram()
	p.setStep(step)
	if _, err := p.Write(t.Context(), name, &ckpt.SaveOptions{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	return []byte(storagetest.Get(t, b, dataOf(name))), []byte(storagetest.Get(t, b, name+".index"))
}

func stateOf(names []string) []byte {
	s := &ckpt.State{Latest: names[len(names)-1], All: names}
	for i := range names {
		s.Timestamps = append(s.Timestamps, float64(i+1))
	}
	return s.AppendText(nil)
}

// outcomes counts what a program found after the power had come back.
type outcomes struct{ cases, newest, older, scratch, failed int }

func (o *outcomes) String() string {
	percent := func(n int) string { return fmt.Sprintf("%.1f %%", 100*float64(n)/float64(o.cases)) }
	return strings.Join([]string{fmt.Sprint(o.cases), percent(o.newest), percent(o.older), percent(o.scratch), percent(o.failed)}, " | ")
}

func (o *outcomes) count(step, acknowledged int64, scratch bool, err error) {
	o.cases++
	switch {
	case err != nil:
		o.failed++
	case scratch && acknowledged > 0:
		o.scratch++
	case step < acknowledged:
		o.older++
	default:
		o.newest++
	}
}

// byTensorFlow starts as a program of TensorFlow does: latest_checkpoint, then
// restore.
func (o *outcomes) byTensorFlow(t *testing.T, disk *storagetest.Crashable, acknowledged int64) {
	t.Helper()
	s, err := ckpt.ReadState(t.Context(), "", &ckpt.FindOptions{Bucket: disk})
	if err == nil {
		var there bool
		if there, err = ckpt.Exists(t.Context(), s.Latest, &ckpt.FindOptions{Bucket: disk}); err == nil && !there {
			err = ckpt.ErrNoCheckpoint
		}
	}
	if err != nil { // latest_checkpoint is None: a warning in the log, and no checkpoint
		o.count(0, acknowledged, true, nil)
		return
	}
	p := newProgram()
	_, err = p.Restore(t.Context(), s.Latest, &ckpt.RestoreOptions{Bucket: disk})
	step, _ := p.atStep()
	o.count(step, acknowledged, false, err)
}

// byResume starts as one of ours does.
func (o *outcomes) byResume(t *testing.T, disk *storagetest.Crashable, acknowledged int64) {
	t.Helper()
	p := newProgram()
	r, err := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: disk}).Resume(t.Context(), nil)
	if err != nil {
		o.count(0, acknowledged, false, err)
		return
	}
	step, err := p.atStep()
	if err != nil {
		t.Error(err) // a mixture
	}
	o.count(step, acknowledged, r.Prefix == "", nil)
}

// TestPowerLossBesideTensorFlow pulls the plug after each step of four saves of
// TensorFlow, and of ours, and compares what the next start finds. The rows are
// those of docs/durability.md.
func TestPowerLossBesideTensorFlow(t *testing.T) {
	skipWithRaceDetector(t)
	document, err := os.ReadFile("docs/durability.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, share := range sweepShares {
		var theirs, rescued, ours outcomes
		for n := 0; ; n++ {
			c := storagetest.NewCrashable()
			c.CrashAfter(n)
			acknowledged := tensorflowTrain(t, c, 1, 2, 3, 4)
			for seed := range uint64(20) {
				disk := c.Crash(seed, share)
				theirs.byTensorFlow(t, disk, acknowledged)
				rescued.byResume(t, disk, acknowledged)
			}
			if !c.Crashed() {
				break
			}
		}
		for n := 0; ; n++ {
			c := storagetest.NewCrashable()
			c.CrashAfter(n)
			acknowledged, _, _ := train(t, c, 1, 2, 3, 4)
			for seed := range uint64(20) {
				ours.byResume(t, c.Crash(seed, share), acknowledged)
			}
			if !c.Crashed() {
				break
			}
		}
		for _, row := range []string{
			fmt.Sprintf("| %v %% | TensorFlow | TensorFlow | %v |", share*100, &theirs),
			fmt.Sprintf("| %v %% | TensorFlow | ckpt | %v |", share*100, &rescued),
			fmt.Sprintf("| %v %% | ckpt | ckpt | %v |", share*100, &ours),
		} {
			t.Log(row)
			if !strings.Contains(string(document), row+"\n") {
				t.Errorf("docs/durability.md has not the row\n%s", row)
			}
		}
		if ours.newest != ours.cases {
			t.Errorf("ours, share %v: %v", share, &ours)
		}
		if share < 1 && theirs.newest == theirs.cases {
			t.Errorf("TensorFlow's, share %v: nothing was lost; the model shows nothing", share)
		}
	}
}
