package ckpt_test

import (
	"context"
	"errors"
	"iter"
	"log/slog"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// TestBranchUnlisted goes on from an older checkpoint while the list has none of
// the newer ones: they are on another branch all the same when it gets them, in
// this run or in a later one.
func TestBranchUnlisted(t *testing.T) {
	for _, test := range []struct {
		name string
		// prepare makes checkpoints 1 to 3, of which the next Manager does not list 3.
		prepare func(t *testing.T) storage.Bucket
		adopt   ckpt.Adopt
	}{
		{"state file cannot be read for a moment", func(t *testing.T) storage.Bucket {
			f := storagetest.NewFaulty(newMem())
			p := newProgram()
			saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: f}), 1, 2, 3)
			f.Set(storagetest.Fault{N: 1, Err: syscall.EIO})
			return f
		}, ckpt.AdoptListed},
		{"a crash before the state file", unrecorded, ckpt.AdoptListed},
		{"not adopted", func(t *testing.T) storage.Bucket {
			b := newMem()
			p := newProgram()
			saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}), 1, 2, 3)
			return b
		}, ckpt.AdoptNone},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := test.prepare(t)
			p := newProgram()
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b, Adopt: test.adopt})
			if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "1"}); err != nil {
				t.Fatal(err)
			}
			saveSteps(t, p, m, 10)
			wantHere(t, b, true, "ckpt-2", "ckpt-3")
			p = newProgram()
			m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b, Adopt: ckpt.AdoptAll})
			if _, err := m.Resume(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			p.wantStep(t, 10)
			saveSteps(t, p, m, 11)
			wantHere(t, b, true, "ckpt-2", "ckpt-3", "ckpt-5")
			wantHere(t, b, false, "ckpt-1", "ckpt-4")
		})
	}
}

// unrecorded is a disk with checkpoints 1 to 3, of which the state file does not
// know the last.
func unrecorded(t *testing.T) storage.Bucket {
	t.Helper()
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: c})
		saveSteps(t, p, m, 1, 2)
		c.CrashAfter(n)
		p.setStep(3)
		if _, err := m.Save(t.Context(), nil); err == nil {
			t.Fatal("no crash left ckpt-3 unrecorded")
		}
		disk := c.Crash(1, 1)
		if there, _ := ckpt.Exists(t.Context(), "ckpt-3", &ckpt.FindOptions{Bucket: disk}); there {
			return disk
		}
	}
}

// failsMetadata fails to make metadata files.
type failsMetadata struct {
	storage.Bucket
	left int // how often
}

func (f *failsMetadata) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	if strings.HasSuffix(name, ".meta.json") && f.left > 0 {
		f.left--
		return nil, syscall.EIO
	}
	return f.Bucket.Create(ctx, name, o)
}

// TestBranchNotedLater cannot note at first that checkpoints are on another branch:
// it is made up for after the next save, and the log tells once.
func TestBranchNotedLater(t *testing.T) {
	var log strings.Builder
	b := &failsMetadata{Bucket: newMem()}
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}), 1, 2, 3)
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: b, Logger: slog.New(slog.NewTextHandler(&log, nil))})
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "1"}); err != nil {
		t.Fatal(err)
	}
	b.left = 4 // two of each
	saveSteps(t, p, m, 10, 11, 12)
	if got := strings.Count(log.String(), "later runs do not know yet"); got != 2 || b.left != 0 {
		t.Errorf("%d warnings, %d faults left:\n%s", got, b.left, log.String())
	}
	for _, name := range []string{"ckpt-2", "ckpt-3"} {
		if got, err := ckpt.ReadMetadata(t.Context(), name, &ckpt.OpenOptions{Bucket: b}); err != nil || got.Branch != "ckpt-4" {
			t.Errorf("%s: got %+v, %v, want the first checkpoint of the line that took over, ckpt-4", name, got, err)
		}
	}
	m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b})
	saveSteps(t, p, m, 13)
	wantHere(t, b, true, "ckpt-2", "ckpt-3")
}

// TestFailedResumeKeepsBranch has a Resume that fails change nothing about what an
// earlier one decided and found.
func TestFailedResumeKeepsBranch(t *testing.T) {
	dir := savedDir(t, 4)
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "2"}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "99"}); err == nil {
		t.Fatal("a checkpoint that is not there was restored")
	}
	saveSteps(t, p, m, 10)
	wantManaged(t, m, "ckpt-3", "ckpt-4", "ckpt-5")

	dir = savedDir(t, 3)
	flipBit(t, filepath.Join(dir, dataOf("ckpt-3")), 3, 1)
	p = newProgram()
	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
	if r, err := m.Resume(t.Context(), nil); err != nil || len(r.Refused) != 1 {
		t.Fatalf("got %+v, %v", r, err)
	}
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "99"}); err == nil {
		t.Fatal("a checkpoint that is not there was restored")
	}
	saveSteps(t, p, m, 10)
	wantManaged(t, m, "ckpt-2", "ckpt-4")
}

// TestDamagedUnlisted refuses checkpoints that the list gets only later, because the
// state file could not be read for a moment: they are not kept in place of good
// ones.
func TestDamagedUnlisted(t *testing.T) {
	dir := savedDir(t, 3)
	for _, name := range []string{"ckpt-2", "ckpt-3"} {
		flipBit(t, filepath.Join(dir, dataOf(name)), 3, 1)
	}
	b := storagetest.NewFaulty(local.Open(dir, nil))
	b.Set(storagetest.Fault{N: 1, Err: syscall.EIO})
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: b})
	if r, err := m.Resume(t.Context(), nil); err != nil || len(r.Refused) != 2 {
		t.Fatalf("got %+v, %v", r, err)
	}
	saveSteps(t, p, m, 10)
	wantManaged(t, m, "ckpt-1", "ckpt-4")
}

// unlistable fails to list while err is set.
type unlistable struct {
	storage.Bucket
	err error
}

func (u *unlistable) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	if u.err == nil {
		return u.Bucket.List(ctx, prefix)
	}
	return func(yield func(storage.Info, error) bool) { yield(storage.Info{}, u.err) }
}

// TestResumePrefixUnknownDirectory cannot look what else is in the directory:
// nothing is restored then.
func TestResumePrefixUnknownDirectory(t *testing.T) {
	b := &unlistable{Bucket: newMem()}
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
	saveSteps(t, p, m, 1, 2)
	b.err = syscall.EIO
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "1"}); !errors.Is(err, syscall.EIO) {
		t.Errorf("got %v", err)
	}
	p.wantStep(t, 2)
}

// TestMetadataReused saves with metadata that was read: what only its checkpoint
// has does not come along.
func TestMetadataReused(t *testing.T) {
	b := newMem()
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 2, Bucket: b})
	measured := &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Metrics: map[string]float64{"loss": 1}}}
	saveSteps(t, p, m, 1)
	if _, err := m.Save(t.Context(), measured); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "1"}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Save(t.Context(), measured); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "2"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"ckpt-2", "ckpt-3"} {
		read, err := ckpt.ReadMetadata(t.Context(), name, &ckpt.OpenOptions{Bucket: b})
		if err != nil {
			t.Fatal(err)
		}
		before := *read
		prefix, err := m.Save(t.Context(), &ckpt.SaveOptions{Metadata: read})
		if err != nil {
			t.Fatal(err)
		}
		got, err := ckpt.ReadMetadata(t.Context(), prefix, &ckpt.OpenOptions{Bucket: b})
		if err != nil || got.Branch != "" || got.Parent != "ckpt-2" {
			t.Errorf("%s saved again: got %+v, %v, want parent ckpt-2 and no branch", name, got, err)
		}
		if read.Branch != before.Branch || read.Parent != before.Parent {
			t.Errorf("the program's own changed: %+v", read)
		}
	}
	saveSteps(t, p, m, 3, 4)
	wantHere(t, b, false, "ckpt-1", "ckpt-4", "ckpt-5") // retention counts them
}
