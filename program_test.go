package ckpt_test

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// program is a small training program. All its values tell its step, so that a
// state put together from two checkpoints shows.
type program struct {
	step    *ckpt.Variable[int64]
	weights *ckpt.Variable[float32]
	note    *ckpt.StringVariable
	*ckpt.Checkpoint
}

func newProgram() *program {
	p := &program{
		step:    ckpt.NewScalar("step", int64(0)),
		weights: ckpt.NewVariable[float32]("weights", tensor.Shape{3}, nil),
		note:    ckpt.NewStringVariable("note", nil, nil),
	}
	p.Checkpoint = ckpt.New(ckpt.Objects{"step": p.step, "weights": p.weights, "note": p.note})
	p.setStep(0)
	return p
}

// setStep changes all values to those of a step.
func (p *program) setStep(step int64) {
	p.step.Assign(step)
	p.weights.Assign(float32(step), float32(step)+0.25, float32(step)+0.5)
	p.note.Elements()[0] = fmt.Append(nil, "step ", step)
}

// atStep gives the step that all values tell, an error if they differ.
func (p *program) atStep() (int64, error) {
	want := newProgram()
	want.setStep(p.step.Value())
	if !slices.Equal(p.weights.Data(), want.weights.Data()) || string(p.note.Elements()[0]) != string(want.note.Elements()[0]) {
		return 0, fmt.Errorf("a mixture: step %d, weights %v, note %q", p.step.Value(), p.weights.Data(), p.note.Elements()[0])
	}
	return p.step.Value(), nil
}

func (p *program) wantStep(t *testing.T, want int64) {
	t.Helper()
	if got, err := p.atStep(); err != nil || got != want {
		t.Errorf("got step %d, %v, want %d", got, err, want)
	}
}

// clock is the time of a Manager, in seconds.
type clock struct{ seconds int64 }

func (c *clock) now() time.Time { return time.Unix(c.seconds, 0) }

func newManager(t *testing.T, c *ckpt.Checkpoint, dir string, o *ckpt.ManagerOptions) *ckpt.Manager {
	t.Helper()
	m, err := ckpt.NewManager(c, dir, o)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// saveSteps saves as many times as there are steps.
func saveSteps(t *testing.T, p *program, m *ckpt.Manager, steps ...int64) {
	t.Helper()
	for _, step := range steps {
		p.setStep(step)
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
}

// savedDir is a new directory with checkpoints ckpt-1 to ckpt-n of those steps.
func savedDir(t *testing.T, n int64) string {
	t.Helper()
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: ckpt.KeepAll})
	for i := range n {
		saveSteps(t, p, m, i+1)
	}
	return dir
}

// filesIn lists a folder, hidden files too.
func filesIn(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names
}

// filesOf are the files of whole checkpoints and a state file, sorted.
func filesOf(names ...string) []string {
	files := []string{"checkpoint"}
	for _, name := range names {
		files = append(files, name+".index", name+".data-00000-of-00001")
	}
	slices.Sort(files)
	return files
}

func wantFiles(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := filesIn(t, dir); !slices.Equal(got, want) {
		t.Errorf("files:\n got %q\nwant %q", got, want)
	}
}

// wantManaged compares the list of a Manager, without the directory.
func wantManaged(t *testing.T, m *ckpt.Manager, want ...string) {
	t.Helper()
	var got []string
	for _, prefix := range m.Checkpoints() {
		name, ok := strings.CutPrefix(prefix, m.Directory()+"/")
		if !ok && m.Directory() != "" {
			t.Errorf("Checkpoints: %q is not in %q", prefix, m.Directory())
		}
		got = append(got, name)
	}
	if !slices.Equal(got, want) {
		t.Errorf("Checkpoints: got %q, want %q", got, want)
	}
}

func readState(t *testing.T, dir string, b storage.Bucket) *ckpt.State {
	t.Helper()
	s, err := ckpt.ReadState(t.Context(), dir, &ckpt.FindOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// copyCheckpoint copies the files of one prefix to another.
func copyCheckpoint(t *testing.T, from, to string) {
	t.Helper()
	for _, suffix := range []string{".index", ".data-00000-of-00001"} {
		writeFile(t, to+suffix, readFile(t, from+suffix))
	}
}

func readFile(t *testing.T, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func writeFile(t *testing.T, name string, data []byte) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, data, 0o666); err != nil {
		t.Fatal(err)
	}
}

func fileExists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

// inBucket lists what a bucket holds, unpublished files of the dead too.
func inBucket(t *testing.T, b storage.Bucket, folder string) []string {
	t.Helper()
	names := storagetest.List(t, b, folder)
	if s, ok := b.(storage.Sweeper); ok {
		for l, err := range s.Leftovers(t.Context()) {
			if err != nil {
				t.Fatal(err)
			}
			names = append(names, l.Name+" (unpublished)")
		}
	}
	return names
}

// newMem is a bucket in memory, as the interface.
func newMem() storage.Bucket { return mem.New() }

// denying is a bucket that refuses to open or remove one file.
type denying struct {
	storage.Bucket
	open, remove string
}

func (d *denying) Open(ctx context.Context, name string) (storage.File, error) {
	if name == d.open {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.Bucket.Open(ctx, name)
}

func (d *denying) Remove(ctx context.Context, name string) error {
	if name == d.remove {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrPermission}
	}
	return d.Bucket.Remove(ctx, name)
}
