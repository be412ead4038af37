package bundle_test

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/table"
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
	for _, name := range goldenIndexes(f) {
		index, data := read(f, name), read(f, strings.TrimSuffix(name, ".index")+".data-00000-of-00001")
		f.Add(index, data[:min(len(data), 1<<10)], false)
	}
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

// smallSeed is how large a file may be that a fuzzer changes again and again.
const smallSeed = 8 << 10

// goldenIndexes lists the small indexes in testdata that belong to one data file.
func goldenIndexes(t testing.TB) []string {
	t.Helper()
	var names []string
	root := filepath.Join("..", "testdata")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		prefix, isIndex := strings.CutSuffix(name, ".index")
		if err != nil || !isIndex {
			return err
		}
		info, err := d.Info()
		if err != nil || info.Size() > smallSeed {
			return err
		}
		if _, err := os.Stat(prefix + ".data-00000-of-00001"); err == nil {
			names = append(names, name)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(names) < 30 {
		t.Fatalf("only %d indexes in %s", len(names), root)
	}
	return names
}

func read(t testing.TB, name string) []byte {
	t.Helper()
	p, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// goldenValues gives every key and value of the goldens' indexes to f.
func goldenValues(t testing.TB, f func(key string, value []byte)) {
	t.Helper()
	files := [][]byte{unhex(t, goldenEIndex), unhex(t, goldenFIndex)}
	for _, g := range goldens(t) {
		files = append(files, unhex(t, g.index))
	}
	for _, name := range goldenIndexes(t) {
		files = append(files, read(t, name))
	}
	for _, file := range files {
		r, err := table.NewReader(bytes.NewReader(file), int64(len(file)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for e, err := range r.All() {
			if err != nil {
				t.Fatal(err)
			}
			f(string(e.Key), bytes.Clone(e.Value))
		}
	}
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
