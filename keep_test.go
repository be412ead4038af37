package ckpt_test

import (
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// TestKeepEveryTable is the table of spec/manager.md §4, made by TensorFlow.
func TestKeepEveryTable(t *testing.T) {
	dir := t.TempDir()
	c := &clock{1000000}
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2, KeepEvery: time.Hour, Now: c.now})
	type row struct {
		Managed   []int
		Preserved float64
		Files     []int
	}
	table := []row{
		{[]int{1}, 999999, []int{1}},
		{[]int{1, 2}, 999999, []int{1, 2}},
		{[]int{2, 3}, 999999, []int{2, 3}},
		{[]int{3, 4}, 999999, []int{3, 4}},
		{[]int{4, 5}, 1004500, []int{3, 4, 5}},
		{[]int{5, 6}, 1004500, []int{3, 5, 6}},
		{[]int{6, 7}, 1004500, []int{3, 6, 7}},
		{[]int{7, 8}, 1009000, []int{3, 6, 7, 8}},
		{[]int{9}, 1009000, []int{3, 6, 9}},
	}
	for i, want := range table {
		c.seconds = 1001500 + int64(i)*1500
		if i == 8 {
			p = newProgram()
			m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, KeepEvery: time.Hour, Now: c.now})
			if _, err := m.RestoreOrInitialize(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		saveSteps(t, p, m, int64(i))
		s := readState(t, dir, nil)
		got := row{Managed: numbers(t, m.Checkpoints()), Preserved: s.LastPreserved}
		for _, name := range filesIn(t, dir) {
			if prefix, ok := strings.CutSuffix(name, ".index"); ok {
				got.Files = append(got.Files, numbers(t, []string{prefix})...)
			}
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("save %d (-got +want):\n%s", i+1, diff)
		}
		if !slices.Equal(s.All, m.Checkpoints()) {
			t.Errorf("save %d: state lists %q, Checkpoints %q", i+1, s.All, m.Checkpoints())
		}
	}
}

func numbers(t *testing.T, prefixes []string) []int {
	t.Helper()
	var list []int
	for _, prefix := range prefixes {
		var n int
		if _, err := fmt.Sscanf(filepath.Base(prefix), "ckpt-%d", &n); err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

func TestRetentionSparesOpenReaders(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
	saveSteps(t, p, m, 1)
	r, err := ckpt.Open(t.Context(), filepath.Join(dir, "ckpt-1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 2, 3)
	wantManaged(t, m, "ckpt-1", "ckpt-3")
	wantFiles(t, dir, filesOf("ckpt-1", "ckpt-3")...)
	if got, err := ckpt.Read[int64](t.Context(), r, "step/.ATTRIBUTES/VARIABLE_VALUE"); err != nil || got[0] != 1 {
		t.Errorf("reading what retention spares: got %v, %v", got, err)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 4)
	wantManaged(t, m, "ckpt-4")
	wantFiles(t, dir, filesOf("ckpt-4")...)
}

func TestRetentionSparesWaitingValues(t *testing.T) {
	dir := savedDir(t, 1)
	waiting := ckpt.New(nil)
	status, err := waiting.Restore(t.Context(), filepath.Join(dir, "ckpt-1"), nil)
	if err != nil {
		t.Fatal(err)
	}
	m := newManager(t, newProgram().Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
	for range 2 {
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	wantManaged(t, m, "ckpt-1", "ckpt-3")
	step := ckpt.NewScalar("step", int64(0))
	if err := waiting.Track("step", step); err != nil || step.Value() != 1 {
		t.Errorf("the value that waited: got %d, %v, want 1", step.Value(), err)
	}
	if err := status.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	wantManaged(t, m, "ckpt-4")
	wantFiles(t, dir, filesOf("ckpt-4")...)
}

// TestRetentionSparesStrangers checks that files the state file does not list
// stay, whatever they are called, and that no number of theirs is taken.
func TestRetentionSparesStrangers(t *testing.T) {
	dir := savedDir(t, 2)
	copyCheckpoint(t, filepath.Join(dir, "ckpt-1"), filepath.Join(dir, "ckpt-99"))
	strangers := []string{"ckpt-50.data-00000-of-00001", "ckpt-51.data-00000-of-00002", "ckpt-7.index.bak", "ckpt-1.data-00000-of-00001.old", "notes.txt", ".hidden.index"}
	for _, name := range strangers {
		writeFile(t, filepath.Join(dir, name), []byte("not ours"))
	}
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 2)
	saveSteps(t, p, m, 3, 4)
	want := append(filesOf("ckpt-99", "ckpt-101"), strangers...)
	slices.Sort(want)
	wantFiles(t, dir, want...)
	wantManaged(t, m, "ckpt-101")
}

// TestRetentionStaysInside gives a manager state files that list what is not
// its own (spec/manager.md §10, row 32).
func TestRetentionStaysInside(t *testing.T) {
	for _, test := range []struct {
		name   string
		stored func(other string) string
	}{
		{"relative path", func(string) string { return "../other/ckpt-7" }},
		{"absolute path", func(other string) string { return other + "/ckpt-7" }},
		{"the long way", func(string) string { return "x/../../other/ckpt-7" }},
		{"a folder below", func(string) string { return "below/ckpt-7" }},
		{"through a link", func(string) string { return "link/ckpt-7" }},
		{"another name", func(string) string { return "best" }},
		{"the folder itself", func(string) string { return "." }},
		{"nothing", func(string) string { return "" }},
	} {
		for _, here := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/ckpt-7 here %v", test.name, here), func(t *testing.T) {
				root := t.TempDir()
				dir, other := filepath.Join(root, "train"), filepath.Join(root, "other")
				source := filepath.Join(savedDir(t, 1), "ckpt-1")
				mine := []string{filepath.Join(dir, "best"), filepath.Join(dir, "below/ckpt-7"), filepath.Join(other, "ckpt-7")}
				if here {
					mine = append(mine, filepath.Join(dir, "ckpt-7"))
				}
				for _, prefix := range mine {
					copyCheckpoint(t, source, prefix)
				}
				if err := os.Symlink(other, filepath.Join(dir, "link")); err != nil {
					t.Fatal(err)
				}
				s := &ckpt.State{Latest: "best", All: []string{test.stored(other)}, Timestamps: []float64{1000}}
				writeFile(t, filepath.Join(dir, "checkpoint"), s.AppendText(nil))

				p := newProgram()
				m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
				saveSteps(t, p, m, 1, 2, 3)
				for _, prefix := range mine {
					if !fileExists(prefix+".index") || !fileExists(prefix+".data-00000-of-00001") {
						t.Errorf("%s was removed", prefix)
					}
				}
				if got := m.Checkpoints(); len(got) != 1 {
					t.Errorf("Checkpoints: got %q, want one", got)
				}
			})
		}
	}
}

// TestRetentionAfterMove checks that checkpoints recorded under absolute paths
// are managed on in the directory they were moved to.
func TestRetentionAfterMove(t *testing.T) {
	for _, old := range []string{"/no/such/place/", `D:\runs\my run\`, "../gone/"} {
		dir := savedDir(t, 2)
		s := &ckpt.State{Latest: old + "ckpt-2", All: []string{old + "ckpt-1", old + "ckpt-2"}, Timestamps: []float64{1000, 2000}, LastPreserved: 1}
		writeFile(t, filepath.Join(dir, "checkpoint"), s.AppendText(nil))
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
		wantManaged(t, m, "ckpt-1", "ckpt-2")
		if _, err := m.RestoreOrInitialize(t.Context()); err != nil {
			t.Fatal(err)
		}
		p.wantStep(t, 2)
		saveSteps(t, p, m, 3)
		wantManaged(t, m, "ckpt-2", "ckpt-3")
		wantFiles(t, dir, filesOf("ckpt-2", "ckpt-3")...)
	}
}

func TestRetentionTimestamps(t *testing.T) {
	all := []string{"ckpt-1", "ckpt-2", "ckpt-3"}
	for _, test := range []struct {
		name       string
		timestamps []float64
		preserved  float64
		want       []string
		wantTimes  []float64 // after a save at 5000, nothing removed
	}{
		{"none: Checkpoint.Save wrote it", nil, 0, nil, []float64{5000}},
		{"all", []float64{10, 20, 30}, 1, all, []float64{10, 20, 30, 5000}},
		{"fewer: the last one counts", []float64{10, 20}, 1, all, []float64{10, 20, 20, 5000}},
		{"more", []float64{10, 20, 30, 40}, 1, all, []float64{10, 20, 30, 5000}},
		{"up to the last preserved one", []float64{10, 20, 30}, 20, []string{"ckpt-3"}, []float64{30, 5000}},
		{"from the future", []float64{10, 9000, 9001}, 1, all, []float64{10, 5000, 5000, 5000}},
		{"the clock went back", []float64{7000, 8000, 9000}, 6000, all, []float64{5000, 5000, 5000, 5000}},
	} {
		t.Run(test.name, func(t *testing.T) {
			preserved := min(test.preserved, 4999) // below those that are listed
			dir := savedDir(t, 3)
			s := &ckpt.State{Latest: "ckpt-3", All: all, Timestamps: test.timestamps, LastPreserved: test.preserved}
			writeFile(t, filepath.Join(dir, "checkpoint"), s.AppendText(nil))
			p := newProgram()
			c := &clock{5000}
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: ckpt.KeepAll, Now: c.now})
			wantManaged(t, m, test.want...)
			saveSteps(t, p, m, 4)
			got := readState(t, dir, nil)
			if !slices.Equal(got.Timestamps, test.wantTimes) || got.LastPreserved != preserved {
				t.Errorf("state: got %+v, want time stamps %v", got, test.wantTimes)
			}
		})
	}
}

// TestClockBackKeepsList sets the clock back while a run saves, behind what
// KeepEvery preserved last, too: a later run looks after the same checkpoints.
func TestClockBackKeepsList(t *testing.T) {
	for _, o := range []ckpt.ManagerOptions{{MaxToKeep: 3}, {MaxToKeep: 2, KeepEvery: time.Minute}, {MaxToKeep: 1, KeepEverySteps: 2}} {
		b, c := newMem(), &clock{10000}
		o.Bucket, o.Now = b, c.now
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &o)
		for i, seconds := range []int64{10000, 10070, 5000, 5010, 4000, 4100, 4200} {
			c.seconds = seconds
			saveSteps(t, p, m, int64(i))
			want := m.Checkpoints()
			s := readState(t, "", b)
			if got := newManager(t, newProgram().Checkpoint, "", &o).Checkpoints(); !slices.Equal(got, want) {
				t.Errorf("MaxToKeep %d, KeepEvery %v: after the save at %d: got %q, want %q; state %+v", o.MaxToKeep, o.KeepEvery, seconds, got, want, s)
			}
		}
		// Between two runs, and then it goes on.
		c.seconds = 1000
		m = newManager(t, p.Checkpoint, "", &o)
		c.seconds = 1010
		saveSteps(t, p, m, 100)
		if got, want := newManager(t, newProgram().Checkpoint, "", &o).Checkpoints(), m.Checkpoints(); !slices.Equal(got, want) {
			t.Errorf("MaxToKeep %d, KeepEvery %v: between runs: got %q, want %q; state %+v", o.MaxToKeep, o.KeepEvery, got, want, readState(t, "", b))
		}
	}
}

// TestRetentionFailsGently checks that a checkpoint that cannot be removed does
// not fail a save, and goes later.
func TestRetentionFailsGently(t *testing.T) {
	var log strings.Builder
	b := &denying{Bucket: newMem(), remove: "ckpt-1.index"}
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	saveSteps(t, p, m, 1, 2, 3)
	if want := []string{"ckpt-1", "ckpt-3"}; !slices.Equal(m.Checkpoints(), want) {
		t.Errorf("Checkpoints: got %q, want %q", m.Checkpoints(), want)
	}
	if !strings.Contains(log.String(), "could not remove") || !strings.Contains(log.String(), fs.ErrPermission.Error()) {
		t.Errorf("log: got %s", log.String())
	}
	b.remove = ""
	saveSteps(t, p, m, 4)
	if want := []string{"ckpt-4"}; !slices.Equal(m.Checkpoints(), want) {
		t.Errorf("Checkpoints: got %q, want %q", m.Checkpoints(), want)
	}
	if want := []string{"checkpoint", "ckpt-4.data-00000-of-00001", "ckpt-4.index"}; !slices.Equal(inBucket(t, b, ""), want) {
		t.Errorf("files: got %q, want %q", inBucket(t, b, ""), want)
	}
}

// TestRetentionKeepsRefused checks that a damaged checkpoint stays until a newer
// good one is there, goes before any good one, and that its number is not used
// again.
func TestRetentionKeepsRefused(t *testing.T) {
	dir := savedDir(t, 3)
	flipBit(t, filepath.Join(dir, "ckpt-3.data-00000-of-00001"), 3, 1)
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 3})
	r, err := m.Resume(t.Context(), nil)
	if err != nil || len(r.Refused) != 1 || filepath.Base(r.Prefix) != "ckpt-2" {
		t.Fatalf("Resume: got %+v, %v", r, err)
	}
	p.wantStep(t, 2)
	wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-3")
	saveSteps(t, p, m, 10)
	wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-4")
	if p.SaveCounter() != 4 {
		t.Errorf("SaveCounter: got %d, want the number 4", p.SaveCounter())
	}
	reader, err := ckpt.Open(t.Context(), m.Latest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	values, err := ckpt.Read[int64](t.Context(), reader, "save_counter/.ATTRIBUTES/VARIABLE_VALUE")
	if err != nil || values[0] != 4 {
		t.Errorf("stored save_counter: got %v, %v, want 4", values, err)
	}
	saveSteps(t, p, m, 11, 12)
	wantManaged(t, m, "ckpt-4", "ckpt-5", "ckpt-6")
	wantFiles(t, dir, filesOf("ckpt-4", "ckpt-5", "ckpt-6")...)
}
