package ckpt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// longAgo and notYet are times of files that have settled, and that may still change.
var (
	longAgo = time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
	notYet  = time.Date(2037, 1, 2, 3, 4, 5, 0, time.UTC)
)

// setTimes gives all files of a checkpoint a time.
func setTimes(t *testing.T, prefix string, at time.Time) {
	t.Helper()
	for _, name := range []string{prefix + ".index", dataOf(prefix)} {
		if err := os.Chtimes(name, at, at); err != nil {
			t.Fatal(err)
		}
	}
}

// again is a program that resumes from a folder whose ckpt-3 is damaged.
type again struct {
	*program
	m      *ckpt.Manager
	newest string // ckpt-3
	opened *opens
}

func newAgain(t *testing.T, damage func(t *testing.T, prefix string)) *again {
	dir := savedDir(t, 3)
	newest := filepath.Join(dir, "ckpt-3")
	if damage(t, newest); fileExists(dataOf(newest)) {
		setTimes(t, newest, longAgo)
	}
	b := &opens{Bucket: local.Open(dir, nil), count: make(map[string]int)}
	p := newProgram()
	return &again{p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}), newest, b}
}

// resumes resumes, wants the checkpoint of a step, and tells how often the data of
// ckpt-3 was opened.
func (a *again) resumes(t *testing.T, step int64) (opened int, r *ckpt.Resumed) {
	t.Helper()
	before := a.opened.count[dataOf("ckpt-3")]
	r, err := a.m.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	a.wantStep(t, step)
	return a.opened.count[dataOf("ckpt-3")] - before, r
}

func flipWeights(t *testing.T, prefix string) { flipBit(t, dataOf(prefix), 24, 7) }

// TestResumeRemembersDamage resumes twice: damaged files that are still the same are
// refused for the same reason without being read.
func TestResumeRemembersDamage(t *testing.T) {
	read := 0
	for _, d := range damages {
		switch d.kind {
		case ckpt.KindChecksum, ckpt.KindTruncated:
		default:
			continue
		}
		t.Run(d.name, func(t *testing.T) {
			a := newAgain(t, d.damage)
			opened, first := a.resumes(t, 2)
			read += opened
			opened, second := a.resumes(t, 2)
			if opened > 0 {
				t.Errorf("the data was opened %d times again", opened)
			}
			if len(second.Refused) != 1 || second.Refused[0].Error() != first.Refused[0].Error() {
				t.Errorf("Refused: got %v, want %v", second.Refused, first.Refused)
			}
			for _, o := range []*ckpt.ResumeOptions{{Strict: true}, {Prefix: "3"}} {
				before := a.opened.count[dataOf("ckpt-3")]
				if _, err := a.m.Resume(t.Context(), o); err == nil || !strings.Contains(err.Error(), first.Refused[0].Error()) {
					t.Errorf("%+v: got %v, want %v", o, err, first.Refused[0])
				}
				if opened := a.opened.count[dataOf("ckpt-3")] - before; opened > 0 {
					t.Errorf("%+v: the data was opened %d times again", o, opened)
				}
			}
		})
	}
	if read == 0 {
		t.Error("no data was read at all")
	}
}

// TestResumeRemembersDamageRetention has retention count what was refused by memory as
// damaged, as after a first reading.
func TestResumeRemembersDamageRetention(t *testing.T) {
	a := newAgain(t, flipWeights)
	a.resumes(t, 2)
	a.resumes(t, 2)
	plan, err := a.m.Plan(t.Context())
	if err != nil || len(plan) != 3 || !plan[2].Damaged {
		t.Errorf("Plan: got %+v, %v, want a damaged ckpt-3", plan, err)
	}
}

// TestResumeReadsChangedFilesAnew repairs what was refused.
func TestResumeReadsChangedFilesAnew(t *testing.T) {
	for name, later := range map[string]time.Time{"later": longAgo.Add(time.Second), "earlier": longAgo.Add(-time.Microsecond)} {
		t.Run(name, func(t *testing.T) {
			a := newAgain(t, flipWeights)
			a.resumes(t, 2)
			flipWeights(t, a.newest) // back
			setTimes(t, a.newest, later)
			a.resumes(t, 3)
		})
	}
	t.Run("another size", func(t *testing.T) {
		var whole []byte
		a := newAgain(t, func(t *testing.T, prefix string) {
			whole = readFile(t, dataOf(prefix))
			cutFile(t, dataOf(prefix), 25)
		})
		a.resumes(t, 2)
		writeFile(t, dataOf(a.newest), whole)
		setTimes(t, a.newest, longAgo)
		a.resumes(t, 3)
	})
	t.Run("by the Manager", func(t *testing.T) {
		a := newAgain(t, flipWeights)
		a.resumes(t, 2)
		a.setStep(7)
		if _, err := a.m.SaveNumber(t.Context(), 3, nil); err != nil {
			t.Fatal(err)
		}
		setTimes(t, a.newest, longAgo)
		a.resumes(t, 7)
	})
	t.Run("another Manager", func(t *testing.T) {
		a := newAgain(t, flipWeights)
		a.resumes(t, 2)
		a.m = newManager(t, a.Checkpoint, "", &ckpt.ManagerOptions{Bucket: a.opened})
		if opened, _ := a.resumes(t, 2); opened == 0 {
			t.Error("a new Manager did not read")
		}
	})
}

// TestResumeDistrustsRecentFiles repairs a file within the same moment: its time does
// not tell.
func TestResumeDistrustsRecentFiles(t *testing.T) {
	a := newAgain(t, flipWeights)
	setTimes(t, a.newest, notYet)
	a.resumes(t, 2)
	flipWeights(t, a.newest) // back
	setTimes(t, a.newest, notYet)
	a.resumes(t, 3)
}

// TestResumeTriesUnreadableAgain remembers nothing of what only could not be read.
func TestResumeTriesUnreadableAgain(t *testing.T) {
	dir := savedDir(t, 3)
	setTimes(t, filepath.Join(dir, "ckpt-3"), longAgo)
	b := &denying{Bucket: local.Open(dir, nil), open: dataOf("ckpt-3")}
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
	for _, test := range []struct {
		denied string
		step   int64
	}{{b.open, 2}, {"", 3}} {
		b.open = test.denied
		if _, err := m.Resume(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		p.wantStep(t, test.step)
	}
}

// TestResumeRemembersUnusable has a damaged checkpoint read over the program's values:
// that they are unusable is said again where it is not read again.
func TestResumeRemembersUnusable(t *testing.T) {
	dir := t.TempDir()
	large := ckpt.NewVariable[float32]("large", tensor.Shape{9 << 20}, nil)
	c := ckpt.New(ckpt.Objects{"large": large})
	if _, err := newManager(t, c, dir, nil).Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(dir, "ckpt-1")
	flipBit(t, dataOf(prefix), 1000, 0)
	setTimes(t, prefix, longAgo)
	b := &opens{Bucket: local.Open(dir, nil), count: make(map[string]int)}
	m := newManager(t, c, "", &ckpt.ManagerOptions{Bucket: b})
	opened := 0
	for i := range 2 {
		_, err := m.Resume(t.Context(), nil)
		if err == nil || !strings.Contains(err.Error(), "values were overwritten by damaged ones") {
			t.Errorf("Resume %d: got %v", i+1, err)
		}
		if i == 0 {
			opened = b.count[dataOf("ckpt-1")]
		}
	}
	if now := b.count[dataOf("ckpt-1")]; opened == 0 || now != opened {
		t.Errorf("the data was opened %d times, then %d", opened, now-opened)
	}
	flipBit(t, dataOf(prefix), 1000, 0) // back
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	flipBit(t, dataOf(prefix), 1000, 0)
	setTimes(t, prefix, longAgo)
	if _, err := m.Resume(t.Context(), nil); err == nil || strings.Contains(err.Error(), "were overwritten") {
		t.Errorf("after a good one: got %v", err)
	}
}

// TestResumeRemembersWhatItRead has a good checkpoint be another while it is read, and
// be itself again afterwards, times and all.
func TestResumeRemembersWhatItRead(t *testing.T) {
	dir := savedDir(t, 3)
	newest := filepath.Join(dir, "ckpt-3")
	setTimes(t, newest, longAgo)
	b := &meddling{local.Open(dir, nil), dataOf("ckpt-3"), func() {
		flipWeights(t, newest)
		setTimes(t, newest, longAgo.Add(time.Hour))
	}}
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
	for _, step := range []int64{2, 3} {
		if _, err := m.Resume(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		p.wantStep(t, step)
		flipWeights(t, newest) // back
		setTimes(t, newest, longAgo)
	}
}
