package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
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

// TestResumeStateFile damages the state file; the checkpoints are good.
func TestResumeStateFile(t *testing.T) {
	text := func(s *ckpt.State) string { return string(s.AppendText(nil)) }
	state := func(latest string, all ...string) string { return text(&ckpt.State{Latest: latest, All: all}) }
	for _, test := range []struct {
		name    string
		text    string // "" means none
		want    int64
		refused []string
	}{
		{"ST-12 missing", "", 3, nil},
		{"blank", " \n", 3, nil},
		{"ST-11 garbage", "garbage {", 3, nil},
		{"ST-11 unknown field", "model_checkpoint_path: \"ckpt-2\"\ncolour: 3\n", 3, nil},
		{"cut", "model_checkpoint_path: \"ckpt-2\"\nall_model_checkpoint_pa", 3, nil},
		{"binary", "\x00\x01\xff\xfe\x80", 3, nil},
		{"zeros", strings.Repeat("\x00", 300), 3, nil},
		{"only the latest", state("ckpt-2"), 2, nil},
		{"names what is not there", state("ckpt-30", "ckpt-29", "ckpt-30"), 3, []string{"ckpt-30", "ckpt-29"}},
		{"falls back to its own list first", state("ckpt-30", "ckpt-1", "ckpt-30"), 1, []string{"ckpt-30"}},
		{"absolute path of another machine", state("/home/someone/train/ckpt-2", "/home/someone/train/ckpt-1", "/home/someone/train/ckpt-2"), 2, nil},
		{"Windows path", state(`D:\train me\ckpt-2`, `D:\train me\ckpt-1`, `D:\train me\ckpt-2`), 2, nil},
		{"Windows share", state(`\\host\share\ckpt-1`), 1, nil},
		{"climbs out", state("../../../nowhere/ckpt-1"), 1, nil},
		{"odd spelling", state("./ckpt-1"), 1, nil},
		{"the long way round", state("x/..//ckpt-1"), 1, nil},
		{"NUL", state("ckpt-1\x00"), 3, []string{"ckpt-1\x00"}},
		{"the folder", state("."), 3, []string{"."}},
		{"the folder above", state(".."), 3, []string{".."}},
		{"root", state("/"), 3, []string{"/"}},
		{"empty entry in the list", state("ckpt-9", "", "ckpt-2"), 2, []string{"ckpt-9"}},
		{"name of an index", state("ckpt-2.index"), 3, []string{"ckpt-2.index"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := savedDir(t, 3)
			if test.text == "" {
				removeFile(t, filepath.Join(dir, "checkpoint"))
			} else {
				writeFile(t, filepath.Join(dir, "checkpoint"), []byte(test.text))
			}
			p, m, r := resume(t, dir)
			p.wantStep(t, test.want)
			if want := fmt.Sprint("ckpt-", test.want); filepath.Base(r.Prefix) != want {
				t.Errorf("Prefix: got %q, want %q", r.Prefix, want)
			}
			var refused []string
			for _, f := range r.Refused {
				refused = append(refused, strings.TrimPrefix(f.Prefix, dir+"/"))
			}
			if !slices.Equal(refused, test.refused) {
				t.Errorf("Refused: got %q (%v), want %q", refused, r.Refused, test.refused)
			}
			next := "ckpt-4" // above all numbers seen, in the state file too
			for _, number := range []string{"ckpt-9", "ckpt-30"} {
				if strings.Contains(test.text, number+`"`) {
					next = map[string]string{"ckpt-9": "ckpt-10", "ckpt-30": "ckpt-31"}[number]
				}
			}
			saveSteps(t, p, m, 10)
			if got := filepath.Base(m.Latest()); got != next {
				t.Errorf("next save: got %q, want %s", got, next)
			}
			for i := range 3 {
				if !fileExists(filepath.Join(dir, fmt.Sprintf("ckpt-%d.index", i+1))) {
					t.Errorf("ckpt-%d was removed", i+1)
				}
			}
		})
	}
	t.Run("a directory", func(t *testing.T) {
		dir := savedDir(t, 3)
		makeFolder(t, filepath.Join(dir, "checkpoint"))
		p, _, _ := resume(t, dir)
		p.wantStep(t, 3)
	})
}

func TestResumeMovedDirectory(t *testing.T) {
	dir := savedDir(t, 2)
	moved := filepath.Join(t.TempDir(), "a", "moved")
	if err := os.MkdirAll(filepath.Dir(moved), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(dir, moved); err != nil {
		t.Fatal(err)
	}
	p, m, r := resume(t, moved)
	p.wantStep(t, 2)
	if r.Prefix != filepath.Join(moved, "ckpt-2") || len(r.Refused) != 0 {
		t.Errorf("Resume: got %+v", r)
	}
	saveSteps(t, p, m, 3)
	if fileExists(dir) {
		t.Error("the old directory is back")
	}
	wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-3")
}

// TestResumePrefersInside has two directories of the same origin: the state
// file of the copy still names the original, whose checkpoint went on.
func TestResumePrefersInside(t *testing.T) {
	original, copied := savedDir(t, 2), savedDir(t, 1)
	s := &ckpt.State{Latest: filepath.Join(original, "ckpt-1")}
	writeFile(t, filepath.Join(copied, "checkpoint"), s.AppendText(nil))
	_, _, r := resume(t, copied)
	if want := filepath.Join(copied, "ckpt-1"); r.Prefix != want {
		t.Errorf("Resume: got %q, want %q", r.Prefix, want)
	}
	s.Latest = filepath.Join(original, "ckpt-2") // not here: then it is meant
	writeFile(t, filepath.Join(copied, "checkpoint"), s.AppendText(nil))
	_, m, r := resume(t, copied)
	if want := filepath.Join(original, "ckpt-2"); r.Prefix != want {
		t.Errorf("Resume: got %q, want %q", r.Prefix, want)
	}
	if got := m.Latest(); got != s.Latest {
		t.Errorf("Latest: got %q, want %q", got, s.Latest)
	}
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

// structState is a program kept in a struct.
type structState struct {
	Step    int64     `ckpt:"step"`
	Weights []float32 `ckpt:"weights"`
}

type structWithoutWeights struct {
	Step int64 `ckpt:"step"`
}

// TestResumeMisfit checks that a checkpoint that does not fit is an error, not a
// reason to take an older one.
func TestResumeMisfit(t *testing.T) {
	fitting := func() ckpt.Objects {
		p := newProgram()
		return ckpt.Objects{"step": p.step, "weights": p.weights, "note": p.note}
	}
	for _, test := range []struct {
		name    string
		stored  ckpt.Objects
		objects func() ckpt.Objects
		text    string
		partial bool // AllowPartial takes it
	}{
		{"dtype", fitting(), func() ckpt.Objects {
			o := fitting()
			o["weights"] = ckpt.NewVariable[float64]("weights", tensor.Shape{3}, nil)
			return o
		}, "weights", false},
		{"shape", fitting(), func() ckpt.Objects {
			o := fitting()
			o["weights"] = ckpt.NewVariable[float32]("weights", tensor.Shape{4}, nil)
			return o
		}, "[4]", false},
		{"additional object", fitting(), func() ckpt.Objects {
			o := fitting()
			o["bias"] = ckpt.NewScalar("bias", float32(3))
			return o
		}, "(root).bias", true},
		{"struct field missing in the program", ckpt.Objects{"state": ckpt.Track(&structState{Step: 3, Weights: []float32{1}})}, func() ckpt.Objects {
			return ckpt.Objects{"state": ckpt.Track(new(structWithoutWeights))}
		}, "(root).state.weights", true},
		{"struct field missing in the checkpoint", ckpt.Objects{"state": ckpt.Track(&structWithoutWeights{3})}, func() ckpt.Objects {
			return ckpt.Objects{"state": ckpt.Track(new(structState))}
		}, "(root).state.weights", true},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			m := newManager(t, ckpt.New(test.objects()), dir, nil) // the older one fits
			if _, err := m.Save(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			m = newManager(t, ckpt.New(test.stored), dir, nil)
			if _, err := m.SaveNumber(t.Context(), 2, nil); err != nil {
				t.Fatal(err)
			}
			c := ckpt.New(test.objects())
			m = newManager(t, c, dir, &ckpt.ManagerOptions{Init: func(context.Context) error { t.Error("Init called"); return nil }})
			r, err := m.Resume(t.Context(), nil)
			if r != nil || !errors.Is(err, ckpt.ErrMismatch) || errors.Is(err, ckpt.ErrNoCheckpoint) || errors.Is(err, ckpt.ErrCorrupt) {
				t.Fatalf("Resume: got %+v, %v, want ErrMismatch", r, err)
			}
			if !strings.Contains(err.Error(), test.text) || !strings.Contains(err.Error(), "ckpt-2") {
				t.Errorf("the error says: %v", err)
			}
			if c.SaveCounter() != 0 {
				t.Errorf("SaveCounter: got %d, want 0", c.SaveCounter())
			}
			r, err = m.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true})
			if (err == nil) != test.partial || err == nil && filepath.Base(r.Prefix) != "ckpt-2" {
				t.Errorf("AllowPartial: got %+v, %v", r, err)
			}
		})
	}
}

// TestResumeForeignMisfit has a checkpoint of another program in the directory:
// found by looking only, it is passed over if it does not fit.
func TestResumeForeignMisfit(t *testing.T) {
	dir := savedDir(t, 1)
	if _, err := ckpt.New(ckpt.Objects{"other": ckpt.NewScalar("other", int64(1))}).Write(t.Context(), filepath.Join(dir, "export"), nil); err != nil {
		t.Fatal(err)
	}
	removeFile(t, filepath.Join(dir, "checkpoint"))
	p, _, r := resume(t, dir)
	p.wantStep(t, 1)
	if len(r.Refused) != 0 {
		t.Errorf("Refused: got %v", r.Refused)
	}
	removeFile(t, filepath.Join(dir, "ckpt-1.index"))
	m := newManager(t, newProgram().Checkpoint, dir, nil)
	if r, err := m.Resume(t.Context(), nil); errors.Is(err, ckpt.ErrNoCheckpoint) || !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("Resume: got %+v, %v", r, err)
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
