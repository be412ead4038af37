package ckpt_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// allTests is the text of all tests of the project.
func allTests(t *testing.T) string {
	t.Helper()
	var tests strings.Builder
	err := filepath.WalkDir(".", func(path string, entry fs.DirEntry, err error) error {
		if err == nil && entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && path != "." {
			return fs.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, "_test.go") {
			return err
		}
		tests.Write(readFile(t, path))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests.String()
}

// TestMuseum checks that docs/museum.md names tests that exist.
func TestMuseum(t *testing.T) {
	tests, rows := allTests(t), 0
	for line := range strings.Lines(string(readFile(t, "docs/museum.md"))) {
		cells := strings.Split(strings.TrimSpace(line), "|")
		if len(cells) != 5 || !strings.Contains(cells[3], "`Test") {
			continue
		}
		rows++
		if name := strings.Trim(cells[3], " `"); !strings.Contains(tests, "func "+name+"(") {
			t.Errorf("there is no test %s: %s", name, line)
		}
	}
	if rows < 20 {
		t.Errorf("only %d rows", rows)
	}
}

// TestPainsAreShown checks that docs/pains.md names tests that exist, for each of
// the 38 rows.
func TestPainsAreShown(t *testing.T) {
	tests, rows := allTests(t), 0
	for line := range strings.Lines(string(readFile(t, "docs/pains.md"))) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.Contains(cells[4], "Test") {
			continue
		}
		if rows++; strings.TrimSpace(cells[1]) != strconv.Itoa(rows) {
			t.Errorf("row %d is called %s", rows, cells[1])
		}
		for name := range strings.SplitSeq(strings.TrimSpace(cells[4]), ", ") {
			if !strings.Contains(tests, "func "+name+"(") {
				t.Errorf("row %d: there is no test %s", rows, name)
			}
		}
	}
	if rows != 38 {
		t.Errorf("%d rows, want 38", rows)
	}
}

func TestPain1EarlierRuns(t *testing.T) {
	for _, test := range []struct {
		adopt ckpt.Adopt
		want  []string
	}{
		{ckpt.AdoptListed, []string{"ckpt-4"}}, // as TensorFlow, unless told otherwise
		{ckpt.AdoptNone, []string{"ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4"}},
	} {
		dir := savedDir(t, 3)
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, Adopt: test.adopt})
		if _, err := m.Resume(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		saveSteps(t, p, m, 4)
		wantFiles(t, dir, filesOf(test.want...)...)
	}
}

func TestPain2UnreadableState(t *testing.T) {
	dir := t.TempDir()
	for _, text := range []string{"", "garbage {", "\x00\x00"} {
		writeFile(t, filepath.Join(dir, "checkpoint"), []byte(text))
		m := newManager(t, newProgram().Checkpoint, dir, nil)
		if prefix, err := m.RestoreOrInitialize(t.Context()); !errors.Is(err, ckpt.ErrCorrupt) {
			t.Errorf("RestoreOrInitialize with %q: got %q, %v, want ErrCorrupt", text, prefix, err)
		}
		if r, err := m.Resume(t.Context(), nil); !errors.Is(err, ckpt.ErrCorrupt) || !strings.Contains(err.Error(), "remove the state file") {
			t.Errorf("Resume with %q: got %+v, %v, want ErrCorrupt and what to do", text, r, err)
		}
	}
}

// TestPain3MovedDirectory has absolute paths in a state file and a relative
// directory, of which TensorFlow makes paths that lead out of it.
func TestPain3MovedDirectory(t *testing.T) {
	dir := savedDir(t, 3)
	t.Chdir(filepath.Dir(dir))
	var s ckpt.State
	for i := range 3 {
		s.Latest = filepath.Join(dir, fmt.Sprint("ckpt-", i+1))
		s.All, s.Timestamps = append(s.All, s.Latest), append(s.Timestamps, float64(10+i))
	}
	writeFile(t, filepath.Join(dir, "checkpoint"), s.AppendText(nil))
	p := newProgram()
	m := newManager(t, p.Checkpoint, filepath.Base(dir), &ckpt.ManagerOptions{MaxToKeep: 2})
	if _, err := m.RestoreOrInitialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 3)
	saveSteps(t, p, m, 4)
	wantFiles(t, dir, filesOf("ckpt-3", "ckpt-4")...)
	wantManaged(t, m, "ckpt-3", "ckpt-4")
}

func TestPain4NoDeadEnd(t *testing.T) {
	dir := savedDir(t, 3)
	removeFile(t, filepath.Join(dir, "ckpt-3.index"))
	p, m, r := resume(t, dir)
	p.wantStep(t, 2)
	if len(r.Refused) != 1 || !strings.Contains(r.Refused[0].Error(), "ckpt-3.index") {
		t.Errorf("Refused: got %v", r.Refused)
	}
	saveSteps(t, p, m, 4)
	if got := filepath.Base(m.Latest()); got != "ckpt-4" {
		t.Errorf("Latest: got %q, want ckpt-4", got)
	}
}

func TestPain5Truncated(t *testing.T) {
	for _, cut := range []struct {
		file string
		size int
	}{{".index", 0}, {".index", 10}, {".index", 60}, {".data-00000-of-00001", 0}, {".data-00000-of-00001", 10}} {
		dir := savedDir(t, 2)
		cutFile(t, filepath.Join(dir, "ckpt-2"+cut.file), cut.size)
		p, _, r := resume(t, dir)
		p.wantStep(t, 1)
		if len(r.Refused) != 1 || !errors.Is(r.Refused[0], ckpt.ErrCorrupt) || !strings.Contains(r.Refused[0].Error(), "ckpt-2"+cut.file) {
			t.Errorf("%s cut to %d bytes: refused %v", cut.file, cut.size, r.Refused)
		}
	}
}

// TestPain15HourlyOnesAreExplained: they stay, as in TensorFlow, and the log and
// Plan say why.
func TestPain15HourlyOnesAreExplained(t *testing.T) {
	var log logged
	c := &clock{10000}
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, KeepEvery: time.Hour, Now: c.now, Logger: log.logger()})
	for range 3 {
		saveSteps(t, p, m, c.seconds)
		c.seconds += 3600
	}
	wantFiles(t, dir, filesOf("ckpt-2", "ckpt-3")...)
	if text := log.String(); !strings.Contains(text, "checkpoint=ckpt-2") || !strings.Contains(text, "kept for good: the last one kept is 1h0m0s older or more") {
		t.Errorf("the log says: %s", text)
	}
	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Adopt: ckpt.AdoptAll, MaxToKeep: 1})
	if got := strings.Join(planOf(t, m), "\n"); !strings.HasPrefix(got, "ckpt-2 remove: ") {
		t.Errorf("AdoptAll plans:\n%s", got)
	}
}

func TestPain16AllSurplusGoes(t *testing.T) {
	dir := savedDir(t, 6)
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2}), 7)
	wantFiles(t, dir, filesOf("ckpt-6", "ckpt-7")...)
}

func TestPain18PlainSave(t *testing.T) {
	dir := savedDir(t, 3)
	p := newProgram()
	if _, err := p.Save(t.Context(), filepath.Join(dir, "ckpt"), nil); err != nil { // ckpt-1 again
		t.Fatal(err)
	}
	p, m, _ := resume(t, dir)
	wantManaged(t, m) // the list is gone …
	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, Adopt: ckpt.AdoptAll})
	wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-3") // … and can be had back
	saveSteps(t, p, m, 4)
	wantFiles(t, dir, filesOf("ckpt-4")...)
}

func TestPain24BackgroundCounts(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	saveSteps(t, p, m, 1, 2)
	p.setStep(3)
	if _, err := m.Save(t.Context(), &ckpt.SaveOptions{Background: true}); err != nil {
		t.Fatal(err)
	}
	if err := m.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-3")
	p, _, _ = resume(t, dir)
	p.wantStep(t, 3)
	if got := p.SaveCounter(); got != 3 {
		t.Errorf("stored save_counter: got %d, want 3", got)
	}
}

func TestPain34WindowsPath(t *testing.T) {
	dir := savedDir(t, 2)
	s := &ckpt.State{Latest: `C:\train\ckpt-2`, All: []string{`C:\train\ckpt-1`, `C:\train\ckpt-2`}, Timestamps: []float64{10, 20}, LastPreserved: 1}
	writeFile(t, filepath.Join(dir, "checkpoint"), s.AppendText(nil))
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	if _, err := m.RestoreOrInitialize(t.Context()); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 2)
	saveSteps(t, p, m, 3)
	wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-3")
}

// TestPain36FailedSave fails each operation of a save in turn: it leaves nothing
// of its own, and the retry at the same step is not skipped.
func TestPain36FailedSave(t *testing.T) {
	failed := 0
	for n := 1; ; n++ {
		f := storagetest.NewFaulty(storagetest.NewCrashable())
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: f, Step: p.step.Value, Interval: 10})
		saveSteps(t, p, m, 10)
		p.setStep(20)
		f.Set(storagetest.Fault{N: n, Err: syscall.ENOSPC})
		_, err := m.SaveIfDue(t.Context(), nil)
		if !f.Fired() {
			break
		}
		complete := m.Latest() != "ckpt-1" // then only what came after failed
		if err != nil {
			failed++
			if !saveIfDue(t, m, nil) {
				t.Errorf("operation %d: %v, and the retry is skipped", n, err)
			}
			complete = true
		}
		if !complete || saveIfDue(t, m, nil) {
			t.Errorf("operation %d: step 20 is not saved or due again", n)
		}
		for _, prefix := range m.Checkpoints() {
			if v, err := ckpt.Verify(t.Context(), prefix, &ckpt.VerifyOptions{Bucket: f}); err != nil || !v.OK() {
				t.Errorf("operation %d: %s: %v, %+v", n, prefix, err, v)
			}
		}
		if got, want := len(inBucket(t, f, "")), 1+2*len(m.Checkpoints()); got != want {
			t.Errorf("operation %d: files %q of checkpoints %q", n, inBucket(t, f, ""), m.Checkpoints())
		}
	}
	if failed < 5 {
		t.Errorf("only %d saves failed", failed)
	}
}
