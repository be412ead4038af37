package table

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"iter"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
)

// Salvage yields the entries of those data blocks whose checksum, structure and
// order are right, of a table that a Reader may refuse, and between them a
// *CorruptError for each block or stretch that is lost. If it yields no error the
// entries are all there are: then the damage is in the footer, the index block or
// bytes that nobody reads, and writing the entries to a Writer gives the table
// that was.
//
// If the footer and the index block are right they say where the blocks are.
// Otherwise the blocks are found by their checksums, one behind the other, up to
// the empty metaindex block or to the first that is damaged; what lies behind that
// one is lost. A block that is found so and is none has one chance in 2³² for each
// byte of the file.
//
// The file is held in memory. The slices of an Entry are valid until the next step
// and must not be modified. o may be nil.
func Salvage(r io.ReaderAt, size int64, o *ReaderOptions) iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		s := &salvage{yield: yield}
		if t, err := NewReader(r, size, o); err == nil && s.follows(t) {
			s.indexed(t)
			return
		}
		t := &Reader{r: r, size: size + footerLen, maxBlock: defaultMaxBlock} // the footer may be gone
		if o != nil && o.MaxBlock > 0 {
			t.maxBlock = o.MaxBlock
		}
		file := make([]byte, size)
		if n, err := r.ReadAt(file, 0); n < len(file) {
			yield(Entry{}, readError(handle{0, uint64(size)}, err))
			return
		}
		s.walk(t, file)
	}
}

type salvage struct {
	yield func(Entry, error) bool
	last  []byte // the greatest key so far
	some  bool   // there was a key
}

// follows tells whether the handles of the index block lie one behind the other
// in the file.
func (s *salvage) follows(t *Reader) bool {
	end := uint64(0)
	var c cursor
	for c.reset(t.index); c.advance(); {
		d := wire.NewDecoder(c.value)
		h := decodeHandle(d)
		if d.Err() != nil || h.offset < end || !t.holds(h) {
			return false
		}
		end = h.end()
	}
	return true
}

// indexed reads the blocks that the index block names.
func (s *salvage) indexed(t *Reader) {
	var c cursor
	for c.reset(t.index); c.advance(); {
		h := decodeHandle(wire.NewDecoder(c.value))
		b, err := t.readBlock(h)
		if err == nil && bytes.Compare(b.last, c.key) > 0 {
			err = corrupt(fault.KindFormat, h, errIndexKey)
		}
		if err != nil {
			if !s.yield(Entry{}, err) {
				return
			}
			continue
		}
		if !s.block(h, b) {
			return
		}
	}
}

// block yields the entries of a block, unless they are not above those before.
func (s *salvage) block(h handle, b *block) bool {
	var c cursor
	c.reset(b)
	for first := true; c.advance(); first = false {
		if first && s.some && bytes.Compare(c.key, s.last) <= 0 {
			return s.yield(Entry{}, corrupt(fault.KindFormat, h, &keyError{c.key, errOrder}))
		}
		if !s.yield(Entry{c.key, c.value}, nil) {
			return false
		}
	}
	s.last, s.some = append(s.last[:0], b.last...), true
	return true
}

// walk finds the blocks by their checksums.
func (s *salvage) walk(t *Reader, file []byte) {
	for off := 0; ; {
		n := blockLength(file[off:])
		if n < 0 {
			rest := handle{uint64(off), uint64(len(file) - off)}
			s.yield(Entry{}, corrupt(fault.KindChecksum, rest, fmt.Errorf("no block with its checksum begins here; what lies behind cannot be found without the index block")))
			return
		}
		h := handle{uint64(off), uint64(n)}
		b, err := t.readBlock(h)
		if err != nil {
			s.yield(Entry{}, err)
			return
		}
		if len(b.entries) == 0 {
			return // the metaindex
		}
		if !s.block(h, b) {
			return
		}
		off = int(h.end())
	}
}

// blockLength is the length of the block that p begins with, by its checksum; −1 if
// there is none.
func blockLength(p []byte) int {
	crc := uint32(0)
	for n := 0; n+trailerLen <= len(p); n++ {
		crc = crc32c.Update(crc, p[n:n+1])
		if n >= 8 && p[n] <= typeSnappy && crc32c.Unmask(binary.LittleEndian.Uint32(p[n+1:])) == crc {
			return n
		}
	}
	return -1
}
