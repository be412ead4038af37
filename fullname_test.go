package ckpt_test

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// TestNB6FullNames asks an object-based checkpoint by the names of variables.
func TestNB6FullNames(t *testing.T) {
	r := save(t, ckpt.New(ckpt.Objects{
		"first":  ckpt.NewScalar("a", float32(1)),
		"second": ckpt.NewVariable("scope/b", []int64{2}, []float32{2, 3}),
	})).open(t)
	for name, want := range map[string][]float32{"a": {1}, "scope/b": {2, 3}} {
		key, err := r.KeyOf(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := ckpt.Read[float32](t.Context(), r, key); err != nil || !cmp.Equal(got, want) {
			t.Errorf("%s, stored as %s: got %v, %v, want %v", name, key, got, err, want)
		}
	}
	_, err := r.KeyOf(t.Context(), "c")
	wantError(t, "an absent name", err, "no variable has the full name c; there are a, save_counter, scope/b: ")
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestFullNamesOfMany(t *testing.T) {
	objects := make(ckpt.Objects)
	for i := range 20 {
		objects[fmt.Sprintf("v%d", i)] = ckpt.NewScalar(fmt.Sprintf("layer/kernel_%d", i), float32(i))
	}
	objects["twin"] = ckpt.NewScalar("layer/kernel_7", float32(0))
	r := write(t, ckpt.New(objects)).open(t)
	_, err := r.KeyOf(t.Context(), "layer/kernel_7")
	wantError(t, "a name twice", err, "the keys twin"+value+", v7"+value)
	if !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
	_, err = r.KeyOf(t.Context(), "layer/kernel_77")
	wantError(t, "near others", err, " or layer/kernel_7 or ")
	_, err = r.KeyOf(t.Context(), "something\x1b[2Jelse")
	wantError(t, "far from all", err, `\x1b[2Jelse"`)
}

// TestFullNamesNameBased has the names as keys.
func TestFullNamesNameBased(t *testing.T) {
	for _, file := range []string{"saver-5", "old"} {
		r, err := ckpt.Open(t.Context(), filepath.Join("testdata", "tensorflow-2.15.1-plain", file), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, name := range []string{"scope/b", "scope/b:0"} {
			if key, err := r.KeyOf(t.Context(), name); err != nil || key != "scope/b" {
				t.Errorf("%s of %s: got %q, %v, want scope/b", name, file, key, err)
			}
		}
		if _, err := r.KeyOf(t.Context(), "scope/c"); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("scope/c of %s: got %v, want fs.ErrNotExist", file, err)
		}
	}
}
