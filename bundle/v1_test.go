package bundle_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"maps"
	"math"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

func TestGoldenH(t *testing.T) {
	b := mem.New()
	put(t, b, "p", unhex(t, goldenHFile))
	r := open(t, b, "p")
	if got, want := keys(t, r), []string{"i", "w"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	if got := values[int32](t, r, "i"); !slices.Equal(got, []int32{-1}) {
		t.Errorf("got i = %v, want -1", got)
	}
	if got := values[float32](t, r, "w"); !slices.Equal(got, []float32{1, 2}) {
		t.Errorf("got w = %v, want 1, 2", got)
	}
	e, err := r.Entry("w")
	if err != nil || e.Shard != -1 || e.Size != 8 || len(e.Slices) > 0 || !e.Shape.Equal(tensor.Shape{2}) {
		t.Errorf("got entry %+v, %v", e, err)
	}
	if h := r.Header(); h.Producer != 1 || h.NumShards != 1 {
		t.Errorf("got header %+v", h)
	}
	if found, err := bundle.Exists(t.Context(), b, "p"); !found || err != nil {
		t.Errorf("Exists: got %v, %v", found, err)
	}
	_, err = r.Tensor(t.Context(), "x")
	wantErr(t, err, fs.ErrNotExist, "Key x not found in checkpoint")
	_, err = r.Strings(t.Context(), "w")
	wantErr(t, err, bundle.ErrMismatch)
	wantErr(t, r.ReadInto(t.Context(), "w", nil), bundle.ErrMismatch)
	wantErr(t, bundle.Remove(t.Context(), b, "p"), fs.ErrNotExist)
}

// v1Builder makes the table of one V1 file.
type v1Builder struct {
	meta []byte
	raw  map[string][]byte
}

// tensor announces a tensor with its slices; values follow with slice.
func (v *v1Builder) tensor(t testing.TB, name string, d tensor.DType, shape tensor.Shape, specs ...string) {
	// An entry has the same messages for shape and slices, under other numbers.
	p := wire.AppendBytesField(nil, 1, name)
	var dims []byte
	for _, n := range shape {
		dims = wire.AppendBytesField(dims, 2, wire.AppendVarintField(nil, 1, uint64(n)))
	}
	p = wire.AppendBytesField(p, 2, dims)
	p = wire.AppendVarintField(p, 3, uint64(d))
	for _, spec := range specs {
		var s []byte
		for _, e := range parse(t, spec) {
			var extent []byte
			if !e.Full {
				extent = wire.AppendVarintField(wire.AppendVarintField(nil, 1, uint64(e.Start)), 2, uint64(e.Length))
			}
			s = wire.AppendBytesField(s, 1, extent)
		}
		p = wire.AppendBytesField(p, 4, s)
	}
	v.meta = wire.AppendBytesField(v.meta, 1, p)
}

// slice stores the values of a slice: a TensorProto.
func (v *v1Builder) slice(t testing.TB, name, spec string, message []byte) {
	if v.raw == nil {
		v.raw = make(map[string][]byte)
	}
	saved := wire.AppendBytesField(wire.AppendBytesField(nil, 1, name), 3, message)
	v.raw[bundle.EncodeSliceKey(name, parse(t, spec))] = wire.AppendBytesField(nil, 2, saved)
}

func (v *v1Builder) put(t testing.TB, b *mem.Bucket, name string, version []byte) {
	meta := v.meta
	if version != nil {
		meta = wire.AppendBytesField(bytes.Clone(meta), 2, version)
	}
	raw := map[string][]byte{"": wire.AppendBytesField(nil, 1, meta)}
	maps.Copy(raw, v.raw)
	putTable(t, b, name, raw)
}

// packed is a TensorProto with varints in one packed field.
func packed(field int, values ...int64) []byte {
	var p []byte
	for _, v := range values {
		p = binary.AppendUvarint(p, uint64(v))
	}
	return wire.AppendBytesField(nil, field, p)
}

// TestNB7NB8V1Shards joins slices that two files hold: all of a 4x5 tensor in
// full.yes, a hole in full.no.
func TestNB7NB8V1Shards(t *testing.T) {
	for _, c := range []struct {
		d     tensor.DType
		field int
	}{{tensor.Int32, 7}, {tensor.Int64, 10}, {tensor.Int16, 7}, {tensor.Int8, 7}, {tensor.Uint8, 7}, {tensor.QInt32, 7}, {tensor.Float16, 13}} {
		t.Run(c.d.String(), func(t *testing.T) {
			b := mem.New()
			var first, second v1Builder
			first.tensor(t, "test", c.d, tensor.Shape{4, 5}, "0,2:-")
			first.slice(t, "test", "0,2:-", packed(c.field, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
			first.put(t, b, "f-00000-of-00002", nil)
			second.tensor(t, "test", c.d, tensor.Shape{4, 5}, "2,2:0,3", "2,2:3,2")
			second.slice(t, "test", "2,2:0,3", packed(c.field, 10, 11, 12, 15, 16, 17))
			second.slice(t, "test", "2,2:3,2", packed(c.field, 13, 14, 18, 19))
			second.put(t, b, "f-00001-of-00002", nil)
			r := open(t, b, "f-?????-of-00002")
			var want []byte
			for i := range 20 {
				element := make([]byte, c.d.Size())
				element[0] = byte(i)
				want = append(want, element...)
			}
			got, err := r.Tensor(t.Context(), "test")
			if err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("got %v, want %x", err, want)
			}
			into := make([]byte, len(want))
			if err := r.ReadInto(t.Context(), "test", into); err != nil || !bytes.Equal(into, want) {
				t.Errorf("ReadInto: got %x, %v", into, err)
			}
			if err := r.Check(t.Context(), "test"); err != nil {
				t.Error(err)
			}
			for c := range r.CheckLayout(t.Context()) {
				t.Error(c)
			}
			if e, err := r.Entry("test"); err != nil || len(e.Slices) != 3 || e.Slices[2].String() != "2,2:3,2" {
				t.Errorf("got entry %+v, %v", e, err)
			}
			if got := r.Header().NumShards; got != 2 {
				t.Errorf("got %d shards, want 2", got)
			}
			one := open(t, b, "f-00000-of-00002")
			_, err = one.Tensor(t.Context(), "test")
			wantErr(t, err, bundle.ErrCorrupt, "does not have sufficient slices")
			if err := b.Remove(t.Context(), "f-00001-of-00002"); err != nil {
				t.Fatal(err)
			}
			var found []string
			for c := range open(t, b, "f-?????-of-00002").CheckLayout(t.Context()) {
				found = append(found, string(c.Kind)+" "+c.File)
			}
			if want := []string{"entry f-00000-of-00002", "missing f-00001-of-00002"}; !slices.Equal(found, want) {
				t.Errorf("CheckLayout: got %q, want %q", found, want)
			}
		})
	}
}

func TestV1Values(t *testing.T) {
	floats := func(field int, values ...float32) (p []byte) {
		for _, v := range values {
			p = binary.LittleEndian.AppendUint32(p, math.Float32bits(v))
		}
		return wire.AppendBytesField(nil, field, p)
	}
	for _, c := range []struct {
		name    string
		d       tensor.DType
		message []byte
		want    string // hex of two elements, "" for an error
		err     string
	}{
		{"float", tensor.Float32, floats(5, 1, -2), "0000803f 000000c0", ""},
		{"unpacked float", tensor.Float32, unhex(t, "2d 0000803f 2d 000000c0"), "0000803f 000000c0", ""},
		{"complex", tensor.Complex64, floats(9, 1, 2, -2, 0), "0000803f 00000040 000000c0 00000000", ""},
		{"negative int16", tensor.Int16, packed(7, -1, 258), "ffff 0201", ""},
		{"unpacked int8", tensor.Int8, unhex(t, "38 05 38 ff ff ff ff ff ff ff ff ff 01"), "05 ff", ""},
		{"bool", tensor.Bool, packed(11, 1, 0), "01 00", ""},
		{"half", tensor.Float16, packed(13, 0x3c00, 0xbe00), "003c 00be", ""},
		{"other fields", tensor.Int32, slices.Concat(packed(10, 5), packed(7, 1, 2)), "01000000 02000000", ""},
		{"too few", tensor.Int32, packed(7, 1), "", "slice holds 1 values, not 2"},
		{"one for many", tensor.Int32, packed(7), "", "slice holds 0 values, not 2"},
		{"too many", tensor.Int32, packed(7, 1, 2, 3), "", "slice holds 3 values, not 2"},
		{"half a complex", tensor.Complex64, floats(9, 1, 2, 3), "", "slice holds 1 values, not 2"},
		{"cut float", tensor.Float32, unhex(t, "2a 06 0000803f 0000"), "", "not parseable"},
		{"cut message", tensor.Float32, unhex(t, "2a 08 0000803f 0000"), "", "not parseable"},
		{"tensor_content", tensor.Int8, unhex(t, "22 02 01 02"), "", "slice holds 0 values, not 2"},
		{"wrong wire type", tensor.Float32, unhex(t, "28 01 28 01"), "", "slice holds 0 values, not 2"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			var v v1Builder
			v.tensor(t, "x", c.d, tensor.Shape{2}, "-")
			v.slice(t, "x", "-", c.message)
			v.put(t, b, "p", nil)
			r := open(t, b, "p")
			got, err := r.Tensor(t.Context(), "x")
			check := r.Check(t.Context(), "x")
			if c.err != "" {
				wantErr(t, err, bundle.ErrCorrupt, c.err, `"x"`)
				wantErr(t, check, bundle.ErrCorrupt, c.err)
				return
			}
			if err != nil || check != nil || !bytes.Equal(got.Bytes(), unhex(t, c.want)) {
				t.Errorf("got %v, %v, want %s", err, check, c.want)
			}
		})
	}
}

func TestV1Strings(t *testing.T) {
	b := mem.New()
	var v v1Builder
	v.tensor(t, "s", tensor.String, tensor.Shape{2, 2}, "-:0,1", "-:1,1")
	v.slice(t, "s", "-:0,1", unhex(t, "42 01 61 42 00"))
	v.slice(t, "s", "-:1,1", unhex(t, "42 01 62 42 02 63 64"))
	v.tensor(t, "few", tensor.String, tensor.Shape{2}, "-")
	v.slice(t, "few", "-", unhex(t, "42 01 61"))
	v.tensor(t, "many", tensor.String, nil, "")
	v.slice(t, "many", "", unhex(t, "42 01 61 42 00"))
	v.put(t, b, "p", nil)
	r := open(t, b, "p")
	got, err := r.Strings(t.Context(), "s")
	if err != nil || string(bytes.Join(got, []byte("|"))) != "a|b||cd" {
		t.Errorf("got %q, %v, want a b _ cd", got, err)
	}
	for key, want := range map[string]string{"few": "1 values, not 2", "many": "2 values, not 1"} {
		_, err := r.Tensor(t.Context(), key)
		wantErr(t, err, bundle.ErrCorrupt, want)
	}
}

func TestNB9V1Versions(t *testing.T) {
	for version, want := range map[string]string{
		"10 02":                            "Checkpoint min consumer version 2 above current version 1",
		"08 ff ff ff ff ff ff ff ff ff 01": "Checkpoint producer version -1 below min producer 0 supported",
		"18 01":                            "Checkpoint disallows consumer version 1",
	} {
		b := mem.New()
		new(v1Builder).put(t, b, "p", unhex(t, version))
		_, err := bundle.Open(t.Context(), b, "p", nil)
		wantErr(t, err, errors.ErrUnsupported, want)
	}
}

func TestV1Damaged(t *testing.T) {
	for _, c := range []struct {
		name, want string
		build      func(v *v1Builder)
	}{
		{"no slices", "in 0 slices", func(v *v1Builder) { v.tensor(t, "x", tensor.Int8, tensor.Shape{2}) }},
		{"negative dimension", "shape [?]", func(v *v1Builder) { v.tensor(t, "x", tensor.Int8, tensor.Shape{-1}, "-") }},
		{"out of bounds", "out of bounds", func(v *v1Builder) { v.tensor(t, "x", tensor.Int8, tensor.Shape{2}, "1,2") }},
		{"two dtypes", "stored as int8 [2] and as uint8 [2]", func(v *v1Builder) {
			v.tensor(t, "x", tensor.Int8, tensor.Shape{2}, "0,1")
			v.tensor(t, "x", tensor.Uint8, tensor.Shape{2}, "1,1")
		}},
		{"list", "unable to parse", func(v *v1Builder) { v.meta = []byte{0x0a, 0x05} }},
		{"size", "too large", func(v *v1Builder) { v.tensor(t, "x", tensor.Int64, tensor.Shape{1 << 61}, "-") }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			var v v1Builder
			c.build(&v)
			v.put(t, b, "p", nil)
			_, err := bundle.Open(t.Context(), b, "p", nil)
			wantErr(t, err, bundle.ErrCorrupt, c.want)
		})
	}
	b := mem.New()
	var v v1Builder
	v.tensor(t, "missing", tensor.Int8, tensor.Shape{2}, "-")
	v.tensor(t, "huge", tensor.Int8, tensor.Shape{1 << 50}, "-")
	v.tensor(t, "overlap", tensor.Int8, tensor.Shape{3}, "0,2", "1,2")
	v.tensor(t, "bfloat16", tensor.BFloat16, nil, "")
	v.slice(t, "bfloat16", "", packed(7, 1))
	v.put(t, b, "p", nil)
	r := open(t, b, "p")
	for key, want := range map[string]string{
		"missing": "slice - is listed but not stored", "huge": "more elements than the files can hold", "overlap": "Overlapping slices",
	} {
		_, err := r.Tensor(t.Context(), key)
		wantErr(t, err, bundle.ErrCorrupt, want)
		wantErr(t, r.Check(t.Context(), key), bundle.ErrCorrupt, want)
	}
	_, err := r.Tensor(t.Context(), "bfloat16")
	wantErr(t, err, errors.ErrUnsupported, "bfloat16")
}

// TestNotV1 opens prefixes that name something else.
func TestNotV1(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "p", add[float32](t, "x", nil, 1))
	put(t, b, "text", []byte("no table"))
	for _, prefix := range []string{"text", "p.index", "p.data-00000-of-00001", "p-?????-of-00001", "p-?????-of-0000x"} {
		_, err := bundle.Open(t.Context(), b, prefix, nil)
		wantErr(t, err, fs.ErrNotExist)
	}
}
