package ckpt_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// writeHalf writes what one of two workers has: half of "v", [4,2] of uint8, and
// a tensor of its own, "own0" or "own1".
func writeHalf(t *testing.T, b storage.Bucket, prefix string, worker byte) {
	t.Helper()
	w, err := bundle.Create(t.Context(), b, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	half := bundle.Slice{{Start: int64(2 * worker), Length: 2}, {Full: true}}
	first := 4 * worker
	err = w.AddSlice(t.Context(), "v", tensor.Uint8, tensor.Shape{4, 2}, half, slices.Values([][]byte{{first, first + 1, first + 2, first + 3}}))
	if err == nil {
		err = w.Add(t.Context(), "own"+string('0'+rune(worker)), tensor.Uint8, nil, slices.Values([][]byte{{worker}}))
	}
	if err == nil {
		err = w.Commit(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
}

func wantMerged(t *testing.T, prefix string, b storage.Bucket) {
	t.Helper()
	v, err := ckpt.Verify(t.Context(), prefix, &ckpt.VerifyOptions{Bucket: b})
	if err != nil || !v.OK() {
		t.Errorf("Verify: %v, %v", v, err)
	}
	r, err := ckpt.Open(t.Context(), prefix, &ckpt.OpenOptions{Bucket: b})
	if err != nil {
		t.Error(err)
		return
	}
	defer r.Close()
	for name, want := range map[string][]byte{"v": {0, 1, 2, 3, 4, 5, 6, 7}, "own0": {0}, "own1": {1}} {
		if got, err := ckpt.Read[uint8](t.Context(), r, name); err != nil || !slices.Equal(got, want) {
			t.Errorf("%s: got %v, %v, want %v", name, got, err, want)
		}
	}
}

// Paths of the local file system, in one folder and in several.
func TestMergePaths(t *testing.T) {
	for name, c := range map[string]struct{ out, first, second string }{
		"one folder":     {"c", "a", "b"},
		"below":          {"c", "temp/a", "temp/b"},
		"beside":         {"new/deep/c", "x/a", "y/z/b"},
		"above":          {"x/c", "a", "x/y/b"},
		"same name":      {"c", "x/part", "y/part"},
		"into an input":  {"x/a", "x/a", "y/b"},
		"relative":       {"./x/../c", "./a", "x//b"},
		"newline, globs": {"c\n*", "a[1]", "?/b"},
	} {
		for _, absolute := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				t.Chdir(dir)
				path := func(name string) string {
					if absolute {
						return dir + "/" + name
					}
					return name
				}
				for _, name := range []string{c.first, c.second, "x/"} {
					if err := os.MkdirAll(filepath.Dir(name), 0o777); err != nil {
						t.Fatal(err)
					}
				}
				for i, input := range []string{c.first, c.second} {
					folder, base := filepath.Split(input)
					writeHalf(t, local.Open(folder, nil), base, byte(i))
				}
				if err := ckpt.Merge(t.Context(), path(c.out), []string{path(c.first), path(c.second)}, nil); err != nil {
					t.Fatal(err)
				}
				wantMerged(t, path(c.out), nil)
				if got := len(filesBelow(t, dir)); got != 3 {
					t.Errorf("files: got %q, want index and two data files", filesBelow(t, dir))
				}
			})
		}
	}
}

// filesBelow lists the files of a folder and of those below it.
func filesBelow(t *testing.T, dir string) (files []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			files = append(files, strings.TrimPrefix(path, dir+string(filepath.Separator)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return files
}

// A folder that the caller reaches through a link is his own.
func TestMergeThroughLinks(t *testing.T) {
	real, dir := t.TempDir(), t.TempDir()
	if err := os.Symlink(real, filepath.Join(dir, "away")); err != nil {
		t.Skip(err)
	}
	writeHalf(t, local.Open(dir, nil), "a", 0)
	writeHalf(t, local.Open(real, nil), "b", 1)
	inputs := []string{filepath.Join(dir, "a"), filepath.Join(dir, "away", "b")}
	if err := ckpt.Merge(t.Context(), filepath.Join(dir, "away", "new", "c"), inputs, nil); err != nil {
		t.Fatal(err)
	}
	wantMerged(t, filepath.Join(real, "new", "c"), nil)
}

// A Bucket, and the options.
func TestMergeOptions(t *testing.T) {
	b := newMem()
	writeHalf(t, b, "in/a", 0)
	writeHalf(t, b, "in/b", 1)
	o := &ckpt.MergeOptions{Bucket: b, Keep: true}
	inputs := []string{"in/a", "in/missing", "in/b"}
	err := ckpt.Merge(t.Context(), "c", inputs, o)
	if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "in/missing") {
		t.Errorf("got %v, want fs.ErrNotExist of in/missing", err)
	}
	o.AllowMissing = true
	if err := ckpt.Merge(t.Context(), "c", inputs, o); err != nil {
		t.Fatal(err)
	}
	wantMerged(t, "c", b)
	if got := inBucket(t, b, "in/"); len(got) != 4 {
		t.Errorf("inputs: got %q", got)
	}
	o.Keep = false
	if err := ckpt.Merge(t.Context(), "c", inputs, o); err != nil {
		t.Fatal(err)
	}
	wantMerged(t, "c", b)
	if got := inBucket(t, b, "in/"); len(got) != 0 {
		t.Errorf("inputs: got %q", got)
	}
	if err := ckpt.Merge(t.Context(), "c", inputs, o); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	wantMerged(t, "c", b)
}

// What is refused, before anything is touched.
func TestMergeRefuses(t *testing.T) {
	dir := t.TempDir()
	path := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"one", "two"} {
		if _, err := ckpt.New(ckpt.Objects{name: scalar(1)}).Write(t.Context(), path(name), nil); err != nil {
			t.Fatal(err)
		}
	}
	writeHalf(t, local.Open(dir, nil), "half", 0)
	before := filesBelow(t, dir)
	for name, c := range map[string]struct {
		out    string
		inputs []string
		want   string
	}{
		"two graphs": {path("c"), []string{path("one"), path("two")}, "duplicate tensor keyed by _CHECKPOINTABLE_OBJECT_GRAPH"},
		"overlap":    {path("c"), []string{path("half"), path("half")}, "duplicate"},
		"no inputs":  {path("c"), nil, "at least one"},
		"no name":    {dir + "/", []string{path("half")}, "is no prefix"},
		"folder":     {path("c"), []string{dir + "/"}, "is no prefix"},
		"below file": {path("half.index/c"), []string{path("half")}, "half.index"},
	} {
		wantError(t, name, ckpt.Merge(t.Context(), c.out, c.inputs, nil), c.want)
		if got := filesBelow(t, dir); !slices.Equal(got, before) {
			t.Errorf("%s: got files %q, want %q", name, got, before)
		}
	}
}
