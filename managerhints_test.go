package ckpt_test

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// listening is a logger and what it heard.
func listening() (*slog.Logger, *strings.Builder) {
	var log strings.Builder
	return slog.New(slog.NewTextHandler(&log, nil)), &log
}

// wantLogged wants a line so many times.
func wantLogged(t *testing.T, log *strings.Builder, want int, line string) {
	t.Helper()
	if got := strings.Count(log.String(), line); got != want {
		t.Errorf("%q: got %d times, want %d:\n%s", line, got, want, log.String())
	}
}

// TestKeepBestUnknownMetric asks for a metric that no checkpoint has: the log tells
// once, when the first checkpoint goes.
func TestKeepBestUnknownMetric(t *testing.T) {
	logger, log := listening()
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{
		MaxToKeep: 2, Bucket: newMem(), Logger: logger,
		KeepBest: []ckpt.Best{{Metric: "los", Count: 1}, {Metric: "loss", Count: 1}},
	})
	for i := range 5 {
		o := &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Metrics: map[string]float64{"loss": float64(i)}}}
		if _, err := m.Save(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		want := 0
		if i >= 3 { // ckpt-2 goes; ckpt-1 is the best
			want = 1
		}
		wantLogged(t, log, want, "KeepBest keeps nothing")
	}
	wantLogged(t, log, 1, "metric=los\n")
	wantManaged(t, m, "ckpt-1", "ckpt-4", "ckpt-5")
}

// TestUnreadableNotCounted refuses the newest checkpoint because it cannot be read
// now: it takes no place among those that are kept, but stays as long as if it did.
func TestUnreadableNotCounted(t *testing.T) {
	dir := savedDir(t, 4)
	b := storagetest.NewFaulty(local.Open(dir, nil))
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: b})
	for n := 1; ; n++ { // the first operation that makes Resume refuse it
		b.Set(storagetest.Fault{N: n, Err: syscall.EIO})
		r, err := m.Resume(t.Context(), nil)
		if err != nil || !b.Fired() {
			t.Fatalf("no fault made Resume go back: %v", err)
		}
		if len(r.Refused) == 1 {
			break
		}
	}
	b.Set(storagetest.Fault{})
	p.wantStep(t, 3)
	for _, want := range [][]string{
		{"ckpt-3", "ckpt-4", "ckpt-5"},
		{"ckpt-5", "ckpt-6"},
	} {
		saveSteps(t, p, m, 100)
		wantManaged(t, m, want...)
	}
}

// TestRetainUnreadable is the rule alone.
func TestRetainUnreadable(t *testing.T) {
	good, unread := ckpt.Managed{}, ckpt.Managed{Unreadable: true}
	pinned := ckpt.Managed{Unreadable: true, Pinned: true}
	for _, test := range []struct {
		name string
		list []ckpt.Managed
		want string // a letter for each
	}{
		{"the only one", []ckpt.Managed{unread}, "k"},
		{"one newer", []ckpt.Managed{unread, good}, "kk"},
		{"two newer", []ckpt.Managed{unread, good, good}, "rkk"},
		{"in between", []ckpt.Managed{good, good, unread, good}, "rkkk"},
		{"all", []ckpt.Managed{unread, unread, unread}, "kkk"},
		{"pinned", []ckpt.Managed{pinned, good, good}, "kkk"},
		{"damaged, too", []ckpt.Managed{{Damaged: true, Unreadable: true}, good}, "rk"},
	} {
		verdicts, _ := ckpt.Retain(test.list, ckpt.Retention{MaxToKeep: 2}, 0)
		var got strings.Builder
		for _, v := range verdicts {
			got.WriteString(v.Action.String()[:1])
		}
		if got.String() != test.want {
			t.Errorf("%s: got %s, want %s: %+v", test.name, got.String(), test.want, verdicts)
		}
	}
}

// TestManagerNames has names that a system's files can have work, and others be
// refused before anything is written.
func TestManagerNames(t *testing.T) {
	for _, name := range []string{"a b", "a[1]*?", ".", "..", ".x", "-", "a-1", "a\nb", "a\xffb", `a\b`, "x.index", dataOf("x"), "checkpoint", "x.meta.json", `"q"`, "%d", "日本"} {
		dir := t.TempDir()
		o := &ckpt.ManagerOptions{MaxToKeep: 2, Name: name}
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, o)
		saveSteps(t, p, m, 1, 2, 3)
		p = newProgram()
		m = newManager(t, p.Checkpoint, dir, o)
		if _, err := m.Resume(t.Context(), nil); err != nil {
			t.Errorf("%q: %v", name, err)
		}
		p.wantStep(t, 3)
		saveSteps(t, p, m, 4)
		wantManaged(t, m, name+"-3", name+"-4")
		want := slices.Sorted(slices.Values(filesOf(name+"-3", name+"-4")))
		if got := filesIn(t, dir); !slices.Equal(slices.Sorted(slices.Values(got)), want) {
			t.Errorf("%q: files: got %q, want %q", name, got, want)
		}
		removeFile(t, filepath.Join(dir, "checkpoint"))
		o.Adopt = ckpt.AdoptAll
		wantManaged(t, newManager(t, p.Checkpoint, dir, o), name+"-3", name+"-4")
	}
	for _, name := range []string{"a/b", "/", "a/", "../a", "a\x00", ".ckpt-undo.a"} {
		if _, err := ckpt.NewManager(newProgram().Checkpoint, t.TempDir(), &ckpt.ManagerOptions{Name: name}); err == nil {
			t.Errorf("%q: no error", name)
		}
	}
	for _, folder := range []string{"a//b", "../a", "/a", ".", "a/."} {
		if _, err := ckpt.NewManager(newProgram().Checkpoint, folder, &ckpt.ManagerOptions{Bucket: newMem()}); err == nil {
			t.Errorf("folder %q of a bucket: no error", folder)
		}
	}
}

// TestForegroundOptions gives saves in the foreground what only those in the
// background can do.
func TestForegroundOptions(t *testing.T) {
	b, p := newMem(), newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
	for _, o := range []*ckpt.SaveOptions{{Busy: ckpt.BusySkip}, {Busy: ckpt.BusyReplace}} {
		_, saved := m.Save(t.Context(), o)
		o.Bucket = b
		_, written := p.Write(t.Context(), "w", o)
		for _, err := range []error{saved, written} {
			if err == nil || !strings.Contains(err.Error(), "set Background") {
				t.Errorf("%+v: got %v", o, err)
			}
		}
	}
	if got := inBucket(t, b, ""); len(got) > 0 || p.SaveCounter() != 0 {
		t.Errorf("files %q, SaveCounter %d", got, p.SaveCounter())
	}
}

// TestResumeHintsAdoption resumes beside a damaged state file: checkpoints that it
// may have listed stay for good unless they are adopted, and Resume says so.
func TestResumeHintsAdoption(t *testing.T) {
	for adopt, want := range map[ckpt.Adopt]int{ckpt.AdoptListed: 1, ckpt.AdoptNone: 0, ckpt.AdoptAll: 0} {
		dir := savedDir(t, 3)
		writeFile(t, filepath.Join(dir, "checkpoint"), []byte("garbage {"))
		logger, log := listening()
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Logger: logger, Adopt: adopt})
		r, err := m.Resume(t.Context(), nil)
		if err != nil || !errors.Is(r.State, ckpt.ErrCorrupt) {
			t.Fatalf("got %+v, %v", r, err)
		}
		if got := strings.Count(r.State.Error(), "does not know then: 3; it does if ManagerOptions.Adopt is AdoptAll"); got != want {
			t.Errorf("Adopt %d: State: got %v", adopt, r.State)
		}
		wantLogged(t, log, want, "AdoptAll")
		wantLogged(t, log, 1, "garbage") // the reason, once
	}
}

// TestCleanedUpLog names the checkpoint, and not a file that was never there, when
// what a crash left is removed.
func TestCleanedUpLog(t *testing.T) {
	seen := false
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: c})
		saveSteps(t, p, m, 1)
		c.CrashAfter(n)
		if _, err := m.Save(t.Context(), nil); err == nil {
			break
		}
		logger, log := listening()
		disk := c.Crash(1, 1)
		m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: disk, Logger: logger})
		saveSteps(t, p, m, 3)
		if strings.Contains(log.String(), ".index") {
			t.Errorf("step %d: log: got %s", n, log.String())
		}
		seen = seen || strings.Contains(log.String(), "left\" checkpoint=ckpt-2 files=")
	}
	if !seen {
		t.Error("nothing was removed")
	}
}

// TestKeepEveryStepsGrid saves by intervals at steps of which none can be a multiple of
// KeepEverySteps: the log tells once.
func TestKeepEveryStepsGrid(t *testing.T) {
	for _, test := range []struct{ first, interval, every, want int64 }{
		{0, 10, 100, 0}, {1, 10, 100, 1}, {5, 10, 15, 0}, {7, 10, 15, 1}, {1, 7, 100, 0}, {3, 10, 0, 0}, {-5, 10, 15, 0}, {-6, 10, 15, 1},
	} {
		t.Run(fmt.Sprint(test), func(t *testing.T) {
			logger, log := listening()
			step := test.first
			p := newProgram()
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{
				Bucket: newMem(), Logger: logger, Step: func() int64 { return step }, Interval: test.interval, KeepEverySteps: test.every,
			})
			for range 5 * test.interval {
				if _, err := m.SaveIfDue(t.Context(), nil); err != nil {
					t.Fatal(err)
				}
				step++
			}
			wantLogged(t, log, int(test.want), "KeepEverySteps keeps nothing")
		})
	}
}
