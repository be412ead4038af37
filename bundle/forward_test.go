package bundle_test

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// fromTheFuture gives every entry of a checkpoint, tensors and slices, fields
// that this library does not know. The values tell the entries apart.
func fromTheFuture(t *testing.T, b storage.Bucket, prefix string, h bundle.Header) map[string]string {
	t.Helper()
	r := open(t, b, prefix)
	entries := make(map[string]bundle.Entry)
	unknown := make(map[string]string)
	for it, err := range r.Entries() {
		if err != nil {
			t.Fatal(err)
		}
		// Field 15 with bytes, field 16 with a varint, field 14 with 32 bits.
		it.Entry.Unknown = []byte("\x7a\x02" + string(rune('a'+len(entries))) + "!" + "\x80\x01\x07" + "\x75\x01\x02\x03\x04")
		entries[it.Key] = it.Entry
		unknown[it.Key] = string(it.Entry.Unknown)
	}
	putIndex(t, b, prefix+".index", h, entries)
	return unknown
}

// TestMergeKeepsUnknownFields merges entries of a newer format: nothing of them
// is lost, and the values are read.
func TestMergeKeepsUnknownFields(t *testing.T) {
	for _, kind := range buckets {
		inner := mem.New()
		b := kind.wrap(inner)
		mustSave(t, b, "a", add(t, "x", nil, int32(1)), addStrings(t, "s", tensor.Shape{2}, "", "ab"))
		saveSlices(t, inner, "w", tensor.Int32, tensor.Shape{2}, make([]byte, 8), "0,1", "1,1") // as p
		header := bundle.Header{NumShards: 1, Producer: 2, MinConsumer: 1}
		want := fromTheFuture(t, b, "a", header)
		maps.Copy(want, fromTheFuture(t, b, "p", header))
		merge(t, b, "out", "a", "p")
		r := open(t, b, "out")
		got := make(map[string]string)
		for it, err := range r.Entries() {
			if err != nil {
				t.Fatal(err)
			}
			got[it.Key] = string(it.Entry.Unknown)
		}
		if len(got) != 5 || len(got) != len(want) {
			t.Fatalf("got %d entries, want 5 and %d", len(got), len(want))
		}
		for key, fields := range want {
			if got[key] != fields {
				t.Errorf("%q: got unknown fields %q, want %q", key, got[key], fields)
			}
		}
		if got := values[int32](t, r, "x"); !slices.Equal(got, []int32{1}) {
			t.Errorf("got x = %v, want 1", got)
		}
		if got := values[int32](t, r, "w"); !slices.Equal(got, []int32{0, 0}) {
			t.Errorf("got w = %v, want 0, 0", got)
		}
	}
}

// TestNewerFormatRefused has headers that only newer readers may read: opening
// and merging name the version and the file, and touch nothing.
func TestNewerFormatRefused(t *testing.T) {
	for _, c := range []struct {
		name   string
		header bundle.Header
		want   string // "" for a file that may be read
	}{
		{"newer producer", bundle.Header{NumShards: 1, Producer: 99}, ""},
		{"this consumer", bundle.Header{NumShards: 1, Producer: 9, MinConsumer: 1}, ""},
		{"min_consumer", bundle.Header{NumShards: 1, Producer: 9, MinConsumer: 2}, "Checkpoint min consumer version 2 above current version 1"},
		{"min_consumer far off", bundle.Header{NumShards: 1, Producer: 9, MinConsumer: 1 << 30}, "Checkpoint min consumer version 1073741824 above current version 1"},
		{"bad consumer", bundle.Header{NumShards: 1, Producer: 9, BadConsumers: []int32{7, 1}}, "Checkpoint disallows consumer version 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			mustSave(t, b, "dir/p", add(t, "x", nil, int32(1)))
			fromTheFuture(t, b, "dir/p", c.header)
			before := files(t, b)
			r, err := bundle.Open(t.Context(), b, "dir/p", nil)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if got := values[int32](t, r, "x"); !slices.Equal(got, []int32{1}) {
					t.Errorf("got x = %v, want 1", got)
				}
				r.Close()
				return
			}
			wantErr(t, err, errors.ErrUnsupported, c.want, "p.index")
			if errors.Is(err, bundle.ErrCorrupt) {
				t.Errorf("got %v, which is ErrCorrupt: the file is whole", err)
			}
			err = bundle.Merge(t.Context(), b, "out", []string{"dir/p"}, nil)
			wantErr(t, err, errors.ErrUnsupported, c.want)
			if got := files(t, b); strings.Join(got, " ") != strings.Join(before, " ") {
				t.Errorf("got files %q, want %q", got, before)
			}
		})
	}
}

// putHeader gives a checkpoint of one int32 another header.
func putHeader(t *testing.T, b storage.Bucket, prefix string, h bundle.Header) {
	t.Helper()
	mustSave(t, b, prefix, add(t, prefix, nil, int32(1)))
	fromTheFuture(t, b, prefix, h)
}

// TestMergeHeaderFields merges headers with fields that are not known, which
// the output keeps if all inputs agree; otherwise nothing happens.
func TestMergeHeaderFields(t *testing.T) {
	const one, two, long = "\x78\x01", "\x78\x02", "\x7a\x01x\x7d\x01\x02\x03\x04"
	for _, c := range []struct {
		name          string
		first, second bundle.Header
		want          string // "" if they can be merged
	}{
		{"none", bundle.Header{}, bundle.Header{}, ""},
		{"the same", bundle.Header{Unknown: []byte(one + long)}, bundle.Header{Unknown: []byte(one + long)}, ""},
		{"the same in the version", bundle.Header{UnknownVersion: []byte(long)}, bundle.Header{UnknownVersion: []byte(long)}, ""},
		{"others", bundle.Header{Unknown: []byte(one)}, bundle.Header{Unknown: []byte(two)}, "headers differ in fields that are not known"},
		{"first only", bundle.Header{Unknown: []byte(one)}, bundle.Header{}, "headers differ in fields that are not known"},
		{"second only", bundle.Header{}, bundle.Header{Unknown: []byte(one)}, "headers differ in fields that are not known"},
		{"others in the version", bundle.Header{UnknownVersion: []byte(one)}, bundle.Header{UnknownVersion: []byte(two)}, "different format versions"},
		{"second only in the version", bundle.Header{}, bundle.Header{UnknownVersion: []byte(one)}, "different format versions"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			for prefix, h := range map[string]bundle.Header{"a": c.first, "b": c.second} {
				h.NumShards, h.Producer = 1, 1
				putHeader(t, b, prefix, h)
			}
			before := files(t, b)
			err := bundle.Merge(t.Context(), b, "out", []string{"a", "b"}, nil)
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), `merge "b"`) {
					t.Errorf("got %v, want %q of b", err, c.want)
				}
				if got := files(t, b); !slices.Equal(got, before) {
					t.Errorf("got files %q, want %q", got, before)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			got := open(t, b, "out").Header()
			if string(got.Unknown) != string(c.first.Unknown) || string(got.UnknownVersion) != string(c.first.UnknownVersion) || got.NumShards != 2 {
				t.Errorf("got header %+v, want the fields of %+v", got, c.first)
			}
			merge(t, b, "alone", "out")
			if again := open(t, b, "alone").Header(); string(again.Unknown) != string(got.Unknown) || string(again.UnknownVersion) != string(got.UnknownVersion) {
				t.Errorf("one input: got header %+v, want the fields of %+v", again, got)
			}
		})
	}
}

// TestMergeRefusesNestedFields has fields of a newer format in places that the
// output's index could not keep: inside a shape or a slice. Such a checkpoint
// is read all the same.
func TestMergeRefusesNestedFields(t *testing.T) {
	const tail = "\x28\x04\x35" // size 4, then the masked checksum of zeros
	for _, c := range []struct{ name, shape, slices string }{
		{"in the shape", "\x12\x02\x08\x01\x78\x01", ""},
		{"in a dimension", "\x12\x05\x08\x01\x7a\x01x", ""},
		{"the name of a dimension", "\x12\x05\x08\x01\x12\x01n", ""},
		{"a dimension of another type", "\x12\x02\x08\x01\x10\x01", ""},
		{"in a slice", "\x12\x02\x08\x02", "\x0a\x04\x08\x00\x10\x01\x78\x01"},
		{"in an extent", "\x12\x02\x08\x02", "\x0a\x06\x08\x00\x10\x01\x78\x01"},
		{"nothing", "\x12\x02\x08\x01", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			value := "\x08\x03\x12" + string(rune(len(c.shape))) + c.shape
			if c.slices == "" {
				masked := crc32c.Mask(crcOf(make([]byte, 4)))
				value += tail + string(binary.LittleEndian.AppendUint32(nil, masked))
			} else {
				value += "\x3a" + string(rune(len(c.slices))) + c.slices
			}
			putTable(t, b, "p.index", map[string][]byte{"": bundle.EncodeHeader(nil, &bundle.Header{NumShards: 1, Producer: 1}), "x": []byte(value)})
			put(t, b, "p.data-00000-of-00001", make([]byte, 4))
			r := open(t, b, "p")
			if e, err := r.Entry("x"); err != nil || e.DType != tensor.Int32 {
				t.Errorf("got entry %+v, %v", e, err)
			}
			if c.slices == "" {
				if got := values[int32](t, r, "x"); !slices.Equal(got, []int32{0}) {
					t.Errorf("got %v, want 0", got)
				}
			}
			before := files(t, b)
			err := bundle.Merge(t.Context(), b, "out", []string{"p"}, nil)
			if c.name == "nothing" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			wantErr(t, err, errors.ErrUnsupported, "its shape or slices have fields that are not known", "p.index", "x")
			if got := files(t, b); !slices.Equal(got, before) {
				t.Errorf("got files %q, want %q", got, before)
			}
		})
	}
}
