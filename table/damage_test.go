package table_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/table"
)

// twoBlocks is a sound table whose second block begins with key c.
func twoBlocks(t testing.TB) []byte {
	return build(t, &table.WriterOptions{BlockSize: 24},
		[]kv{{"a", "1111"}, {"b", "2222"}, {"c", "3333"}, {"d", "4444"}})
}

// TestEveryByteFlipped damages each byte of a table in turn. What is covered
// by a checksum must be noticed; the rest (metaindex block and handle, footer
// padding) must not matter.
func TestEveryByteFlipped(t *testing.T) {
	for _, file := range [][]byte{twoBlocks(t), compress(t, twoBlocks(t))} {
		want, err := scan(mustOpen(t, file))
		if err != nil || len(want) != 4 {
			t.Fatal(want, err)
		}
		noticed := 0
		for i := range file {
			damaged := bytes.Clone(file)
			damaged[i] ^= 0x10
			r, err := open(damaged)
			var got []kv
			if err == nil {
				got, err = scan(r)
			}
			if err != nil {
				noticed++
				if !errors.Is(err, table.ErrCorrupt) {
					t.Errorf("byte %d: %v is not ErrCorrupt", i, err)
				}
			} else if len(got) != len(want) {
				t.Errorf("byte %d: %d entries, want %d", i, len(got), len(want))
			}
		}
		// 13 bytes of metaindex block, 2 to 3 of its handle, the padding.
		if unnoticed := len(file) - noticed; unnoticed > 13+40 {
			t.Errorf("damage to %d of %d bytes was not noticed", unnoticed, len(file))
		}
	}
}

func TestEveryCut(t *testing.T) {
	file := twoBlocks(t)
	for n := range file {
		if _, err := open(file[:n]); !errors.Is(err, table.ErrCorrupt) {
			t.Errorf("cut to %d bytes: %v, want ErrCorrupt", n, err)
		}
	}
	// The size was taken before somebody cut the file.
	_, err := table.NewReader(bytes.NewReader(file[:len(file)-1]), int64(len(file)), nil)
	wantCorrupt(t, err, fault.KindTruncated, "truncated block read")
}

func TestDamagedBlock(t *testing.T) {
	file := twoBlocks(t)
	spans := layout(t, file)
	if len(spans) != 2 {
		t.Fatalf("got %d blocks, want 2", len(spans))
	}
	second := spans[1]
	file[second.offset+4] ^= 1
	r := mustOpen(t, file)

	got, err := scan(r)
	c := wantCorrupt(t, err, fault.KindChecksum, "block checksum mismatch")
	if c.Offset != int64(second.offset) || c.Length != int64(second.size) {
		t.Errorf("damage at %d+%d, want %d+%d", c.Offset, c.Length, second.offset, second.size)
	}
	if len(got) != 2 {
		t.Errorf("%d entries before the damage, want 2", len(got))
	}
	if v, ok, err := r.Get([]byte("b")); string(v) != "2222" || !ok || err != nil {
		t.Errorf("Get(b) = %q, %v, %v: the first block is sound", v, ok, err)
	}
	if _, ok, err := r.Get([]byte("d")); ok || !errors.Is(err, table.ErrCorrupt) {
		t.Errorf("Get(d) = %v, %v, want ErrCorrupt", ok, err)
	}
	it := r.Seek([]byte("d"))
	first := it.Err()
	if it.Next(); it.Valid() || it.Err() != first || first == nil {
		t.Errorf("after an error: valid %v, %v", it.Valid(), it.Err())
	}
}

type failing struct{ err error }

func (f failing) ReadAt([]byte, int64) (int, error) { return 0, f.err }

func TestReadError(t *testing.T) {
	want := errors.New("connection lost")
	_, err := table.NewReader(failing{want}, 1000, nil)
	if !errors.Is(err, want) || errors.Is(err, table.ErrCorrupt) {
		t.Errorf("got %v, want %v and no ErrCorrupt", err, want)
	}
	_, err = table.NewReader(failing{io.EOF}, 1000, nil)
	wantCorrupt(t, err, fault.KindTruncated, "truncated block read")
}

// TestBlockStructure feeds blocks with sound checksums and unsound contents.
func TestBlockStructure(t *testing.T) {
	entry := func(shared uint64, unshared, value string) rawEntry { return rawEntry{shared, unshared, value} }
	abc := []rawEntry{entry(0, "a", "1"), entry(0, "b", "2"), entry(0, "c", "3")}
	for _, tc := range []struct {
		name   string
		stored []byte
		want   string // "" if sound
		n      int    // entries then
	}{
		{"every entry a restart", contents(abc, 0, 5, 10), "", 3},
		{"one restart", contents(abc, 0), "", 3},
		{"no restart, no entry", contents(nil), "", 0},
		{"one restart, no entry", contents(nil, 0), "", 0},
		{"long varints", append([]byte("\x80\x00\x81\x00\x80\x00a"), contents(nil, 0)...), "", 1},
		{"empty", nil, "bad block contents", 0},
		{"three bytes", []byte{0, 0, 0}, "bad block contents", 0},
		{"more restarts than bytes", binary.LittleEndian.AppendUint32(nil, 1), "bad block contents", 0},
		{"2^32-1 restarts", binary.LittleEndian.AppendUint32(make([]byte, 100), math.MaxUint32), "bad block contents", 0},
		{"entries without restart", contents(abc), "bad block contents", 0},
		{"two restarts, no entry", contents(nil, 0, 0), "bad restart point in block", 0},
		{"restart behind the entries", contents(abc, 0, 15), "bad restart point in block", 0},
		{"restart inside an entry", contents(abc, 0, 6), "bad restart point in block", 0},
		{"first entry no restart", contents(abc, 5), "bad restart point in block", 0},
		{"restarts descending", contents(abc, 0, 10, 5), "bad restart point in block", 0},
		{"restart beyond 2^31", contents(abc, 0, math.MaxUint32), "bad restart point in block", 0},
		{"restart that shares", contents([]rawEntry{entry(0, "a", ""), entry(1, "b", "")}, 0, 4), "bad entry in block", 0},
		{"first entry shares", contents([]rawEntry{entry(1, "a", "")}, 0), "bad entry in block", 0},
		{"shares too much", contents([]rawEntry{entry(0, "a", ""), entry(2, "b", "")}, 0), "bad entry in block", 0},
		{"shares 2^32-1", contents([]rawEntry{entry(0, "a", ""), entry(math.MaxUint32, "b", "")}, 0), "bad entry in block", 0},
		{"shares 2^33", contents([]rawEntry{entry(0, "a", ""), entry(1<<33, "b", "")}, 0), "bad entry in block", 0},
		{"key too long", append([]byte("\x00\x02\x00a"), contents(nil, 0)...), "bad entry in block", 0},
		{"value too long", append([]byte("\x00\x01\xff\xff\xff\xff\x0fa"), contents(nil, 0)...), "bad entry in block", 0},
		{"entry cut", append([]byte("\x00\x01"), contents(nil, 0)...), "bad entry in block", 0},
		{"twice", contents([]rawEntry{entry(0, "a", ""), entry(1, "", "")}, 0), "two entries have the same key", 0},
		{"descending", contents([]rawEntry{entry(0, "ab", ""), entry(1, "a", "")}, 0), "keys are not in ascending order", 0},
		{"prefix later", contents([]rawEntry{entry(0, "ab", ""), entry(1, "", "")}, 0), "keys are not in ascending order", 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for typ, stored := range [][]byte{tc.stored, snappyEncode(tc.stored)} {
				r := mustOpen(t, oneBlock(stored, byte(typ)))
				got, err := scan(r)
				if tc.want == "" {
					if err != nil || len(got) != tc.n {
						t.Errorf("got %v, %v, want %d entries", got, err, tc.n)
					}
					continue
				}
				wantCorrupt(t, err, fault.KindFormat, tc.want)
				wantCorrupt(t, r.Seek([]byte("b")).Err(), fault.KindFormat, tc.want)
				// The index block obeys the same rules.
				var f rawFile
				_, err = open(f.finish(stored, byte(typ)))
				wantCorrupt(t, err, fault.KindFormat, tc.want)
			}
		})
	}
}

func TestBlocksTogether(t *testing.T) {
	block := func(key string) []byte { return contents([]rawEntry{{0, key, ""}}, 0) }
	for _, tc := range []struct {
		name string
		file func(f *rawFile) []byte // index contents
		want string
	}{
		{"bytes behind a handle", func(f *rawFile) []byte {
			return index("a", f.block(block("a"), 0)+"more", "b", f.block(block("b"), 0)+"\x80")
		}, ""},
		{"empty block between", func(f *rawFile) []byte {
			return index("a", f.block(block("a"), 0), "b", f.block(contents(nil, 0), 0), "c", f.block(block("c"), 0))
		}, ""},
		{"order across blocks", func(f *rawFile) []byte {
			return index("c", f.block(block("b"), 0), "d", f.block(block("b"), 0))
		}, "keys are not in ascending order"},
		{"order across an empty block", func(f *rawFile) []byte {
			return index("c", f.block(block("b"), 0), "d", f.block(contents(nil), 0), "e", f.block(block("a"), 0))
		}, "keys are not in ascending order"},
		{"key above its index key", func(f *rawFile) []byte {
			return index("a", f.block(block("b"), 0))
		}, "key in block exceeds its index key"},
		{"a block twice", func(f *rawFile) []byte {
			h := f.block(contents(nil, 0), 0)
			return index("a", h, "b", h)
		}, "blocks are not in ascending order"},
		{"bad type", func(f *rawFile) []byte { return index("a", f.block(block("a"), 2)) }, "bad block type"},
		{"no handle", func(f *rawFile) []byte { return index("a", "") }, "bad block handle"},
		{"half a handle", func(f *rawFile) []byte { return index("a", "\x00") }, "bad block handle"},
		{"snappy cut", func(f *rawFile) []byte {
			s := snappyEncode(block("a"))
			return index("a", f.block(s[:len(s)-1], 1))
		}, "corrupted compressed block contents"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var f rawFile
			r := mustOpen(t, f.finish(tc.file(&f), 0))
			got, err := scan(r)
			if tc.want == "" {
				if err != nil || len(got) != 2 {
					t.Errorf("got %v, %v, want 2 entries", got, err)
				}
				return
			}
			wantCorrupt(t, err, fault.KindFormat, tc.want)
		})
	}
}

// TestHostileHandles claims blocks that the file does not have. Nothing may
// be allocated for them.
func TestHostileHandles(t *testing.T) {
	claims := [][]byte{
		rawHandle(0, 1<<33),
		rawHandle(0, math.MaxUint64),
		rawHandle(0, math.MaxUint64-4),
		rawHandle(math.MaxUint64, 8),
		rawHandle(math.MaxUint64-7, 8),
		rawHandle(1<<63, 1<<63),
		rawHandle(60, 8), // into the footer
	}
	for _, claim := range claims {
		var f rawFile
		inIndex := mustOpen(t, f.finish(index("a", string(claim)), 0))
		footer := append([]byte{0, 0}, claim...)
		footer = append(footer, make([]byte, 40-len(footer))...)
		inFooter := append(make([]byte, 26), append(footer, "\x57\xfb\x80\x8b\x24\x75\x47\xdb"...)...)
		used := allocated(func() {
			_, err := scan(inIndex)
			wantCorrupt(t, err, fault.KindTruncated, "truncated block read")
			_, err = open(inFooter)
			wantCorrupt(t, err, fault.KindTruncated, "truncated block read")
		})
		if used > 16<<10 {
			t.Errorf("claim %x: %d bytes were allocated", claim, used)
		}
	}
	bad := append(bytes.Repeat([]byte{0xff}, 40), "\x57\xfb\x80\x8b\x24\x75\x47\xdb"...)
	_, err := open(bad)
	wantCorrupt(t, err, fault.KindFormat, "bad block handle")
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMemory measures the bounds that Reader promises.
func TestMemory(t *testing.T) {
	t.Run("snappy claims", func(t *testing.T) {
		for _, claim := range []uint64{23 * 100, 1 << 30, 1 << 62, math.MaxUint64} {
			stored := append(binary.AppendUvarint(nil, claim), make([]byte, 80)...)
			r := mustOpen(t, oneBlock(stored, 1))
			used := allocated(func() {
				_, err := scan(r)
				wantCorrupt(t, err, fault.KindFormat, "corrupted compressed block contents")
			})
			if used > 16<<10 {
				t.Errorf("a claim of %d bytes allocates %d", claim, used)
			}
		}
	})
	t.Run("snappy bomb", func(t *testing.T) {
		const size = 1 << 20
		stored := snappyEncode(contents([]rawEntry{{0, "k", strings.Repeat("x", size)}}, 0))
		file := oneBlock(stored, 1)
		used := allocated(func() {
			if got, err := scan(mustOpen(t, file)); err != nil || len(got[0].value) != size {
				t.Error(err)
			}
		})
		// Stored form, decoded form, the copy this test makes.
		if limit := uint64(2*size + 2*len(stored) + 64<<10); used > limit {
			t.Errorf("%d stored bytes allocate %d, want at most %d", len(stored), used, limit)
		}
	})
}

// TestPassMemory bounds what going over a whole table allocates.
func TestPassMemory(t *testing.T) {
	t.Run("one pass", func(t *testing.T) {
		var entries []kv
		for i := range 20000 {
			entries = append(entries, kv{string(binary.BigEndian.AppendUint32(nil, uint32(i))), strings.Repeat("v", 100)})
		}
		file := build(t, nil, entries)
		used := allocated(func() {
			n := 0
			for _, err := range mustOpen(t, file).All() {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			if n != len(entries) {
				t.Errorf("%d entries, want %d", n, len(entries))
			}
		})
		if limit := uint64(len(file)*9/8 + 64<<10); used > limit {
			t.Errorf("a pass over %d bytes allocates %d, want at most %d", len(file), used, limit)
		}
	})
	t.Run("shared keys", func(t *testing.T) {
		// Each of many entries of a few bytes has a key of 64 KiB.
		entries := []rawEntry{{0, strings.Repeat("k", 64<<10), ""}}
		for i := range 10000 {
			entries = append(entries, rawEntry{64 << 10, string(binary.BigEndian.AppendUint16(nil, uint16(i))), ""})
		}
		file := oneBlock(contents(entries, 0), 0)
		used := allocated(func() {
			for _, err := range mustOpen(t, file).All() {
				if err != nil {
					t.Fatal(err)
				}
			}
		})
		if limit := uint64(6 * len(file)); used > limit {
			t.Errorf("a file of %d bytes allocates %d, want at most %d", len(file), used, limit)
		}
	})
}
