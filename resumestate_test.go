package ckpt_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

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
