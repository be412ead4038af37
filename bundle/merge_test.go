package bundle_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

func merge(t testing.TB, b storage.Bucket, out string, inputs ...string) {
	t.Helper()
	if err := bundle.Merge(t.Context(), b, out, inputs, nil); err != nil {
		t.Fatal(err)
	}
}

func TestBU2Merge(t *testing.T) {
	b := mem.New()
	var all []named
	for i, prefix := range []string{"foo", "bar"} {
		var tensors []named
		for _, n := range []int{3, 0, 2, 1} {
			tensors = append(tensors, add(t, fmt.Sprintf("%s_%03d", prefix, n), tensor.Shape{2, 3}, slices.Repeat([]int32{int32(10*i + n)}, 6)...))
		}
		mustSave(t, b, prefix, tensors...)
		all = append(all, tensors...)
	}
	foo, bar := get(t, b, "foo.data-00000-of-00001"), get(t, b, "bar.data-00000-of-00001")
	merge(t, b, "p", "foo", "bar")
	want := []string{"bar_000", "bar_001", "bar_002", "bar_003", "foo_000", "foo_001", "foo_002", "foo_003"}
	if got := keys(t, open(t, b, "p")); !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	if !bytes.Equal(get(t, b, "p.data-00000-of-00002"), foo) || !bytes.Equal(get(t, b, "p.data-00001-of-00002"), bar) {
		t.Error("the shards are not foo's and bar's, in this order")
	}
	wantTensors(t, b, "p", all...)
}

// TestBU6Merge and BU-18 merge what was merged before, on a real disk and where
// there are no links.
func TestBU6Merge(t *testing.T) {
	for _, kind := range buckets {
		t.Run(kind.name, func(t *testing.T) {
			b := kind.wrap(local.Open(t.TempDir(), nil))
			one, two := add(t, "one", nil, int32(1)), add(t, "two", nil, int32(2))
			mustSave(t, b, "worker0", one)
			mustSave(t, b, "dir/worker1", two)
			merge(t, b, "another", "worker0")
			if got, want := files(t, b), []string{"another.data-00000-of-00001", "another.index"}; !slices.Equal(got, want) {
				t.Errorf("got files %q, want %q", got, want)
			}
			merge(t, b, "merged", "another", "dir/worker1")
			if got, want := files(t, b), []string{"merged.data-00000-of-00002", "merged.data-00001-of-00002", "merged.index"}; !slices.Equal(got, want) {
				t.Errorf("got files %q, want %q", got, want)
			}
			if got := storagetest.List(t, b, "dir/"); len(got) > 0 {
				t.Errorf("BU-18: the folder of an input has files %q", got)
			}
			wantTensors(t, b, "merged", one, two)
		})
	}
}

func TestMergeKeeps(t *testing.T) {
	for _, kind := range buckets {
		b := kind.wrap(mem.New())
		one, two := add(t, "one", nil, int32(1)), add(t, "two", nil, int32(2))
		mustSave(t, b, "a", one)
		mustSave(t, b, "b", two)
		if err := bundle.Merge(t.Context(), b, "p", []string{"a", "none", "b"}, &bundle.MergeOptions{Keep: true, AllowMissing: true}); err != nil {
			t.Fatal(err)
		}
		wantTensors(t, b, "a", one)
		wantTensors(t, b, "b", two)
		wantTensors(t, b, "p", one, two)
		if got := files(t, b); len(got) != 7 {
			t.Errorf("got files %q, want 7", got)
		}
	}
}

// TestMergeGoldenF merges what golden F was merged of.
func TestMergeGoldenF(t *testing.T) {
	b := mem.New()
	for i, name := range []string{"b", "a"} {
		w, err := bundle.Create(t.Context(), b, fmt.Sprint(i), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer w.Abort()
		v := add(t, "v", tensor.Shape{1, 2}, float32(i), float32(i)+0.5)
		err = errors.Join(
			w.Add(t.Context(), name, tensor.Int8, nil, one([]byte{byte(i)})),
			w.AddSlice(t.Context(), "v", tensor.Float32, tensor.Shape{2, 2}, parse(t, fmt.Sprintf("%d,1:0,2", i)), one(v.t.Bytes())),
			w.Commit(t.Context()))
		if err != nil {
			t.Fatal(err)
		}
	}
	merge(t, b, "p", "0", "1")
	if got, want := get(t, b, "p.index"), unhex(t, goldenFIndex); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got, want := get(t, b, "p.data-00000-of-00002"), unhex(t, goldenFData0); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

// TestBU15MergeBigEndian keeps the byte order of the inputs.
func TestBU15MergeBigEndian(t *testing.T) {
	b := mem.New()
	for i, key := range []string{"x", "y"} {
		data := []byte{0, byte(i + 1)}
		putIndex(t, b, key+".index", bundle.Header{NumShards: 1, BigEndian: true, Producer: 1}, map[string]bundle.Entry{
			key: {DType: tensor.Int16, Size: 2, CRC: crcOf(data)},
		})
		put(t, b, key+".data-00000-of-00001", data)
	}
	mustSave(t, b, "little", add(t, "z", nil, int16(1)))
	err := bundle.Merge(t.Context(), b, "p", []string{"x", "little"}, nil)
	if err == nil || !strings.Contains(err.Error(), "conflicting endianness") {
		t.Errorf("got error %v", err)
	}
	merge(t, b, "p", "x", "y")
	r := open(t, b, "p")
	if x, y := values[int16](t, r, "x"), values[int16](t, r, "y"); x[0] != 1 || y[0] != 2 || !r.Header().BigEndian {
		t.Errorf("got %v, %v", x, y)
	}
}

// putSlice writes a bundle of one slice of x.
func putSlice(t *testing.T, b storage.Bucket, prefix string, d tensor.DType, shape tensor.Shape, spec string) {
	w, err := bundle.Create(t.Context(), b, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	s := parse(t, spec)
	part, err := s.Shape(shape)
	if err != nil {
		t.Fatal(err)
	}
	n, _ := part.Elements()
	if err := errors.Join(w.AddSlice(t.Context(), "x", d, shape, s, one(make([]byte, n*int64(d.Size())))), w.Commit(t.Context())); err != nil {
		t.Fatal(err)
	}
}

// mergeRefusals are inputs one and two that cannot be merged.
var mergeRefusals = []struct {
	name, want string
	prepare    func(t *testing.T, b storage.Bucket)
}{
	{"BU-19 same key", `merge "two": tensor "x": duplicate tensor keyed by x`, func(t *testing.T, b storage.Bucket) {
		mustSave(t, b, "one", add(t, "x", nil, int32(1)))
		mustSave(t, b, "two", add(t, "x", nil, int32(1)))
	}},
	{"same slice", "duplicate tensor keyed by x slice 0,2", func(t *testing.T, b storage.Bucket) {
		putSlice(t, b, "one", tensor.Int8, tensor.Shape{4}, "0,2")
		putSlice(t, b, "two", tensor.Int8, tensor.Shape{4}, "0,2")
	}},
	{"overlap", "existing slice = 0,3, new slice = 2,2", func(t *testing.T, b storage.Bucket) {
		putSlice(t, b, "one", tensor.Int8, tensor.Shape{4}, "0,3")
		putSlice(t, b, "two", tensor.Int8, tensor.Shape{4}, "2,2")
	}},
	{"whole after slice", "non-slice bundle entry", func(t *testing.T, b storage.Bucket) {
		putSlice(t, b, "one", tensor.Int8, tensor.Shape{4}, "0,2")
		mustSave(t, b, "two", add(t, "x", tensor.Shape{4}, int8(1), 2, 3, 4))
	}},
	{"slice after whole", "duplicate tensor keyed by x", func(t *testing.T, b storage.Bucket) {
		mustSave(t, b, "one", add(t, "x", tensor.Shape{4}, int8(1), 2, 3, 4))
		putSlice(t, b, "two", tensor.Int8, tensor.Shape{4}, "0,2")
	}},
	{"dtype", "slices of int8 [4] and of uint8 [4]", func(t *testing.T, b storage.Bucket) {
		putSlice(t, b, "one", tensor.Int8, tensor.Shape{4}, "0,2")
		putSlice(t, b, "two", tensor.Uint8, tensor.Shape{4}, "2,2")
	}},
	{"shape", "slices of int8 [4] and of int8 [5]", func(t *testing.T, b storage.Bucket) {
		putSlice(t, b, "one", tensor.Int8, tensor.Shape{4}, "0,2")
		putSlice(t, b, "two", tensor.Int8, tensor.Shape{5}, "2,2")
	}},
	{"version", "different format versions", func(t *testing.T, b storage.Bucket) {
		mustSave(t, b, "one", add(t, "x", nil, int32(1)))
		putIndex(t, b, "two.index", bundle.Header{NumShards: 1, Producer: 2}, nil)
	}},
	{"missing input", `no checkpoint at prefix "two"`, func(t *testing.T, b storage.Bucket) {
		mustSave(t, b, "one", add(t, "x", nil, int32(1)))
	}},
	{"missing data", "two.data-00000-of-00001", func(t *testing.T, b storage.Bucket) {
		mustSave(t, b, "one", add(t, "x", nil, int32(1)))
		putIndex(t, b, "two.index", bundle.Header{NumShards: 1, Producer: 1}, map[string]bundle.Entry{"y": {DType: tensor.Int8, Size: 1}})
	}},
	{"shard beyond", "shard 3 of a checkpoint that has 1", func(t *testing.T, b storage.Bucket) {
		mustSave(t, b, "one", add(t, "x", nil, int32(1)))
		putIndex(t, b, "two.index", bundle.Header{NumShards: 1, Producer: 1}, map[string]bundle.Entry{"y": {DType: tensor.Int8, Size: 1, Shard: 3}})
	}},
	{"slice that does not fit", "out of bounds", func(t *testing.T, b storage.Bucket) {
		mustSave(t, b, "one", add(t, "x", nil, int32(1)))
		putIndex(t, b, "two.index", bundle.Header{NumShards: 1, Producer: 1}, map[string]bundle.Entry{"y": {DType: tensor.Int8, Shape: tensor.Shape{4}, Slices: []bundle.Slice{parse(t, "3,2")}}})
		put(t, b, "two.data-00000-of-00001", nil)
	}},
}

// TestBU19MergeRefuses leaves everything as it is.
func TestBU19MergeRefuses(t *testing.T) {
	for _, c := range mergeRefusals {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			c.prepare(t, b)
			before := files(t, b)
			f := storagetest.NewFaulty(b)
			err := bundle.Merge(t.Context(), f, "p", []string{"one", "two"}, nil)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
			for _, operation := range f.Operations() {
				if verb, _, _ := strings.Cut(operation, " "); verb != "open" && verb != "read" && verb != "list" {
					t.Errorf("%s before the refusal", operation)
				}
			}
			if got := files(t, b); !slices.Equal(got, before) {
				t.Errorf("got files %q, want %q", got, before)
			}
			wantNoLeftovers(t, b)
		})
	}
	err := bundle.Merge(t.Context(), mem.New(), "p", []string{"a", "b"}, &bundle.MergeOptions{AllowMissing: true})
	wantErr(t, err, fs.ErrNotExist, "at least one prefix checkpoint file must exist")
}
