package bundle_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

// v1Seeds are pairs of files: a checkpoint in one file, or in two.
func v1Seeds(f *testing.F) [][2][]byte {
	seeds := [][2][]byte{{unhex(f, goldenHFile), nil}}
	for _, name := range []string{"2.15.1-plain/old", "2.18.1-plain/old", "2.21.0-names/v1", "2.21.0-names/v1-sharded-00000-of-00001", "2.21.0-vectors/h"} {
		file := read(f, filepath.Join("..", "testdata", "tensorflow-"+filepath.FromSlash(name)))
		seeds = append(seeds, [2][]byte{file, nil}, [2][]byte{file, file})
	}
	b := mem.New()
	var first, second, texts v1Builder
	first.tensor(f, "test", tensor.Int16, tensor.Shape{4, 5}, "0,2:-")
	first.slice(f, "test", "0,2:-", packed(7, 0, 1, 2, 3, 4, 5, 6, 7, 8, -9))
	first.put(f, b, "first", nil)
	second.tensor(f, "test", tensor.Int16, tensor.Shape{4, 5}, "2,2:0,3", "2,2:3,2")
	second.slice(f, "test", "2,2:0,3", packed(7, 10, 11, 12, 15, 16, 17))
	second.slice(f, "test", "2,2:3,2", packed(7, 13, 14, 18, 19))
	second.put(f, b, "second", nil)
	texts.tensor(f, "s", tensor.String, tensor.Shape{2, 2}, "-:0,1", "-:1,1")
	texts.slice(f, "s", "-:0,1", unhex(f, "42 01 61 42 00"))
	texts.slice(f, "s", "-:1,1", unhex(f, "42 01 62 42 02 63 64"))
	texts.tensor(f, "c", tensor.Complex64, tensor.Shape{}, "")
	texts.slice(f, "c", "", unhex(f, "4d 00 00 80 3f 4d 00 00 00 40"))
	texts.put(f, b, "texts", unhex(f, "08 01 10 01"))
	return append(seeds, [2][]byte{get(f, b, "first"), get(f, b, "second")}, [2][]byte{get(f, b, "texts"), nil},
		[2][]byte{get(f, b, "texts"), get(f, b, "first")}, [2][]byte{get(f, b, "first"), get(f, b, "first")})
}

// FuzzV1 reads everything that files of the format before bundles offer: one
// file, or two if the second is not empty. All ways to read a tensor must
// agree, and none may take more memory than the files can account for.
func FuzzV1(f *testing.F) {
	for _, seed := range v1Seeds(f) {
		f.Add(seed[0], seed[1])
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		b := mem.New()
		prefix := "p"
		names := []string{"p"}
		if len(second) > 0 {
			prefix = "p-?????-of-00002"
			names = []string{"p-00000-of-00002", "p-00001-of-00002"}
		}
		want := map[string]*naiveV1{}
		for i, name := range names {
			file := bytes.Clone([][]byte{first, second}[i])
			repairTable(file)
			put(t, b, name, file)
			addNaiveV1(want, file)
		}
		size := uint64(len(first) + len(second))
		var r *bundle.Reader
		var err error
		used := allocates(func() { r, err = bundle.Open(t.Context(), b, prefix, nil) })
		if used > 256*size+1<<20 {
			t.Errorf("Open allocates %d bytes for %d", used, size)
		}
		if err != nil {
			wantV1Error(t, err, fs.ErrNotExist)
			return
		}
		defer r.Close()
		for c := range r.CheckLayout(t.Context()) {
			wantV1Error(t, c, fs.ErrNotExist)
		}
		last, n := "", 0
		for item, err := range r.Entries() {
			if err != nil || n > 0 && item.Key <= last || item.IsSlice || item.Entry.Shard != -1 {
				t.Fatalf("item %+v, %v after %q", item, err, last)
			}
			last = item.Key
			n++
			readV1Item(t, r, item, size)
			want[item.Key].compare(t, r, item)
		}
	})
}

// readV1Item reads one tensor in every way.
func readV1Item(t *testing.T, r *bundle.Reader, item bundle.Item, size uint64) {
	t.Helper()
	e, err := r.Entry(item.Key)
	if err != nil || !equalEntries(e, item.Entry) {
		t.Fatalf("Entry(%q): got %+v, %v, want %+v", item.Key, e, err, item.Entry)
	}
	var v *tensor.Tensor
	used := allocates(func() { v, err = r.Tensor(t.Context(), item.Key) })
	if used > 1024*size+1<<20 {
		t.Errorf("%q: Tensor allocates %d bytes of %d", item.Key, used, size)
	}
	if checkErr := r.Check(t.Context(), item.Key); (err == nil) != (checkErr == nil) {
		t.Errorf("%q: Tensor says %v, Check says %v", item.Key, err, checkErr)
	}
	if err != nil {
		wantV1Error(t, err)
		return
	}
	if !v.Shape().Equal(e.Shape) || v.DType() != e.DType {
		t.Errorf("%q: got %s %s, want %s %s", item.Key, v.DType(), v.Shape(), e.DType, e.Shape)
	}
	s := sliceOf(e.Shape)
	part, err := r.Slice(t.Context(), item.Key, s)
	if err != nil {
		t.Errorf("%q: slice %s: %v", item.Key, s, err)
		return
	}
	if !v.DType().Fixed() {
		texts, err := r.Strings(t.Context(), item.Key)
		if err != nil || !slices.EqualFunc(texts, v.Strings(), bytes.Equal) {
			t.Errorf("%q: Strings: got %q, %v, want %q", item.Key, texts, err, v.Strings())
		}
		return
	}
	if want := cut(v.Shape(), s, v.DType().Size(), v.Bytes()); !bytes.Equal(part.Bytes(), want) {
		t.Errorf("%q: slice %s: got %x, want %x", item.Key, s, part.Bytes(), want)
	}
	into := make([]byte, e.Size)
	if err := r.ReadInto(t.Context(), item.Key, into); err != nil || !bytes.Equal(into, v.Bytes()) {
		t.Errorf("%q: ReadInto: got %x, %v, want %x", item.Key, into, err, v.Bytes())
	}
}

// naiveV1 is what the files say of one tensor.
type naiveV1 struct {
	listed int      // slices
	values [][]byte // of each stored slice of numbers
	sound  bool     // all of them are there and can be decoded
}

// addNaiveV1 goes through a file, as far as it is sound.
func addNaiveV1(tensors map[string]*naiveV1, file []byte) {
	r, err := table.NewReader(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		return
	}
	list, _, _ := r.Get(nil)
	saved, _ := naiveMessage(list)
	for _, meta := range saved {
		inner, _ := naiveMessage(meta.p)
		for _, f := range inner {
			if !meta.is(1, 2) || !f.is(1, 2) {
				continue
			}
			fields, _ := naiveMessage(f.p)
			var name string
			var d tensor.DType
			var parts []bundle.Slice
			for _, f := range fields {
				switch {
				case f.is(1, 2):
					name = string(f.p)
				case f.is(3, 0):
					d = tensor.DType(int32(f.v))
				case f.is(4, 2):
					s, _ := naiveSlice(f.p)
					parts = append(parts, s)
				}
			}
			if tensors[name] == nil {
				tensors[name] = &naiveV1{sound: true}
			}
			tensors[name].listed += len(parts)
			for _, s := range parts {
				value, stored, _ := r.Get([]byte(bundle.EncodeSliceKey(name, s)))
				data, ok := naiveNumbers(value, d)
				tensors[name].values = append(tensors[name].values, data)
				tensors[name].sound = tensors[name].sound && ok && stored
			}
		}
	}
}

// naiveNumbers decodes the values of a stored slice of numbers.
func naiveNumbers(value []byte, d tensor.DType) (data []byte, ok bool) {
	number := map[tensor.DType]uint64{tensor.Float32: 5, tensor.Float64: 6, tensor.Complex64: 9, tensor.Int64: 10, tensor.Bool: 11, tensor.Complex128: 12, tensor.Float16: 13}[d]
	if number == 0 {
		number = 7
	}
	var proto []naiveField
	saved, ok := naiveMessage(value)
	for _, f := range saved {
		inner, sound := naiveMessage(f.p)
		ok = ok && (sound || !f.is(2, 2))
		for _, g := range inner {
			if f.is(2, 2) && g.is(3, 2) {
				proto, sound = naiveMessage(g.p)
			}
		}
		ok = ok && (sound || !f.is(2, 2))
	}
	varints := func(p []byte) {
		for len(p) > 0 {
			v, n := binary.Uvarint(p)
			ok = ok && n > 0
			if d == tensor.Bool && v != 0 {
				v = 1
			}
			data = append(data, binary.LittleEndian.AppendUint64(nil, v)[:d.Size()]...)
			p = p[max(n, 1):]
		}
	}
	for _, f := range proto {
		fixed := map[uint64]uint64{5: 5, 9: 5, 6: 1, 12: 1}[number] // wire types, else 0
		switch {
		case f.is(number, 2) && fixed != 0:
			data = append(data, f.p...)
		case f.is(number, 2):
			varints(f.p)
		case fixed != 0 && f.is(number, fixed):
			size := map[uint64]int{5: 4, 1: 8}[fixed]
			data = append(data, f.raw[len(f.raw)-size:]...)
		case fixed == 0 && f.is(number, 0):
			varints(binary.AppendUvarint(nil, f.v))
		}
	}
	return data, ok
}

// compare holds what was read against what the files say.
func (n *naiveV1) compare(t *testing.T, r *bundle.Reader, item bundle.Item) {
	t.Helper()
	elements, _ := item.Entry.Shape.Elements()
	if n == nil || elements > 0 && len(item.Entry.Slices) > n.listed || len(item.Entry.Slices) == 0 && elements > 0 && n.listed != 1 {
		t.Errorf("%q: %d slices, the files list %+v", item.Key, len(item.Entry.Slices), n)
		return
	}
	v, err := r.Tensor(t.Context(), item.Key)
	if len(n.values) == 1 && len(item.Entry.Slices) == 0 && item.Entry.DType.Fixed() && n.sound && item.Entry.Size == int64(len(n.values[0])) && errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("%q: got %v, the file holds %x", item.Key, err, n.values[0])
	}
	if err != nil || !v.DType().Fixed() || elements == 0 {
		return
	}
	total := 0
	for _, p := range n.values {
		total += len(p)
	}
	if total != len(v.Bytes()) || len(n.values) == 1 && !bytes.Equal(n.values[0], v.Bytes()) {
		t.Errorf("%q: got %x, the files hold %x", item.Key, v.Bytes(), n.values)
	}
}

// wantV1Error checks that an error is of one of the classes that reading may
// give.
func wantV1Error(t *testing.T, err error, more ...error) {
	t.Helper()
	for _, class := range append(more, bundle.ErrCorrupt, errors.ErrUnsupported) {
		if errors.Is(err, class) {
			return
		}
	}
	t.Errorf("%v is of no class", err)
}
