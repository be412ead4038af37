package bundle_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// wantSlice reads a slice in each way there is.
func wantSlice(t *testing.T, r *bundle.Reader, key, spec string, want []byte) {
	t.Helper()
	s := parse(t, spec)
	got, err := r.Slice(t.Context(), key, s)
	if err != nil || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%s %s: got %v, want %x", key, spec, err, want)
		return
	}
	for name, read := range map[string]func(dst []byte) error{
		"ReadSlice":   func(dst []byte) error { return r.ReadSlice(t.Context(), key, s, dst) },
		"VerifySlice": func(dst []byte) error { return r.VerifySlice(t.Context(), key, s, dst) },
	} {
		dst := make([]byte, len(want))
		if err := read(dst); err != nil || !bytes.Equal(dst, want) {
			t.Errorf("%s of %s %s: got %x, %v, want %x", name, key, spec, dst, err, want)
		}
		wantErr(t, read(make([]byte, len(want)+1)), bundle.ErrMismatch, "given for a slice of")
	}
}

func TestSL9Intersect(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"-:-", "1,2:3,4", "1,2:3,4"},
		{"1,2:3,4", "-:-", "1,2:3,4"},
		{"1,5:2,6:3,7:5,10", "1,2:3,4:9,10:12,1", "1,2:3,4:9,1:12,1"},
		{"-:1,1", "-:0,2", "-:1,1"},
		{"0,2", "2,2", ""},
		{"0,2", "0,2:0,2", ""},
	} {
		got, ok := parse(t, c.a).Intersect(parse(t, c.b))
		if ok != (c.want != "") || ok && got.String() != c.want {
			t.Errorf("%s with %s: got %s, %v, want %s", c.a, c.b, got, ok, c.want)
		}
	}
}

func TestSL13EquivalentSlices(t *testing.T) {
	data := []byte(fill(tensor.Int8, 50, 0))
	for _, spec := range []string{"-:-", "0,5:0,10"} {
		b := mem.New()
		saveSlices(t, b, "x", tensor.Int8, tensor.Shape{5, 10}, data, spec)
		r := open(t, b, "p")
		wantSlice(t, r, "x", "-:-", data)
		wantSlice(t, r, "x", "0,5:0,10", data)
	}
}

func TestSL14Hole(t *testing.T) {
	b := mem.New()
	shape := tensor.Shape{4, 5}
	data := make([]byte, 80)
	for i := range uint32(20) {
		binary.LittleEndian.PutUint32(data[4*i:], i)
	}
	saveSlices(t, b, "test", tensor.Int32, shape, data, "0,2:-", "2,2:0,3", "3,1:3,2")
	r := open(t, b, "p")
	for _, spec := range []string{"0,2:-", "1,1:-", "1,2:0,3", "3,1:-", "2,2:1,1"} {
		wantSlice(t, r, "test", spec, cut(shape, parse(t, spec), 4, data))
	}
	for _, spec := range []string{"1,2:2,3", "-:-", "2,1:3,1"} {
		_, err := r.Slice(t.Context(), "test", parse(t, spec))
		wantErr(t, err, bundle.ErrCorrupt, "does not have sufficient slices")
	}
	_, err := r.Slice(t.Context(), "test", parse(t, "1,2:2,3"))
	wantErr(t, err, bundle.ErrCorrupt, "1,2:2,3")
	_, err = r.Slice(t.Context(), "test", parse(t, "1,9:2,3"))
	wantErr(t, err, bundle.ErrMismatch, "out of bounds")
}

func TestSL15SliceOfWhole(t *testing.T) {
	for _, d := range []tensor.DType{tensor.Float32, tensor.Int32, tensor.Int4, tensor.Uint4} {
		b := mem.New()
		data := []byte(fill(d, 6, 1))
		mustSave(t, b, "p", addRaw(t, "x", d, tensor.Shape{2, 3}, string(data)))
		size := d.Size()
		wantSlice(t, open(t, b, "p"), "x", "-:1,1", append(slices.Clone(data[size:2*size]), data[4*size:5*size]...))
	}
}

func TestSL16Repartition(t *testing.T) {
	b := mem.New()
	shape := tensor.Shape{10, 3}
	data := []byte(fill(tensor.Float32, 30, 1))
	var rows []string
	for i := range 10 {
		rows = append(rows, fmt.Sprintf("%d,1:0,3", i))
	}
	saveSlices(t, b, "x", tensor.Float32, shape, data, rows...)
	r := open(t, b, "p")
	for _, spec := range []string{"-:-", "0,5:-", "5,5:-", "-:0,1", "-:1,1", "-:2,1"} {
		wantSlice(t, r, "x", spec, cut(shape, parse(t, spec), 4, data))
	}
}

// TestReadSliceEveryWay compares random slices of random pieces with the whole.
func TestReadSliceEveryWay(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for _, d := range []tensor.DType{tensor.Int8, tensor.Float16, tensor.Complex128} {
		for range 60 {
			shape := tensor.Shape{1 + rng.Int64N(40), 1 + rng.Int64N(60), 1 + rng.Int64N(50)}
			n, _ := shape.Elements()
			data := []byte(fill(d, int(n), 1))
			b := mem.New()
			specs := []string{"-:-:-"}
			if at := rng.Int64N(shape[1]); at > 0 {
				specs = []string{fmt.Sprintf("-:0,%d:-", at), fmt.Sprintf("-:%d,%d:-", at, shape[1]-at)}
			}
			saveSlices(t, b, "x", d, shape, data, specs...)
			r := open(t, b, "p")
			for range 5 {
				s := make(bundle.Slice, 3)
				for i, size := range shape {
					if s[i].Start = rng.Int64N(size); rng.IntN(4) == 0 {
						s[i] = bundle.Extent{Full: true}
					} else {
						s[i].Length = 1 + rng.Int64N(size-s[i].Start)
					}
				}
				wantSlice(t, r, "x", s.String(), cut(shape, s, d.Size(), data))
			}
		}
	}
}

func TestSliceStrings(t *testing.T) {
	b := mem.New()
	v := addStrings(t, "s", tensor.Shape{2, 3}, "a", "", "ccc", "dd", "e", "\x00")
	mustSave(t, b, "p", v)
	r := open(t, b, "p")
	got, err := r.Slice(t.Context(), "s", parse(t, "-:1,2"))
	if err != nil || string(bytes.Join(got.Strings(), []byte("|"))) != "|ccc|e|\x00" || !got.Shape().Equal(tensor.Shape{2, 2}) {
		t.Errorf("got %v, %v", got, err)
	}
	wantErr(t, r.ReadSlice(t.Context(), "s", parse(t, "-:1,2"), nil), bundle.ErrMismatch, "no fixed size")
	data := get(t, b, "p.data-00000-of-00001")
	for i := range data {
		bad := slices.Clone(data)
		bad[i] ^= 1
		put(t, b, "p.data-00000-of-00001", bad)
		_, err := open(t, b, "p").Slice(t.Context(), "s", parse(t, "1,1:0,1"))
		wantErr(t, err, bundle.ErrCorrupt)
	}
}

func TestSliceVariants(t *testing.T) {
	b := mem.New()
	w, err := bundle.Create(t.Context(), b, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for i, spec := range []string{"2,2", "0,2"} {
		if err := w.AddVariantsSlice(t.Context(), "v", tensor.Shape{4}, parse(t, spec), text(fmt.Sprint("a", i), fmt.Sprint("b", i))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := open(t, b, "p").Slice(t.Context(), "v", parse(t, "1,2"))
	if err != nil || string(bytes.Join(got.Strings(), []byte("|"))) != "b1|a0" || got.DType() != tensor.Variant {
		t.Errorf("got %v, %v", got, err)
	}
}

func TestSliceOfNothing(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "p", add(t, "x", nil, int32(7)), addRaw(t, "e", tensor.Int8, tensor.Shape{0, 3}, ""))
	r := open(t, b, "p")
	wantSlice(t, r, "x", "", []byte{7, 0, 0, 0})
	wantSlice(t, r, "e", "-:-", nil)
	wantSlice(t, r, "e", "-:1,1", nil)
	if _, err := r.Slice(t.Context(), "absent", nil); err == nil {
		t.Error("a tensor that is not there was read")
	}
}

// TestSliceChecksums damages the part of a tensor that is not asked for.
func TestSliceChecksums(t *testing.T) {
	b := mem.New()
	saveSlices(t, b, "x", tensor.Int8, tensor.Shape{6}, []byte("abcdef"), "0,4", "4,2")
	put(t, b, "p.data-00000-of-00001", []byte("abcdeF"))
	r := open(t, b, "p")
	wantSlice(t, r, "x", "1,3", []byte("bcd")) // the second piece is not touched
	dst := make([]byte, 2)
	if err := r.ReadSlice(t.Context(), "x", parse(t, "3,2"), dst); err != nil || string(dst) != "de" {
		t.Errorf("ReadSlice beside the damage: %q, %v", dst, err)
	}
	wantErr(t, r.VerifySlice(t.Context(), "x", parse(t, "3,2"), dst), bundle.ErrCorrupt, "Checksum does not match")
	wantErr(t, r.ReadSlice(t.Context(), "x", parse(t, "4,2"), dst), bundle.ErrCorrupt, "Checksum does not match")
	_, err := r.Slice(t.Context(), "x", parse(t, "3,2"))
	wantErr(t, err, bundle.ErrCorrupt, "Checksum does not match")
}

// TestSliceReads counts the bytes and the reads that slices of 16 MiB take.
func TestSliceReads(t *testing.T) {
	shape := tensor.Shape{64, 1024, 64}
	inner := mem.New()
	mustSave(t, inner, "p", addRaw(t, "x", tensor.Float32, shape, string(make([]byte, 16<<20))))
	for _, c := range []struct {
		spec         string
		reads, bytes int64
	}{
		{"3,1:-:-", 1, 256 << 10},      // one run
		{"3,4:-:-", 2, 1 << 20},        // a longer one, in steps that can be cancelled
		{"-:7,1:-", 64, 64 * 256},      // far apart
		{"3,1:0,64:5,1", 1, 16 << 10},  // close together
		{"3,1:-:5,1", 1, 256 << 10},    // the same, of a whole row
		{"0,16:-:0,1", 8, 4 << 20},     // and of several
		{"0,2:0,512:-", 2, 256 << 10},  // two long runs
		{"-:1,1:2,2", 64, 64 * 8 * 16}, // small ones may read ahead
	} {
		b := dataReads{countReads(inner)}
		r := open(t, b, "p")
		s := parse(t, c.spec)
		part, err := s.Shape(shape)
		if err != nil {
			t.Fatal(err)
		}
		n, _ := part.Elements()
		dst := make([]byte, 4*n)
		used := allocates(func() {
			if err := r.ReadSlice(t.Context(), "x", s, dst); err != nil {
				t.Error(err)
			}
		})
		if b.count > c.reads || b.bytes > c.bytes {
			t.Errorf("%s: %d reads of %d bytes, want at most %d of %d", c.spec, b.count, b.bytes, c.reads, c.bytes)
		}
		if used > 1<<20 {
			t.Errorf("%s: %d bytes allocated", c.spec, used)
		}
	}
}

// dataReads counts what is read of data files only.
type dataReads struct{ *reads }

func (d dataReads) Open(ctx context.Context, name string) (storage.File, error) {
	if strings.HasSuffix(name, ".index") {
		return d.reads.Bucket.Open(ctx, name)
	}
	return d.reads.Open(ctx, name)
}

// TestSliceBigEndian swaps the bytes of parts.
func TestSliceBigEndian(t *testing.T) {
	b := mem.New()
	data := []byte{0, 1, 0, 2, 0, 3}
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1, BigEndian: true}, map[string]bundle.Entry{
		"x": {DType: tensor.Int16, Shape: tensor.Shape{3}, Size: 6, CRC: crcOf(data)},
	})
	put(t, b, "p.data-00000-of-00001", data)
	wantSlice(t, open(t, b, "p"), "x", "1,2", []byte{2, 0, 3, 0})
}

// TestNB7V1Slices reads slices of the format before bundles.
func TestNB7V1Slices(t *testing.T) {
	b := mem.New()
	put(t, b, "p", unhex(t, goldenHFile))
	r := open(t, b, "p")
	wantSlice(t, r, "w", "1,1", []byte{0, 0, 0, 0x40})
	wantSlice(t, r, "w", "-", []byte{0, 0, 0x80, 0x3f, 0, 0, 0, 0x40})
	wantSlice(t, r, "i", "", []byte{0xff, 0xff, 0xff, 0xff})
	_, err := r.Slice(t.Context(), "w", parse(t, "1,2"))
	wantErr(t, err, bundle.ErrMismatch, "out of bounds")
}

// TestNB7V1Hole reads around what one of two files does not have.
func TestNB7V1Hole(t *testing.T) {
	b := mem.New()
	shape := tensor.Shape{4, 5}
	var v v1Builder
	v.tensor(t, "s", tensor.String, tensor.Shape{2}, "0,1", "1,1")
	v.slice(t, "s", "0,1", wire.AppendBytesField(nil, 8, "first"))
	v.slice(t, "s", "1,1", wire.AppendBytesField(nil, 8, ""))
	v.tensor(t, "test", tensor.Int8, shape, "0,2:-", "2,2:0,3", "3,1:3,2")
	v.slice(t, "test", "0,2:-", packed(7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
	v.slice(t, "test", "2,2:0,3", packed(7, 10, 11, 12, 15, 16, 17))
	v.slice(t, "test", "3,1:3,2", packed(7, 18, 19))
	v.put(t, b, "f", nil)
	r := open(t, b, "f")
	data := make([]byte, 20)
	for i := range data {
		data[i] = byte(i)
	}
	wantSlice(t, r, "test", "0,2:-", data[:10])
	wantSlice(t, r, "test", "1,1:-", data[5:10])
	wantSlice(t, r, "test", "1,2:0,3", []byte{5, 6, 7, 10, 11, 12})
	wantSlice(t, r, "test", "3,1:1,4", data[16:])
	_, err := r.Slice(t.Context(), "test", parse(t, "1,2:2,3"))
	wantErr(t, err, bundle.ErrCorrupt, "does not have sufficient slices", "1,2:2,3")
	_, err = r.Slice(t.Context(), "don't exist", parse(t, "-"))
	wantErr(t, err, fs.ErrNotExist)
	s, err := r.Slice(t.Context(), "s", parse(t, "0,1"))
	if err != nil || string(s.Strings()[0]) != "first" {
		t.Errorf("got %v, %v", s, err)
	}
}
