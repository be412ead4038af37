package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

func TestCM1Deletion(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 3})
	saveSteps(t, p, m, 1, 2, 3, 4)
	wantManaged(t, m, "ckpt-2", "ckpt-3", "ckpt-4")
	wantFiles(t, dir, filesOf("ckpt-2", "ckpt-3", "ckpt-4")...)
}

func TestCM2KeepAll(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: ckpt.KeepAll})
	saveSteps(t, p, m, 1, 2, 3)
	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: ckpt.KeepAll})
	saveSteps(t, p, m, 4)
	wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4")

	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 3})
	wantManaged(t, m, "ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4")
	wantFiles(t, dir, filesOf("ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4")...)
	saveSteps(t, p, m, 5)
	wantManaged(t, m, "ckpt-3", "ckpt-4", "ckpt-5")
	wantFiles(t, dir, filesOf("ckpt-3", "ckpt-4", "ckpt-5")...)
}

func TestDefaultMaxToKeepIsFive(t *testing.T) {
	p := newProgram()
	m := newManager(t, p.Checkpoint, t.TempDir(), nil)
	saveSteps(t, p, m, 1, 2, 3, 4, 5, 6, 7)
	wantManaged(t, m, "ckpt-3", "ckpt-4", "ckpt-5", "ckpt-6", "ckpt-7")
}

func TestCM3CM4SaveRestoreState(t *testing.T) {
	dir := t.TempDir()
	c := &clock{3}
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2, Now: c.now})
	for _, c.seconds = range []int64{10000, 13610} {
		saveSteps(t, p, m, c.seconds)
	}
	want := "model_checkpoint_path: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-1\"\nall_model_checkpoint_paths: \"ckpt-2\"\n" +
		"all_model_checkpoint_timestamps: 10000.0\nall_model_checkpoint_timestamps: 13610.0\nlast_preserved_timestamp: 2.0\n"
	if got := string(readFile(t, filepath.Join(dir, "checkpoint"))); got != want {
		t.Errorf("CM-3: state:\n got %q\nwant %q", got, want)
	}

	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2, KeepEvery: 90 * time.Minute, Now: c.now})
	for _, after := range []struct {
		seconds   int64
		managed   []string
		preserved float64
		files     []string
	}{
		{14330, []string{"ckpt-2", "ckpt-3"}, 10000, []string{"ckpt-1", "ckpt-2", "ckpt-3"}},
		{16130, []string{"ckpt-3", "ckpt-4"}, 10000, []string{"ckpt-1", "ckpt-3", "ckpt-4"}},
		{17930, []string{"ckpt-4", "ckpt-5"}, 10000, []string{"ckpt-1", "ckpt-4", "ckpt-5"}},
	} {
		c.seconds = after.seconds
		saveSteps(t, p, m, after.seconds)
		wantManaged(t, m, after.managed...)
		wantFiles(t, dir, filesOf(after.files...)...)
		if got := readState(t, dir, nil).LastPreserved; got != after.preserved {
			t.Errorf("CM-4 at %d: last preserved %v, want %v", after.seconds, got, after.preserved)
		}
	}
}

func TestCM5ContinueFromUnmanaged(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	for range 2 {
		if _, err := p.Save(t.Context(), filepath.Join(dir, "unusual_prefix"), nil); err != nil {
			t.Fatal(err)
		}
	}
	fresh := newProgram()
	m := newManager(t, fresh.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
	wantManaged(t, m)
	if got, want := m.Latest(), filepath.Join(dir, "unusual_prefix-2"); got != want {
		t.Errorf("Latest: got %q, want %q", got, want)
	}
	if _, err := fresh.Restore(t.Context(), m.Latest(), nil); err != nil {
		t.Fatal(err)
	}
	if got := fresh.SaveCounter(); got != 2 {
		t.Errorf("SaveCounter: got %d, want 2", got)
	}
	saveSteps(t, fresh, m, 3, 4, 5)
	wantManaged(t, m, "ckpt-4", "ckpt-5")
	wantFiles(t, dir, filesOf("ckpt-4", "ckpt-5", "unusual_prefix-1", "unusual_prefix-2")...)
}

func TestCM6ClockReset(t *testing.T) {
	dir := t.TempDir()
	c := &clock{10000}
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, KeepEvery: time.Hour, Now: c.now})
	for _, c.seconds = range []int64{10000, 13600, 17200} {
		saveSteps(t, p, m, c.seconds)
	}
	wantManaged(t, m, "ckpt-3")
	wantFiles(t, dir, filesOf("ckpt-2", "ckpt-3")...)
	if got := readState(t, dir, nil).LastPreserved; got != 13600 {
		t.Errorf("last preserved: got %v, want 13600", got)
	}

	// TensorFlow gives up what it manages when the clock is behind the last
	// preserved one; here the list stays, so that nothing is left lying, and the
	// time of the last preserved one stays below it, so that it stays once more.
	c.seconds = 5000
	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, KeepEvery: time.Hour, Now: c.now})
	wantManaged(t, m, "ckpt-3")
	saveSteps(t, p, m, 5000)
	wantManaged(t, m, "ckpt-4")
	wantFiles(t, dir, filesOf("ckpt-2", "ckpt-4")...)
	if got := readState(t, dir, nil); got.LastPreserved != 4999 || !slices.Equal(got.Timestamps, []float64{5000}) {
		t.Errorf("state after the clock went back: got %+v", got)
	}
}

func TestCM7CustomNumbering(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
	for step := int64(0); step < 10; step += 2 {
		p.setStep(step)
		got, err := m.SaveNumber(t.Context(), step, nil)
		if want := filepath.Join(dir, fmt.Sprint("ckpt-", step)); err != nil || got != want {
			t.Fatalf("SaveNumber: got %q, %v, want %q", got, err, want)
		}
	}
	if got := p.SaveCounter(); got != 5 {
		t.Errorf("SaveCounter: got %d, want 5", got)
	}
	prefix, err := m.SaveNumber(t.Context(), 32, nil)
	if err != nil {
		t.Fatal(err)
	}
	latest, err := ckpt.Latest(t.Context(), dir, nil)
	if err != nil || latest != prefix || m.Latest() != prefix {
		t.Errorf("latest: got %q and %q, %v, want %q", m.Latest(), latest, err, prefix)
	}
	want := []string{filepath.Join(dir, "ckpt-8"), prefix}
	if got := readState(t, dir, nil).All; !slices.Equal(got, want) {
		t.Errorf("state: got %q, want %q", got, want)
	}
	for _, number := range []int64{-3, -1 << 63, 1<<63 - 1} {
		if got, err := m.SaveNumber(t.Context(), number, nil); err != nil || !strings.HasSuffix(got, fmt.Sprint("ckpt-", number)) {
			t.Errorf("SaveNumber(%d): got %q, %v", number, got, err)
		}
	}
	wantFiles(t, dir, filesOf("ckpt-9223372036854775807", "ckpt--9223372036854775808")...)
}

func TestCM8CustomPrefix(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2, Name: "ckpt_name"})
	if got, err := m.SaveNumber(t.Context(), 5, nil); err != nil || got != filepath.Join(dir, "ckpt_name-5") {
		t.Errorf("SaveNumber: got %q, %v", got, err)
	}
	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
	if got, err := m.SaveNumber(t.Context(), 5, nil); err != nil || got != filepath.Join(dir, "ckpt-5") {
		t.Errorf("SaveNumber: got %q, %v", got, err)
	}
	wantManaged(t, m, "ckpt_name-5", "ckpt-5")

	// Its turn comes, but it is none of this Manager's: it stays on disk.
	if _, err := m.SaveNumber(t.Context(), 6, nil); err != nil {
		t.Fatal(err)
	}
	wantManaged(t, m, "ckpt-5", "ckpt-6")
	wantFiles(t, dir, filesOf("ckpt_name-5", "ckpt-5", "ckpt-6")...)
}

func TestCM9RestoreOrInitialize(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new")
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Init: func(context.Context) error { p.setStep(2); return nil }})
	got, err := m.RestoreOrInitialize(t.Context())
	if err != nil || got != "" {
		t.Errorf("RestoreOrInitialize: got %q, %v, want nothing", got, err)
	}
	p.wantStep(t, 2)
	if fileExists(dir) {
		t.Error("the directory was created")
	}
	saveSteps(t, p, m, 7)
	p.setStep(8)
	got, err = m.RestoreOrInitialize(t.Context())
	if err != nil || got != filepath.Join(dir, "ckpt-1") {
		t.Errorf("RestoreOrInitialize: got %q, %v", got, err)
	}
	p.wantStep(t, 7)

	wantErr := errors.New("no seed")
	m = newManager(t, p.Checkpoint, filepath.Join(dir, "other"), &ckpt.ManagerOptions{Init: func(context.Context) error { return wantErr }})
	if _, err := m.RestoreOrInitialize(t.Context()); !errors.Is(err, wantErr) {
		t.Errorf("RestoreOrInitialize with a failing Init: got %v, want %v", err, wantErr)
	}
}

func TestRestoreOrInitializeNeverFallsBack(t *testing.T) {
	for _, test := range []struct {
		name   string
		damage func(t *testing.T, dir string)
	}{
		{"latest removed", func(t *testing.T, dir string) { os.Remove(filepath.Join(dir, "ckpt-2.index")) }},
		{"latest damaged", func(t *testing.T, dir string) { flipBit(t, filepath.Join(dir, "ckpt-2.data-00000-of-00001"), 1, 0) }},
		{"state is garbage", func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "checkpoint"), []byte("garbage {")) }},
		{"state is empty", func(t *testing.T, dir string) { writeFile(t, filepath.Join(dir, "checkpoint"), nil) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := savedDir(t, 2)
			test.damage(t, dir)
			p := newProgram()
			p.setStep(50)
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Init: func(context.Context) error { p.setStep(99); return nil }})
			if got, err := m.RestoreOrInitialize(t.Context()); err == nil {
				t.Errorf("got %q, want an error", got)
			}
			p.wantStep(t, 50)
		})
	}
}

// TestCM10PathAsGiven checks that the directory comes back as it was spelled.
func TestCM10PathAsGiven(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, dir := range []string{"", ".", "train", "./train", "train/", "train//deep/../deep"} {
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Name: "ckpt_name"})
		want := dir + "/ckpt_name-"
		if dir == "" || strings.HasSuffix(dir, "/") {
			want = dir + "ckpt_name-"
		}
		got, err := m.Save(t.Context(), nil)
		if err != nil || !strings.HasPrefix(got, want) {
			t.Errorf("CM-10: Save in %q: got %q, %v, want %q…", dir, got, err, want)
		}
		if restored, err := m.RestoreOrInitialize(t.Context()); err != nil || restored != got {
			t.Errorf("CM-10: RestoreOrInitialize: got %q, %v, want %q", restored, err, got)
		}
		if latest, err := ckpt.Latest(t.Context(), dir, nil); err != nil || latest != got {
			t.Errorf("CM-11: Latest(%q): got %q, %v, want %q", dir, latest, err, got)
		}
	}
}

func TestCM14Options(t *testing.T) {
	for _, test := range []struct {
		name string
		o    ckpt.ManagerOptions
	}{
		{"MaxToKeep -2", ckpt.ManagerOptions{MaxToKeep: -2}},
		{"negative KeepEvery", ckpt.ManagerOptions{KeepEvery: -1}},
		{"name with a slash", ckpt.ManagerOptions{Name: "a/b"}},
	} {
		if _, err := ckpt.NewManager(ckpt.New(nil), t.TempDir(), &test.o); err == nil {
			t.Errorf("%s: got no error", test.name)
		}
	}
	if _, err := ckpt.NewManager(nil, t.TempDir(), nil); err == nil {
		t.Error("no Checkpoint: got no error")
	}
	for _, keep := range []int{ckpt.KeepAll, 0, 1} {
		newManager(t, ckpt.New(nil), t.TempDir(), &ckpt.ManagerOptions{MaxToKeep: keep})
	}
	m := newManager(t, ckpt.New(nil), t.TempDir(), nil)
	if _, err := m.Save(t.Context(), &ckpt.SaveOptions{Bucket: mem.New()}); err == nil {
		t.Error("another bucket for one save: got no error")
	}
}

// TestManagerInFolderOfBucket checks that a folder of a bucket is as good as one
// of its own.
func TestManagerInFolderOfBucket(t *testing.T) {
	b := mem.New()
	storagetest.Put(t, b, "train/.ckpt-undo.ckpt-9.data-00000-of-00001", "what an interrupted save left")
	storagetest.Put(t, b, ".ckpt-undo.ckpt-9.data-00000-of-00001", "another directory's")
	p := newProgram()
	m := newManager(t, p.Checkpoint, "train", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b})
	saveSteps(t, p, m, 1, 2)
	if got, want := m.Latest(), "train/ckpt-2"; got != want {
		t.Errorf("Latest: got %q, want %q", got, want)
	}
	want := []string{"train/checkpoint", "train/ckpt-2.data-00000-of-00001", "train/ckpt-2.index"}
	if got := inBucket(t, b, "train/"); !slices.Equal(got, want) {
		t.Errorf("files: got %q, want %q", got, want)
	}
	if got := inBucket(t, b, "."); len(got) != 1 {
		t.Errorf("files of another directory: got %q", got)
	}
	fresh := newProgram()
	m = newManager(t, fresh.Checkpoint, "train/", &ckpt.ManagerOptions{Bucket: b})
	r, err := m.Resume(t.Context(), nil)
	if err != nil || r.Prefix != "train/ckpt-2" {
		t.Fatalf("Resume: got %+v, %v", r, err)
	}
	fresh.wantStep(t, 2)
}
