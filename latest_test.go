package ckpt_test

import (
	"context"
	"encoding/json"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

func TestST4DirectoryAsGiven(t *testing.T) {
	t.Chdir(t.TempDir())
	writeFile(t, "train/checkpoint", []byte("model_checkpoint_path: \"model-2\"\nall_model_checkpoint_paths: \"a/../b\"\nall_model_checkpoint_paths: \"/abs/model-1\"\n"))
	abs, err := filepath.Abs("train")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"train", "./train", "train/", abs, "train/../train"} {
		s := readState(t, dir, nil)
		want := &ckpt.State{Latest: strings.TrimSuffix(dir, "/") + "/model-2", All: []string{strings.TrimSuffix(dir, "/") + "/a/../b", "/abs/model-1"}}
		if diff := cmp.Diff(s, want); diff != "" {
			t.Errorf("ReadState(%q) (-got +want):\n%s", dir, diff)
		}
	}
}

func TestReadStateErrors(t *testing.T) {
	for _, test := range []struct {
		name  string
		place func(t *testing.T, dir string)
		is    []error
		not   []error
		kind  ckpt.Kind
		text  string
	}{
		{"ST-6 empty", func(t *testing.T, dir string) { writeFile(t, dir+"/checkpoint", nil) },
			[]error{ckpt.ErrCorrupt}, []error{ckpt.ErrNoCheckpoint}, ckpt.KindState, "invalid checkpoint state"},
		{"ST-11 garbage", func(t *testing.T, dir string) { writeFile(t, dir+"/checkpoint", []byte("garbage {")) },
			[]error{ckpt.ErrCorrupt}, []error{ckpt.ErrNoCheckpoint}, ckpt.KindState, "garbage"},
		{"ST-11 unknown field", func(t *testing.T, dir string) {
			writeFile(t, dir+"/checkpoint", []byte("model_checkpoint_path: \"a\"\ncolour: 1\n"))
		}, []error{ckpt.ErrCorrupt}, []error{ckpt.ErrNoCheckpoint}, ckpt.KindState, "line 2"},
		{"ST-12 missing file", func(t *testing.T, dir string) { os.MkdirAll(dir, 0o777) },
			[]error{ckpt.ErrNoCheckpoint, fs.ErrNotExist}, []error{ckpt.ErrCorrupt}, "", "there is no state file"},
		{"ST-12 missing directory", func(t *testing.T, dir string) {},
			[]error{ckpt.ErrNoCheckpoint, fs.ErrNotExist}, []error{ckpt.ErrCorrupt}, "", "there is no state file"},
		{"a directory", func(t *testing.T, dir string) { os.MkdirAll(dir+"/checkpoint", 0o777) },
			nil, []error{ckpt.ErrNoCheckpoint, ckpt.ErrCorrupt}, ckpt.KindUnreadable, "not a regular file"},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "train")
			test.place(t, dir)
			_, err := ckpt.ReadState(t.Context(), dir, nil)
			_, latestErr := ckpt.Latest(t.Context(), dir, nil)
			for name, err := range map[string]error{"ReadState": err, "Latest": latestErr} {
				if err == nil {
					t.Errorf("%s: got no error", name)
					continue
				}
				for _, want := range test.is {
					if !errors.Is(err, want) {
						t.Errorf("%s: got %v, want it to be %v", name, err, want)
					}
				}
				for _, not := range test.not {
					if errors.Is(err, not) {
						t.Errorf("%s: got %v, which is %v", name, err, not)
					}
				}
				var c *ckpt.CorruptError
				if errors.As(err, &c); test.kind != "" && (c == nil || c.Kind != test.kind || c.File != filepath.Join(dir, "checkpoint")) {
					t.Errorf("%s: got %+v, want kind %s", name, c, test.kind)
				}
				if !strings.Contains(err.Error(), test.text) {
					t.Errorf("%s: the error says: %v", name, err)
				}
			}
		})
	}
}

func TestLatestNeverFallsBack(t *testing.T) {
	dir := savedDir(t, 2)
	removeFile(t, filepath.Join(dir, "ckpt-2.index"))
	got, err := ckpt.Latest(t.Context(), dir, nil)
	if !errors.Is(err, ckpt.ErrNoCheckpoint) || !strings.Contains(err.Error(), "ckpt-2") {
		t.Errorf("Latest: got %q, %v, want ErrNoCheckpoint", got, err)
	}
	dir = savedDir(t, 1)
	removeFile(t, dataOf(filepath.Join(dir, "ckpt-1"))) // not looked at, as in TensorFlow
	if got, err := ckpt.Latest(t.Context(), dir, nil); err != nil || got != filepath.Join(dir, "ckpt-1") {
		t.Errorf("Latest without a data file: got %q, %v", got, err)
	}
}

func TestST7StateFileName(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	prefix, err := p.Save(t.Context(), filepath.Join(dir, "checkpoint"), nil)
	if want := filepath.Join(dir, "checkpoint-1"); err != nil || prefix != want {
		t.Fatalf("Save: got %q, %v, want %q", prefix, err, want)
	}
	if got, err := ckpt.Latest(t.Context(), dir, nil); err != nil || got != prefix {
		t.Errorf("Latest: got %q, %v, want %q", got, err, prefix)
	}
	state := string(readFile(t, filepath.Join(dir, "checkpoint")))
	if _, err := p.Write(t.Context(), filepath.Join(dir, "checkpoint"), nil); err != nil {
		t.Fatal(err)
	}
	wantFile(t, filepath.Join(dir, "checkpoint"), state)
	if !fileExists(filepath.Join(dir, "checkpoint.index")) {
		t.Error("Write made no checkpoint.index")
	}

	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Name: "checkpoint", MaxToKeep: 1})
	saveSteps(t, p, m, 5, 6)
	if got, err := ckpt.Latest(t.Context(), dir, nil); err != nil || got != filepath.Join(dir, "checkpoint-3") {
		t.Errorf("Latest: got %q, %v", got, err)
	}
	p = newProgram()
	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Name: "checkpoint"})
	if r, err := m.Resume(t.Context(), nil); err != nil || r.Prefix != filepath.Join(dir, "checkpoint-3") {
		t.Fatalf("Resume: got %+v, %v", r, err)
	}
	p.wantStep(t, 6)
}

func TestST8RelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	p := newProgram()
	for step := range int64(3) {
		p.setStep(step + 1)
		if _, err := p.Save(t.Context(), "train/snapshot", nil); err != nil {
			t.Fatal(err)
		}
	}
	got, err := ckpt.Latest(t.Context(), "train", nil)
	if err != nil || got != "train/snapshot-3" {
		t.Fatalf("Latest: got %q, %v", got, err)
	}
	p.setStep(0)
	if _, err := p.Restore(t.Context(), got, nil); err != nil {
		t.Fatal(err)
	}
	p.wantStep(t, 3)
}

func TestST9TwoLines(t *testing.T) {
	for _, test := range []struct{ prefix, stored string }{{"c", "c-1"}, {"sub/c", "c-1"}, {"sub/../other/c", "c-1"}, {"-", "--1"}} {
		t.Chdir(t.TempDir())
		if err := os.Mkdir("sub", 0o777); err != nil {
			t.Fatal(err)
		}
		if _, err := newProgram().Save(t.Context(), test.prefix, nil); err != nil {
			t.Fatal(err)
		}
		dir, _ := filepath.Split(test.prefix)
		wantFile(t, dir+"checkpoint", "model_checkpoint_path: \""+test.stored+"\"\nall_model_checkpoint_paths: \""+test.stored+"\"\n")
	}
}

// TestST15OddNames has directories and names that TensorFlow takes for patterns.
func TestST15OddNames(t *testing.T) {
	for _, name := range []string{"a[1]", "a*", "a?c", "with space", "[a-z]*?", `back\slash`, "näme", "new\nline", "tab\t\"quote\"'", "%d %s", "#hash; rm", "\xff\xfe", "..x", "-", "{a,b}"} {
		t.Run(name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), name)
			p := newProgram()
			o := &ckpt.ManagerOptions{Name: name, MaxToKeep: 2}
			m := newManager(t, p.Checkpoint, dir, o)
			saveSteps(t, p, m, 1, 2, 3)
			wantManaged(t, m, name+"-2", name+"-3")
			wantFiles(t, dir, filesOf(name+"-2", name+"-3")...)

			p = newProgram()
			m = newManager(t, p.Checkpoint, dir, o)
			if r, err := m.Resume(t.Context(), nil); err != nil || r.Prefix != filepath.Join(dir, name+"-3") {
				t.Fatalf("Resume: got %+v, %v", r, err)
			}
			p.wantStep(t, 3)
			if got, err := m.RestoreOrInitialize(t.Context()); err != nil || got != filepath.Join(dir, name+"-3") {
				t.Errorf("RestoreOrInitialize: got %q, %v", got, err)
			}
			if got, err := ckpt.Latest(t.Context(), dir, nil); err != nil || got != filepath.Join(dir, name+"-3") {
				t.Errorf("Latest: got %q, %v", got, err)
			}
			list, err := ckpt.VerifyDirectory(t.Context(), dir, nil)
			if err != nil || len(list) != 2 || !list[0].OK() || !list[1].OK() {
				t.Errorf("VerifyDirectory: got %+v, %v", list, err)
			}
			saveSteps(t, p, m, 4)
			wantFiles(t, dir, filesOf(name+"-3", name+"-4")...)

			removeFile(t, filepath.Join(dir, "checkpoint"))
			p = newProgram()
			if _, err := newManager(t, p.Checkpoint, dir, o).Resume(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			p.wantStep(t, 4)
		})
	}
}

// wildDir is where checkpoints from public repositories lie, outside of the
// project.
func wildDir(t *testing.T, name string) string {
	t.Helper()
	dir := filepath.Join("..", "shared", "wild", name)
	if !fileExists(dir) {
		t.Skipf("no %s: it is not part of the project", dir)
	}
	return dir
}

// truth is what TensorFlow says of a folder of ../shared/wild.
type truth struct {
	Checkpoints []struct {
		Prefix string
		Opens  bool
	}
	StateFiles []struct {
		File       string
		Latest     string    `json:"model_checkpoint_path"`
		All        []string  `json:"all_model_checkpoint_paths"`
		Timestamps []float64 `json:"all_model_checkpoint_timestamps"`
		Preserved  float64   `json:"last_preserved_timestamp"`
		Path       string    `json:"get_checkpoint_state_path"`
		Found      string    `json:"latest_checkpoint"`
	} `json:"state_files"`
}

func wildTruth(t *testing.T, dir string) (found truth) {
	t.Helper()
	if err := json.Unmarshal(readFile(t, filepath.Join(dir, "truth.json")), &found); err != nil {
		t.Fatal(err)
	}
	return found
}

func TestWildStateFiles(t *testing.T) {
	cases, err := filepath.Glob(filepath.Join(wildDir(t, ""), "*", "truth.json"))
	if err != nil || len(cases) == 0 {
		t.Fatalf("no cases: %v", err)
	}
	seen := 0
	for _, file := range cases {
		folder := filepath.Dir(file)
		t.Run(filepath.Base(folder), func(t *testing.T) {
			for _, want := range wildTruth(t, folder).StateFiles {
				seen++
				dir := filepath.Dir(filepath.Join(folder, want.File))
				s := readState(t, dir, nil)
				join := func(stored string) string {
					if filepath.IsAbs(stored) {
						return stored
					}
					return dir + "/" + stored
				}
				all := make([]string, len(want.All))
				for i, stored := range want.All {
					all[i] = join(stored)
				}
				full := &ckpt.State{Latest: join(want.Latest), All: all, Timestamps: want.Timestamps, LastPreserved: want.Preserved}
				if diff := cmp.Diff(s, full, sameStates); diff != "" {
					t.Errorf("ReadState (-got +want):\n%s", diff)
				}
				if got := strings.ReplaceAll(want.Path, "<dir>", dir); got != s.Latest {
					t.Errorf("path: got %q, TensorFlow has %q", s.Latest, got)
				}
				got, err := ckpt.Latest(t.Context(), dir, nil)
				wanted := strings.ReplaceAll(want.Found, "<dir>", dir)
				if filepath.Base(folder) == "windows-absolute-state" || filepath.Base(dir) == "single" {
					wanted = filepath.Join(dir, got[strings.LastIndexByte(got, '/')+1:]) // found here, not by TensorFlow
				}
				if err != nil || got != wanted {
					t.Errorf("Latest: got %q, %v, want %q", got, err, wanted)
				}
			}
		})
	}
	if seen < 5 {
		t.Errorf("looked at %d state files", seen)
	}
}

func TestLatestInBucket(t *testing.T) {
	b := mem.New()
	storagetest.Put(t, b, "train/checkpoint", "model_checkpoint_path: \"/elsewhere/ckpt-1\"")
	storagetest.Put(t, b, "ckpt-1.index", "not in the directory")
	o := &ckpt.FindOptions{Bucket: b}
	if got, err := ckpt.Latest(context.Background(), "train", o); !errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Errorf("Latest: got %q, %v", got, err)
	}
	storagetest.Put(t, b, "train/ckpt-1.index", "x")
	for _, dir := range []string{"train", "train/"} {
		if got, err := ckpt.Latest(context.Background(), dir, o); err != nil || got != "train/ckpt-1" {
			t.Errorf("Latest(%q): got %q, %v", dir, got, err)
		}
	}
}
