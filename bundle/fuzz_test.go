package bundle_test

import (
	"bytes"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// FuzzReader reads everything a pair of files offers. Nothing may panic; what is
// wrong with the bytes of a tensor must be found by Check as by Tensor.
func FuzzReader(f *testing.F) {
	for _, g := range goldens(f) {
		f.Add(unhex(f, g.index), unhex(f, g.data), false)
	}
	f.Add(unhex(f, goldenEIndex), unhex(f, goldenEData), false)
	f.Add(unhex(f, goldenFIndex), unhex(f, goldenFData0), false)
	f.Add(unhex(f, goldenHFile), []byte(nil), true)
	for _, raw := range []map[string]bundle.Entry{
		{"v": {DType: tensor.Variant, Shape: tensor.Shape{1}, Size: 7, CRC: 1}},
		{"x": {DType: tensor.Int8, Shape: tensor.Shape{2}, Slices: []bundle.Slice{{{Full: true}}, {{Start: 1, Length: 1}}}}, "\x00x\x00\x01\x01\x01\x81\x81": {DType: tensor.Int8, Shape: tensor.Shape{1}, Size: 1}},
	} {
		b := mem.New()
		putIndex(f, b, "p.index", bundle.Header{NumShards: 1, BigEndian: true}, raw)
		f.Add(get(f, b, "p.index"), []byte("\x02ab\x00\x00\x00\x00"), false)
	}
	for _, specs := range [][]string{{"0,1:-:1,2", "1,1:-:1,2", "-:-:0,1"}, {"0,1:-:-", "1,1:0,2:0,2"}} {
		b := mem.New()
		saveSlices(f, b, "x", tensor.Int16, tensor.Shape{2, 3, 3}, []byte(fill(tensor.Int16, 18, 1)), specs...)
		f.Add(get(f, b, "p.index"), get(f, b, "p.data-00000-of-00001"), false)
	}
	index, data := stringSlices(f)
	f.Add(index, data, false)
	f.Fuzz(func(t *testing.T, index, data []byte, v1 bool) {
		b := mem.New()
		name := "p.index"
		if v1 {
			name = "p"
		}
		put(t, b, name, index)
		put(t, b, "p.data-00000-of-00001", data)
		put(t, b, "p.data-00000-of-00002", data)
		put(t, b, "p.data-00001-of-00002", data)
		r, err := bundle.Open(t.Context(), b, "p", nil)
		if err != nil {
			return
		}
		defer r.Close()
		for range r.CheckLayout(t.Context()) {
		}
		for item, err := range r.Entries() {
			if err != nil {
				break
			}
			readItem(t, r, item)
		}
		mergeAlone(t, b)
	})
}

// stringSlices is a file with strings in slices, for FuzzReader.
func stringSlices(t testing.TB) (index, data []byte) {
	b := mem.New()
	w, err := bundle.Create(t.Context(), b, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, spec := range []string{"0,2", "2,1"} {
		s := parse(t, spec)
		if err := w.AddStringsSlice(t.Context(), "s", tensor.Shape{3}, s, text([]string{"ab", ""}[:s[0].Length]...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return get(t, b, "p.index"), get(t, b, "p.data-00000-of-00001")
}

// sliceOf takes the last half of each dimension that has more than one element.
func sliceOf(shape tensor.Shape) bundle.Slice {
	s := make(bundle.Slice, len(shape))
	for i, n := range shape {
		if n > 1 {
			s[i] = bundle.Extent{Start: n / 2, Length: n - n/2}
		} else {
			s[i].Full = true
		}
	}
	return s
}

// mergeAlone merges a checkpoint with nothing else: if that is not refused, what
// could be read before can be read after.
func mergeAlone(t *testing.T, b storage.Bucket) {
	t.Helper()
	if bundle.Merge(t.Context(), b, "out", []string{"p"}, &bundle.MergeOptions{Keep: true}) != nil {
		return
	}
	before, after := open(t, b, "p"), open(t, b, "out")
	for item, err := range before.Entries() {
		if err != nil {
			t.Errorf("merged what cannot be read: %v", err)
			break
		}
		want, err := before.Tensor(t.Context(), item.Key)
		if err != nil {
			continue
		}
		got, err := after.Tensor(t.Context(), item.Key)
		if err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) || !slices.EqualFunc(got.Strings(), want.Strings(), bytes.Equal) {
			t.Errorf("%q: another value after merging, %v", item.Key, err)
		}
	}
}

func readItem(t *testing.T, r *bundle.Reader, item bundle.Item) {
	again, err := bundle.DecodeEntry(bundle.EncodeEntry(nil, &item.Entry))
	if err != nil || !equalEntries(again, item.Entry) {
		t.Errorf("%q: %+v is encoded as %+v, %v", item.Key, item.Entry, again, err)
	}
	s := sliceOf(item.Entry.Shape)
	part, sliceErr := r.Slice(t.Context(), item.Key, s)
	v, err := r.Tensor(t.Context(), item.Key)
	if err == nil && (sliceErr != nil || v.DType().Fixed() && !bytes.Equal(part.Bytes(), cut(v.Shape(), s, v.DType().Size(), v.Bytes()))) {
		t.Errorf("%q: slice %s: got %v, %v", item.Key, s, part, sliceErr)
	}
	if checkErr := r.Check(t.Context(), item.Key); (err == nil) != (checkErr == nil) {
		t.Errorf("%q: Tensor says %v, Check says %v", item.Key, err, checkErr)
	}
	if err != nil || !v.DType().Fixed() {
		return
	}
	p := make([]byte, len(v.Bytes()))
	if err := r.ReadInto(t.Context(), item.Key, p); err != nil || !bytes.Equal(p, v.Bytes()) {
		t.Errorf("%q: ReadInto got %x, %v, want %x", item.Key, p, err, v.Bytes())
	}
}

// FuzzDecodeEntry looks for entries and headers that do not survive encoding.
func FuzzDecodeEntry(f *testing.F) {
	f.Add(unhex(f, "08 01 12 08 12 02 08 03 12 02 08 02 18 01 20 80 01 28 18 35 d8 ea 82 a2"))
	f.Add(unhex(f, "08 01 12 04 12 02 08 04 3a 04 0a 02 10 02 3a 06 0a 04 08 02 10 02"))
	f.Add(unhex(f, "08 02 10 01 1a 09 08 02 10 01 1a 03 05 80 01 7a 01 78"))
	f.Fuzz(func(t *testing.T, p []byte) {
		if e, err := bundle.DecodeEntry(p); err == nil {
			again, err := bundle.DecodeEntry(bundle.EncodeEntry(nil, &e))
			if err != nil || !equalEntries(again, e) {
				t.Errorf("%+v is encoded as %+v, %v", e, again, err)
			}
		}
		if h, err := bundle.DecodeHeader(p); err == nil {
			first := bundle.EncodeHeader(nil, &h)
			again, err := bundle.DecodeHeader(first)
			if err != nil || !bytes.Equal(bundle.EncodeHeader(nil, &again), first) {
				t.Errorf("%+v is encoded as %+v, %v", h, again, err)
			}
		}
		if name, s, ok := bundle.DecodeSliceKey(string(p)); ok && bundle.EncodeSliceKey(name, s) != string(p) {
			t.Errorf("slice key %x decodes as %q %v", p, name, s)
		}
	})
}
