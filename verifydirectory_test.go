package ckpt_test

import (
	"context"
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// meddling is a bucket where something happens before a file is opened for the
// first time.
type meddling struct {
	storage.Bucket
	name string
	do   func()
}

func (m *meddling) Open(ctx context.Context, name string) (storage.File, error) {
	if name == m.name && m.do != nil {
		do := m.do
		m.do = nil
		do()
	}
	return m.Bucket.Open(ctx, name)
}

func prefixes(list []*ckpt.Verified) (names []string) {
	for _, v := range list {
		names = append(names, v.Prefix)
	}
	return names
}

// TestVerifyDirectoryDuringRetention saves with another manager while the
// checkpoints of a directory are verified: what retention takes is no problem,
// and what is new is verified.
func TestVerifyDirectoryDuringRetention(t *testing.T) {
	for _, at := range []string{"d/ckpt-1.index", "d/ckpt-1.data-00000-of-00001", "d/ckpt-2.index", "d/ckpt-3.data-00000-of-00001"} {
		t.Run(at, func(t *testing.T) {
			b := mem.New()
			p := newProgram()
			m := newManager(t, p.Checkpoint, "d", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 3})
			saveSteps(t, p, m, 1, 2, 3)
			busy := &meddling{b, at, func() { saveSteps(t, p, m, 4, 5) }}
			list, err := ckpt.VerifyDirectory(t.Context(), "d", &ckpt.VerifyOptions{Bucket: busy})
			if got, want := prefixes(list), []string{"d/ckpt-3", "d/ckpt-4", "d/ckpt-5"}; err != nil || busy.do != nil || at != "d/ckpt-3.data-00000-of-00001" && !slices.Equal(got, want) {
				t.Fatalf("VerifyDirectory: got %v, %v, want %v", got, err, want)
			}
			for _, v := range list {
				if !v.OK() {
					t.Errorf("%s: %v", v.Prefix, v.Problems)
				}
			}
		})
	}
}

// TestVerifyDirectoryMissing keeps reporting what is listed and gone.
func TestVerifyDirectoryMissing(t *testing.T) {
	dir := savedDir(t, 3)
	removeFile(t, filepath.Join(dir, "ckpt-2.index"))
	list, err := ckpt.VerifyDirectory(t.Context(), dir, nil)
	if err != nil || len(list) != 3 || list[1].OK() || list[1].Problems[0].Kind != ckpt.KindMissing {
		t.Errorf("VerifyDirectory: got %+v, %v", list, err)
	}
}

// TestVerifyDigestsInterrupted crashes a replacement after each step: the digests
// are compared with the files that are read.
func TestVerifyDigestsInterrupted(t *testing.T) {
	undone := 0
	for n := 0; ; n++ {
		c := storagetest.NewCrashable()
		p := newProgram()
		p.setStep(1)
		o := &ckpt.SaveOptions{Bucket: c, Digests: true}
		if _, err := p.Write(t.Context(), "w", o); err != nil {
			t.Fatal(err)
		}
		c.CrashAfter(n)
		p.setStep(2)
		if _, err := p.Write(t.Context(), "w", o); err == nil {
			break
		}
		disk := c.Crash(1, 1)
		for info, err := range disk.List(t.Context(), "") {
			if err == nil && strings.HasPrefix(info.Name, ".ckpt-undo.") {
				undone++
				break
			}
		}
		v, err := ckpt.Verify(t.Context(), "w", &ckpt.VerifyOptions{Bucket: disk, Digests: true})
		if err != nil || !v.OK() {
			t.Errorf("crash after step %d: got %v, %v", n, v.Problems, err)
		}
	}
	if undone == 0 {
		t.Error("no crash left files in the undo place")
	}
}

func TestDirectoryIsAPrefix(t *testing.T) {
	dir := savedDir(t, 1)
	for _, path := range []string{filepath.Join(dir, "ckpt-1"), filepath.Join(dir, "ckpt-1.index"), dataOf(filepath.Join(dir, "ckpt-1"))} {
		_, latestErr := ckpt.Latest(t.Context(), path, nil)
		_, goodErr := ckpt.FindGood(t.Context(), path, nil)
		_, verifyErr := ckpt.VerifyDirectory(t.Context(), path, nil)
		for what, err := range map[string]error{"Latest": latestErr, "FindGood": goodErr, "VerifyDirectory": verifyErr} {
			if !errors.Is(err, ckpt.ErrNoCheckpoint) || !strings.Contains(err.Error(), "ckpt-1 is a checkpoint, and a directory of checkpoints is asked for; give "+dir) {
				t.Errorf("%s(%q): got %v", what, path, err)
			}
		}
	}
	b := mem.New()
	if _, err := newProgram().Write(t.Context(), "w", &ckpt.SaveOptions{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	if _, err := ckpt.Latest(t.Context(), "w", &ckpt.FindOptions{Bucket: b}); !errors.Is(err, ckpt.ErrNoCheckpoint) || !strings.Contains(err.Error(), "w is a checkpoint") {
		t.Errorf("in a bucket: got %v", err)
	}
}
