package table

import (
	"bytes"
	"encoding/binary"
	"math"
	"sort"
)

// block is the decoded contents of one block. It is checked as a whole when
// it is made, so that cursors over it cannot fail and Seek finds whatever
// iteration finds. It is immutable.
type block struct {
	entries  []byte
	restarts []byte // restart offsets, four bytes each
	last     []byte // greatest key
}

// parseBlock checks contents in one pass and returns it as a block: every
// length inside the entry area, keys strictly ascending, restart points
// exactly where entries with a full key begin.
//
// Memory: besides contents, one key, which is never longer than contents.
func parseBlock(contents []byte) (*block, error) {
	if len(contents) < 4 {
		return nil, errContents
	}
	area, count := len(contents)-4, binary.LittleEndian.Uint32(contents[len(contents)-4:])
	if uint64(count) > uint64(area/4) {
		return nil, errContents
	}
	split := area - 4*int(count)
	b := &block{entries: contents[:split:split], restarts: contents[split:area:area]}
	if count == 0 && split > 0 {
		return nil, errContents // entries that no restart point leads to
	}
	if err := b.check(); err != nil {
		return nil, err
	}
	return b, nil
}

func (b *block) check() error {
	var c cursor
	c.block = b
	restart := 0 // the next restart point to be met
	for c.next < len(b.entries) {
		e, ok := readEntry(b.entries, c.next)
		if !ok || e.shared > len(c.key) {
			return errEntry
		}
		if restart < b.numRestarts() && b.restart(restart) == c.next {
			if e.shared != 0 {
				return errEntry
			}
			restart++
		}
		if c.next > 0 && bytes.Compare(e.unshared, c.key[e.shared:]) <= 0 {
			return errOrder
		}
		c.take(e)
	}
	// One restart at 0 is all that a block without entries can have.
	if len(b.entries) == 0 && b.numRestarts() == 1 && b.restart(0) == 0 {
		restart = 1
	}
	if restart != b.numRestarts() || restart > 0 && b.restart(0) != 0 {
		return errRestart
	}
	b.last = c.key
	return nil
}

func (b *block) numRestarts() int { return len(b.restarts) / 4 }

// restart returns the i-th restart offset; beyond int it is −1, which is at
// no entry.
func (b *block) restart(i int) int {
	r := binary.LittleEndian.Uint32(b.restarts[4*i:])
	if uint64(r) > math.MaxInt32 {
		return -1
	}
	return int(r)
}

// entry is one parsed entry; the slices alias the block.
type entry struct {
	shared   int
	unshared []byte
	value    []byte
	end      int // offset behind it
}

// readEntry parses the entry at offset off. It does not know the key before,
// so the caller compares shared with its length.
func readEntry(b []byte, off int) (e entry, ok bool) {
	var lengths [3]uint64
	for i := range lengths {
		if off < len(b) && b[off] < 0x80 { // nearly always
			lengths[i] = uint64(b[off])
			off++
			continue
		}
		v, n := binary.Uvarint(b[off:])
		if n <= 0 || n > binary.MaxVarintLen32 || v > math.MaxUint32 {
			return entry{}, false
		}
		lengths[i] = v
		off += n
	}
	rest := uint64(len(b) - off)
	if lengths[0] > math.MaxInt32 || lengths[1]+lengths[2] > rest {
		return entry{}, false
	}
	e.shared = int(lengths[0])
	middle := off + int(lengths[1])
	e.end = middle + int(lengths[2])
	e.unshared = b[off:middle:middle]
	e.value = b[middle:e.end:e.end]
	return e, true
}

// cursor walks over the entries of a checked block.
type cursor struct {
	block *block
	key   []byte // own memory, reused from entry to entry
	value []byte // aliases the block
	next  int    // offset of the next entry
}

// reset puts the cursor before the first entry of b.
func (c *cursor) reset(b *block) {
	c.block, c.next = b, 0
	c.key, c.value = c.key[:0], nil
}

func (c *cursor) take(e entry) {
	c.key = append(c.key[:e.shared], e.unshared...)
	c.value = e.value
	c.next = e.end
}

// advance goes to the next entry and reports whether there is one.
func (c *cursor) advance() bool {
	if c.next >= len(c.block.entries) {
		return false
	}
	e, ok := readEntry(c.block.entries, c.next)
	if !ok || e.shared > len(c.key) {
		return false // cannot happen: parseBlock checked the block
	}
	c.take(e)
	return true
}

// seek goes to the first entry whose key is at least target and reports
// whether there is one.
func (c *cursor) seek(target []byte) bool {
	b := c.block
	// The last restart point below target; the entry is at it or behind it.
	n := sort.Search(b.numRestarts(), func(i int) bool {
		e, ok := readEntry(b.entries, b.restart(i))
		return !ok || bytes.Compare(e.unshared, target) >= 0
	})
	c.reset(b)
	if n > 0 {
		c.next = b.restart(n - 1)
	}
	for c.advance() {
		if bytes.Compare(c.key, target) >= 0 {
			return true
		}
	}
	return false
}
