package bundle_test

import (
	"bytes"
	"errors"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

// putIndex stores an index of any header and entries.
func putIndex(t testing.TB, b storage.Bucket, name string, h bundle.Header, entries map[string]bundle.Entry) {
	t.Helper()
	raw := map[string][]byte{"": bundle.EncodeHeader(nil, &h)}
	for key, e := range entries {
		raw[key] = bundle.EncodeEntry(nil, &e)
	}
	putTable(t, b, name, raw)
}

func putTable(t testing.TB, b storage.Bucket, name string, raw map[string][]byte) {
	t.Helper()
	var names []string
	for key := range raw {
		names = append(names, key)
	}
	slices.Sort(names)
	var buf bytes.Buffer
	w := table.NewWriter(&buf, nil)
	for _, key := range names {
		if err := w.Add([]byte(key), raw[key]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	put(t, b, name, buf.Bytes())
}

func TestEntryCodec(t *testing.T) {
	for _, c := range []struct {
		name  string
		bytes string // that encode to themselves, if want is nil
		entry bundle.Entry
	}{
		{"scalar", "08 09 12 00 28 08 35 35 75 de 41", bundle.Entry{DType: tensor.Int64, Size: 8, CRC: crc32c.Unmask(0x41de7535)}},
		{"all fields", "08 01 12 08 12 02 08 03 12 02 08 02 18 01 20 80 01 28 18 35 d8 ea 82 a2",
			bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{3, 2}, Shard: 1, Offset: 128, Size: 24}},
		{"zero dimension", "08 01 12 06 12 00 12 02 08 03 35 d8 ea 82 a2", bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{0, 3}}},
		{"large dimension", "08 01 12 05 12 03 08 80 01 35 d8 ea 82 a2", bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{128}}},
		{"negative", "08 01 12 0d 12 0b 08 ff ff ff ff ff ff ff ff ff 01 35 d8 ea 82 a2", bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{-1}}},
		{"no checksum", "08 01 12 00", bundle.Entry{DType: tensor.Float32, CRC: crc32c.Unmask(0)}},
		{"slices", "08 01 12 04 12 02 08 04 3a 04 0a 02 10 02 3a 06 0a 04 08 02 10 02 3a 02 0a 00",
			bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{4}, Slices: []bundle.Slice{{{Length: 2}}, {{Start: 2, Length: 2}}, {{Full: true}}}}},
		{"unknown fields", "08 01 12 00 35 d8 ea 82 a2 40 07 4a 02 61 62 55 01 02 03 04",
			bundle.Entry{DType: tensor.Float32, Unknown: []byte("\x40\x07\x4a\x02ab\x55\x01\x02\x03\x04")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := unhex(t, c.bytes)
			if got := bundle.EncodeEntry(nil, &c.entry); !bytes.Equal(got, raw) {
				t.Errorf("encode: got %x, want %x", got, raw)
			}
			got, err := bundle.DecodeEntry(raw)
			if err != nil {
				t.Fatal(err)
			}
			if !equalEntries(got, c.entry) {
				t.Errorf("decode: got %+v, want %+v", got, c.entry)
			}
		})
	}
}

func equalEntries(a, b bundle.Entry) bool {
	return a.DType == b.DType && a.Shape.Equal(b.Shape) && a.Shard == b.Shard && a.Offset == b.Offset && a.Size == b.Size && a.CRC == b.CRC &&
		slices.EqualFunc(a.Slices, b.Slices, func(s, t bundle.Slice) bool { return slices.Equal(s, t) }) && bytes.Equal(a.Unknown, b.Unknown)
}

func TestEntryAccepts(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		want        tensor.Shape
	}{
		{"missing shape", "08 01 35 d8 ea 82 a2", nil},
		{"unknown rank", "08 01 12 02 18 01 35 d8 ea 82 a2", nil},
		{"named dimension", "08 01 12 07 12 05 08 03 12 01 78 35 d8 ea 82 a2", tensor.Shape{3}},
		{"other order", "35 d8 ea 82 a2 12 04 12 02 08 03 08 01", tensor.Shape{3}},
		{"shape in two parts", "12 02 12 00 12 04 12 02 08 03 08 01 35 d8 ea 82 a2", tensor.Shape{0, 3}},
	} {
		got, err := bundle.DecodeEntry(unhex(t, c.bytes))
		if err != nil || got.DType != tensor.Float32 || got.CRC != 0 || !got.Shape.Equal(c.want) {
			t.Errorf("%s: got %+v, %v", c.name, got, err)
		}
	}
}

func TestEntryRefuses(t *testing.T) {
	for _, c := range []struct{ name, bytes, want string }{
		{"cut varint", "08", "not parseable"},
		{"cut shape", "12 05 12", "not parseable"},
		{"cut dimension", "12 02 12 05", "not parseable"},
		{"cut checksum", "35 00 00", "not parseable"},
		{"group", "0b", "not parseable"},
		{"SL-8 negative start", "3a 0f 0a 0d 08 ff ff ff ff ff ff ff ff ff 01 10 01", "start = -1"},
		{"SL-8 negative length", "3a 0d 0a 0b 10 ff ff ff ff ff ff ff ff ff 01", "length = -1"},
		{"SL-8 start without length", "3a 04 0a 02 08 01", "no length"},
		{"SL-8 end beyond int64", "3a 0f 0a 0d 08 01 10 ff ff ff ff ff ff ff ff 7f 00", "not parseable"},
		{"SL-8 end beyond int64, exact", "3a 0e 0a 0c 08 01 10 ff ff ff ff ff ff ff ff 7f", "maximum possible size"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := bundle.DecodeEntry(unhex(t, c.bytes))
			wantErr(t, err, bundle.ErrCorrupt, c.want)
		})
	}
}

func TestHeaderCodec(t *testing.T) {
	for _, c := range []struct {
		name, bytes string
		want        bundle.Header
	}{
		{"empty", "", bundle.Header{}},
		{"written", "08 01 1a 02 08 01", bundle.Header{NumShards: 1, Producer: 1}},
		{"all fields", "08 02 10 01 1a 09 08 02 10 01 1a 03 05 80 01 7a 01 78",
			bundle.Header{NumShards: 2, BigEndian: true, Producer: 2, MinConsumer: 1, BadConsumers: []int32{5, 128}, Unknown: []byte("\x7a\x01x")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			raw := unhex(t, c.bytes)
			got, err := bundle.DecodeHeader(raw)
			if err != nil {
				t.Fatal(err)
			}
			if got.NumShards != c.want.NumShards || got.BigEndian != c.want.BigEndian || got.Producer != c.want.Producer ||
				got.MinConsumer != c.want.MinConsumer || !slices.Equal(got.BadConsumers, c.want.BadConsumers) || !bytes.Equal(got.Unknown, c.want.Unknown) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
			if got := bundle.EncodeHeader(nil, &got); !bytes.Equal(got, raw) {
				t.Errorf("encode: got %x, want %x", got, raw)
			}
		})
	}
	unpacked, err := bundle.DecodeHeader(unhex(t, "1a 04 18 05 18 06 10 02"))
	if err != nil || !slices.Equal(unpacked.BadConsumers, []int32{5, 6}) || unpacked.BigEndian {
		t.Errorf("got %+v, %v, want bad consumers 5, 6", unpacked, err)
	}
	for _, bad := range []string{"08", "1a 05", "1a 01 08", "1a 02 1a 05", "1a 03 1a 01 80"} {
		_, err := bundle.DecodeHeader(unhex(t, bad))
		wantErr(t, err, bundle.ErrCorrupt, "unable to parse header")
	}
}

func TestForeignIndex(t *testing.T) {
	for _, c := range []struct{ name, file, want string }{
		{"short", "abc", "file is too short to be an sstable"},
		{"noise", strings.Repeat("noise", 20), "not an sstable (bad magic number)"},
		{"git lfs", "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n", "Git LFS"},
		{"html", "\n<!DOCTYPE html><html><head><title>404</title></head><body>not found</body></html>", "HTML"},
		{"short html", "<html>404</html>", "HTML"},
		{"hdf5", "\x89HDF\r\n\x1a\n" + strings.Repeat("\x00", 80), "HDF5"},
		{"zip", "PK\x03\x04" + strings.Repeat("\x00", 80), "zip"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			put(t, b, "dir/p.index", []byte(c.file))
			_, err := bundle.Open(t.Context(), b, "dir/p", nil)
			wantErr(t, err, bundle.ErrCorrupt, c.want, "p.index")
			if len(c.file) >= 48 {
				wantErr(t, err, bundle.ErrCorrupt, "not an sstable (bad magic number)")
			}
			var found *bundle.CorruptError
			if !errors.As(err, &found) || found.File != "p.index" {
				t.Errorf("got %+v, want file p.index", found)
			}
		})
	}
}

func TestHeaderMissing(t *testing.T) {
	for name, raw := range map[string]map[string][]byte{
		"empty table": nil,
		"no header":   {"a": unhex(t, "08 01 12 00")},
	} {
		b := mem.New()
		putTable(t, b, "p.index", raw)
		_, err := bundle.Open(t.Context(), b, "p", nil)
		wantErr(t, err, bundle.ErrCorrupt, "failed to seek to header entry")
		if t.Failed() {
			t.Log(name)
		}
	}
	b := mem.New()
	putTable(t, b, "p.index", map[string][]byte{"": {0x08}})
	_, err := bundle.Open(t.Context(), b, "p", nil)
	wantErr(t, err, bundle.ErrCorrupt, "unable to parse header", "p.index")
}

// TestHostileEntries reads entries that claim what the data file, of 16 bytes,
// does not have.
func TestHostileEntries(t *testing.T) {
	for _, c := range []struct {
		name  string
		entry bundle.Entry
		class error
		want  string
	}{
		{"size below shape", bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{4}, Size: 12}, bundle.ErrCorrupt, "stored size 12; expected size 16"},
		{"huge shape", bundle.Entry{DType: tensor.Int8, Shape: tensor.Shape{1 << 50}, Size: 1 << 50}, bundle.ErrCorrupt, "read less bytes than requested"},
		{"size beyond int64", bundle.Entry{DType: tensor.Complex128, Shape: tensor.Shape{1 << 60}, Size: 16}, bundle.ErrCorrupt, "invalid size"},
		{"negative dimension", bundle.Entry{DType: tensor.Int8, Shape: tensor.Shape{-1}, Size: 1}, bundle.ErrCorrupt, "invalid tensor shape"},
		{"rank 255", bundle.Entry{DType: tensor.Int8, Shape: slices.Repeat(tensor.Shape{1}, 255), Size: 1}, bundle.ErrCorrupt, "invalid tensor shape"},
		{"negative offset", bundle.Entry{DType: tensor.Int8, Offset: -1, Size: 1}, bundle.ErrCorrupt, "negative position"},
		{"negative size", bundle.Entry{DType: tensor.String, Size: -1}, bundle.ErrCorrupt, "invalid size"},
		{"end beyond int64", bundle.Entry{DType: tensor.Int8, Offset: 1<<63 - 1, Size: 1}, bundle.ErrCorrupt, "read less bytes than requested"},
		{"many strings", bundle.Entry{DType: tensor.String, Shape: tensor.Shape{1 << 50}, Size: 1 << 49}, bundle.ErrCorrupt, "invalid size"},
		{"many strings of a huge size", bundle.Entry{DType: tensor.String, Shape: tensor.Shape{1 << 50}, Size: 1 << 51}, bundle.ErrCorrupt, "read less bytes than requested"},
		{"many variants", bundle.Entry{DType: tensor.Variant, Shape: tensor.Shape{1 << 50}, Size: 16}, bundle.ErrCorrupt, "invalid size"},
		{"dtype 0", bundle.Entry{Size: 1}, errors.ErrUnsupported, "dtype invalid"},
		{"dtype 77", bundle.Entry{DType: 77, Size: 1}, errors.ErrUnsupported, "dtype(77)"},
		{"resource", bundle.Entry{DType: tensor.Resource, Size: 1}, errors.ErrUnsupported, "resource"},
		{"negative shard", bundle.Entry{DType: tensor.Int8, Size: 1, Shard: -1}, bundle.ErrCorrupt, "shard -1"},
		{"shard 1 of 1", bundle.Entry{DType: tensor.Int8, Size: 1, Shard: 1}, bundle.ErrCorrupt, "shard 1 of a checkpoint that has 1"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			putIndex(t, b, "p.index", bundle.Header{NumShards: 1, Producer: 1}, map[string]bundle.Entry{"x": c.entry})
			put(t, b, "p.data-00000-of-00001", make([]byte, 16))
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			r := open(t, b, "p")
			_, err := r.Tensor(t.Context(), "x")
			wantErr(t, err, c.class, c.want)
			wantErr(t, r.Check(t.Context(), "x"), c.class, c.want)
			runtime.ReadMemStats(&after)
			if got := after.TotalAlloc - before.TotalAlloc; got > 1<<20 {
				t.Errorf("allocated %d bytes for files of less than 1 KiB", got)
			}
			found := 0
			for finding := range r.CheckLayout(t.Context()) {
				found++
				wantErr(t, finding, c.class, c.want)
			}
			if found != 1 {
				t.Errorf("CheckLayout found %d times, want once", found)
			}
		})
	}
}

func TestCheckLayoutOverlap(t *testing.T) {
	b := mem.New()
	entry := func(offset, size int64) bundle.Entry {
		return bundle.Entry{DType: tensor.Int8, Shape: tensor.Shape{size}, Offset: offset, Size: size}
	}
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1}, map[string]bundle.Entry{
		"a": entry(0, 10), "b": entry(2, 2), "c": entry(9, 3), "d": entry(12, 4), "e": entry(5, 0),
	})
	put(t, b, "p.data-00000-of-00001", make([]byte, 16))
	var found []string
	r := open(t, b, "p")
	for c := range r.CheckLayout(t.Context()) {
		found = append(found, string(c.Kind)+" "+c.Key)
	}
	if want := []string{"overlap b", "overlap c"}; !slices.Equal(found, want) {
		t.Errorf("got %q, want %q", found, want)
	}
	for range r.CheckLayout(t.Context()) {
		break // stopping early must be possible
	}
}

func crcZeros(n int) uint32 { return crc32c.Value(make([]byte, n)) }

func crcOf(p []byte) uint32 { return crc32c.Value(p) }
