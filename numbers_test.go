package ckpt_test

import (
	"errors"
	"math"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// TestHighestNumber saves where there is no number above: an error, and nothing is
// counted or written.
func TestHighestNumber(t *testing.T) {
	b := newMem()
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
	saveSteps(t, p, m, 1)
	if prefix, err := m.SaveNumber(t.Context(), math.MaxInt64, nil); err != nil || prefix != "ckpt-9223372036854775807" {
		t.Fatal(prefix, err)
	}
	files := strings.Join(inBucket(t, b, ""), " ")
	wantRefused := func(name, prefix string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), "the highest number is taken") || prefix != "" {
			t.Errorf("%s: got %q, %v", name, prefix, err)
		}
		if got := strings.Join(inBucket(t, b, ""), " "); got != files {
			t.Errorf("%s: files: got %s, want %s", name, got, files)
		}
	}
	for _, o := range []*ckpt.SaveOptions{nil, behind, {Background: true, Busy: ckpt.BusyReplace}} {
		for _, name := range []string{"the same Manager", "a new one"} {
			if name == "a new one" {
				m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
			}
			prefix, err := m.Save(t.Context(), o)
			wantRefused(name, prefix, err)
			if got := p.SaveCounter(); got != 2 {
				t.Errorf("%s: SaveCounter: got %d, want 2", name, got)
			}
		}
	}

	// A save counter at its end, as it comes with a checkpoint.
	p.Child("save_counter").(*ckpt.Variable[int64]).Assign(math.MaxInt64)
	prefix, err := p.Save(t.Context(), "x", &ckpt.SaveOptions{Bucket: b})
	wantRefused("Checkpoint.Save", prefix, err)
	m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b, Name: "other"})
	prefix, err = m.Save(t.Context(), nil)
	wantRefused("another name", prefix, err)
	prefix, err = m.SaveNumber(t.Context(), 3, nil)
	wantRefused("SaveNumber", prefix, err)
	if got := p.SaveCounter(); got != math.MaxInt64 {
		t.Errorf("SaveCounter: got %d", got)
	}
}

// TestBusyReplaceBesideWrite numbers a Manager's first save while a Write is
// under way: above every number in the directory, without waiting.
func TestBusyReplaceBesideWrite(t *testing.T) {
	g, p := newGate(), newProgram()
	for _, name := range []string{"ckpt-7", "ckpt-9"} {
		if _, err := p.Write(t.Context(), name, &ckpt.SaveOptions{Bucket: g.Bucket}); err != nil {
			t.Fatal(err)
		}
	}
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: g})
	if _, err := p.Write(t.Context(), "other", &ckpt.SaveOptions{Bucket: g, Background: true}); err != nil {
		t.Fatal(err)
	}
	o := &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace}
	for _, want := range []string{"ckpt-10", "ckpt-11"} {
		if got, err := m.Save(t.Context(), o); err != nil || got != want {
			t.Errorf("got %q, %v, want %s", got, err, want)
		}
	}
	close(g.open)
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	wantHere(t, g, true, "ckpt-7", "ckpt-9", "ckpt-11", "other")
	wantHere(t, g, false, "ckpt-10")
}

// TestBusyReplaceUnreadState has a state file that could not be read, and so
// what it lists, be read again before a save beside a Write replaces it.
func TestBusyReplaceUnreadState(t *testing.T) {
	f := storagetest.NewFaulty(newMem())
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: f}), 1, 2)
	f.Set(storagetest.Fault{N: 1, Err: syscall.EIO})
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: f})
	if _, err := m.RestoreOrInitialize(t.Context()); !errors.Is(err, syscall.EIO) {
		t.Fatalf("the state file could be read: %v", err)
	}
	if _, err := p.Write(t.Context(), "other", &ckpt.SaveOptions{Bucket: f, Background: true}); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Save(t.Context(), &ckpt.SaveOptions{Background: true, Busy: ckpt.BusyReplace}); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(m.Checkpoints(), " "); got != "ckpt-1 ckpt-2 ckpt-3" {
		t.Errorf("Checkpoints: got %s", got)
	}
}
