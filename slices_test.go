package ckpt_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/tensor"
)

func mustSlice(t testing.TB, text string) bundle.Slice {
	t.Helper()
	s, err := bundle.ParseSlice(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// SL-15: a column of tensors that are stored whole.
func TestSL15Slice(t *testing.T) {
	for _, c := range []struct {
		dtype      tensor.DType
		data, want []byte
	}{
		{tensor.Int32, []byte{1, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4, 0, 0, 0}, []byte{2, 0, 0, 0, 3, 0, 0, 0}},
		{tensor.Int4, []byte{1, 2, 3, 2, 3, 4}, []byte{2, 3}},
		{tensor.Uint4, []byte{1, 2, 3, 2, 3, 4}, []byte{2, 3}},
		{tensor.Bool, []byte{0, 1, 0, 1, 0, 1}, []byte{1, 0}},
	} {
		x := ckpt.NewRawVariable("x", c.dtype, tensor.Shape{2, 3}, c.data)
		r := write(t, ckpt.New(ckpt.Objects{"x": x})).open(t)
		got, err := r.Slice(t.Context(), "x"+value+":0", mustSlice(t, "-:1,1"))
		if err != nil || !got.Shape().Equal(tensor.Shape{2, 1}) || !bytes.Equal(got.Bytes(), c.want) || got.DType() != c.dtype {
			t.Errorf("%v: got %v, %v", c.dtype, got, err)
		}
	}
	r := write(t, ckpt.New(ckpt.Objects{"x": ckpt.NewVariable("x", tensor.Shape{2, 3}, []float32{1, 2, 3, 2, 3, 4})})).open(t)
	for name, read := range map[string]func([]byte) error{
		"ReadSlice":   func(b []byte) error { return r.ReadSlice(t.Context(), "x"+value, mustSlice(t, "-:1,1"), b) },
		"VerifySlice": func(b []byte) error { return r.VerifySlice(t.Context(), "x"+value, mustSlice(t, "-:1,1"), b) },
	} {
		x := make([]float32, 2)
		b, ok := tensor.AsBytes(x)
		if !ok {
			t.Skip("not the byte order of this machine")
		}
		if err := read(b); err != nil || !slices.Equal(x, []float32{2, 3}) {
			t.Errorf("%s: got %v, %v", name, x, err)
		}
	}
}

// saveRows writes v, [10,3], as ten slices of a row each, and words likewise.
func saveRows(t *testing.T) (s saved, v *ckpt.Variable[float32], words *ckpt.StringVariable) {
	t.Helper()
	v = ckpt.NewVariable[float32]("v", tensor.Shape{10, 3}, nil)
	words = ckpt.NewStringVariable("words", tensor.Shape{5, 2}, nil)
	for i := range v.Data() {
		v.Data()[i] = float32(i)
	}
	for i := range words.Elements() {
		words.Elements()[i] = fmt.Append(nil, "word ", i)
	}
	s = saved{newMem(), "c"}
	if _, err := ckpt.New(ckpt.Objects{"v": v, "words": words}).Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: s.bucket, MaxShardSize: 12}); err != nil {
		t.Fatal(err)
	}
	return s, v, words
}

// SL-16: rows read whole, as halves and as columns.
func TestSL16Slices(t *testing.T) {
	s, v, words := saveRows(t)
	r := s.open(t)
	if got, err := ckpt.Read[float32](t.Context(), r, "v"+value); err != nil || !slices.Equal(got, v.Data()) {
		t.Errorf("got %v, %v", got, err)
	}
	for _, c := range []struct {
		slice string
		want  []float32
	}{
		{"0,5:-", v.Data()[:15]},
		{"5,5:-", v.Data()[15:]},
		{"-:0,1", []float32{0, 3, 6, 9, 12, 15, 18, 21, 24, 27}},
		{"2,3:1,2", []float32{7, 8, 10, 11, 13, 14}},
	} {
		x, err := r.Slice(t.Context(), "v"+value, mustSlice(t, c.slice))
		if err != nil {
			t.Fatal(err)
		}
		if got, err := tensor.Values[float32](x); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: got %v, %v, want %v", c.slice, got, err, c.want)
		}
		dst := make([]byte, len(x.Bytes()))
		if err := r.ReadSlice(t.Context(), "v"+value, mustSlice(t, c.slice), dst); err != nil || !bytes.Equal(dst, x.Bytes()) {
			t.Errorf("ReadSlice %s: %v, %v", c.slice, dst, err)
		}
	}
	x, err := r.Slice(t.Context(), "words"+value, mustSlice(t, "1,2:1,1"))
	if err != nil || !slices.EqualFunc(x.Strings(), [][]byte{words.Elements()[3], words.Elements()[5]}, bytes.Equal) {
		t.Errorf("strings: got %q, %v", x.Strings(), err)
	}
}

// A tensor in slices has the hash, the name, the dtype and the bytes of one that
// is not.
func TestSlicesAreNoDifference(t *testing.T) {
	s, v, words := saveRows(t)
	cut, whole := s.open(t), write(t, ckpt.New(ckpt.Objects{"v": v, "words": words})).open(t)
	if got, want := cut.String(), whole.String(); got != want {
		t.Errorf("String: got %s, want %s", got, want)
	}
	for _, name := range []string{"v" + value, "words" + value} {
		got, err := cut.Hash(t.Context(), name)
		if want, err2 := whole.Hash(t.Context(), name); err != nil || err2 != nil || got != want {
			t.Errorf("%s: got hash %x, %v, want %x, %v", name, got, err, want, err2)
		}
	}
	for info, err := range cut.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		if info.Name != "v"+value {
			continue
		}
		if info.Bytes != 120 || info.Shard != -1 || info.Offset != -1 || len(info.Slices) != 10 {
			t.Errorf("got %+v", info)
		}
		want := ckpt.SliceInfo{Start: []int64{3, 0}, Length: []int64{1, 3}, Bytes: 12, Shard: 3, CRC32C: info.Slices[3].CRC32C}
		if diff := cmp.Diff(info.Slices[3], want); diff != "" {
			t.Errorf("slice 3: -got +want:\n%s", diff)
		}
	}
}

func TestSliceErrors(t *testing.T) {
	s, _, _ := saveRows(t)
	r := s.open(t)
	_, err := r.Slice(t.Context(), "w"+value, mustSlice(t, "-"))
	wantError(t, "another name", err, "did you mean v"+value)
	if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want fs.ErrNotExist", err)
	}
	for name, c := range map[string]struct {
		name, slice string
		size        int
		want        string
	}{
		"rank":    {"v", "-", 120, "c: "},
		"extent":  {"v", "9,2:-", 24, "out of bounds"},
		"size":    {"v", "0,2:-", 23, "23 bytes given for a slice of 24"},
		"strings": {"words", "-:-", 10, "no fixed size"},
	} {
		err := r.ReadSlice(t.Context(), c.name+value, mustSlice(t, c.slice), make([]byte, c.size))
		wantError(t, name, err, c.want)
		if !errors.Is(err, ckpt.ErrMismatch) {
			t.Errorf("%s: got %v, want ErrMismatch", name, err)
		}
		if verified := r.VerifySlice(t.Context(), c.name+value, mustSlice(t, c.slice), make([]byte, c.size)); fmt.Sprint(verified) != fmt.Sprint(err) {
			t.Errorf("%s: VerifySlice: %v", name, verified)
		}
	}
}

// What ReadSlice does not verify, Slice and VerifySlice do.
func TestSliceDamage(t *testing.T) {
	b := newMem()
	v := ckpt.NewVariable[uint8]("v", tensor.Shape{100}, nil)
	if _, err := ckpt.New(ckpt.Objects{"v": v}).Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	changeByte(t, b, dataOf("c"), 90)
	r := saved{b, "c"}.open(t)
	part, dst := mustSlice(t, "0,10"), make([]byte, 10)
	if err := r.ReadSlice(t.Context(), "v"+value, part, dst); err != nil {
		t.Errorf("ReadSlice of good bytes: %v", err)
	}
	if err := r.VerifySlice(t.Context(), "v"+value, part, dst); !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("VerifySlice: got %v, want ErrCorrupt", err)
	}
	if _, err := r.Slice(t.Context(), "v"+value, part); !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("Slice: got %v, want ErrCorrupt", err)
	}
	if err := r.ReadSlice(t.Context(), "v"+value, mustSlice(t, "-"), make([]byte, 100)); !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("ReadSlice of all: got %v, want ErrCorrupt", err)
	}
}

// A large tensor is saved in several files, and read in part.
func ExampleReader_Slice() {
	ctx := context.Background()
	dir, remove := folder()
	defer remove()

	embedding := ckpt.NewVariable("embedding", []int64{4, 3}, []float32{0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32})
	c := ckpt.New(ckpt.Objects{"embedding": embedding})
	prefix, err := c.Write(ctx, filepath.Join(dir, "model"), &ckpt.SaveOptions{MaxShardSize: 24})
	if err != nil {
		log.Fatal(err)
	}
	r, err := ckpt.Open(ctx, prefix, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer r.Close()
	rows, err := bundle.ParseSlice("1,2:-") // two rows from row 1, all columns
	if err != nil {
		log.Fatal(err)
	}
	t, err := r.Slice(ctx, "embedding/.ATTRIBUTES/VARIABLE_VALUE", rows)
	if err != nil {
		log.Fatal(err)
	}
	values, err := tensor.Values[float32](t)
	fmt.Println(t.Shape(), values, err)
	// Output: [2,3] [10 11 12 20 21 22] <nil>
}
