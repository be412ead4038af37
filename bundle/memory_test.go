package bundle_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

// about is the length of the inputs that the bounds are measured on.
const about = 1 << 20

func repeat(unit string) []byte { return bytes.Repeat([]byte(unit), about/len(unit)) }

// in returns a message of one field.
func in(field int, p []byte) []byte { return wire.AppendBytesField(nil, field, p) }

func skipIfRace(t *testing.T) {
	t.Helper()
	if raceDetector {
		t.Skip("memory is not measured with the race detector")
	}
}

// TestMessageMemory measures the bounds that the decoders of messages and keys
// state, on inputs that make the most of each byte.
func TestMessageMemory(t *testing.T) {
	skipIfRace(t)
	decoders := map[string]func(p []byte){
		"header":    func(p []byte) { bundle.DecodeHeader(p) },
		"entry":     func(p []byte) { bundle.DecodeEntry(p) },
		"slice key": func(p []byte) { bundle.DecodeSliceKey(string(p)) },
	}
	for _, c := range []struct {
		name string
		p    []byte
	}{
		{"dimensions 0", in(2, repeat("\x12\x00"))},
		{"dimensions 1", in(2, repeat("\x12\x02\x08\x01"))},
		{"shapes", repeat("\x12\x02\x12\x00")},
		{"slices of a scalar", repeat("\x3a\x00")},
		{"slices of one extent", repeat("\x3a\x02\x0a\x00")},
		{"slices of two extents", repeat("\x3a\x04\x0a\x00\x0a\x00")},
		{"one slice", in(7, repeat("\x0a\x00"))},
		{"one slice of other fields", in(7, repeat("\x78\x00"))},
		{"unknown fields", repeat("\x78\x00")},
		{"a long unknown field", in(15, repeat("x"))},
		{"packed consumers", in(3, in(3, repeat("\x01")))},
		{"consumers", in(3, repeat("\x18\x01"))},
		{"versions", repeat("\x1a\x02\x18\x01")},
		{"versions with packed consumers", repeat("\x1a\x06\x1a\x04\x01\x01\x01\x01")},
		{"claim", binary.AppendUvarint([]byte{0x12}, 1<<62)},
		{"name", append(append([]byte{0}, repeat("k")...), "\x00\x01\x00"...)},
		{"escaped name", append(append([]byte{0}, repeat("\x00\xff")...), "\x00\x01\x00"...)},
		{"extents", append([]byte("\x00k\x00\x01\x03\x08\x00\x00"), bytes.Repeat([]byte("\x80\x7f"), 0x80000)...)},
		{"extents of a claim", append([]byte("\x00k\x00\x01\x03\xff\xff\xff"), repeat("\x80\x7f")...)},
	} {
		for name, decode := range decoders {
			used := allocates(func() { decode(c.p) })
			if limit := uint64(24*len(c.p) + 1<<20); used > limit {
				t.Errorf("%s as %s: %d bytes are allocated for %d, want at most %d", c.name, name, used, len(c.p), limit)
			}
		}
	}
}

// TestV1ListMemory opens V1 files whose lists make the most of each byte.
func TestV1ListMemory(t *testing.T) {
	skipIfRace(t)
	names := func(rest string) (p []byte) {
		for i := range about / 8 {
			p = wire.AppendBytesField(p, 1, append(in(1, binary.AppendUvarint(nil, uint64(i))), rest...))
		}
		return p
	}
	for _, c := range []struct {
		name string
		list []byte
		want string // in the error
	}{
		{"tensors of one name", repeat("\x0a\x02\x22\x00"), ""},
		{"tensors of one name and no slices", repeat("\x0a\x00"), "in 0 slices"},
		{"tensors", names("\x22\x00"), ""},
		{"tensors in two slices", names("\x12\x02\x12\x00\x22\x04\x0a\x02\x10\x00\x22\x06\x0a\x04\x08\x01\x10\x00"), "out of bounds"},
		{"vectors without elements", names("\x12\x02\x12\x00\x22\x02\x0a\x00"), ""},
		{"slices of one tensor", in(1, repeat("\x22\x00")), ""},
		{"extents of one tensor", in(1, in(4, repeat("\x0a\x00"))), "mismatching ranks"},
		{"dimensions of one tensor", in(1, append(in(2, repeat("\x12\x00")), 0x22, 0)), "in 1 slices"},
		{"consumers", in(2, in(3, repeat("\x02"))), ""},
	} {
		b := mem.New()
		putTable(t, b, "p", map[string][]byte{"": in(1, c.list)})
		size := len(get(t, b, "p"))
		var err error
		used := allocates(func() { _, err = bundle.Open(t.Context(), b, "p", nil) })
		if limit := uint64(72*size + 1<<20); used > limit {
			t.Errorf("%s: %d bytes are allocated for %d, want at most %d", c.name, used, size, limit)
		}
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || len(err.Error()) > 1000) {
			t.Errorf("%s: got error %v, want %q", c.name, err, c.want)
		}
	}
}

// TestV1ValueMemory reads tensors of V1 files in every way.
func TestV1ValueMemory(t *testing.T) {
	skipIfRace(t)
	type slices = map[string][]byte
	for _, c := range []struct {
		name   string
		d      tensor.DType
		n      int64
		slices slices
	}{
		{"empty strings", tensor.String, about / 2, slices{"-": repeat("\x42\x00")}},
		{"empty strings in two slices", tensor.String, about, slices{
			fmt.Sprintf("0,%d", about/2): repeat("\x42\x00"), fmt.Sprintf("%d,%d", about/2, about/2): repeat("\x42\x00"),
		}},
		{"strings that are not there", tensor.String, about, slices{"-": repeat("\x7a\x00")}},
		{"int64", tensor.Int64, about, slices{"-": in(10, repeat("\x01"))}},
		{"int64 in two slices", tensor.Int64, 2 * about, slices{
			fmt.Sprintf("0,%d", about): in(10, repeat("\x01")), fmt.Sprintf("%d,%d", about, about): in(10, repeat("\x01")),
		}},
		{"complex128 that are not there", tensor.Complex128, about / 2, slices{"-": repeat("\x78\x00")}},
		{"a slice that is not stored", tensor.String, 20 * about, slices{"": in(99, repeat("x"))}},
		{"a slice of numbers that is not stored", tensor.Int64, 20 * about, slices{"": in(99, repeat("x"))}},
	} {
		b := mem.New()
		var v v1Builder
		var specs []string
		for spec, message := range c.slices {
			v.slice(t, "x", spec, message)
			if spec == "" {
				spec = "-"
			}
			specs = append(specs, spec)
		}
		v.tensor(t, "x", c.d, tensor.Shape{c.n}, specs...)
		v.put(t, b, "p", nil)
		size := len(get(t, b, "p"))
		r := open(t, b, "p")
		for way, read := range map[string]func() error{
			"Tensor": func() error { _, err := r.Tensor(t.Context(), "x"); return err },
			"Slice":  func() error { _, err := r.Slice(t.Context(), "x", parse(t, "-")); return err },
			"Check":  func() error { return r.Check(t.Context(), "x") },
		} {
			var err error
			used := allocates(func() { err = read() })
			factor := 72
			if way == "Check" { // decodes, and keeps nothing
				factor = 32
			}
			if limit := uint64(factor*size + 1<<20); used > limit {
				t.Errorf("%s, %s: %d bytes are allocated for %d, want at most %d (%v)", c.name, way, used, size, limit, err)
			}
		}
	}
}

// TestElementMemory reads strings and variants that make the most of each byte.
func TestElementMemory(t *testing.T) {
	skipIfRace(t)
	const n = about
	b := mem.New()
	w, err := bundle.Create(t.Context(), b, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	empty := func(yield func([]byte) bool) {
		for range n {
			if !yield(nil) {
				return
			}
		}
	}
	if err := w.AddStrings(t.Context(), "strings", tensor.Shape{n}, empty); err != nil {
		t.Fatal(err)
	}
	if err := w.AddVariants(t.Context(), "variants", tensor.Shape{n}, empty); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := open(t, b, "p")
	for _, key := range []string{"strings", "variants"} {
		e, err := r.Entry(key)
		if err != nil {
			t.Fatal(err)
		}
		used := allocates(func() {
			if got, err := r.Tensor(t.Context(), key); err != nil || len(got.Strings()) != n {
				t.Errorf("%s: got %v, %v", key, got, err)
			}
		})
		if limit := uint64(40*e.Size + 1<<20); used > limit {
			t.Errorf("%s: %d bytes are allocated for %d, want at most %d", key, used, e.Size, limit)
		}
	}
}

// kept measures what f leaves behind as long as what it returns is there.
func kept(f func() any) uint64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	value := f()
	runtime.GC()
	runtime.ReadMemStats(&after)
	runtime.KeepAlive(value)
	return after.HeapAlloc - min(before.HeapAlloc, after.HeapAlloc)
}

// TestEntriesMemory keeps all that Entries yields of indexes whose keys share
// long beginnings.
func TestEntriesMemory(t *testing.T) {
	skipIfRace(t)
	const tooLong = "too long for a file of this size"
	for _, c := range []struct {
		name    string
		n, long int
		slices  bool
		want    string
	}{
		{"short keys", 30_000, 5, false, ""},
		{"keys of 200 bytes", 30_000, 200, false, ""},
		{"keys of 100 KiB", 1000, 100 << 10, false, tooLong},
		{"small file", 30, 100 << 10, false, ""},
		{"smaller file", 1000, 2 << 10, false, tooLong},
		{"slice keys", 3000, 200, true, ""},
		{"long slice keys", 3000, 4000, true, tooLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			items := []item{header()}
			for i := range c.n {
				key := strings.Repeat("k", c.long) + fmt.Sprintf("%05d", i)
				if c.slices {
					key = bundle.EncodeSliceKey(key, parse(t, "-"))
				}
				items = append(items, item{key, encoded(empty)})
			}
			oneTable(t, b, "p.index", items, len(items))
			size := len(get(t, b, "p.index"))
			var err error
			used := kept(func() any {
				var kept []bundle.Item
				kept, err = allEntries(open(t, b, "p"))
				return kept
			})
			if limit := uint64(72*size + 1<<20); used > limit {
				t.Errorf("%d bytes are kept for %d, want at most %d", used, size, limit)
			}
			if c.want != "" {
				wantErr(t, err, bundle.ErrCorrupt, c.want)
				raised(t, b, c.n)
				return
			}
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// raised opens what is too long for the default limit with another one.
func raised(t *testing.T, b storage.Bucket, want int) {
	t.Helper()
	r, err := bundle.Open(t.Context(), b, "p", &bundle.ReaderOptions{MaxNames: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := allEntries(r); err != nil || len(got) != want {
		t.Errorf("with a higher limit: got %d entries, %v, want %d", len(got), err, want)
	}
}

func allEntries(r *bundle.Reader) (items []bundle.Item, err error) {
	for item, err := range r.Entries() {
		if err != nil {
			return items, err
		}
		items = append(items, item)
	}
	return items, nil
}

// TestLongNamesOpen lists 30,000 variables with names of 200 bytes and of 5 KiB
// in an index as the writer makes it, and in one that is compressed.
func TestLongNamesOpen(t *testing.T) {
	skipIfRace(t)
	for _, long := range []int{200, 5 << 10} {
		const n = 30_000
		name := func(i int) string {
			return fmt.Sprintf("%s/layer_%05d/kernel/.ATTRIBUTES/VARIABLE_VALUE", strings.Repeat("model/block", long)[:long-45], i)
		}
		var plain bytes.Buffer
		w := table.NewWriter(&plain, nil)
		if err := w.Add(nil, []byte(header().value)); err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if err := w.Add([]byte(name(i)), fmt.Appendf(nil, "\x08\x01\x12\x04\x12\x02\x08\x00 \xff\x7f5%04d", i%1000)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		for form, file := range map[string][]byte{"plain": plain.Bytes(), "compressed": compressTable(plain.Bytes())} {
			b := mem.New()
			put(t, b, "p.index", file)
			got, err := allEntries(open(t, b, "p"))
			if err != nil || len(got) != n || got[n-1].Key != name(n-1) {
				t.Errorf("names of %d bytes, %s: got %d entries, %v", long, form, len(got), err)
			}
			t.Logf("names of %d bytes, %s: %d times as long as the file of %d", long, form, n*long/len(file), len(file))
		}
	}
}
