package ckpt_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/tensor"
)

func TestIT3NoCheckpoints(t *testing.T) {
	dir := t.TempDir()
	for _, path := range []string{filepath.Join(dir, "missing"), dir, filepath.Join(dir, "x-1.index")} {
		if _, err := ckpt.Open(t.Context(), path, nil); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ckpt.ErrNoCheckpoint) {
			t.Errorf("%s: got %v, want fs.ErrNotExist or ErrNoCheckpoint", path, err)
		}
	}
}

func TestIT4IT5IT6Tensor(t *testing.T) {
	dir := t.TempDir()
	want := make([]float32, 10)
	for i := range want {
		want[i] = float32(i) / 3
	}
	c := ckpt.New(ckpt.Objects{"var1": ckpt.NewVariable("var1", []int64{1, 10}, want), "var2": scalar(2), "useful_scope": branch("var4", scalar(4))})
	prefix, err := c.Save(t.Context(), filepath.Join(dir, "model"), nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{dir, prefix, prefix + ".index", dataOf(prefix)} {
		r, err := ckpt.Open(t.Context(), path, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for _, name := range []string{"var1" + value, "var1" + value + ":0"} {
			if got, err := ckpt.Read[float32](t.Context(), r, name); err != nil || !cmp.Equal(got, want) {
				t.Errorf("%s of %s: got %v, %v", name, path, got, err)
			}
		}
		_, err = r.Tensor(t.Context(), "var5"+value)
		wantError(t, "var5", err, "Key var5"+value+" not found in checkpoint")
		wantError(t, "var5", err, "did you mean var1"+value)
		if !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("got %v, want fs.ErrNotExist", err)
		}
		if r.Has("var5"+value) || !r.Has("var2"+value) {
			t.Error("Has is wrong")
		}
	}
}

func TestIT7DebugString(t *testing.T) {
	r := write(t, ckpt.New(ckpt.Objects{"v0": ckpt.NewVariable[float32]("", []int64{2, 3}, nil), "v1": ckpt.NewVariable[float32]("", []int64{3, 2, 1}, nil)})).open(t)
	want := objectgraph.Key + " (DT_STRING) []\nv0" + value + " (DT_FLOAT) [2,3]\nv1" + value + " (DT_FLOAT) [3,2,1]\n"
	if diff := cmp.Diff(r.String(), want); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	_, err := r.Tensor(t.Context(), "v3")
	wantError(t, "v3", err, "v3 not found in checkpoint")
}

func TestBU20Read(t *testing.T) {
	r := write(t, ckpt.New(ckpt.Objects{"x": ckpt.NewScalar("x", int32(1))})).open(t)
	_, err := ckpt.Read[float32](t.Context(), r, "x"+value)
	var m *ckpt.MismatchError
	if !errors.As(err, &m) || m.Want != "float32" || m.Got != "int32 []" {
		t.Errorf("got %v", err)
	}
	wantError(t, "another dtype", err, "expected dtype float does not equal original dtype int32")
	_, err = ckpt.Read[float32](t.Context(), r, "y"+value)
	wantError(t, "absent", err, "Key y"+value+" not found in checkpoint")
}

func TestReaderWithoutData(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": vector(1, 2)}))
	if err := s.bucket.Remove(t.Context(), dataOf(s.prefix)); err != nil {
		t.Fatal(err)
	}
	r := s.open(t)
	var got []string
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, v.DType.String()+" "+v.Shape.String())
	}
	if !cmp.Equal(got, []string{"string []", "float32 [2]"}) {
		t.Errorf("got %v", got)
	}
	_, err := r.Tensor(t.Context(), "v"+value)
	wantError(t, "Tensor", err, dataOf(s.prefix))
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}

func TestOpenFS(t *testing.T) {
	dir := t.TempDir()
	if _, err := ckpt.New(ckpt.Objects{"v": vector(1, 2)}).Write(t.Context(), filepath.Join(dir, "a", "c"), nil); err != nil {
		t.Fatal(err)
	}
	inMemory := make(fstest.MapFS) // a map, which cannot be compared
	for _, file := range []string{"c.index", "c.data-00000-of-00001"} {
		text, err := os.ReadFile(filepath.Join(dir, "a", file))
		if err != nil {
			t.Fatal(err)
		}
		inMemory[file] = &fstest.MapFile{Data: text}
	}
	for _, test := range []struct {
		fsys fs.FS
		name string
	}{{os.DirFS(dir), "a/c"}, {os.DirFS(filepath.Join(dir, "a")), "c.index"}, {inMemory, "c"}} {
		name := test.name
		r, err := ckpt.OpenFS(test.fsys, name, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		if got, err := ckpt.Read[float32](t.Context(), r, "v"+value); err != nil || !cmp.Equal(got, []float32{1, 2}) {
			t.Errorf("%s: got %v, %v", name, got, err)
		}
		if r.Prefix() != strings.TrimSuffix(name, ".index") {
			t.Errorf("got prefix %q", r.Prefix())
		}
	}
	if _, err := ckpt.OpenFS(os.DirFS(dir), "../c", nil); err == nil {
		t.Error("a path that leads out: got no error")
	}
}

func TestHash(t *testing.T) {
	name := ckpt.NewStringVariable("", []int64{2}, [][]byte{[]byte("ab"), nil})
	r := write(t, ckpt.New(ckpt.Objects{"v": vector(1), "n": name, "e": ckpt.NewRawVariable("", tensor.BFloat16, []int64{0}, nil)})).open(t)
	seen := make(map[[32]byte]bool)
	for _, key := range []string{"v", "n", "e"} {
		sum, err := r.Hash(t.Context(), key+value)
		if err != nil || seen[sum] {
			t.Errorf("%s: got %x, %v", key, sum, err)
		}
		seen[sum] = true
	}
	if _, err := r.Hash(t.Context(), "x"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
}
