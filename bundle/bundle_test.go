package bundle_test

import (
	"bytes"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// fixed lists all dtypes that have elements of a fixed size.
func fixed() []tensor.DType {
	var all []tensor.DType
	for d := range tensor.DType(64) {
		if d.Fixed() {
			all = append(all, d)
		}
	}
	return all
}

// fill is the bytes of n elements, all different from zero.
func fill(d tensor.DType, n int, seed byte) string {
	p := make([]byte, n*d.Size())
	for i := range p {
		p[i] = seed + byte(i)
		if d == tensor.Bool {
			p[i] = 1
		}
	}
	return string(p)
}

func TestBU1Basic(t *testing.T) {
	for _, d := range fixed() {
		t.Run(d.String(), func(t *testing.T) {
			b := mem.New()
			shape := tensor.Shape{2, 3}
			order := []string{"foo_003", "foo_000", "foo_002", "foo_001"}
			var tensors []named
			for _, key := range order {
				tensors = append(tensors, addRaw(t, key, d, shape, fill(d, 6, key[6])))
			}
			mustSave(t, b, "p", tensors...)
			r := open(t, b, "p")
			sorted := slices.Sorted(slices.Values(order))
			if got := keys(t, r); !slices.Equal(got, sorted) {
				t.Errorf("got keys %q, want %q", got, sorted)
			}
			for i, key := range order {
				e, err := r.Entry(key)
				if err != nil {
					t.Fatal(err)
				}
				size := int64(6 * d.Size())
				if e.DType != d || !e.Shape.Equal(shape) || e.Offset != int64(i)*size || e.Size != size {
					t.Errorf("%s: got entry %+v, want %d bytes at %d", key, e, size, int64(i)*size)
				}
				got, err := r.Tensor(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(got.Bytes(), tensors[i].t.Bytes()) {
					t.Errorf("%s: got %x, want %x", key, got.Bytes(), tensors[i].t.Bytes())
				}
			}
		})
	}
}

func TestBU3NonStandardShapes(t *testing.T) {
	for _, d := range fixed() {
		t.Run(d.String(), func(t *testing.T) {
			b := mem.New()
			mustSave(t, b, "p",
				addRaw(t, "scalar", d, nil, fill(d, 1, 7)),
				addRaw(t, "empty", d, tensor.Shape{0, 1618}, ""),
				addRaw(t, "hole", d, tensor.Shape{16, 0, 18}, ""))
			r := open(t, b, "p")
			for key, want := range map[string]tensor.Shape{"scalar": nil, "empty": {0, 1618}, "hole": {16, 0, 18}} {
				got, err := r.Tensor(t.Context(), key)
				if err != nil {
					t.Fatal(err)
				}
				e, err := r.Entry(key)
				if err != nil {
					t.Fatal(err)
				}
				if !got.Shape().Equal(want) || want != nil && (e.Size != 0 || e.CRC != 0) {
					t.Errorf("%s: got %v and entry %+v, want shape %v", key, got, e, want)
				}
			}
		})
	}
}

func TestBU4StringTensors(t *testing.T) {
	b := mem.New()
	long := strings.Repeat("c", 33554432)
	mustSave(t, b, "p",
		addStrings(t, "string_tensor", tensor.Shape{1}, ""),
		addStrings(t, "scalar", nil, "hello"),
		addStrings(t, "strs", tensor.Shape{2, 2}, "hello", "", "x01", long),
		add[float32](t, "floats", tensor.Shape{2, 3}, 16.18, 16.18, 16.18, 16.18, 16.18, 16.18))
	r := open(t, b, "p")
	if got, want := keys(t, r), []string{"floats", "scalar", "string_tensor", "strs"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	for key, want := range map[string][]string{"string_tensor": {""}, "scalar": {"hello"}, "strs": {"hello", "", "x01", long}} {
		got, err := r.Strings(t.Context(), key)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.EqualFunc(got, want, func(g []byte, w string) bool { return string(g) == w }) {
			t.Errorf("%s: got other strings than were written", key)
		}
		if err := r.Check(t.Context(), key); err != nil {
			t.Error(err)
		}
	}
	if got := values[float32](t, r, "floats"); got[5] != 16.18 {
		t.Errorf("got %v, want 16.18", got)
	}
}

func TestBU5Variants(t *testing.T) {
	b := mem.New()
	// VariantTensorDataProto: type_name "Test", metadata "test1".
	elements := slices.Collect(text("\x0a\x04Test\x12\x04test", "\x0a\x04Test\x12\x05test1"))
	v, err := tensor.NewVariants(tensor.Shape{2}, elements)
	if err != nil {
		t.Fatal(err)
	}
	mustSave(t, b, "p", named{"v", v})
	r := open(t, b, "p")
	got, err := r.Tensor(t.Context(), "v")
	if err != nil {
		t.Fatal(err)
	}
	if got.DType() != tensor.Variant || !slices.EqualFunc(got.Strings(), elements, bytes.Equal) {
		t.Errorf("got %v %q, want %q", got, got.Strings(), elements)
	}
	if name, err := bundle.VariantType(got.Strings()[1]); name != "Test" || err != nil {
		t.Errorf("got type %q, %v, want Test", name, err)
	}
	if _, err := bundle.VariantType([]byte("\x0a\x05x")); !errors.Is(err, bundle.ErrCorrupt) {
		t.Errorf("got error %v, want corrupt", err)
	}
	mustSave(t, b, "copy", named{"v", got})
	if !bytes.Equal(get(t, b, "copy.data-00000-of-00001"), get(t, b, "p.data-00000-of-00001")) || !bytes.Equal(get(t, b, "copy.index"), get(t, b, "p.index")) {
		t.Error("the copy differs")
	}
	data := get(t, b, "p.data-00000-of-00001")
	for i := range data {
		damaged := bytes.Clone(data)
		damaged[i] ^= 0x01
		put(t, b, "p.data-00000-of-00001", damaged)
		r := open(t, b, "p")
		_, err := r.Tensor(t.Context(), "v")
		wantErr(t, err, bundle.ErrCorrupt)
		wantErr(t, r.Check(t.Context(), "v"), bundle.ErrCorrupt)
	}
}

func TestBU7DuplicateKey(t *testing.T) {
	b := mem.New()
	w, err := bundle.Create(t.Context(), b, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	n := add[float32](t, "foo", nil, 1)
	if err := addAll(t.Context(), w, []named{n}); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := addAll(t.Context(), w, []named{n}); err == nil || !strings.Contains(err.Error(), "duplicate key: foo") {
			t.Errorf("got error %v, want duplicate key: foo", err)
		}
	}
	if err := w.Commit(t.Context()); err == nil {
		t.Error("Commit succeeded after an error")
	}
	if got := files(t, b); len(got) > 0 {
		t.Errorf("got files %q, want none", got)
	}
}

func TestBU8NotFound(t *testing.T) {
	dir := t.TempDir()
	for _, b := range []storage.Bucket{mem.New(), local.Open(dir, nil), local.Open(dir+"/none", nil)} {
		_, err := bundle.Open(t.Context(), b, "none/ckpt-1", nil)
		wantErr(t, err, fs.ErrNotExist, "none/ckpt-1")
		if errors.Is(err, bundle.ErrCorrupt) {
			t.Errorf("a missing checkpoint counts as corrupt: %v", err)
		}
	}
	if got := files(t, local.Open(dir, nil)); len(got) > 0 {
		t.Errorf("got files %q, want none", got)
	}
}

func TestBU9Checksum(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "dir/p", add[float32](t, "foo", tensor.Shape{2, 3}, 1, 2, 3, 4, 5, 6))
	const name = "dir/p.data-00000-of-00001"
	data := get(t, b, name)
	for i := range data {
		damaged := bytes.Clone(data)
		damaged[i] ^= 0xff
		put(t, b, name, damaged)
		r := open(t, b, "dir/p")
		_, err := r.Tensor(t.Context(), "foo")
		wantErr(t, err, bundle.ErrCorrupt, "Checksum does not match: stored ", " vs. calculated on the restored bytes ")
		wantErr(t, r.Check(t.Context(), "foo"), bundle.ErrCorrupt)
		wantErr(t, r.ReadInto(t.Context(), "foo", make([]byte, 24)), bundle.ErrCorrupt)
		var c *bundle.CorruptError
		if !errors.As(err, &c) || c.File != "p.data-00000-of-00001" || c.Key != "foo" || c.Offset != 0 || c.Length != 24 || c.Kind != "checksum" {
			t.Errorf("got %+v", c)
		}
	}
}

func TestBU10LengthChecksum(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "p", addStrings(t, "s", tensor.Shape{2}, "hello", "world"))
	const name = "p.data-00000-of-00001"
	data := get(t, b, name)
	if want := "\x05\x05\xb5\x6f\x99\x4f"; len(data) != 16 || string(data[:6]) != want {
		t.Fatalf("got %x, want 16 bytes that begin with %x", data, want)
	}
	for i := range data {
		damaged := bytes.Clone(data)
		damaged[i] ^= 0xff
		put(t, b, name, damaged)
		r := open(t, b, "p")
		_, err := r.Strings(t.Context(), "s")
		word := "Checksum does not match"
		if i < 6 {
			word = "length checksum does not match"
		}
		wantErr(t, err, bundle.ErrCorrupt, word)
		wantErr(t, r.Check(t.Context(), "s"), bundle.ErrCorrupt, word)
	}
}

func TestBU11Truncated(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "p", add[float32](t, "a", nil, 1), add[float32](t, "b", nil, 2))
	put(t, b, "p.data-00000-of-00001", get(t, b, "p.data-00000-of-00001")[:7])
	r := open(t, b, "p")
	if got := values[float32](t, r, "a"); got[0] != 1 {
		t.Errorf("got a = %v, want 1", got)
	}
	_, err := r.Tensor(t.Context(), "b")
	wantErr(t, err, bundle.ErrCorrupt, "read less bytes than requested")
	var found []string
	for c := range r.CheckLayout(t.Context()) {
		found = append(found, string(c.Kind)+" "+c.Key)
	}
	if want := []string{"truncated b"}; !slices.Equal(found, want) {
		t.Errorf("CheckLayout: got %q, want %q", found, want)
	}
}

func TestBU12Header(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "p", add[float32](t, "a", nil, 1))
	r := open(t, b, "p")
	h := r.Header()
	if h.NumShards != 1 || h.BigEndian || h.Producer != 1 || h.MinConsumer != 0 || len(h.BadConsumers) > 0 {
		t.Errorf("got header %+v", h)
	}
	if got, want := bundle.EncodeHeader(nil, &h), unhex(t, "08 01 1a 02 08 01"); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if !bytes.Contains(get(t, b, "p.index"), unhex(t, "00 00 06 08 01 1a 02 08 01")) {
		t.Error("the index does not hold the header under the empty key")
	}
}

func TestVersions(t *testing.T) {
	for _, c := range []struct {
		name   string
		header bundle.Header
		want   string // "" if it opens
	}{
		{"BU-13", bundle.Header{NumShards: 1, Producer: 2, MinConsumer: 2}, "Checkpoint min consumer version 2 above current version 1"},
		{"BU-14", bundle.Header{NumShards: 1, Producer: 2, BadConsumers: []int32{1}}, "Checkpoint disallows consumer version 1"},
		{"producer", bundle.Header{NumShards: 1, Producer: -1}, "Checkpoint producer version -1 below min producer 0 supported"},
		{"other consumer", bundle.Header{NumShards: 1, Producer: 9, BadConsumers: []int32{0, 2, -1}}, ""},
		{"no version", bundle.Header{NumShards: 1}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			putIndex(t, b, "p.index", c.header, nil)
			r, err := bundle.Open(t.Context(), b, "p", nil)
			if c.want != "" {
				wantErr(t, err, errors.ErrUnsupported, c.want)
				if errors.Is(err, bundle.ErrCorrupt) {
					t.Errorf("a newer format counts as corrupt: %v", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if got := r.Header(); got.Producer != c.header.Producer || !slices.Equal(got.BadConsumers, c.header.BadConsumers) {
				t.Errorf("got header %+v, want %+v", got, c.header)
			}
		})
	}
}

func TestBU16RelativePath(t *testing.T) {
	t.Chdir(t.TempDir())
	b := local.Open("", nil)
	mustSave(t, b, "ckpt",
		add[float32](t, "f", nil, 2), add[int32](t, "i", nil, 2),
		addRaw(t, "i4", tensor.Int4, nil, "\x02"), addRaw(t, "u4", tensor.Uint4, nil, "\x02"))
	if got, want := files(t, b), []string{"ckpt.data-00000-of-00001", "ckpt.index"}; !slices.Equal(got, want) {
		t.Errorf("got files %q, want %q", got, want)
	}
	r := open(t, b, "ckpt")
	if f, i := values[float32](t, r, "f"), values[int32](t, r, "i"); f[0] != 2 || i[0] != 2 {
		t.Errorf("got %v, %v, want 2, 2", f, i)
	}
	v, err := r.Tensor(t.Context(), "i4")
	if err != nil || v.DType() != tensor.Int4 || v.Bytes()[0] != 2 {
		t.Errorf("got %v, %v, want int4 2", v, err)
	}
}

func TestBU17Names(t *testing.T) {
	for _, c := range []struct {
		name          string
		prefix        string
		shard, shards int
		ok            bool
	}{
		{"foo.data-00004-of-00100", "foo", 4, 100, true},
		{"a/b.data-1.data-00000-of-00001", "a/b.data-1", 0, 1, true},
		{"foo.data-100000-of-100001", "foo", 100000, 100001, true},
		{"foo.data-00100-of-00100", "", 0, 0, false},
		{"foo.data-4-of-100", "", 0, 0, false},
		{"foo.data-000004-of-000100", "", 0, 0, false},
		{"foo.data-00004-of-00100.tempstate1", "", 0, 0, false},
		{"foo.data-0000x-of-00100", "", 0, 0, false},
		{"foo.data-00000-of-99999999999", "", 0, 0, false},
		{"foo.index", "", 0, 0, false},
		{"", "", 0, 0, false},
	} {
		prefix, shard, shards, ok := bundle.ParseDataName(c.name)
		if prefix != c.prefix || shard != c.shard || shards != c.shards || ok != c.ok {
			t.Errorf("ParseDataName(%q): got %q %d %d %v", c.name, prefix, shard, shards, ok)
		}
		if ok && bundle.DataName(prefix, shard, shards) != c.name {
			t.Errorf("got name %q, want %q", bundle.DataName(prefix, shard, shards), c.name)
		}
	}
	if got, want := bundle.IndexName("a/foo"), "a/foo.index"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestBU20WrongDType(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "p", add[int32](t, "x", nil, 1), addStrings(t, "s", nil, "a"))
	r := open(t, b, "p")
	v, err := r.Tensor(t.Context(), "x")
	if err != nil {
		t.Fatal(err)
	}
	_, err = tensor.Values[float32](v)
	wantErr(t, err, bundle.ErrMismatch, "expected dtype float does not equal original dtype int32")
	_, err = r.Strings(t.Context(), "x")
	wantErr(t, err, bundle.ErrMismatch, "expected dtype string does not equal original dtype int32")
	wantErr(t, r.ReadInto(t.Context(), "s", nil), bundle.ErrMismatch, "string")
	wantErr(t, r.ReadInto(t.Context(), "x", make([]byte, 3)), bundle.ErrMismatch)
	_, err = r.Tensor(t.Context(), "y")
	wantErr(t, err, fs.ErrNotExist, "Key y not found in checkpoint")
	for _, key := range []string{"", "\x00"} {
		_, err = r.Entry(key)
		wantErr(t, err, fs.ErrNotExist)
	}
}

func TestBU21TwoFiles(t *testing.T) {
	b := mem.New()
	for _, value := range []float32{1, 2} {
		mustSave(t, b, "p", add(t, "x", nil, value))
		if got, want := files(t, b), []string{"p.data-00000-of-00001", "p.index"}; !slices.Equal(got, want) {
			t.Errorf("got files %q, want %q", got, want)
		}
		for range 2 {
			if got := values[float32](t, open(t, b, "p"), "x"); got[0] != value {
				t.Errorf("got %v, want %v", got, value)
			}
		}
	}
}

func TestBU22MissingShard(t *testing.T) {
	b := mem.New()
	putF(t, b)
	if err := b.Remove(t.Context(), "p.data-00000-of-00002"); err != nil {
		t.Fatal(err)
	}
	r := open(t, b, "p")
	if got, want := keys(t, r), []string{"a", "b", "v"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	for _, key := range []string{"b", "v"} {
		_, err := r.Tensor(t.Context(), key)
		wantErr(t, err, fs.ErrNotExist, "p.data-00000-of-00002")
	}
	if got := values[int8](t, r, "a"); got[0] != 1 {
		t.Errorf("got a = %v, want 1", got)
	}
	var found []string
	for c := range r.CheckLayout(t.Context()) {
		found = append(found, string(c.Kind)+" "+c.File)
	}
	if want := []string{"missing p.data-00000-of-00002"}; !slices.Equal(found, want) {
		t.Errorf("CheckLayout: got %q, want %q", found, want)
	}
}
