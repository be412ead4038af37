package edit_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

// huge is a bucket of which one file claims a tebibyte, all zeros.
type huge struct {
	storage.Bucket
	name string
	t    *testing.T
}

func (h huge) Open(ctx context.Context, name string) (storage.File, error) {
	if name == h.name {
		return &zeros{t: h.t}, nil
	}
	return h.Bucket.Open(ctx, name)
}

type zeros struct {
	t    *testing.T
	read int64
}

func (*zeros) Close() error { return nil }
func (*zeros) Size() int64  { return 1 << 40 }

func (z *zeros) ReadAt(p []byte, _ int64) (int, error) {
	if z.read += int64(len(p)); z.read > 1<<20 {
		z.t.Error("read as if it were any file")
		return 0, errors.New("enough")
	}
	clear(p)
	return len(p), nil
}

// TestRepairHugeFiles has an index, one of a neighbour, and a state file that claim a
// tebibyte, as sparse files do.
func TestRepairHugeFiles(t *testing.T) {
	b := newBucket()
	save(t, b, "ckpt-2", 2, withDigests)
	_, err := edit.Repair(t.Context(), "ckpt-2", "good", &edit.RepairOptions{Bucket: huge{b, "ckpt-2.index", t}, AllowPartial: true})
	if !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("index: got %v, want ErrCorrupt", err)
	}
	save(t, b, "ckpt-1", 1, nil)
	change(t, b, "ckpt-2.index", flip(3, 4))
	_, err = edit.Repair(t.Context(), "ckpt-2", "good", &edit.RepairOptions{Bucket: huge{b, "ckpt-1.index", t}})
	if !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("neighbour: got %v, want ErrCorrupt", err)
	}
	managed(t, b)
	_, err = edit.RebuildState(t.Context(), "d", &edit.StateOptions{Bucket: huge{b, "d/checkpoint", t}})
	if !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("state: got %v, want ErrCorrupt", err)
	}
}

// named is an entry with its key.
type named struct {
	key   string
	entry bundle.Entry
}

// eight is an entry of eight bytes "abcdefgh", with changes.
func eight(key string, changes ...func(*bundle.Entry)) named {
	e := bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{2}, Size: 8, CRC: crc32c.Value([]byte("abcdefgh"))}
	for _, do := range changes {
		do(&e)
	}
	return named{key, e}
}

// craft writes an index of any header and entries.
func craft(t *testing.T, b storage.Bucket, prefix string, shards int32, entries ...named) {
	t.Helper()
	var out bytes.Buffer
	w := table.NewWriter(&out, nil)
	err := w.Add(nil, bundle.EncodeHeader(nil, &bundle.Header{NumShards: shards}))
	for _, it := range entries {
		err = errors.Join(err, w.Add([]byte(it.key), bundle.EncodeEntry(nil, &it.entry)))
	}
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	storagetest.Put(t, b, prefix+".index", out.String())
}

// TestRepairImpossibleEntries has entries that no bytes can fit, and a donor that has
// those bytes: they are left out, and the rest is kept.
func TestRepairImpossibleEntries(t *testing.T) {
	for _, c := range []struct {
		name  string
		wrong func(*bundle.Entry)
	}{
		{"offset beyond all", func(e *bundle.Entry) { e.Offset = math.MaxInt64 - 3 }},
		{"negative offset", func(e *bundle.Entry) { e.Offset = -8 }},
		{"negative size", func(e *bundle.Entry) { e.Size = -8 }},
		{"negative shard", func(e *bundle.Entry) { e.Shard = -1 }},
		{"shard beyond all", func(e *bundle.Entry) { e.Shard = math.MaxInt32 }},
		{"another shape", func(e *bundle.Entry) { e.Shape = tensor.Shape{3} }},
		{"unknown dtype", func(e *bundle.Entry) { e.DType = 99 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBucket()
			craft(t, b, "ckpt-2", 1, eight("a", c.wrong), eight("b"))
			storagetest.Put(t, b, dataFile, "abcdefgh")
			craft(t, b, "ckpt-1", 1, eight("a"), eight("b"))
			storagetest.Put(t, b, "ckpt-1.data-00000-of-00001", "abcdefgh")
			if _, err := repair(t, b, &edit.RepairOptions{DryRun: true}); !errors.Is(err, ckpt.ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			r, err := repair(t, b, &edit.RepairOptions{AllowPartial: true})
			if err != nil || fates(r) != "index intact; a unrepaired" || r.Intact != 1 {
				t.Fatalf("got %q, %v", fates(r), err)
			}
			wantGood(t, b, "good", false)
		})
	}
}

// TestRepairAmplified has indexes that would have a small checkpoint written as a huge
// one.
func TestRepairAmplified(t *testing.T) {
	far := func(e *bundle.Entry) { e.Offset = 1 << 50 }
	for _, c := range []struct {
		name    string
		shards  int32
		entries []named
		partial bool
	}{
		{"a tensor far behind the end, which a donor has", 1, []named{eight("a", far), eight("b")}, false},
		{"tensors that overlap", 1, []named{eight("a"), eight("b"), eight("c"), eight("d"), eight("e", func(e *bundle.Entry) { e.CRC = 1 })}, true},
		{"data files", math.MaxInt32, []named{eight("a")}, false},
		{"a negative number of data files", -1, []named{eight("a")}, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBucket()
			craft(t, b, "ckpt-2", c.shards, c.entries...)
			storagetest.Put(t, b, bundle.DataName("ckpt-2", 0, int(c.shards)), "abcdefgh")
			craft(t, b, "ckpt-1", 1, eight("a"))
			storagetest.Put(t, b, "ckpt-1.data-00000-of-00001", "abcdefgh")
			for _, dry := range []bool{true, false} {
				if r, err := repair(t, b, &edit.RepairOptions{AllowPartial: c.partial, DryRun: dry}); !errors.Is(err, ckpt.ErrCorrupt) {
					t.Errorf("dry %v: got %q, %v, want ErrCorrupt", dry, fates(r), err)
				}
			}
		})
	}
}

// TestRepairLongNames has an index of 200 kB with two thousand names of 128 KiB, which
// share their beginning.
func TestRepairLongNames(t *testing.T) {
	long := strings.Repeat("n", 128<<10)
	var entries []named
	for i := range 2000 {
		entries = append(entries, eight(fmt.Sprintf("%s%04d", long, i)))
	}
	b := newBucket()
	storagetest.Put(t, b, "ckpt-2.index", string(oneBlock(entries)))
	storagetest.Put(t, b, dataFile, "abcdefgh")
	if _, err := repair(t, b, nil); !errors.Is(err, ckpt.ErrCorrupt) || !strings.Contains(err.Error(), "index is damaged") {
		t.Errorf("got %v, want ErrCorrupt", err)
	}
}

// oneBlock is an index of one block, where each key stands but for what it shares with
// the one before.
func oneBlock(entries []named) []byte {
	var block []byte
	last := ""
	add := func(key string, value []byte) {
		shared := 0
		for shared < min(len(key), len(last)) && key[shared] == last[shared] {
			shared++
		}
		for _, n := range []int{shared, len(key) - shared, len(value)} {
			block = appendUvarint(block, n)
		}
		block = append(append(block, key[shared:]...), value...)
		last = key
	}
	add("", bundle.EncodeHeader(nil, &bundle.Header{NumShards: 1}))
	for i := range entries {
		add(entries[i].key, bundle.EncodeEntry(nil, &entries[i].entry))
	}
	ends := []byte{0, 0, 0, 0, 1, 0, 0, 0}
	block = append(block, ends...)
	out := appendTrailer(block, 0)
	meta := len(out)
	out = appendTrailer(append(out, ends...), meta)
	index := len(out)
	handle := appendUvarint([]byte{0}, len(block))
	out = append(append(out, 0, 1, byte(len(handle)), 'o'), handle...)
	out = append(out, ends...)
	size := len(out) - index
	out = appendTrailer(out, index)
	footer := make([]byte, 0, 48)
	for _, n := range []int{meta, len(ends), index, size} {
		footer = appendUvarint(footer, n)
	}
	footer = append(footer[:40:40], 0x57, 0xfb, 0x80, 0x8b, 0x24, 0x75, 0x47, 0xdb)
	return append(out, footer...)
}

func appendUvarint(b []byte, n int) []byte { return binary.AppendUvarint(b, uint64(n)) }

// appendTrailer ends the block that begins at from.
func appendTrailer(b []byte, from int) []byte {
	b = append(b, 0)
	return binary.LittleEndian.AppendUint32(b, crc32c.Mask(crc32c.Value(b[from:])))
}
