package ckpt_test

import (
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
)

// TestResumePrefix goes on from an older checkpoint on purpose: the newer ones
// stay, and do not count.
func TestResumePrefix(t *testing.T) {
	for name, prefix := range map[string]func(dir string) string{
		"number":        func(string) string { return "3" },
		"name":          func(string) string { return "ckpt-3" },
		"prefix":        func(dir string) string { return dir + "/ckpt-3" },
		"index":         func(dir string) string { return dir + "/ckpt-3.index" },
		"another path":  func(dir string) string { return filepath.Dir(dir) + "/./" + filepath.Base(dir) + "/ckpt-3" },
		"name of index": func(string) string { return "ckpt-3.index" },
	} {
		t.Run(name, func(t *testing.T) {
			dir := savedDir(t, 5)
			p := newProgram()
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 3})
			r, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: prefix(dir)})
			if err != nil {
				t.Fatal(err)
			}
			p.wantStep(t, 3)
			if filepath.Base(r.Prefix) != filepath.Base(prefix(dir)) && filepath.Base(r.Prefix) != "ckpt-3" {
				t.Errorf("Prefix: got %q", r.Prefix)
			}
			for _, want := range [][]string{
				{"ckpt-2", "ckpt-3", "ckpt-4", "ckpt-5", "ckpt-6"},
				{"ckpt-3", "ckpt-4", "ckpt-5", "ckpt-6", "ckpt-7"},
				{"ckpt-4", "ckpt-5", "ckpt-6", "ckpt-7", "ckpt-8"},
				{"ckpt-4", "ckpt-5", "ckpt-7", "ckpt-8", "ckpt-9"},
			} {
				saveSteps(t, p, m, 100)
				wantManaged(t, m, want...)
				wantFiles(t, dir, withMetadata(filesOf(want...), "ckpt-4", "ckpt-5")...)
			}
			// A later run knows it from the metadata.
			later, m, _ := resume(t, dir)
			saveSteps(t, later, m, 200)
			wantManaged(t, m, "ckpt-4", "ckpt-5", "ckpt-7", "ckpt-8", "ckpt-9", "ckpt-10")
		})
	}
}

// TestResumePrefixOutside chooses what the state file does not list.
func TestResumePrefixOutside(t *testing.T) {
	other := savedDir(t, 4)
	for _, test := range []struct {
		name, prefix string
		want         []string // after two saves with MaxToKeep 1
	}{
		{"another directory", filepath.Join(other, "ckpt-2"), []string{"ckpt-1", "ckpt-3", "ckpt-5"}},
		{"unlisted between others", "2", []string{"ckpt-3", "ckpt-5"}},
		{"another name", "best", []string{"ckpt-1", "ckpt-3", "ckpt-5"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := savedDir(t, 3)
			copyCheckpoint(t, filepath.Join(dir, "ckpt-2"), filepath.Join(dir, "best"))
			s := &ckpt.State{Latest: "ckpt-3", All: []string{"ckpt-1", "ckpt-3"}, Timestamps: []float64{10, 20}, LastPreserved: 1}
			writeFile(t, filepath.Join(dir, "checkpoint"), s.AppendText(nil))
			p := newProgram()
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
			if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: test.prefix}); err != nil {
				t.Fatal(err)
			}
			p.wantStep(t, 2)
			saveSteps(t, p, m, 3, 4)
			wantManaged(t, m, test.want...)
		})
	}
}

func TestResumePrefixErrors(t *testing.T) {
	dir := savedDir(t, 3)
	flipBit(t, dataOf(filepath.Join(dir, "ckpt-2")), 24, 0)
	before := filesIn(t, dir)
	for _, test := range []struct {
		name   string
		o      ckpt.ResumeOptions
		is     error
		within string
	}{
		{"damaged", ckpt.ResumeOptions{Prefix: "2"}, ckpt.ErrCorrupt, "ckpt-2"},
		{"missing number", ckpt.ResumeOptions{Prefix: "9"}, fs.ErrNotExist, "ckpt-9"},
		{"missing name", ckpt.ResumeOptions{Prefix: "ckpt-9"}, fs.ErrNotExist, "ckpt-9"},
		{"empty directory", ckpt.ResumeOptions{Prefix: t.TempDir()}, ckpt.ErrNoCheckpoint, ""},
		{"Prefix and From", ckpt.ResumeOptions{Prefix: "1", From: dir}, nil, "exclude each other"},
	} {
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, nil)
		r, err := m.Resume(t.Context(), &test.o)
		if r != nil || err == nil || test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.within) {
			t.Errorf("%s: got %+v, %v", test.name, r, err)
		}
		p.wantStep(t, 0)
	}
	if got := filesIn(t, dir); !slices.Equal(got, before) {
		t.Errorf("Resume changed the files: got %q, want %q", got, before)
	}
}

// TestResumeFrom starts in one place and saves into another.
func TestResumeFrom(t *testing.T) {
	other := savedDir(t, 3)
	flipBit(t, dataOf(filepath.Join(other, "ckpt-3")), 24, 0)
	bucket := newMem()
	b := newProgram()
	saveSteps(t, b, newManager(t, b.Checkpoint, "deep/train", &ckpt.ManagerOptions{Bucket: bucket, Name: "b"}), 1, 2)
	bare := savedDir(t, 2)
	removeFile(t, filepath.Join(bare, "checkpoint"))
	for _, test := range []struct {
		name    string
		o       ckpt.ResumeOptions
		refused int
		next    string
	}{
		{"directory", ckpt.ResumeOptions{From: other}, 1, "ckpt-3"},
		{"directory with a slash", ckpt.ResumeOptions{From: other + "/"}, 1, "ckpt-3"},
		{"prefix", ckpt.ResumeOptions{From: filepath.Join(other, "ckpt-2")}, 0, "ckpt-3"},
		{"index", ckpt.ResumeOptions{From: filepath.Join(other, "ckpt-2.index")}, 0, "ckpt-3"},
		{"without a state file", ckpt.ResumeOptions{From: bare}, 0, "ckpt-3"},
		{"folder of a bucket", ckpt.ResumeOptions{From: "deep/train", FromBucket: bucket}, 0, "ckpt-3"},
		{"prefix in a bucket", ckpt.ResumeOptions{From: "deep/train/b-2", FromBucket: bucket}, 0, "ckpt-3"},
	} {
		for _, into := range []storage.Bucket{nil, newMem()} {
			t.Run(test.name, func(t *testing.T) {
				dir := filepath.Join(t.TempDir(), "new")
				if into != nil {
					dir = "new"
				}
				p := newProgram()
				m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: into})
				before := filesIn(t, other)
				r, err := m.Resume(t.Context(), &test.o)
				if err != nil {
					t.Fatal(err)
				}
				p.wantStep(t, 2)
				if len(r.Refused) != test.refused || !strings.HasSuffix(r.Prefix, "-2") && !strings.HasSuffix(r.Prefix, "-2.index") {
					t.Errorf("Resume: got %q, refused %v", r.Prefix, r.Refused)
				}
				saveSteps(t, p, m, 10)
				wantManaged(t, m, test.next)
				saveSteps(t, p, m, 11)
				if got := filesIn(t, other); !slices.Equal(got, before) {
					t.Errorf("the other directory changed: got %q, want %q", got, before)
				}
				// Now the Manager's own directory has something.
				p = newProgram()
				m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Bucket: into})
				if _, err := m.Resume(t.Context(), &test.o); err != nil {
					t.Fatal(err)
				}
				p.wantStep(t, 11)
			})
		}
	}
}

func TestResumeFromNothing(t *testing.T) {
	dir, bad := t.TempDir(), savedDir(t, 1)
	flipBit(t, dataOf(filepath.Join(bad, "ckpt-1")), 24, 0)
	for _, test := range []struct {
		name, from string
		is         error
	}{
		{"missing", filepath.Join(dir, "none"), ckpt.ErrNoCheckpoint},
		{"empty", t.TempDir(), ckpt.ErrNoCheckpoint},
		{"all damaged", bad, ckpt.ErrCorrupt},
		{"damaged prefix", filepath.Join(bad, "ckpt-1"), ckpt.ErrCorrupt},
	} {
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, nil)
		if r, err := m.Resume(t.Context(), &ckpt.ResumeOptions{From: test.from}); r != nil || !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.from) {
			t.Errorf("%s: got %+v, %v, want %v", test.name, r, err, test.is)
		}
		if p.SaveCounter() != 0 {
			t.Errorf("%s: SaveCounter %d", test.name, p.SaveCounter())
		}
	}
	// A directory of its own that is all damaged is no reason to start elsewhere.
	m := newManager(t, newProgram().Checkpoint, bad, nil)
	if r, err := m.Resume(t.Context(), &ckpt.ResumeOptions{From: savedDir(t, 1)}); r != nil || !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("damaged own ones: got %+v, %v", r, err)
	}
}

// TestAdopt has two listed checkpoints, one that is not listed on either side
// of them, and one of another name.
func TestAdopt(t *testing.T) {
	for _, test := range []struct {
		name    string
		o       ckpt.ManagerOptions
		text    string // of the state file, "" for that of the setting
		adopted []string
		files   []string // after two saves with MaxToKeep 2
	}{
		{"listed", ckpt.ManagerOptions{}, "", []string{"ckpt-2", "ckpt-3"}, []string{"ckpt-1", "ckpt-4", "ckpt-5", "ckpt-6"}},
		{"none", ckpt.ManagerOptions{Adopt: ckpt.AdoptNone}, "", nil, []string{"ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4", "ckpt-5", "ckpt-6"}},
		{"all", ckpt.ManagerOptions{Adopt: ckpt.AdoptAll}, "", []string{"ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4"}, []string{"ckpt-5", "ckpt-6"}},
		{"all but those kept for good", ckpt.ManagerOptions{Adopt: ckpt.AdoptAll, KeepEvery: math.MaxInt64}, "", []string{"ckpt-2", "ckpt-3", "ckpt-4"}, []string{"ckpt-1", "ckpt-5", "ckpt-6"}},
		{"all, the state file is garbage", ckpt.ManagerOptions{Adopt: ckpt.AdoptAll}, "garbage {", []string{"ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4"}, []string{"ckpt-5", "ckpt-6"}},
		{"listed, of Checkpoint.Save", ckpt.ManagerOptions{}, "model_checkpoint_path: \"ckpt-4\"\n", nil, []string{"ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4", "ckpt-5", "ckpt-6"}},
		{"all, of Checkpoint.Save", ckpt.ManagerOptions{Adopt: ckpt.AdoptAll}, "model_checkpoint_path: \"ckpt-4\"\n", []string{"ckpt-1", "ckpt-2", "ckpt-3", "ckpt-4"}, []string{"ckpt-5", "ckpt-6"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			dir := savedDir(t, 4)
			copyCheckpoint(t, filepath.Join(dir, "ckpt-1"), filepath.Join(dir, "best"))
			s := &ckpt.State{Latest: "ckpt-3", All: []string{"ckpt-2", "ckpt-3"}, Timestamps: []float64{10, 20}, LastPreserved: 1}
			if test.text == "" {
				test.text = string(s.AppendText(nil))
			}
			writeFile(t, filepath.Join(dir, "checkpoint"), []byte(test.text))
			before := filesIn(t, dir)
			p := newProgram()
			test.o.MaxToKeep = 2
			m := newManager(t, p.Checkpoint, dir, &test.o)
			wantManaged(t, m, test.adopted...)
			if got := filesIn(t, dir); !slices.Equal(got, before) {
				t.Errorf("NewManager changed the files: got %q, want %q", got, before)
			}
			if _, err := m.Resume(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			saveSteps(t, p, m, 5, 6)
			wantManaged(t, m, "ckpt-5", "ckpt-6")
			want := append(filesOf(test.files...), "best.index", "best.data-00000-of-00001")
			slices.Sort(want)
			wantFiles(t, dir, want...)
			if got := readState(t, dir, nil).All; len(got) != 2 {
				t.Errorf("the state file lists %q", got)
			}
		})
	}
	t.Run("all of a missing directory", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "none")
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Adopt: ckpt.AdoptAll})
		if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("NewManager made the directory: %v", err)
		}
		saveSteps(t, p, m, 1)
		wantManaged(t, m, "ckpt-1")
	})
}
