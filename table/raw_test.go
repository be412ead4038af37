package table_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"testing"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/table"
)

// kv is one entry of a table.
type kv struct{ key, value string }

// build writes entries with the package's own writer.
func build(t testing.TB, o *table.WriterOptions, entries []kv) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := table.NewWriter(&buf, o)
	for _, e := range entries {
		if err := w.Add([]byte(e.key), []byte(e.value)); err != nil {
			t.Fatalf("Add(%q): %v", e.key, err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatalf("Close: %v", err)
	}
	if w.Size() != int64(buf.Len()) {
		t.Errorf("Size = %d, want %d", w.Size(), buf.Len())
	}
	return buf.Bytes()
}

func open(file []byte) (*table.Reader, error) {
	return table.NewReader(bytes.NewReader(file), int64(len(file)), nil)
}

func mustOpen(t testing.TB, file []byte) *table.Reader {
	t.Helper()
	r, err := open(file)
	if err != nil {
		t.Fatalf("NewReader: %v", err)
	}
	return r
}

// scan returns the entries up to the first error.
func scan(r *table.Reader) (entries []kv, err error) {
	for e, err := range r.All() {
		if err != nil {
			return entries, err
		}
		entries = append(entries, kv{string(e.Key), string(e.Value)})
	}
	return entries, nil
}

// wantCorrupt checks kind and text of an error about damage.
func wantCorrupt(t testing.TB, err error, kind fault.Kind, text string) *table.CorruptError {
	t.Helper()
	var c *table.CorruptError
	if !errors.As(err, &c) {
		t.Fatalf("got error %v, want a *CorruptError %q", err, text)
	}
	if c.Kind != kind || c.Err.Error() != text {
		t.Errorf("got %s %q, want %s %q", c.Kind, c.Err, kind, text)
	}
	if !errors.Is(err, table.ErrCorrupt) {
		t.Errorf("%v is not ErrCorrupt", err)
	}
	return c
}

// rawEntry is an entry of a block as it is stored.
type rawEntry struct {
	shared          uint64
	unshared, value string
}

// contents assembles block contents from entries and restart offsets without
// asking whether they make sense.
func contents(entries []rawEntry, restarts ...uint32) []byte {
	var b []byte
	for _, e := range entries {
		b = binary.AppendUvarint(b, e.shared)
		b = binary.AppendUvarint(b, uint64(len(e.unshared)))
		b = binary.AppendUvarint(b, uint64(len(e.value)))
		b = append(b, e.unshared...)
		b = append(b, e.value...)
	}
	for _, r := range restarts {
		b = binary.LittleEndian.AppendUint32(b, r)
	}
	return binary.LittleEndian.AppendUint32(b, uint32(len(restarts)))
}

// rawFile assembles a table block by block.
type rawFile struct{ buf []byte }

// block appends stored contents with a sound trailer and returns the handle.
func (f *rawFile) block(stored []byte, typ byte) (handle string) {
	handle = string(rawHandle(uint64(len(f.buf)), uint64(len(stored))))
	start := len(f.buf)
	f.buf = append(append(f.buf, stored...), typ)
	f.buf = binary.LittleEndian.AppendUint32(f.buf, crc32c.Mask(crc32c.Value(f.buf[start:])))
	return handle
}

func rawHandle(offset, size uint64) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(nil, offset), size)
}

// finish appends metaindex and index block and the footer.
func (f *rawFile) finish(index []byte, indexType byte) []byte {
	metaindex := f.block(contents(nil, 0), 0)
	footer := append([]byte(metaindex), f.block(index, indexType)...)
	footer = append(footer, make([]byte, 40-len(footer))...)
	return append(append(f.buf, footer...), "\x57\xfb\x80\x8b\x24\x75\x47\xdb"...)
}

// index assembles an index block out of pairs of key and handle.
func index(pairs ...string) []byte {
	var entries []rawEntry
	var restarts []uint32
	offset := 0
	for i := 0; i < len(pairs); i += 2 {
		restarts = append(restarts, uint32(offset))
		entries = append(entries, rawEntry{0, pairs[i], pairs[i+1]})
		offset += 3 + len(pairs[i]) + len(pairs[i+1]) // short ones only
	}
	return contents(entries, restarts...)
}

// oneBlock is a table of one data block with the given contents.
func oneBlock(stored []byte, typ byte) []byte {
	var f rawFile
	h := f.block(stored, typ)
	return f.finish(index("zzz", h), 0)
}

// snappyEncode compresses with literals of up to 60 bytes and copies with
// two-byte distances, enough to test with.
func snappyEncode(src []byte) []byte {
	dst := binary.AppendUvarint(nil, uint64(len(src)))
	literal := func(b []byte) {
		for len(b) > 0 {
			n := min(len(b), 60)
			dst = append(append(dst, byte(n-1)<<2), b[:n]...)
			b = b[n:]
		}
	}
	seen := map[[4]byte]int{}
	start := 0
	for i := 0; i+4 <= len(src); {
		word := [4]byte(src[i:])
		at, ok := seen[word]
		seen[word] = i
		if !ok || i-at > 0xffff {
			i++
			continue
		}
		n := 4
		for n < 64 && i+n < len(src) && src[at+n] == src[i+n] {
			n++
		}
		literal(src[start:i])
		dst = append(dst, byte(n-1)<<2|2, byte(i-at), byte((i-at)>>8))
		i += n
		start = i
	}
	literal(src[start:])
	return dst
}

// compress returns file, a table, with its data blocks and index block stored
// as Snappy.
func compress(t testing.TB, file []byte) []byte {
	t.Helper()
	blocks := layout(t, file)
	var f rawFile
	var pairs []string
	for _, b := range blocks {
		pairs = append(pairs, b.key, f.block(snappyEncode(file[b.offset:b.offset+b.size]), 1))
	}
	return f.finish(snappyEncode(index(pairs...)), 1)
}

// span is where a data block lies and its key in the index.
type span struct {
	key          string
	offset, size uint64
}

// layout reads the index of a sound uncompressed table without the package.
func layout(t testing.TB, file []byte) []span {
	t.Helper()
	footer := file[len(file)-48:]
	var nums [4]uint64
	for i := range nums {
		v, n := binary.Uvarint(footer)
		nums[i], footer = v, footer[n:]
	}
	b := file[nums[2] : nums[2]+nums[3]]
	count := binary.LittleEndian.Uint32(b[len(b)-4:])
	b = b[:len(b)-4-4*int(count)]
	var spans []span
	for len(b) > 0 {
		var lens [3]uint64
		for i := range lens {
			v, n := binary.Uvarint(b)
			lens[i], b = v, b[n:]
		}
		s := span{key: string(b[:lens[1]])}
		value := b[lens[1] : lens[1]+lens[2]]
		b = b[lens[1]+lens[2]:]
		var n int
		s.offset, n = binary.Uvarint(value)
		s.size, _ = binary.Uvarint(value[n:])
		spans = append(spans, s)
	}
	return spans
}

// repair gives every block that a damaged table points at a sound checksum,
// as far as its handles lead anywhere, so that fuzzing gets past them.
func repair(file []byte) {
	if len(file) < 48 {
		return
	}
	copy(file[len(file)-8:], "\x57\xfb\x80\x8b\x24\x75\x47\xdb")
	_, rest := cutHandle(file[len(file)-48:])
	index, _ := cutHandle(rest)
	contents := repairBlock(file, index)
	for len(contents) > 4 {
		var lens [3]uint64
		for i := range lens {
			v, n := binary.Uvarint(contents)
			if n <= 0 {
				return
			}
			lens[i], contents = v, contents[n:]
		}
		if lens[1] > uint64(len(contents)) || lens[2] > uint64(len(contents))-lens[1] {
			return
		}
		h, _ := cutHandle(contents[lens[1] : lens[1]+lens[2]])
		repairBlock(file, h)
		contents = contents[lens[1]+lens[2]:]
	}
}

func cutHandle(b []byte) (h [2]uint64, rest []byte) {
	for i := range h {
		v, n := binary.Uvarint(b)
		h[i], b = v, b[max(n, 0):]
	}
	return h, b
}

func repairBlock(file []byte, h [2]uint64) (contents []byte) {
	size := uint64(len(file))
	if h[0] > size || h[1] > size-h[0] || size-h[0]-h[1] < 5 {
		return nil
	}
	end := h[0] + h[1]
	binary.LittleEndian.PutUint32(file[end+1:], crc32c.Mask(crc32c.Value(file[h[0]:end+1])))
	return file[h[0]:end]
}
