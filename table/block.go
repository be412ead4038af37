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
	marks    []mark // where restart points are rare
	last     []byte // greatest key
}

// mark is a place amid entries that share their beginnings at which a search
// can start all the same.
type mark struct {
	key  []byte // of the entry before
	next int    // offset of the entry
}

// markEvery is how many bytes without a restart point are worth a mark; blocks
// that TensorFlow writes get none. A file with few of them would make every Seek
// walk through its whole block.
const markEvery = 4 << 10

// parseBlock checks contents in one pass and returns it as a block: every
// length inside the entry area, keys strictly ascending, restart points
// exactly where entries with a full key begin.
//
// Memory: 8 × len(contents) and 1 MiB at most, contents not counted: one key,
// which is never longer than contents but grows step by step, and marks, whose
// keys together are not longer than contents either.
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
	marked := 0  // where the last search can start
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
			marked = c.next
		}
		if c.next > 0 && bytes.Compare(e.unshared, c.key[e.shared:]) <= 0 {
			err := errOrder
			if bytes.Equal(e.unshared, c.key[e.shared:]) {
				err = errTwice
			}
			return &keyError{append(c.key[:e.shared:e.shared], e.unshared...), err}
		}
		c.take(e)
		if c.next-marked >= max(markEvery, len(c.key)) {
			b.marks = append(b.marks, mark{bytes.Clone(c.key), c.next})
			marked = c.next
		}
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

// peek returns the next entry without going there.
func (c *cursor) peek() (e entry, ok bool) {
	if c.next >= len(c.block.entries) {
		return entry{}, false
	}
	e, ok = readEntry(c.block.entries, c.next)
	return e, ok && e.shared <= len(c.key) // always: parseBlock checked the block
}

// advance goes to the next entry and reports whether there is one.
func (c *cursor) advance() bool {
	e, ok := c.peek()
	if ok {
		c.take(e)
	}
	return ok
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
	n = sort.Search(len(b.marks), func(i int) bool { return bytes.Compare(b.marks[i].key, target) >= 0 })
	if n > 0 && b.marks[n-1].next > c.next {
		c.key = append(c.key, b.marks[n-1].key...)
		c.next = b.marks[n-1].next
	}
	// Only what an entry does not share with the one before is compared: keys may
	// be long, and entries many.
	same := commonPrefix(c.key, target)
	for {
		e, ok := c.peek()
		if !ok {
			return false
		}
		c.take(e)
		if e.shared > same {
			continue // differs from target where the key before, which is below it, did
		}
		rest := target[e.shared:]
		n := commonPrefix(e.unshared, rest)
		same = e.shared + n
		if bytes.Compare(e.unshared[n:], rest[n:]) >= 0 {
			return true
		}
	}
}

func commonPrefix(a, b []byte) int {
	n := min(len(a), len(b))
	for i := range n {
		if a[i] != b[i] {
			return i
		}
	}
	return n
}
