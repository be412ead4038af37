package bundle_test

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
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
