package ckpt_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// resume resumes a fresh program in a directory and fails the test on errors.
func resume(t *testing.T, dir string) (*program, *ckpt.Manager, *ckpt.Resumed) {
	t.Helper()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	r, err := m.Resume(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return p, m, r
}

func TestResumeNewestDamaged(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			dir := savedDir(t, 3)
			newest := filepath.Join(dir, "ckpt-3")
			d.damage(t, newest)
			before := filesIn(t, dir)
			p, m, r := resume(t, dir)
			if want := filepath.Join(dir, "ckpt-2"); r.Prefix != want || r.Status.Prefix() != want {
				t.Errorf("Prefix: got %q and %q, want %q", r.Prefix, r.Status.Prefix(), want)
			}
			p.wantStep(t, 2)
			if got := filesIn(t, dir); !slices.Equal(got, before) {
				t.Errorf("Resume changed the files: got %q, want %q", got, before)
			}
			if len(r.Refused) != 1 || r.Refused[0].Prefix != newest {
				t.Fatalf("Refused: got %v, want %s", r.Refused, newest)
			}
			var c *ckpt.CorruptError
			if !errors.As(r.Refused[0], &c) {
				t.Fatalf("Refused: got %v, want a *CorruptError", r.Refused[0])
			}
			if !strings.HasSuffix(c.File, "ckpt-3"+d.file) || c.Kind != d.kind || !strings.HasPrefix(c.Key, d.key) || d.offset != (c.Offset >= 0) {
				t.Errorf("Refused: got file %q, tensor %q, kind %s, offset %d (%v)", c.File, c.Key, c.Kind, c.Offset, c)
			}
			if text := r.Refused[0].Error(); !strings.Contains(text, "ckpt-3"+d.file) || strings.Count(text, "ckpt-3"+d.file) > 2 {
				t.Errorf("Refused says: %s", text)
			}

			saveSteps(t, p, m, 10)
			if got := filepath.Base(m.Latest()); got != "ckpt-4" || p.SaveCounter() != 4 {
				t.Errorf("next save: got %q with counter %d, want ckpt-4", got, p.SaveCounter())
			}
			after, _, r := resume(t, dir)
			after.wantStep(t, 10)
			if len(r.Refused) != 0 {
				t.Errorf("Refused after a save: got %v", r.Refused)
			}
		})
	}
}

func TestResumeTwoDamaged(t *testing.T) {
	dir := savedDir(t, 4)
	flipBit(t, dataOf(filepath.Join(dir, "ckpt-4")), 24, 0)
	cutFile(t, filepath.Join(dir, "ckpt-3.index"), 50)
	p, _, r := resume(t, dir)
	p.wantStep(t, 2)
	var refused []string
	for _, f := range r.Refused {
		refused = append(refused, filepath.Base(f.Prefix))
	}
	if want := []string{"ckpt-4", "ckpt-3"}; !slices.Equal(refused, want) {
		t.Errorf("Refused: got %q, want %q", refused, want)
	}
}

func TestResumeAllDamaged(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			dir := savedDir(t, 2)
			copyCheckpoint(t, filepath.Join(dir, "ckpt-1"), filepath.Join(dir, "ckpt-7")) // found by looking only
			for _, name := range []string{"ckpt-2", "ckpt-7", "ckpt-1"} {
				if d.name != "data of another checkpoint" {
					d.damage(t, filepath.Join(dir, name))
				} else {
					flipBit(t, dataOf(filepath.Join(dir, name)), 0, 0)
				}
			}
			before := filesIn(t, dir)
			p := newProgram()
			p.setStep(50)
			initialized := false
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Init: func(context.Context) error { initialized = true; return nil }})
			r, err := m.Resume(t.Context(), nil)
			corrupt := d.kind != ckpt.KindMissing && d.kind != ckpt.KindUnreadable
			gone := !fileExists(filepath.Join(dir, "ckpt-2.index")) // only then may it be taken for nothing
			if r != nil || err == nil || errors.Is(err, ckpt.ErrNoCheckpoint) != gone || errors.Is(err, ckpt.ErrCorrupt) != corrupt || errors.Is(err, ckpt.ErrMismatch) {
				t.Fatalf("Resume: got %+v, %v", r, err)
			}
			for _, name := range []string{"ckpt-1", "ckpt-2", "ckpt-7"} {
				seen := fileExists(filepath.Join(dir, name+".index")) && d.name != "directory in place of the index" || name != "ckpt-7"
				if strings.Contains(err.Error(), filepath.Join(dir, name)+":") != seen {
					t.Errorf("the error says of %s: %v", name, err)
				}
			}
			if strings.Contains(err.Error(), "must not be used") {
				t.Errorf("the error says that the objects are unusable: %v", err)
			}
			p.wantStep(t, 50)
			if initialized || p.SaveCounter() != 0 {
				t.Errorf("Init called %v, counter %d", initialized, p.SaveCounter())
			}
			if got := filesIn(t, dir); !slices.Equal(got, before) {
				t.Errorf("Resume changed the files: got %q, want %q", got, before)
			}
		})
	}
}

func TestResumeStrict(t *testing.T) {
	dir := savedDir(t, 2)
	flipBit(t, dataOf(filepath.Join(dir, "ckpt-2")), 24, 0)
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	_, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Strict: true})
	var refusal *ckpt.Refusal
	if !errors.Is(err, ckpt.ErrCorrupt) || errors.Is(err, ckpt.ErrNoCheckpoint) || !errors.As(err, &refusal) || filepath.Base(refusal.Prefix) != "ckpt-2" {
		t.Errorf("Resume: got %v, want the damage of ckpt-2", err)
	}
	p.wantStep(t, 0)
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 1)
}

func TestResumeNothing(t *testing.T) {
	parent := t.TempDir()
	for _, test := range []struct {
		name, dir string
	}{
		{"missing directory", filepath.Join(parent, "none", "yet")},
		{"empty directory", parent},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProgram()
			calls := 0
			m := newManager(t, p.Checkpoint, test.dir, &ckpt.ManagerOptions{Init: func(context.Context) error { calls++; p.setStep(7); return nil }})
			r, err := m.Resume(t.Context(), nil)
			if err != nil || r.Prefix != "" || len(r.Refused) != 0 || r.Status == nil || calls != 1 {
				t.Fatalf("Resume: got %+v, %v, Init called %d times", r, err, calls)
			}
			if r.Status.CheckConsumed() == nil {
				t.Error("CheckConsumed of nothing: got no error")
			}
			p.wantStep(t, 7)
			if len(filesIn(t, parent)) != 0 || p.SaveCounter() != 0 {
				t.Errorf("files %q, counter %d", filesIn(t, parent), p.SaveCounter())
			}
			wantErr := errors.New("no seed")
			m = newManager(t, p.Checkpoint, test.dir, &ckpt.ManagerOptions{Init: func(context.Context) error { return wantErr }})
			if _, err := m.Resume(t.Context(), nil); !errors.Is(err, wantErr) {
				t.Errorf("Resume with a failing Init: got %v", err)
			}
		})
	}
	t.Run("file instead of a directory", func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "file")
		writeFile(t, file, nil)
		m, err := ckpt.NewManager(newProgram().Checkpoint, file, nil)
		if err == nil {
			_, err = m.Resume(t.Context(), nil)
		}
		if err == nil || errors.Is(err, ckpt.ErrNoCheckpoint) {
			t.Errorf("got %v, want an error that is not ErrNoCheckpoint", err)
		}
	})
}

// TestResumeUnreadable has a file that the system refuses to open.
func TestResumeUnreadable(t *testing.T) {
	for _, file := range []string{"ckpt-2.index", "ckpt-2.data-00000-of-00001", "checkpoint"} {
		t.Run(file, func(t *testing.T) {
			b := &denying{Bucket: newMem()}
			p := newProgram()
			saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}), 1, 2)
			b.open = file
			p = newProgram()
			r, err := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}).Resume(t.Context(), nil)
			if err != nil {
				t.Fatal(err)
			}
			if file == "checkpoint" {
				p.wantStep(t, 2)
				return
			}
			p.wantStep(t, 1)
			var c *ckpt.CorruptError
			if !errors.Is(r.Refused[0], fs.ErrPermission) || !errors.As(r.Refused[0], &c) || c.Kind != ckpt.KindUnreadable || c.File != file {
				t.Errorf("Refused: got %v, %+v", r.Refused[0], c)
			}
		})
	}
}

// TestResumeDeferredDamage damages a value whose object does not exist yet.
func TestResumeDeferredDamage(t *testing.T) {
	dir := savedDir(t, 2)
	flipBit(t, dataOf(filepath.Join(dir, "ckpt-2")), 24, 0) // in weights
	step := ckpt.NewScalar("step", int64(0))
	c := ckpt.New(ckpt.Objects{"step": step})
	r, err := newManager(t, c, dir, nil).Resume(t.Context(), nil)
	if err != nil || len(r.Refused) != 1 || step.Value() != 1 {
		t.Fatalf("Resume: got %+v, %v, step %d", r, err, step.Value())
	}
	if want := []string{"(root).note", "(root).weights"}; !slices.Equal(r.Status.Waiting(), want) {
		t.Errorf("Waiting: got %q, want %q", r.Status.Waiting(), want)
	}
	weights := ckpt.NewVariable[float32]("weights", tensor.Shape{3}, nil)
	if err := c.Track("weights", weights); err != nil || weights.Value() != 1 {
		t.Errorf("Track: got %v, %v, want the value of ckpt-1", weights.Data(), err)
	}
}

// TestResumeCancelled checks that a cancelled context is no damage.
func TestResumeCancelled(t *testing.T) {
	dir := savedDir(t, 2)
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if r, err := m.Resume(ctx, nil); !errors.Is(err, context.Canceled) || errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Errorf("Resume: got %+v, %v, want context.Canceled", r, err)
	}
	p.wantStep(t, 0)
}

// TestResumeTwice checks that a second Resume goes back to the files.
func TestResumeTwice(t *testing.T) {
	dir := savedDir(t, 2)
	p, m, _ := resume(t, dir)
	p.setStep(40)
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 2)
	if p.SaveCounter() != 2 {
		t.Errorf("SaveCounter: got %d, want 2", p.SaveCounter())
	}
}
