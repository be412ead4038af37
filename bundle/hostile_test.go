package bundle_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// item is one entry of a table, in its order.
type item struct{ key, value string }

// oneTable stores items in blocks of the given numbers of entries, in which only
// the first entry is a restart point, however long the keys are.
func oneTable(t testing.TB, b storage.Bucket, name string, items []item, blocks ...int) {
	t.Helper()
	var file []byte
	block := func(items []item) (handle string) {
		var p []byte
		last := ""
		for _, it := range items {
			n := 0
			for n < len(last) && n < len(it.key) && last[n] == it.key[n] {
				n++
			}
			for _, length := range []int{n, len(it.key) - n, len(it.value)} {
				p = binary.AppendUvarint(p, uint64(length))
			}
			p = append(append(p, it.key[n:]...), it.value...)
			last = it.key
		}
		p = append(p, 0, 0, 0, 0, 1, 0, 0, 0)
		handle = string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(file))), uint64(len(p))))
		p = append(p, 0)
		file = binary.LittleEndian.AppendUint32(append(file, p...), crc32c.Mask(crc32c.Value(p)))
		return handle
	}
	var index []item
	for _, n := range blocks {
		index = append(index, item{items[n-1].key, block(items[:n])})
		items = items[n:]
	}
	if len(items) > 0 {
		t.Fatalf("%d items are in no block", len(items))
	}
	footer := block(nil) + block(index)
	footer += string(make([]byte, 40-len(footer))) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
	put(t, b, name, append(file, footer...))
}

func header() item {
	return item{"", string(bundle.EncodeHeader(nil, &bundle.Header{NumShards: 1, Producer: 1}))}
}

func encoded(e bundle.Entry) string { return string(bundle.EncodeEntry(nil, &e)) }

var empty = bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{0}}

// allocates returns how many bytes f allocates, and frees perhaps.
func allocates(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// wantAtMost checks that not more was allocated than factor times what was read,
// and a megabyte.
func wantAtMost(t testing.TB, used, factor uint64, read []byte) {
	t.Helper()
	if used > factor*uint64(len(read))+1<<20 {
		t.Errorf("%d bytes are allocated for %d", used, len(read))
	}
}

// Keys that share a long beginning take a few bytes each in a file, but not in
// memory.
func TestSharedNames(t *testing.T) {
	b := mem.New()
	items := []item{header()}
	for i := range 2000 {
		items = append(items, item{strings.Repeat("k", 100<<10) + fmt.Sprintf("%05d", i), encoded(empty)})
	}
	oneTable(t, b, "p.index", items, len(items))
	r := open(t, b, "p")
	used := allocates(func() {
		var err error
		for _, err = range r.Entries() {
			if err != nil {
				break
			}
		}
		wantErr(t, err, bundle.ErrCorrupt, "too long for a file of this size")
	})
	wantAtMost(t, used, 64, get(t, b, "p.index"))
}

// A long name, and a slice listed again and again: a text for each would take a
// hundred gigabytes.
func TestRepeatedSlices(t *testing.T) {
	b := mem.New()
	name := strings.Repeat("k", 1<<20)
	whole := empty
	for range 100_000 {
		whole.Slices = append(whole.Slices, parse(t, "-"))
	}
	oneTable(t, b, "p.index", []item{header(), {bundle.EncodeSliceKey(name, parse(t, "-")), encoded(empty)}, {name, encoded(whole)}}, 3)
	r := open(t, b, "p")
	used := allocates(func() {
		_, err := r.Entry(name)
		wantErr(t, err, bundle.ErrCorrupt, "too long for a file of this size")
		wantErr(t, r.Check(t.Context(), name), bundle.ErrCorrupt, "too long for a file of this size")
		for _, err = range r.Entries() {
			if err != nil {
				break
			}
		}
		wantErr(t, err, bundle.ErrCorrupt, "too long for a file of this size")
	})
	wantAtMost(t, used, 4*64, get(t, b, "p.index"))
}

// The names of tensors and the keys of their slices in two large blocks, read
// alternately.
func TestAlternatingBlocks(t *testing.T) {
	const n = 20_000
	b := mem.New()
	items := []item{header()}
	whole := bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{0}, Slices: []bundle.Slice{parse(t, "-")}}
	for i := range n {
		items = append(items, item{bundle.EncodeSliceKey(fmt.Sprintf("k%05d", i), parse(t, "-")), encoded(empty)})
	}
	for i := range n {
		items = append(items, item{fmt.Sprintf("k%05d", i), encoded(whole)})
	}
	oneTable(t, b, "p.index", items, 1+n, n)
	put(t, b, "p.data-00000-of-00001", nil)
	file := countReads(b)
	r := open(t, file, "p")
	for item, err := range r.Entries() {
		if err == nil && !item.IsSlice {
			err = r.Check(t.Context(), item.Key)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if size := int64(len(get(t, b, "p.index"))); file.bytes > 2*size {
		t.Errorf("%d bytes were read of an index of %d", file.bytes, size)
	}
}

// reads is a bucket that counts the bytes read of its files.
type reads struct {
	storage.Bucket
	count, bytes int64
}

func countReads(b storage.Bucket) *reads { return &reads{Bucket: b} }

type readFile struct {
	storage.File
	reads *reads
}

func (r *reads) Open(ctx context.Context, name string) (storage.File, error) {
	f, err := r.Bucket.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	return &readFile{f, r}, nil
}

func (f *readFile) ReadAt(p []byte, off int64) (int, error) {
	n, err := f.File.ReadAt(p, off)
	f.reads.count++
	f.reads.bytes += int64(n)
	return n, err
}

// Every finding quotes another tensor's name, which may be long.
func TestOverlapTexts(t *testing.T) {
	b := mem.New()
	const n = 3000
	long := bundle.Entry{DType: tensor.Int8, Shape: tensor.Shape{1}, Size: 1}
	entries := map[string]bundle.Entry{strings.Repeat("a", 1<<20): long}
	for i := range n {
		entries[fmt.Sprintf("b%05d", i)] = long
	}
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1, Producer: 1}, entries)
	put(t, b, "p.data-00000-of-00001", []byte{1})
	r := open(t, b, "p")
	found := 0
	used := allocates(func() {
		for c := range r.CheckLayout(t.Context()) {
			if found++; len(c.Err.Error()) > 1000 {
				t.Fatalf("a text of %d bytes", len(c.Err.Error()))
			}
		}
	})
	if found != n {
		t.Errorf("got %d findings, want %d", found, n)
	}
	if used > 64<<20 {
		t.Errorf("%d bytes are allocated", used)
	}
}

// The catalogue of a V1 file is checked before it is believed.
func TestV1Catalogue(t *testing.T) {
	t.Run("empty tensors", v1EmptyTensors)
	t.Run("long name", v1LongName)
	t.Run("repeated slice", v1RepeatedSlice)
	t.Run("vast", v1Vast)
	t.Run("slices out of order", v1OutOfOrder)
}

func v1EmptyTensors(t *testing.T) {
	b := mem.New()
	meta := bytes.Repeat([]byte{0x0a, 0}, 1_000_000)
	putTable(t, b, "p", map[string][]byte{"": wire.AppendBytesField(nil, 1, meta)})
	used := allocates(func() {
		_, err := bundle.Open(t.Context(), b, "p", nil)
		wantErr(t, err, bundle.ErrCorrupt, "in 0 slices")
	})
	wantAtMost(t, used, 16, meta)
}

func v1LongName(t *testing.T) {
	b := mem.New()
	var v v1Builder
	specs := make([]string, 100_000)
	for i := range specs {
		specs[i] = "-"
	}
	v.tensor(t, strings.Repeat("k", 1<<20), tensor.Float32, tensor.Shape{0}, specs...)
	v.put(t, b, "p", nil)
	_, err := bundle.Open(t.Context(), b, "p", nil)
	wantErr(t, err, bundle.ErrCorrupt, "too long for a file of this size")
}

func v1RepeatedSlice(t *testing.T) {
	b := mem.New()
	var v v1Builder
	specs := slices.Repeat([]string{"-"}, 10_000)
	v.tensor(t, "x", tensor.Float32, tensor.Shape{0}, specs...)
	v.slice(t, "x", "-", bytes.Repeat([]byte{0x60, 0}, 1<<14)) // takes a while to walk through
	v.put(t, b, "p", nil)
	file := countReads(b)
	r := open(t, file, "p")
	used := allocates(func() {
		if got, err := r.Tensor(t.Context(), "x"); err != nil || len(got.Bytes()) > 0 {
			t.Errorf("got %v, %v, want nothing", got, err)
		}
		if e, err := r.Entry("x"); err != nil || len(e.Slices) > 0 {
			t.Errorf("got %d slices, %v, want a whole tensor", len(e.Slices), err)
		}
	})
	wantAtMost(t, used, 64, get(t, b, "p"))
	if size := int64(len(get(t, b, "p"))); file.bytes > 3*size {
		t.Errorf("%d bytes were read of a file of %d", file.bytes, size)
	}
}

func v1Vast(t *testing.T) {
	const half = int64(1 << 54)
	b := mem.New()
	var v v1Builder
	v.tensor(t, "whole", tensor.Float32, tensor.Shape{2 * half}, "-")
	v.tensor(t, "halves", tensor.Float64, tensor.Shape{2 * half}, fmt.Sprintf("0,%d", half), fmt.Sprintf("%d,%d", half, half))
	v.tensor(t, "larger", tensor.Float64, tensor.Shape{4000}, "-") // more than a file of 1300 bytes can hold
	v.tensor(t, "hole", tensor.Int8, tensor.Shape{1000}, "0,1", "3,2")
	v.put(t, b, "p", nil)
	r := open(t, b, "p")
	for key, want := range map[string]string{
		"whole": "more elements than the files can hold", "halves": "more elements than the files can hold",
		"larger": "more elements than the files can hold", "hole": "3 of 1000 elements",
	} {
		used := allocates(func() {
			e, err := r.Entry(key)
			if err != nil {
				t.Fatal(err)
			}
			wantErr(t, r.CheckEntry(t.Context(), key, &e), bundle.ErrCorrupt, want)
			_, err = r.Tensor(t.Context(), key)
			wantErr(t, err, bundle.ErrCorrupt, want)
		})
		wantAtMost(t, used, 0, nil)
	}
}

func v1OutOfOrder(t *testing.T) {
	const n = 2000
	b := mem.New()
	var v v1Builder
	var specs []string
	for i := range n {
		spec := fmt.Sprintf("-:%d,1", i/2+i%2*n/2)
		specs = append(specs, spec)
		v.slice(t, "x", spec, wire.AppendBytesField(nil, 99, make([]byte, 1000)))
	}
	v.tensor(t, "x", tensor.Float32, tensor.Shape{0, n}, specs...)
	v.put(t, b, "p", nil)
	file := countReads(b)
	r := open(t, file, "p")
	if err := r.Check(t.Context(), "x"); err != nil {
		t.Fatal(err)
	}
	if size := int64(len(get(t, b, "p"))); file.bytes > 3*size {
		t.Errorf("%d bytes were read of a file of %d", file.bytes, size)
	}
}
