package programtest

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// Value is the key of a variable by the path of its names.
func Value(path string) string { return path + "/.ATTRIBUTES/" + ckpt.VariableValue }

// Data is the name of the only data file of a checkpoint.
func Data(prefix string) string { return prefix + ".data-00000-of-00001" }

// Damage changes one bit in the middle of a file.
func Damage(t *testing.T, name string) {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
}

// Files are the contents of all files in and below a folder by their names in
// it. Compare them with maps.Equal to see whether anything changed.
func Files(t *testing.T, folder string) map[string]string {
	t.Helper()
	files := make(map[string]string)
	root := os.DirFS(folder)
	err := fs.WalkDir(root, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		b, err := fs.ReadFile(root, name)
		files[name] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// Copy copies a folder.
func Copy(t *testing.T, to, from string) {
	t.Helper()
	if err := os.CopyFS(to, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
}

// Remove removes files, or folders with what is in them.
func Remove(t *testing.T, names ...string) {
	t.Helper()
	for _, name := range names {
		if err := os.RemoveAll(name); err != nil {
			t.Fatal(err)
		}
	}
}

// WantCheckpoints is a folder with the checkpoints of some numbers, in whole,
// the state file and nothing else.
func WantCheckpoints(t *testing.T, folder string, numbers ...int) {
	t.Helper()
	want := []string{"checkpoint"}
	for _, n := range numbers {
		prefix := fmt.Sprintf("ckpt-%d", n)
		want = append(want, Data(prefix), prefix+".index")
	}
	slices.Sort(want)
	if got := slices.Sorted(maps.Keys(Files(t, folder))); !slices.Equal(got, want) {
		t.Errorf("%s holds %q, want %q", filepath.Base(folder), got, want)
	}
}

// WantGood is a folder in which every checkpoint is good; it gives how many there
// are.
func WantGood(t *testing.T, folder string) int {
	t.Helper()
	report, err := ckpt.VerifyDirectory(t.Context(), folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report {
		if !v.OK() {
			t.Errorf("%s: %v", v.Prefix, v.Problems)
		}
	}
	return len(report)
}

// WantLatest is a folder whose newest checkpoint has a number.
func WantLatest(t *testing.T, folder string, number int) {
	t.Helper()
	got, err := ckpt.Latest(t.Context(), folder, nil)
	if want := filepath.Join(folder, fmt.Sprintf("ckpt-%d", number)); err != nil || got != want {
		t.Errorf("latest: got %q, %v, want %q", got, err, want)
	}
}

// Floats reads a tensor of a checkpoint.
func Floats(t *testing.T, prefix, key string) []float32 {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	values, err := ckpt.Read[float32](t.Context(), r, Value(key))
	if err != nil {
		t.Fatal(err)
	}
	return values
}

// WantStep tells a program that went on from one that began anew: between two
// checkpoints no weight moved by more than the optimizer moves it.
func WantStep(t *testing.T, older, newer, key string, most float64) {
	t.Helper()
	from, to := Floats(t, older, key), Floats(t, newer, key)
	largest := 0.0
	for i := range to {
		largest = max(largest, math.Abs(float64(to[i])-float64(from[i])))
	}
	if !(largest <= most) {
		t.Errorf("%s moved by %v from %s to %s, want at most %v", key, largest, filepath.Base(older), filepath.Base(newer), most)
	}
}

// Strangers is a folder of checkpoints that others wrote; they are no part of
// the project, so the test is skipped where they are not.
func Strangers(t *testing.T, name string) string {
	t.Helper()
	folder := filepath.Join("..", "..", "..", "shared", "wild", name)
	if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
		t.Skip("the checkpoints of strangers are not on this machine")
	}
	return folder
}
