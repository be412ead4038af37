package table_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/table"
	"github.com/golang/snappy"
)

// greedy returns contents of blocks that make the most of each byte, of about a
// megabyte.
func greedy() map[string][]byte {
	const size = 1 << 20
	number := func(i int) string { return string(binary.BigEndian.AppendUint32(nil, uint32(i))) }
	var small, marked, growing, byByte []rawEntry
	var offsets []uint32
	for i := range size / 11 {
		offsets = append(offsets, uint32(7*i))
		small = append(small, rawEntry{0, number(i), ""})
	}
	// Each mark clones a key, which shares all but its end with the one before.
	const long = 8 << 10
	marked = append(marked, rawEntry{0, strings.Repeat("k", long), ""})
	for i := range size / long {
		marked = append(marked, rawEntry{long, number(i), strings.Repeat("v", long-4)})
	}
	// Memory for a key is allocated anew each time one is longer by a quarter.
	for shared := 0; shared < size; {
		n := 1 + shared/4
		growing = append(growing, rawEntry{uint64(shared), strings.Repeat("k", n), ""})
		shared += n
	}
	for i := range size / 6 {
		byByte = append(byByte, rawEntry{uint64(i), "k", ""})
	}
	return map[string][]byte{
		"small entries":       contents(small, offsets...),
		"few restarts":        contents(small, 0),
		"marks":               contents(marked, 0),
		"growing keys":        contents(growing, 0),
		"growing by one byte": contents(byByte, 0),
		"one value":           contents([]rawEntry{{0, "k", strings.Repeat("v", size)}}, 0),
	}
}

// TestBlockMemory measures what opening a table and going through its only
// block allocates, as data and as the index.
func TestBlockMemory(t *testing.T) {
	for name, plain := range greedy() {
		t.Run(name, func(t *testing.T) {
			for typ, stored := range [][]byte{plain, snappy.Encode(nil, plain)} {
				var f rawFile
				h := f.block(stored, byte(typ))
				file := f.finish(index(strings.Repeat("\xff", 20), h), 0)
				limit := uint64(16*len(plain) + len(stored) + 1<<20)
				entries := 0
				used := allocated(func() {
					for _, err := range mustOpen(t, file).All() {
						if err != nil {
							t.Fatal(err)
						}
						entries++
					}
				})
				if used > limit || entries == 0 {
					t.Errorf("type %d: %d entries, %d bytes are allocated for %d, of which %d come, want at most %d",
						typ, entries, used, len(stored), len(plain), limit)
				}
				t.Logf("type %d: %.1f bytes for each decoded one", typ, float64(used)/float64(len(plain)))
				var asIndex rawFile
				file = asIndex.finish(stored, byte(typ))
				if used := allocated(func() { mustOpen(t, file) }); used > limit {
					t.Errorf("as index, type %d: %d bytes are allocated, want at most %d", typ, used, limit)
				}
			}
		})
	}
}

// TestCeilingMemory opens what is beyond the ceiling for compressed blocks:
// nothing is allocated for it.
func TestCeilingMemory(t *testing.T) {
	const ceiling = 64 << 10
	plain := contents([]rawEntry{{0, "k", strings.Repeat("v", 1<<20)}}, 0)
	stored := snappy.Encode(nil, plain)
	file := oneBlock(stored, 1)
	used := allocated(func() {
		r, err := table.NewReader(bytes.NewReader(file), int64(len(file)), &table.ReaderOptions{MaxBlock: ceiling})
		if err != nil {
			t.Fatal(err)
		}
		_, err = scan(r)
		wantCorrupt(t, err, "format", "corrupted compressed block contents")
	})
	if limit := uint64(2*len(stored) + ceiling); used > limit {
		t.Errorf("%d bytes are allocated, want at most %d", used, limit)
	}
}
