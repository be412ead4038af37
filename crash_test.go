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

// train resumes in a bucket and saves the given steps, at most two checkpoints
// kept, until something fails. It returns the step whose save was acknowledged
// last, 0 if none was, and the step that was tried last.
func train(t *testing.T, b storage.Bucket, steps ...int64) (acknowledged, tried int64, err error) {
	t.Helper()
	return trainWith(t, b, func(_ *program, m *ckpt.Manager) error {
		_, err := m.Save(t.Context(), nil)
		return err
	}, steps...)
}

// trainWith is train with another way to save.
func trainWith(t *testing.T, b storage.Bucket, save func(p *program, m *ckpt.Manager) error, steps ...int64) (acknowledged, tried int64, err error) {
	t.Helper()
	p := newProgram()
	m, err := ckpt.NewManager(p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: b})
	if err != nil {
		return 0, 0, err
	}
	if _, err := m.Resume(t.Context(), nil); err != nil {
		return 0, 0, err
	}
	for _, step := range steps {
		p.setStep(step)
		if err := save(p, m); err != nil {
			return acknowledged, step, err
		}
		acknowledged = step
	}
	return acknowledged, acknowledged, nil
}

// checkDisk is what must hold after a fault: a state between the last
// acknowledged and the last tried one resumes, nothing is refused, and after one
// more save the bucket holds what the manager lists and nothing else but stray.
func checkDisk(t *testing.T, b storage.Bucket, acknowledged, tried int64, stray ...string) {
	t.Helper()
	before := inBucket(t, b, "")
	defer func() {
		if t.Failed() {
			t.Logf("before: %q\nafter:  %q", before, inBucket(t, b, ""))
		}
	}()
	wantAllWhole(t, b)
	p := newProgram()
	m, err := ckpt.NewManager(p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	r, err := m.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	step, err := p.atStep()
	if err != nil || step < acknowledged || step > tried || len(r.Refused) != 0 {
		t.Fatalf("resumed step %d of %q, %v, refused %v; saved %d, tried %d", step, r.Prefix, err, r.Refused, acknowledged, tried)
	}
	saveSteps(t, p, m, 100)
	want := append([]string{"checkpoint"}, stray...)
	for _, name := range m.Checkpoints() {
		want = append(want, name+".index", dataOf(name))
	}
	slices.Sort(want)
	if got := inBucket(t, b, ""); !slices.Equal(got, want) {
		t.Fatalf("files after one more save: got %q, want %q", got, want)
	}
	if len(m.Checkpoints()) > 2 {
		t.Fatalf("Checkpoints: got %q", m.Checkpoints())
	}

	p = newProgram()
	m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: b})
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 100)
	saveSteps(t, p, m, 101, 102)
	if got := inBucket(t, b, ""); len(got) != 5+len(stray) {
		t.Fatalf("files after three more saves: got %q", got)
	}
}

// wantAllWhole verifies what looks like a checkpoint. The state file may list
// what was removed.
func wantAllWhole(t *testing.T, b storage.Bucket) {
	t.Helper()
	list, err := ckpt.VerifyDirectory(t.Context(), "", &ckpt.VerifyOptions{Bucket: b})
	if err != nil && !errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Fatal(err)
	}
	for _, v := range list {
		if !v.OK() && (v.Problems[0].Kind != ckpt.KindMissing || v.Problems[0].File != v.Prefix+".index") {
			t.Errorf("%s: %v", v.Prefix, v.Problems)
		}
	}
}

// strayOf is the data file that may stay where changes of one folder do not
// survive in order: it got its name, and the crash took the older, unpublished
// files that would prove whose it is. Nobody may remove it then.
func strayOf(t *testing.T, c, disk *storagetest.Crashable) []string {
	t.Helper()
	steps := c.Steps()
	if len(steps) == 0 {
		return nil
	}
	name, renamed := strings.CutPrefix(steps[len(steps)-1], "rename ")
	prefix, isData := strings.CutSuffix(name, ".data-00000-of-00001")
	if !renamed || !isData {
		return nil
	}
	there, proved := false, false
	for _, file := range inBucket(t, disk, "") {
		there = there || file == name
		proved = proved || file == prefix+".index (unpublished)" || file == prefix+" (unpublished)"
	}
	if !there || proved {
		return nil
	}
	return []string{name}
}

// crashes are the ways to lose what was not synced.
var crashes = []struct {
	share float64
	seeds uint64
}{{0, 1}, {1, 1}, {0.5, 4}, {0.9, 1}}

// forEachCrash runs check on each disk a crash may leave.
func forEachCrash(t *testing.T, c *storagetest.Crashable, label string, check func(t *testing.T, disk *storagetest.Crashable)) (cases int) {
	for _, kind := range crashes {
		for seed := range kind.seeds {
			cases++
			t.Run(fmt.Sprintf("%s, share %v, seed %d", label, kind.share, seed), func(t *testing.T) {
				check(t, c.Crash(seed, kind.share))
			})
		}
	}
	return cases
}

// TestAW6CrashAfterEachStep crashes a run of four saves after each of its steps.
func TestAW6CrashAfterEachStep(t *testing.T) {
	cases := 0
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		c.CrashAfter(n)
		acknowledged, tried, err := train(t, c, 1, 2, 3, 4)
		if !c.Crashed() {
			if err != nil || acknowledged != 4 {
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

// TestAW6CrashAgain crashes the run after a crash, too, in its cleaning as well
// as in its save.
func TestAW6CrashAgain(t *testing.T) {
	cases := 0
	for n := 0; ; n += 3 {
		c := storagetest.NewCrashable()
		c.CrashAfter(n)
		acknowledged, tried, _ := train(t, c, 1, 2, 3, 4)
		if !c.Crashed() {
			break
		}
		for m := 0; ; m++ {
			disk := c.Crash(uint64(n), []float64{0, 0.5, 1}[n%3])
			stray := strayOf(t, c, disk)
			disk.CrashAfter(m)
			again, triedAgain, err := train(t, disk, 10)
			if !disk.Crashed() {
				if err != nil {
					t.Errorf("second run after step %d: %v", n, err)
				}
				break
			}
			cases++
			t.Run(fmt.Sprintf("steps %d and %d", n, m), func(t *testing.T) {
				last := disk.Crash(uint64(m), []float64{0, 0.5, 1}[m%3])
				checkDisk(t, last, max(acknowledged, again), max(tried, triedAgain), append(stray, strayOf(t, disk, last)...)...)
			})
		}
	}
	t.Logf("%d crashes", cases)
	if cases < 100 {
		t.Errorf("only %d crashes", cases)
	}
}

// TestCrashWhileReplacing crashes writes over an existing checkpoint: the old or
// the new one restores, also before anything is cleaned.
func TestCrashWhileReplacing(t *testing.T) {
	for _, way := range []struct {
		name  string
		write func(t *testing.T, p *program, b storage.Bucket) error
	}{
		{"Write", func(t *testing.T, p *program, b storage.Bucket) error {
			_, err := p.Write(t.Context(), "ckpt-7", &ckpt.SaveOptions{Bucket: b})
			return err
		}},
		{"SaveNumber", func(t *testing.T, p *program, b storage.Bucket) error {
			m, err := ckpt.NewManager(p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
			if err == nil {
				_, err = m.SaveNumber(t.Context(), 7, nil)
			}
			return err
		}},
	} {
		t.Run(way.name, func(t *testing.T) {
			cases := 0
			for n := 0; ; n++ {
				c := storagetest.NewCrashable()
				p := newProgram()
				p.setStep(1)
				if err := way.write(t, p, c); err != nil {
					t.Fatal(err)
				}
				c.CrashAfter(n)
				p.setStep(2)
				err := way.write(t, p, c)
				if !c.Crashed() {
					if err != nil {
						t.Fatal(err)
					}
					t.Logf("%d steps, %d crashes", n, cases)
					return
				}
				cases += forEachCrash(t, c, fmt.Sprint("step ", n), func(t *testing.T, disk *storagetest.Crashable) {
					checkReplaced(t, disk, err == nil)
				})
			}
		})
	}
}

// checkReplaced restores ckpt-7, by itself and by a manager, which cleans up.
func checkReplaced(t *testing.T, disk *storagetest.Crashable, replaced bool) {
	t.Helper()
	p := newProgram()
	if _, err := p.Restore(t.Context(), "ckpt-7", &ckpt.RestoreOptions{Bucket: disk}); err != nil {
		t.Fatal(err)
	}
	first, err := p.atStep()
	if err != nil || first != 1 && first != 2 || replaced && first != 2 {
		t.Fatalf("Restore: got step %d, %v", first, err)
	}
	p = newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: disk})
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, first)
	if _, err := m.SaveNumber(t.Context(), 7, nil); err != nil {
		t.Fatal(err)
	}
	if got, want := inBucket(t, disk, ""), []string{"checkpoint", "ckpt-7.data-00000-of-00001", "ckpt-7.index"}; !slices.Equal(got, want) {
		t.Fatalf("files: got %q, want %q", got, want)
	}
}
