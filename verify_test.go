package ckpt_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

func TestVerifyGood(t *testing.T) {
	dir := savedDir(t, 1)
	var last, total int64
	v, err := ckpt.Verify(t.Context(), filepath.Join(dir, "ckpt-1"), &ckpt.VerifyOptions{Progress: func(prefix string, done, all int64) {
		if prefix != filepath.Join(dir, "ckpt-1") || done < last {
			t.Errorf("Progress(%q, %d, %d) after %d", prefix, done, all, last)
		}
		last, total = done, all
	}})
	if err != nil || !v.OK() || v.Prefix != filepath.Join(dir, "ckpt-1") {
		t.Fatalf("Verify: got %+v, %v", v, err)
	}
	if size := int64(len(readFile(t, dataOf(v.Prefix)))); last != size || total != size {
		t.Errorf("Progress ended at %d of %d, want %d", last, total, size)
	}
	for _, path := range []string{dir, v.Prefix + ".index", dataOf(v.Prefix)} {
		if got, err := ckpt.Verify(t.Context(), path, nil); err != nil || !got.OK() || got.Prefix != v.Prefix {
			t.Errorf("Verify(%q): got %+v, %v", path, got, err)
		}
	}
}

func TestVerifyFindsDamage(t *testing.T) {
	for _, d := range damages {
		t.Run(d.name, func(t *testing.T) {
			dir := savedDir(t, 3)
			newest := filepath.Join(dir, "ckpt-3")
			d.damage(t, newest)
			list, err := ckpt.VerifyDirectory(t.Context(), dir, nil)
			if err != nil || len(list) != 3 {
				t.Fatalf("VerifyDirectory: got %d checkpoints, %v, want 3", len(list), err)
			}
			for i, v := range list {
				if want := filepath.Join(dir, fmt.Sprint("ckpt-", i+1)); v.Prefix != want || v.OK() != (i < 2) {
					t.Errorf("checkpoint %d: got %q, ok %v, want %q", i, v.Prefix, v.OK(), want)
				}
			}
			problems := list[2].Problems
			if d.kind == ckpt.KindMissing || d.kind == ckpt.KindUnreadable {
				if len(problems) != 1 {
					t.Errorf("got %d problems, want one for the file: %v", len(problems), problems)
				}
			}
			if !slices.ContainsFunc(problems, func(c *ckpt.CorruptError) bool {
				return c.File == "ckpt-3"+d.file && c.Kind == d.kind && strings.HasPrefix(c.Key, d.key) && d.offset == (c.Offset >= 0)
			}) {
				t.Errorf("problems: got %v", problems)
			}
			for i, c := range problems {
				if slices.ContainsFunc(problems[:i], func(other *ckpt.CorruptError) bool { return other.Error() == c.Error() }) {
					t.Errorf("said twice: %v", c)
				}
			}

			v, err := ckpt.Verify(t.Context(), newest, nil)
			if strings.HasPrefix(d.name, "index missing") || strings.HasPrefix(d.name, "both missing") {
				if !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Verify: got %+v, %v, want fs.ErrNotExist", v, err)
				}
			} else if err != nil || v.OK() || len(v.Problems) != len(problems) {
				t.Errorf("Verify: got %+v, %v", v, err)
			}

			found, err := ckpt.FindGood(t.Context(), dir, nil)
			if err != nil || found.Prefix != filepath.Join(dir, "ckpt-2") || len(found.Refused) != 1 || found.Refused[0].Prefix != newest {
				t.Errorf("FindGood: got %+v, %v", found, err)
			}
		})
	}
}

func TestVerifyDirectoryProblems(t *testing.T) {
	dir := savedDir(t, 1)
	writeFile(t, filepath.Join(dir, "checkpoint"), []byte("garbage {"))
	list, err := ckpt.VerifyDirectory(t.Context(), dir, nil)
	if err != nil || len(list) != 2 || list[0].Prefix != dir || list[0].OK() || list[0].Problems[0].Kind != ckpt.KindState || !list[1].OK() {
		t.Errorf("garbage state: got %+v, %v", list, err)
	}
	for name, dir := range map[string]string{"empty": t.TempDir(), "missing": filepath.Join(dir, "none")} {
		if list, err := ckpt.VerifyDirectory(t.Context(), dir, nil); !errors.Is(err, ckpt.ErrNoCheckpoint) || len(list) != 0 {
			t.Errorf("%s: got %+v, %v", name, list, err)
		}
		if found, err := ckpt.FindGood(t.Context(), dir, nil); !errors.Is(err, ckpt.ErrNoCheckpoint) || found.Prefix != "" {
			t.Errorf("%s: FindGood got %+v, %v", name, found, err)
		}
	}
	dir = savedDir(t, 2)
	for _, name := range []string{"ckpt-1", "ckpt-2"} {
		cutFile(t, filepath.Join(dir, name+".index"), 10)
	}
	if found, err := ckpt.FindGood(t.Context(), dir, nil); errors.Is(err, ckpt.ErrNoCheckpoint) || !errors.Is(err, ckpt.ErrCorrupt) || found.Prefix != "" || len(found.Refused) != 2 {
		t.Errorf("FindGood: got %+v, %v", found, err)
	}
}

// TestVerifyState checks what a state file says that can be parsed.
func TestVerifyState(t *testing.T) {
	dir := savedDir(t, 2)
	for name, test := range map[string]struct{ text, want string }{
		"as TensorFlow writes it":   {"model_checkpoint_path: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-1\"\nall_model_checkpoint_paths: \"ckpt-2\"\n", ""},
		"by hand, back to an older": {"model_checkpoint_path: 'ckpt-1'\r\n\tall_model_checkpoint_paths: ['ckpt-1', 'ckpt-2'] # mine\n", ""},
		"by hand, no list":          {"model_checkpoint_path: \"ckpt-1\"", ""},
		"listed twice":              {"model_checkpoint_path: \"ckpt-1\" all_model_checkpoint_paths: [\"ckpt-1\", \"ckpt-2\", \"ckpt-1\"]", ""},
		"two spellings":             {"model_checkpoint_path: \"/moved/away/ckpt-2\"\nall_model_checkpoint_paths: \"./ckpt-2\"\n", ""},
		"latest is not listed":      {"model_checkpoint_path: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-1\"\n", "the latest checkpoint, ckpt-2, is not one of the 1 it lists"},
		"fewer times than paths":    {"model_checkpoint_path: \"ckpt-2\" all_model_checkpoint_paths: [\"ckpt-1\", \"ckpt-2\"] all_model_checkpoint_timestamps: 1.5", "1 timestamp for 2 checkpoints"},
		"control character":         {"model_checkpoint_path: \"ckpt-2\"\vall_model_checkpoint_paths: \"ckpt-2\"\n", "control character 0x0b at offset 31"},
	} {
		writeFile(t, filepath.Join(dir, "checkpoint"), []byte(test.text))
		list, err := ckpt.VerifyDirectory(t.Context(), dir, nil)
		if err != nil || len(list) < 2 {
			t.Fatalf("%s: got %+v, %v", name, list, err)
		}
		var got strings.Builder
		for _, v := range list {
			for _, p := range v.Problems {
				if got.WriteString(p.Err.Error()); p.Kind != ckpt.KindState || p.File != filepath.Join(dir, "checkpoint") || v.Prefix != dir || v != list[0] {
					t.Errorf("%s: got %+v of %s", name, p, v.Prefix)
				}
			}
		}
		if got.String() != test.want {
			t.Errorf("%s: got %q, want %q", name, got.String(), test.want)
		}
		if found, err := ckpt.FindGood(t.Context(), dir, nil); err != nil || found.State != nil || len(found.Refused) > 0 {
			t.Errorf("%s: FindGood got %+v, %v", name, found, err)
		}
	}
}

// TestFindGoodOrder checks that numbers count as numbers, whatever the name and
// with or without a state file.
func TestFindGoodOrder(t *testing.T) {
	for _, name := range []string{"ckpt", "model.ckpt"} {
		for _, state := range []bool{true, false} {
			dir := t.TempDir()
			p := newProgram()
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Name: name})
			for _, number := range []int64{10, 9, 2} {
				if _, err := m.SaveNumber(t.Context(), number, nil); err != nil {
					t.Fatal(err)
				}
			}
			want := name + "-2" // the latest
			if !state {
				removeFile(t, filepath.Join(dir, "checkpoint"))
				want = name + "-10"
			}
			if found, err := ckpt.FindGood(t.Context(), dir, nil); err != nil || filepath.Base(found.Prefix) != want {
				t.Errorf("%s, state %v: got %+v, %v, want %s", name, state, found, err, want)
			}
		}
	}
}

// TestBU22 removes each of three data files in turn.
func TestBU22(t *testing.T) {
	const prefix, shards = "testdata/tensorflow-2.21.0-shards/whole", 3
	file := func(prefix string, shard int) string {
		return fmt.Sprintf("%s.data-%05d-of-%05d", prefix, shard, shards)
	}
	lost, read := 0, 0
	for gone := range shards {
		b := mem.New()
		storagetest.Put(t, b, "p.index", string(readFile(t, prefix+".index")))
		for shard := range shards {
			if shard != gone {
				storagetest.Put(t, b, file("p", shard), string(readFile(t, file(prefix, shard))))
			}
		}
		r, err := ckpt.Open(t.Context(), "p", &ckpt.OpenOptions{Bucket: b})
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		lostHere := 0
		for v, err := range r.Variables() {
			if err != nil {
				t.Fatal(err)
			}
			_, err := r.Tensor(t.Context(), v.Name)
			if v.Shard != gone {
				read++
				if err != nil {
					t.Errorf("shard %d gone: %s: %v", gone, v.Name, err)
				}
				continue
			}
			lostHere++
			if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file("p", gone)) {
				t.Errorf("shard %d gone: %s: got %v, want fs.ErrNotExist and the file", gone, v.Name, err)
			}
		}
		lost += lostHere
		v, err := ckpt.Verify(t.Context(), "p", &ckpt.VerifyOptions{Bucket: b})
		if err != nil || lostHere > 0 && (len(v.Problems) != 1 || v.Problems[0].Kind != ckpt.KindMissing || v.Problems[0].File != file("p", gone)) {
			t.Errorf("shard %d gone: Verify: got %+v, %v", gone, v, err)
		}
	}
	if lost == 0 || read == 0 {
		t.Errorf("%d tensors lost, %d read", lost, read)
	}
}

// small is a checkpoint in a bucket, for damage of every kind.
func small(t *testing.T) (b storage.Bucket, index, data string) {
	t.Helper()
	b = mem.New()
	p := newProgram()
	p.setStep(3)
	if _, err := p.Write(t.Context(), "p", &ckpt.SaveOptions{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	return b, storagetest.Get(t, b, "p.index"), storagetest.Get(t, b, dataOf("p"))
}

// TestVerifyEveryBit flips each bit of a checkpoint.
func TestVerifyEveryBit(t *testing.T) {
	b, index, data := small(t)
	flipped := 0
	for name, good := range map[string]string{"p.index": index, dataOf("p"): data} {
		for i := range len(good) {
			for bit := range uint(8) {
				bad := []byte(good)
				bad[i] ^= 1 << bit
				storagetest.Put(t, b, name, string(bad))
				flipped++
				v, err := ckpt.Verify(t.Context(), "p", &ckpt.VerifyOptions{Bucket: b})
				if err != nil {
					t.Fatalf("%s, byte %d, bit %d: %v", name, i, bit, err)
				}
				if v.OK() {
					t.Errorf("%s, byte %d, bit %d: not noticed", name, i, bit)
				}
				for _, c := range v.Problems {
					if c.File != name {
						t.Errorf("%s, byte %d, bit %d: the problem is said to be in %q: %v", name, i, bit, c.File, c)
					}
				}
			}
		}
		storagetest.Put(t, b, name, good)
	}
	t.Logf("%d bits flipped", flipped)
}

// TestVerifyEveryLength cuts both files to each length.
func TestVerifyEveryLength(t *testing.T) {
	b, index, data := small(t)
	for name, good := range map[string]string{"p.index": index, dataOf("p"): data} {
		for size := range len(good) {
			storagetest.Put(t, b, name, good[:size])
			v, err := ckpt.Verify(t.Context(), "p", &ckpt.VerifyOptions{Bucket: b})
			if err != nil || v.OK() {
				t.Errorf("%s cut to %d: got %+v, %v", name, size, v, err)
				continue
			}
			for _, c := range v.Problems {
				if c.File != name || c.Kind != ckpt.KindTruncated && name != "p.index" {
					t.Errorf("%s cut to %d: got %+v", name, size, c)
				}
			}
		}
		storagetest.Put(t, b, name, good)
	}
	t.Logf("cut to %d lengths", len(index)+len(data))
}

func TestVerifyWild(t *testing.T) {
	folders, err := os.ReadDir(wildDir(t, ""))
	if err != nil {
		t.Fatal(err)
	}
	checked := 0
	for _, folder := range folders {
		if !folder.IsDir() {
			continue
		}
		dir := wildDir(t, folder.Name())
		for _, c := range wildTruth(t, dir).Checkpoints {
			prefix := filepath.Join(dir, c.Prefix)
			if strings.Contains(folder.Name(), "v1") {
				continue
			}
			checked++
			v, err := ckpt.Verify(t.Context(), prefix, nil)
			if err != nil || v.OK() != c.Opens {
				t.Errorf("%s: got %+v, %v, TensorFlow opens it: %v", prefix, v, err, c.Opens)
			}
			if folder.Name() == "git-lfs-pointer" && (len(v.Problems) == 0 || !strings.Contains(v.Problems[0].Error(), "Git LFS")) {
				t.Errorf("%s: got %v, want a word on Git LFS", prefix, v.Problems)
			}
		}
	}
	if checked < 8 {
		t.Errorf("checked %d checkpoints", checked)
	}
}

func TestFindGoodWild(t *testing.T) {
	for folder, want := range map[string]string{
		"windows-absolute-state":  "model.tflearn",
		"odd-prefix-float64":      "OrthDGP(layers:2,units:1,lik.:Gaussian)",
		"keras3-train-checkpoint": "ckpt-1",
		"stale-shards/two-live":   "cp.ckpt",
	} {
		dir := wildDir(t, folder)
		found, err := ckpt.FindGood(t.Context(), dir, nil)
		if err != nil || found.Prefix != filepath.Join(dir, want) || len(found.Refused) != 0 {
			t.Errorf("%s: got %+v, %v, want %s", folder, found, err, want)
		}
	}
}
