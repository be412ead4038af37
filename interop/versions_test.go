package interop_test

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// oldPythons names interpreters with older versions of TensorFlow, separated as
// in PATH: versions.py says how to install them.
const oldPythons = "CKPT_INTEROP_OLD_PYTHONS"

// olds gives those interpreters, or skips.
func olds(t *testing.T) []string {
	t.Helper()
	list := filepath.SplitList(os.Getenv(oldPythons))
	if len(list) == 0 {
		t.Skipf("older versions of TensorFlow: set %s to interpreters that have one, see versions.py", oldPythons)
	}
	return list
}

// versions runs versions.py.
func versions(t *testing.T, interpreter string, args ...string) []byte {
	t.Helper()
	var words strings.Builder
	cmd := exec.CommandContext(t.Context(), interpreter, append([]string{"versions.py"}, args...)...)
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", interpreter, err, words.String())
	}
	return out
}

// TestVersionsAgree has the newest TensorFlow read what older ones wrote: it
// finds what they found.
func TestVersionsAgree(t *testing.T) {
	tensorflow.Require(t)
	for _, version := range []string{"2.15.1-keras2", "2.15.1-plain", "2.18.1-keras3", "2.18.1-plain"} {
		folder := goldens("tensorflow-" + version)
		want := make(map[string][]storedTensor)
		readJSON(t, filepath.Join(folder, "tensors.json"), &want)
		for prefix, tensors := range want {
			at, err := filepath.Abs(filepath.Join(folder, filepath.FromSlash(prefix)))
			if err != nil {
				t.Fatal(err)
			}
			var got []storedTensor
			tensorflow.Call(t, "list_tensors", map[string]any{"prefix": at}, &got)
			if diff := cmp.Diff(got, tensors); diff != "" {
				t.Errorf("%s/%s: -got +want:\n%s", version, prefix, diff)
			}
		}
	}
}

// TestOldVersionsWrite has older versions of TensorFlow make their folders
// again: what we read in them is what they read.
func TestOldVersionsWrite(t *testing.T) {
	for _, interpreter := range olds(t) {
		out := t.TempDir()
		versions(t, interpreter, "--out", out)
		lists, err := filepath.Glob(filepath.Join(out, "*", "tensors.json"))
		if err != nil || len(lists) != 2 {
			t.Fatalf("%s made %q, %v, want two folders", interpreter, lists, err)
		}
		for _, list := range lists {
			want := make(map[string][]storedTensor)
			readJSON(t, list, &want)
			for prefix, tensors := range want {
				if diff := cmp.Diff(listTensors(t, filepath.Join(filepath.Dir(list), filepath.FromSlash(prefix))), tensors); diff != "" {
					t.Errorf("%s of %s: -got +want:\n%s", prefix, interpreter, diff)
				}
			}
		}
	}
}

// TestOldVersionsRead has older versions of TensorFlow read what we write
// today: objects, every dtype they know, slices and several shards.
func TestOldVersionsRead(t *testing.T) {
	interpreters := olds(t)
	dir := t.TempDir()
	prefixes := []string{filepath.Join(dir, "values"), filepath.Join(dir, "merged")}
	writeValues(t, dir, "values", 0)
	for i, part := range []string{"part0", "part1"} {
		writeValues(t, dir, part, i+1)
	}
	if err := bundle.Merge(t.Context(), local.Open(dir, nil), "merged", []string{"part0", "part1"}, nil); err != nil {
		t.Fatal(err)
	}
	objects := ckpt.New(ckpt.Objects{
		"v": ckpt.NewVariable("v", []int64{2}, []float32{1, 2}), "step": ckpt.NewScalar("step", int64(7)),
		"names": ckpt.NewStringVariable("names", []int64{2}, [][]byte{nil, []byte("ab")}),
	})
	saved, err := objects.Save(t.Context(), filepath.Join(dir, "ckpt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	prefixes = append(prefixes, saved)
	for _, interpreter := range interpreters {
		got := make(map[string][]storedTensor)
		if err := json.Unmarshal(versions(t, interpreter, append([]string{"--list"}, prefixes...)...), &got); err != nil {
			t.Fatal(err)
		}
		for _, prefix := range prefixes {
			if diff := cmp.Diff(got[prefix], listTensors(t, prefix)); diff != "" {
				t.Errorf("%s of %s: -got +want:\n%s", filepath.Base(prefix), interpreter, diff)
			}
		}
	}
}

// writeValues writes a bundle with a tensor of every dtype that TensorFlow has
// had since 2.15, or, as a numbered part, with one piece of a sliced tensor.
func writeValues(t *testing.T, dir, name string, part int) {
	t.Helper()
	w, err := bundle.Create(t.Context(), local.Open(dir, nil), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	shape := tensor.Shape{2, 3}
	if part == 0 {
		for _, d := range []tensor.DType{tensor.Float32, tensor.Float64, tensor.Int32, tensor.Uint8, tensor.Int16, tensor.Int8, tensor.Complex64,
			tensor.Int64, tensor.Bool, tensor.BFloat16, tensor.Uint16, tensor.Complex128, tensor.Float16, tensor.Uint32, tensor.Uint64} {
			p := make([]byte, 6*d.Size())
			for i := range p {
				p[i] = byte(i % 2)
			}
			if err := w.Add(t.Context(), d.String()+"/matrix", d, shape, slices.Values([][]byte{p})); err != nil {
				t.Fatal(err)
			}
			if err := w.Add(t.Context(), d.String()+"/none", d, tensor.Shape{0, 3}, slices.Values([][]byte{})); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.AddStrings(t.Context(), "strings", tensor.Shape{3}, slices.Values([][]byte{nil, []byte("ab"), []byte(strings.Repeat("x", 300))})); err != nil {
			t.Fatal(err)
		}
	} else {
		piece := bundle.Slice{{Start: int64(part - 1), Length: 1}, {Full: true}}
		if err := w.AddSlice(t.Context(), "cut", tensor.Float32, shape, piece, slices.Values([][]byte{bytes.Repeat([]byte{byte(part), 0, 0, 0x3f}, 3)})); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}
