package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// State files that name what no file can be called, or one thing many times.
func TestHostileStatePaths(t *testing.T) {
	for name, test := range map[string]struct {
		path string // as the text has it
		kind ckpt.Kind
	}{
		"NUL":       {`a\000b`, ""},
		"long name": {strings.Repeat("a", 5000), ""},
		"endless":   {strings.Repeat("a", 1<<20), ckpt.KindState},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir+"/checkpoint", fmt.Appendf(nil, "model_checkpoint_path: \"%s\"\n", test.path))
			_, err := ckpt.Latest(t.Context(), dir, nil)
			if err == nil || len(err.Error()) > 20_000 {
				t.Errorf("got an error of %d bytes", len(fmt.Sprint(err)))
			}
			var damage *ckpt.CorruptError
			switch {
			case test.kind == "" && !errors.Is(err, ckpt.ErrNoCheckpoint):
				t.Errorf("got %v, want ErrNoCheckpoint", err)
			case test.kind != "" && (!errors.As(err, &damage) || damage.Kind != test.kind):
				t.Errorf("got %v, want kind %s", err, test.kind)
			}
		})
	}
}

func TestRepeatedStatePaths(t *testing.T) {
	b := storagetest.NewFaulty(mem.New())
	storagetest.Put(t, b, "d/checkpoint", "model_checkpoint_path: \"c-1\"\n"+strings.Repeat("all_model_checkpoint_paths: \"c-1\"\n", 10_000))
	before := b.Count()
	found, err := ckpt.FindGood(t.Context(), "d", &ckpt.VerifyOptions{Bucket: b})
	if !errors.Is(err, ckpt.ErrNoCheckpoint) || len(found.Refused) != 1 {
		t.Errorf("got %+v, %v, want one refusal", found, err)
	}
	if n := b.Count() - before; n > 100 {
		t.Errorf("%d operations to look for one checkpoint", n)
	}
}

// A state file that cannot be used tells that there was a training: without any
// checkpoint beside it, Resume must not start from scratch.
func TestResumeNothingButABadStateFile(t *testing.T) {
	for name, text := range map[string]string{"garbage": "garbage {", "empty": ""} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			writeFile(t, dir+"/checkpoint", []byte(text))
			called := false
			m := newManager(t, newProgram().Checkpoint, dir, &ckpt.ManagerOptions{Init: func(context.Context) error { called = true; return nil }})
			resumed, err := m.Resume(t.Context(), nil)
			if errors.Is(err, ckpt.ErrNoCheckpoint) || !errors.Is(err, ckpt.ErrCorrupt) || !strings.Contains(err.Error(), dir+"/checkpoint") {
				t.Errorf("got %+v, %v, want an error that names the state file", resumed, err)
			}
			if called {
				t.Error("Init was called")
			}
		})
	}
}

// A bucket of a type that cannot be compared, as a caller may write one.
type uncomparable struct {
	storage.Bucket
	_ []int
}

func TestUncomparableBucket(t *testing.T) {
	b := uncomparable{Bucket: mem.New()}
	o := &ckpt.ManagerOptions{Bucket: b}
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, "d", o), 1)
	storagetest.Put(t, b, "d/checkpoint", "model_checkpoint_path: \"/elsewhere/ckpt-1\"\nall_model_checkpoint_paths: \"/elsewhere/ckpt-1\"\nall_model_checkpoint_timestamps: 5.0\n")
	p = newProgram()
	m := newManager(t, p.Checkpoint, "d", o)
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 1)
}
