package ckpt_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// flipCase is a folder with one checkpoint whose bits are flipped, and perhaps
// others beside it.
type flipCase struct {
	name   string // in docs/verify.md
	folder string
	prefix string   // of the checkpoint in it
	others []string // prefixes that lie beside it
	state  *ckpt.State
}

var flipCases = []flipCase{
	{"manager", "testdata/tensorflow-2.21.0-manager/checkpoints", "ckpt-7", []string{"ckpt-3", "ckpt-4", "ckpt-5", "ckpt-6"}, nil},
	{"slices", "testdata/tensorflow-2.21.0-shards", "cut", nil, &ckpt.State{Latest: "cut", All: []string{"cut"}}},
	{"program", "testdata/tensorflow-2.21.0-programs/subclassed-unbuilt", "ckpt-1", nil, nil},
}

// load copies the case into the folder d of a bucket and lists the files of the
// checkpoint.
func (c *flipCase) load(t *testing.T) (b storage.Bucket, files []string) {
	t.Helper()
	b = mem.New()
	for _, prefix := range append([]string{c.prefix}, c.others...) {
		names, err := filepath.Glob(filepath.Join(c.folder, prefix+".*"))
		if err != nil || len(names) < 2 {
			t.Fatalf("%s: got files %q, %v", prefix, names, err)
		}
		for _, name := range names {
			storagetest.Put(t, b, "d/"+filepath.Base(name), string(readFile(t, name)))
			if prefix == c.prefix {
				files = append(files, "d/"+filepath.Base(name))
			}
		}
	}
	text := ""
	if c.state != nil {
		text = string(c.state.AppendText(nil))
	} else {
		text = string(readFile(t, filepath.Join(c.folder, "checkpoint")))
	}
	storagetest.Put(t, b, "d/checkpoint", text)
	return b, files
}

// eachFlip stores a file once for each of its bits with that bit flipped, calls
// f and at the end puts the file back.
func eachFlip(t *testing.T, b storage.Bucket, name string, f func(offset int, bit uint, bad string)) (bits int) {
	t.Helper()
	good := storagetest.Get(t, b, name)
	for offset := range len(good) {
		for bit := range uint(8) {
			bad := []byte(good)
			bad[offset] ^= 1 << bit
			storagetest.Put(t, b, name, string(bad))
			f(offset, bit, string(bad))
		}
	}
	storagetest.Put(t, b, name, good)
	return 8 * len(good)
}

// verifyDir is what `ckpt verify d` does; nil means that nothing is wrong.
func verifyDir(t *testing.T, b storage.Bucket) (problems []*ckpt.CorruptError) {
	t.Helper()
	list, err := ckpt.VerifyDirectory(t.Context(), "d", &ckpt.VerifyOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range list {
		problems = append(problems, v.Problems...)
	}
	return problems
}

// unaffecting tells problems that affect no value.
func unaffecting(problems []*ckpt.CorruptError) bool {
	return !slices.ContainsFunc(problems, func(c *ckpt.CorruptError) bool { return !strings.Contains(c.Error(), "no value is affected") })
}

// contents are the tensors of a checkpoint: dtype, shape and hash by name. A
// tensor that cannot be read is not there.
func contents(t *testing.T, b storage.Bucket, prefix string) (tensors map[string]string, err error) {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, &ckpt.OpenOptions{Bucket: b})
	if err != nil {
		return nil, err
	}
	defer r.Close()
	tensors = make(map[string]string)
	for v, listErr := range r.Variables() {
		var sum [sha256.Size]byte
		readErr := listErr
		if listErr == nil {
			sum, readErr = r.Hash(t.Context(), v.Name)
		}
		if readErr == nil {
			tensors[v.Name] = fmt.Sprintf("%v %v %x", v.DType, v.Shape, sum)
		}
		err = errors.Join(err, readErr)
	}
	return tensors, err
}

// wantSame checks that a damaged checkpoint gives errors or the values it had,
// never others, and reports whether all of them could be read.
func wantSame(t *testing.T, what string, b storage.Bucket, prefix string, want map[string]string) (whole bool) {
	t.Helper()
	got, err := contents(t, b, prefix)
	for name, value := range got {
		if value != want[name] {
			t.Errorf("%s: %s: got %s, want %s or an error", what, name, value, want[name])
		}
	}
	if err == nil && len(got) != len(want) {
		t.Errorf("%s: got %d tensors and no error, want %d", what, len(got), len(want))
	}
	return err == nil
}

// unclaimed lists the bytes of a data file that belong to no tensor.
func unclaimed(t *testing.T, b storage.Bucket, prefix, file string, size int) map[int]bool {
	t.Helper()
	free := make(map[int]bool)
	if strings.HasSuffix(file, ".index") {
		return free
	}
	for i := range size {
		free[i] = true
	}
	r, err := bundle.Open(t.Context(), b, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for item, err := range r.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		e := &item.Entry
		if len(e.Slices) == 0 && file == bundle.DataName(prefix, int(e.Shard), int(r.Header().NumShards)) {
			for i := e.Offset; i < e.Offset+e.Size; i++ {
				delete(free, int(i))
			}
		}
	}
	return free
}

// wantRow checks that docs/verify.md has a row of its table.
func wantRow(t *testing.T, cells ...any) {
	t.Helper()
	var row strings.Builder
	row.WriteString("|")
	for _, c := range cells {
		row.WriteString(fmt.Sprintf(" %v |", c))
	}
	t.Log(row.String())
	if text := string(readFile(t, "docs/verify.md")); !strings.Contains(text, row.String()+"\n") {
		t.Errorf("docs/verify.md has no row %s", row.String())
	}
}

// TestFlips flips each bit of three small checkpoints that TensorFlow wrote:
// verify reports every one in an index and in data, and no value is ever read
// differently. Whatever verify calls harmless is read as if nothing had happened.
func TestFlips(t *testing.T) {
	skipWithRaceDetector(t)
	for _, c := range flipCases {
		t.Run(c.name, func(t *testing.T) {
			b, files := c.load(t)
			if p := verifyDir(t, b); p != nil {
				t.Fatalf("before: got %v", p)
			}
			prefix := "d/" + c.prefix
			want, err := contents(t, b, prefix)
			if err != nil || len(want) == 0 {
				t.Fatalf("before: got %v, %v", want, err)
			}
			for _, file := range files {
				reported, unaffected := 0, 0
				free := unclaimed(t, b, prefix, file, len(storagetest.Get(t, b, file)))
				bits := eachFlip(t, b, file, func(offset int, bit uint, _ string) {
					what := fmt.Sprintf("%s, byte %d, bit %d", file, offset, bit)
					problems := verifyDir(t, b)
					for _, p := range problems {
						if "d/"+p.File != file {
							t.Errorf("%s: the problem is said to be in %s: %v", what, p.File, p)
						}
					}
					if len(problems) > 0 {
						reported++
					} else if !free[offset] {
						t.Errorf("%s: not noticed", what)
					}
					whole := wantSame(t, what, b, prefix, want)
					if whole != unaffecting(problems) {
						t.Errorf("%s: all read %v, problems %v", what, whole, problems)
					}
					if whole && len(problems) > 0 {
						unaffected++
						wantUsed(t, what, b, prefix)
					}
				})
				wantRow(t, c.name, "`"+filepath.Base(file)+"`", bits, reported, unaffected, bits-reported)
			}
		})
	}
}

// wantUsed checks that a checkpoint is the one to go on with.
func wantUsed(t *testing.T, what string, b storage.Bucket, prefix string) {
	t.Helper()
	found, err := ckpt.FindGood(t.Context(), "d", &ckpt.VerifyOptions{Bucket: b})
	if err != nil || found.Prefix != prefix {
		t.Errorf("%s: FindGood got %+v, %v, want %s", what, found, err, prefix)
	}
}

// TestFlipsRestored restores objects from each flip of index and data: their
// values are those that were saved, or there is an error and they are as before.
// Resume takes the damaged checkpoint exactly if it can be read in full.
func TestFlipsRestored(t *testing.T) {
	skipWithRaceDetector(t)
	b, files := flipCases[0].load(t)
	taken := 0
	for _, file := range files {
		eachFlip(t, b, file, func(offset int, bit uint, _ string) {
			what := fmt.Sprintf("%s, byte %d, bit %d", file, offset, bit)
			n, w := ckpt.NewScalar("n", int64(-1)), ckpt.NewVariable("w", tensor.Shape{2}, []float32{-1, -1})
			c := ckpt.New(ckpt.Objects{"n": n, "w": w})
			_, err := c.Read(t.Context(), "d/ckpt-7", &ckpt.RestoreOptions{Bucket: b})
			got := fmt.Sprint(n.Value(), w.Data())
			if want := "7 [0.25 0.5]"; err == nil && got != want {
				t.Errorf("%s: restored %s, want %s", what, got, want)
			}
			if want := "-1 [-1 -1]"; err != nil && got != want {
				t.Errorf("%s: changed to %s, want %s: %v", what, got, want, err)
			}
			resumed, resumeErr := newManager(t, c, "d", &ckpt.ManagerOptions{Bucket: b}).Resume(t.Context(), nil)
			if resumeErr != nil {
				t.Fatalf("%s: %v", what, resumeErr)
			}
			if took := resumed.Prefix == "d/ckpt-7"; took != unaffecting(verifyDir(t, b)) {
				t.Errorf("%s: Resume took %s", what, resumed.Prefix)
			} else if took {
				taken++
			}
		})
	}
	t.Logf("Resume took %d damaged checkpoints", taken)
	if taken == 0 {
		t.Error("Resume took none")
	}
}
