package bundle_test

import (
	"encoding/binary"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// TestSL17OverlappingSlices reads what TensorFlow may have written, and is not
// written here.
func TestSL17OverlappingSlices(t *testing.T) {
	shape := tensor.Shape{3, 2}
	w, err := bundle.Create(t.Context(), mem.New(), "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if err := w.AddSlice(t.Context(), "x", tensor.Int8, shape, parse(t, "0,2:-"), one(make([]byte, 4))); err != nil {
		t.Fatal(err)
	}
	err = w.AddSlice(t.Context(), "x", tensor.Int8, shape, parse(t, "1,2:-"), func(func([]byte) bool) { t.Error("bytes were asked for") })
	if err == nil || err.Error() != `tensor "x": overlapping slices: existing slice = 0,2:-, new slice = 1,2:-` {
		t.Errorf("got error %v", err)
	}
	b := mem.New()
	e := bundle.Entry{DType: tensor.Int8, Shape: shape, Slices: []bundle.Slice{parse(t, "0,2:-"), parse(t, "1,2:-")}}
	part := bundle.Entry{DType: tensor.Int8, Shape: tensor.Shape{2, 2}, Size: 4, CRC: crcZeros(4)}
	second := part
	second.Offset = 4
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1}, map[string]bundle.Entry{
		"x": e, bundle.EncodeSliceKey("x", e.Slices[0]): part, bundle.EncodeSliceKey("x", e.Slices[1]): second,
	})
	put(t, b, "p.data-00000-of-00001", make([]byte, 8))
	r := open(t, b, "p")
	_, err = r.Slice(t.Context(), "x", parse(t, "1,2:-"))
	wantErr(t, err, bundle.ErrCorrupt, "Overlapping slices: existing slice = 0,2:-, new slice = 1,2:-")
	wantSlice(t, r, "x", "0,1:-", []byte{0, 0}) // in one of them only
}

// TestOverlapsFound compares with all pairs.
func TestOverlapsFound(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		shape := make(tensor.Shape, 1+rng.IntN(3))
		for i := range shape {
			shape[i] = 1 + rng.Int64N(8)
		}
		w, err := bundle.Create(t.Context(), mem.New(), "p", nil)
		if err != nil {
			t.Fatal(err)
		}
		var stored []bundle.Slice
		for range 12 {
			s := make(bundle.Slice, len(shape))
			for i, n := range shape {
				if s[i].Start = rng.Int64N(n); rng.IntN(5) == 0 {
					s[i] = bundle.Extent{Full: true}
				} else {
					s[i].Length = 1 + rng.Int64N(min(3, n-s[i].Start))
				}
			}
			part, err := s.Shape(shape)
			if err != nil || part.Equal(shape) {
				continue
			}
			want := slices.ContainsFunc(stored, func(other bundle.Slice) bool {
				a, b := cellsOf(shape, s), cellsOf(shape, other)
				return slices.ContainsFunc(a, func(cell int64) bool { return slices.Contains(b, cell) })
			})
			n, _ := part.Elements()
			err = w.AddSlice(t.Context(), "x", tensor.Int8, shape, s, one(make([]byte, n)))
			if (err != nil) != want {
				t.Fatalf("%v %s after %s: got %v, want an overlap: %v", shape, s, stored, err, want)
			}
			if err != nil {
				break
			}
			stored = append(stored, s)
		}
		if err := w.Abort(); err != nil {
			t.Fatal(err)
		}
	}
}

// cellsOf numbers the elements of a slice.
func cellsOf(shape tensor.Shape, s bundle.Slice) []int64 {
	n, _ := shape.Elements()
	numbers := make([]byte, 8*n)
	for i := range n {
		binary.LittleEndian.PutUint64(numbers[8*i:], uint64(i))
	}
	var cells []int64
	for p := cut(shape, s, 8, numbers); len(p) > 0; p = p[8:] {
		cells = append(cells, int64(binary.LittleEndian.Uint64(p)))
	}
	return cells
}

// TestOverlapNames shows names of tensors, which come from files, on a terminal.
func TestOverlapNames(t *testing.T) {
	b := mem.New()
	e := bundle.Entry{DType: tensor.Int8, Shape: tensor.Shape{4}, Size: 4, CRC: crcZeros(4)}
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1}, map[string]bundle.Entry{"a\x1b[31m": e, "b": e})
	put(t, b, "p.data-00000-of-00001", make([]byte, 4))
	n := 0
	for c := range open(t, b, "p").CheckLayout(t.Context()) {
		wantErr(t, c, bundle.ErrCorrupt, `also those of tensor "a\x1b[31m"`)
		n++
	}
	if n != 1 {
		t.Errorf("got %d findings, want 1", n)
	}
}
