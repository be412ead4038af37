package interop_test

import (
	"cmp"
	"path/filepath"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// copyBundle writes the tensors of a checkpoint again, in the order of its data
// file.
func copyBundle(t *testing.T, from, dir, name string) {
	t.Helper()
	ctx := t.Context()
	r, err := ckpt.Open(ctx, from, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var infos []ckpt.VariableInfo
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		infos = append(infos, v)
	}
	slices.SortStableFunc(infos, func(a, b ckpt.VariableInfo) int {
		return cmp.Or(cmp.Compare(a.Offset, b.Offset), cmp.Compare(a.Bytes, b.Bytes))
	})
	w, err := bundle.Create(ctx, local.Open(dir, nil), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, v := range infos {
		value, err := r.Tensor(ctx, v.Name)
		if err != nil {
			t.Fatal(err)
		}
		if v.DType == tensor.String {
			err = w.AddStrings(ctx, v.Name, v.Shape, slices.Values(value.Strings()))
		} else {
			err = w.Add(ctx, v.Name, v.DType, v.Shape, slices.Values([][]byte{value.Bytes()}))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestCopyBundle copies the bundles with every dtype, with strings and with two
// table blocks: the files must be the same, and TensorFlow must read them.
func TestCopyBundle(t *testing.T) {
	for _, test := range []struct{ folder, name string }{{"dtypes", "dtypes"}, {"strings", "strings"}, {"vectors", "c"}, {"vectors", "d"}, {"vectors", "g"}} {
		t.Run(test.name, func(t *testing.T) {
			golden := goldens("tensorflow-2.21.0-"+test.folder, test.name)
			dir := t.TempDir()
			copyBundle(t, golden, dir, test.name)
			sameFiles(t, filepath.Join(dir, test.name), golden)
			if test.name == "d" {
				return // TensorFlow needs seconds for 6,000 reads, and its bytes are its own
			}
			var theirs []storedTensor
			tensorflow.Call(t, "list_tensors", map[string]any{"prefix": filepath.Join(dir, test.name)}, &theirs)
			if diff := gocmp.Diff(theirs, listTensors(t, golden)); diff != "" {
				t.Errorf("TensorFlow reads: -got +want:\n%s", diff)
			}
		})
	}
}
