package ckpt_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// planOf is what Manager.Plan says, a line for each checkpoint.
func planOf(t *testing.T, m *ckpt.Manager) []string {
	t.Helper()
	verdicts, err := m.Plan(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, v := range verdicts {
		lines = append(lines, v.Name+" "+v.Action.String()+": "+strings.Join(v.Reasons, "; "))
	}
	return lines
}

// TestPlan checks that a plan is what the next sweep does, and changes nothing.
func TestPlan(t *testing.T) {
	dir := savedDir(t, 5)
	flipBit(t, dataOf(filepath.Join(dir, "ckpt-5")), 24, 0)
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2, KeepEverySteps: 2})
	before := filesIn(t, dir)
	want := []string{
		"ckpt-1 remove: older than the newest 2",
		"ckpt-2 keep: step 2 is a multiple of 2",
		"ckpt-3 remove: older than the newest 2",
		"ckpt-4 keep: one of the newest 2; step 4 is a multiple of 2",
		"ckpt-5 keep: one of the newest 2",
	}
	if diff := cmp.Diff(planOf(t, m), want); diff != "" {
		t.Errorf("before Resume (-got +want):\n%s", diff)
	}
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want[2] = "ckpt-3 keep: one of the newest 2"
	want[4] = "ckpt-5 keep: damaged, but nothing good was saved since"
	if diff := cmp.Diff(planOf(t, m), want); diff != "" {
		t.Errorf("after Resume (-got +want):\n%s", diff)
	}
	wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4", "ckpt-5")
	if got := filesIn(t, dir); !slices.Equal(got, before) {
		t.Errorf("Plan changed the files: got %q, want %q", got, before)
	}
	saveSteps(t, p, m, 6)
	wantManaged(t, m, "ckpt-2", "ckpt-4", "ckpt-6")
	wantFiles(t, dir, filesOf("ckpt-2", "ckpt-4", "ckpt-6")...)
	if diff := cmp.Diff(planOf(t, m), []string{
		"ckpt-2 keep: step 2 is a multiple of 2",
		"ckpt-4 keep: one of the newest 2; step 4 is a multiple of 2",
		"ckpt-6 keep: one of the newest 2; step 6 is a multiple of 2",
	}); diff != "" {
		t.Errorf("after a save (-got +want):\n%s", diff)
	}
}

// TestKeepEverySteps saves every 20 steps and keeps those of step 60, 120, …;
// what it keeps stays listed, through a restart, and goes once the rule does.
func TestKeepEverySteps(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	c := &clock{1000}
	o := ckpt.ManagerOptions{MaxToKeep: 2, KeepEverySteps: 60, Step: func() int64 { return p.step.Value() }, Now: c.now}
	m := newManager(t, p.Checkpoint, dir, &o)
	for step := int64(20); step <= 160; step += 20 {
		c.seconds++
		saveSteps(t, p, m, step)
	}
	wantManaged(t, m, "ckpt-3", "ckpt-6", "ckpt-7", "ckpt-8")
	// Numbers are not steps here: metadata tells them to later runs.
	wantFiles(t, dir, withMetadata(filesOf("ckpt-3", "ckpt-6", "ckpt-7", "ckpt-8"), "ckpt-3", "ckpt-6", "ckpt-7", "ckpt-8")...)

	removeFile(t, filepath.Join(dir, "ckpt-6.meta.json")) // of which step ckpt-6 is nobody knows: it stays
	p = newProgram()
	m = newManager(t, p.Checkpoint, dir, &o)
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 180, 200, 220)
	wantManaged(t, m, "ckpt-3", "ckpt-6", "ckpt-9", "ckpt-10", "ckpt-11")

	o = ckpt.ManagerOptions{MaxToKeep: 2}
	p = newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, dir, &o), 1)
	wantFiles(t, dir, withMetadata(filesOf("ckpt-11", "ckpt-12"), "ckpt-11")...)
}

// withMetadata adds the metadata of checkpoints to a list of files.
func withMetadata(files []string, names ...string) []string {
	for _, name := range names {
		files = append(files, name+".meta.json")
	}
	slices.Sort(files)
	return files
}

// TestKeepRulesTogether has KeepEvery beside another rule: what that keeps is
// looked after on, though it is older than what KeepEvery preserved.
func TestKeepRulesTogether(t *testing.T) {
	dir := t.TempDir()
	c := &clock{1000000}
	o := ckpt.ManagerOptions{MaxToKeep: 1, KeepEvery: time.Hour, KeepEverySteps: 2, Now: c.now}
	for range 2 { // two runs
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &o)
		if _, err := m.Resume(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		for range 4 {
			c.seconds += 1000
			saveSteps(t, p, m, c.seconds)
		}
	}
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &o)
	wantManaged(t, m, "ckpt-2", "ckpt-6", "ckpt-8") // 4 is preserved for good
	wantFiles(t, dir, filesOf("ckpt-2", "ckpt-4", "ckpt-6", "ckpt-8")...)
	if s := readState(t, dir, nil); s.Timestamps[0] >= s.LastPreserved {
		t.Errorf("state: got %+v, want ckpt-2 to be older than the last preserved one", s)
	}
}

// TestKeepEveryStepsByNumber has numbers that are steps, and no counter.
func TestKeepEveryStepsByNumber(t *testing.T) {
	dir := t.TempDir()
	for _, last := range []int64{250, 450} { // two runs
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, KeepEverySteps: 100})
		if _, err := m.Resume(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		for number := p.step.Value() + 50; number <= last; number += 50 {
			p.setStep(number)
			if _, err := m.SaveNumber(t.Context(), number, nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	var names []string
	for _, file := range filesIn(t, dir) {
		if name, ok := strings.CutSuffix(file, ".index"); ok {
			names = append(names, name)
		}
	}
	if want := []string{"ckpt-100", "ckpt-200", "ckpt-300", "ckpt-400", "ckpt-450"}; !slices.Equal(names, want) {
		t.Errorf("got %q, want %q", names, want)
	}
}

// TestKeepBest keeps the two lowest losses beside the newest.
func TestKeepBest(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, KeepBest: []ckpt.Best{{Metric: "loss", Count: 2}}})
	var got []string
	for i, loss := range []float64{5, 3, 4, 1, 6, 2} {
		p.setStep(int64(i))
		metrics := map[string]float64{"loss": loss}
		if _, err := m.Save(t.Context(), &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Metrics: metrics}, Background: i%2 == 1}); err != nil {
			t.Fatal(err)
		}
		clear(metrics) // the Manager has its own
		if err := m.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		got = append(got, fmt.Sprint(numbers(t, m.Checkpoints())))
	}
	want := []string{"[1]", "[1 2]", "[2 3]", "[2 4]", "[2 4 5]", "[4 6]"}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	want = append(filesOf("ckpt-4", "ckpt-6"), "ckpt-4.meta.json", "ckpt-6.meta.json")
	slices.Sort(want)
	wantFiles(t, dir, want...)

	// A later run reads what this one measured.
	p = newProgram()
	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, KeepBest: []ckpt.Best{{Metric: "loss", Count: 1}}})
	if diff := cmp.Diff(planOf(t, m), []string{"ckpt-4 keep: loss 1, number 1 of the lowest 1", "ckpt-6 keep: one of the newest 1"}); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	saveSteps(t, p, m, 7, 8)
	wantManaged(t, m, "ckpt-4", "ckpt-8")

	// What cannot be read may be anything: it stays.
	writeFile(t, filepath.Join(dir, "ckpt-4.meta.json"), []byte("{"))
	p = newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1}), 9)
	wantFiles(t, dir, append(filesOf("ckpt-4", "ckpt-9")[:3], "ckpt-4.meta.json", "ckpt-9.data-00000-of-00001", "ckpt-9.index")...)
}

// TestPinned pins a checkpoint when it is saved, another one later, beside the
// Manager.
func TestPinned(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	o := &ckpt.ManagerOptions{MaxToKeep: 1, Step: p.step.Value}
	m := newManager(t, p.Checkpoint, dir, o)
	pin := &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Pinned: true}}
	p.setStep(10)
	if _, err := m.Save(t.Context(), pin); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 20, 30)
	wantManaged(t, m, "ckpt-1", "ckpt-3")
	if pin.Metadata.Step != nil {
		t.Error("Save changed its options")
	}
	if got, err := ckpt.ReadMetadata(t.Context(), filepath.Join(dir, "ckpt-1"), nil); err != nil || *got.Step != 10 || got.Parent != "" {
		t.Errorf("metadata: got %+v, %v, want step 10", got, err)
	}

	p = newProgram()
	o.Step = p.step.Value
	m = newManager(t, p.Checkpoint, dir, o)
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.setStep(40)
	if _, err := m.Save(t.Context(), pin); err != nil {
		t.Fatal(err)
	}
	if got, err := ckpt.ReadMetadata(t.Context(), filepath.Join(dir, "ckpt-4"), nil); err != nil || *got.Step != 40 || got.Parent != "ckpt-3" {
		t.Errorf("metadata: got %+v, %v, want step 40, from ckpt-3", got, err)
	}
	saveSteps(t, p, m, 50)
	wantManaged(t, m, "ckpt-1", "ckpt-4", "ckpt-5")

	// Another program pins ckpt-5 and takes the pin of ckpt-1 away.
	removeFile(t, filepath.Join(dir, "ckpt-1.meta.json"))
	other := newProgram()
	if _, err := other.Restore(t.Context(), filepath.Join(dir, "ckpt-5"), nil); err != nil {
		t.Fatal(err)
	}
	if _, err := other.Write(t.Context(), filepath.Join(dir, "ckpt-5"), pin); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 60)
	wantManaged(t, m, "ckpt-4", "ckpt-5", "ckpt-6")
	m = newManager(t, p.Checkpoint, dir, o)
	saveSteps(t, p, m, 70)
	wantManaged(t, m, "ckpt-4", "ckpt-5", "ckpt-7")
	if fileExists(filepath.Join(dir, "ckpt-1.index")) {
		t.Error("ckpt-1 stays without its pin")
	}
}

// TestPinnedDamaged damages a pinned checkpoint so that its metadata fits it no
// longer: it stays.
func TestPinnedDamaged(t *testing.T) {
	for _, file := range []string{".index", ".data-00000-of-00001"} {
		dir := savedDir(t, 1)
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, nil)
		if _, err := m.SaveNumber(t.Context(), 2, &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Pinned: true}}); err != nil {
			t.Fatal(err)
		}
		cutFile(t, filepath.Join(dir, "ckpt-2"+file), 10)
		p, m, r := resume(t, dir)
		if len(r.Refused) != 1 {
			t.Fatalf("Refused: got %v", r.Refused)
		}
		saveSteps(t, p, m, 3)
		wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-3")
	}
}

// TestRulesKeepTheStateFile checks that rules that keep nothing change no byte of
// it.
func TestRulesKeepTheStateFile(t *testing.T) {
	var states []string
	for _, o := range []ckpt.ManagerOptions{
		{},
		{KeepEverySteps: 1000, KeepBest: []ckpt.Best{{Metric: "loss", Count: 1}}, Adopt: ckpt.AdoptAll},
	} {
		dir := t.TempDir()
		c := &clock{1000000}
		o.MaxToKeep, o.KeepEvery, o.Now = 2, time.Hour, c.now
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &o)
		for i := range 7 {
			c.seconds += 1500
			saveSteps(t, p, m, int64(i))
		}
		states = append(states, string(readFile(t, filepath.Join(dir, "checkpoint"))))
	}
	if diff := cmp.Diff(states[1], states[0]); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}
