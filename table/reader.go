package table

import (
	"bytes"
	"encoding/binary"
	"io"
	"iter"
	"math"
	"sync"
	"sync/atomic"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
)

// defaultMaxBlock is far above what TensorFlow compresses (256 KiB and one
// entry) and keeps a small hostile file from filling the memory.
const defaultMaxBlock = 64 << 20

// ReaderOptions limits what a Reader accepts. Nil means the defaults.
type ReaderOptions struct {
	// MaxBlock is the greatest length in bytes that a Snappy-compressed block
	// may decode to. Zero and less mean 64 MiB. Blocks stored plain are
	// bounded by the file.
	MaxBlock int64
	// Cache is how many bytes of decoded blocks are kept besides the block used
	// last, for callers that look keys up in another order than the table's.
	// Zero and less mean none.
	Cache int64
}

// Reader reads a table, the counterpart of TensorFlow's table::Table. Each
// block is checked in full when it is read: checksum, structure and the order
// of its keys. A Reader is safe for concurrent use, its Iterators are not.
//
// Memory: a pass over the table allocates 16 × what its blocks decode to, their
// stored forms if they are compressed, and 1 MiB at most. A block decodes to its
// stored size, which is compared with the size of the file before anything is
// allocated, or to what Snappy makes of it, which is at most 22 times that and at
// most MaxBlock. A Reader holds the index block, the data block used last and what
// ReaderOptions.Cache allows, an Iterator one data block and one key; beside a
// block there is never more than three times its size for keys. Keys share their
// beginnings in the file: a caller that keeps all keys of a hostile file can
// need far more memory than the file has bytes and should limit their length.
//
// Time: a pass over the table reads each byte of the file at most once. Get
// reads one block at most.
type Reader struct {
	r        io.ReaderAt
	size     int64
	maxBlock int64
	index    *block
	indexAt  handle
	footer   [footerLen]byte // for CheckUnread
	cached   atomic.Pointer[cachedBlock]

	mu    sync.Mutex
	kept  map[handle]*block
	room  int64 // for kept
	cache int64 // ReaderOptions.Cache
}

type cachedBlock struct {
	at    handle
	block *block
}

// Entry is one key with its value.
type Entry struct{ Key, Value []byte }

// NewReader opens the table in the first size bytes of r by reading its
// footer and index block. o may be nil. What is wrong with the file comes
// back as a *CorruptError, what is wrong with reading it as r gave it.
func NewReader(r io.ReaderAt, size int64, o *ReaderOptions) (*Reader, error) {
	t := &Reader{r: r, size: size, maxBlock: defaultMaxBlock}
	if o != nil {
		t.cache = o.Cache
		if o.MaxBlock > 0 {
			t.maxBlock = min(o.MaxBlock, math.MaxInt)
		}
	}
	if size < footerLen {
		return nil, corrupt(fault.KindTruncated, handle{0, uint64(max(size, 0))}, errShort)
	}
	if err := t.readFull(t.footer[:], t.footerAt()); err != nil {
		return nil, err
	}
	var err error
	if _, t.indexAt, err = decodeFooter(t.footer[:]); err != nil {
		return nil, corrupt(fault.KindFormat, t.footerAt(), err)
	}
	if t.index, err = t.readBlock(t.indexAt); err != nil {
		return nil, err
	}
	return t, nil
}

// First returns an Iterator at the first entry.
func (t *Reader) First() *Iterator {
	it := t.iterator()
	it.Next()
	return it
}

// Seek returns an Iterator at the first entry whose key is at least key.
func (t *Reader) Seek(key []byte) *Iterator {
	it := t.iterator()
	it.seek(key)
	return it
}

// Get returns the value of key. ok is false if there is none. The value must
// not be modified and stays valid; keeping it keeps its whole block.
func (t *Reader) Get(key []byte) (value []byte, ok bool, err error) {
	// Keys of later blocks are above the index key of this one.
	it := t.iterator()
	if !it.index.seek(key) || !it.load() || !it.data.seek(key) || !bytes.Equal(it.data.key, key) {
		return nil, false, it.err
	}
	return it.data.value, true, nil
}

// All yields the entries in the order of their keys. After the first error,
// which comes with a zero Entry, it stops. The slices of an Entry are valid
// until the next step and must not be modified.
func (t *Reader) All() iter.Seq2[Entry, error] {
	return func(yield func(Entry, error) bool) {
		it := t.First()
		for ; it.Valid(); it.Next() {
			if !yield(Entry{it.Key(), it.Value()}, nil) {
				return
			}
		}
		if it.Err() != nil {
			yield(Entry{}, it.Err())
		}
	}
}

// dataBlock returns the data block at h, from the cache if it is there.
func (t *Reader) dataBlock(h handle) (*block, error) {
	if c := t.cached.Load(); c != nil && c.at == h {
		return c.block, nil
	}
	b := t.keep(h, nil)
	if b == nil {
		var err error
		if b, err = t.readBlock(h); err != nil {
			return nil, err
		}
		t.keep(h, b)
	}
	t.cached.Store(&cachedBlock{h, b})
	return b, nil
}

// keep puts a block into the cache, which starts anew when it is full, or
// returns the one it has if b is nil.
func (t *Reader) keep(h handle, b *block) *block {
	if t.cache <= 0 {
		return nil
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if b == nil {
		return t.kept[h]
	}
	size := int64(len(b.entries) + len(b.restarts))
	if size > t.cache || t.kept[h] != nil {
		return b
	}
	if t.kept == nil || size > t.room {
		t.kept, t.room = make(map[handle]*block), t.cache
	}
	t.kept[h] = b
	t.room -= size
	return b
}

// readBlock reads the block at h and checks everything that can be said about
// it alone.
func (t *Reader) readBlock(h handle) (*block, error) {
	if !t.holds(h) {
		return nil, corrupt(fault.KindTruncated, h, errTruncated)
	}
	stored := make([]byte, int(h.size)+trailerLen)
	if err := t.readFull(stored, h); err != nil {
		return nil, err
	}
	n := len(stored) - 4
	if want, got := crc32c.Unmask(binary.LittleEndian.Uint32(stored[n:])), crc32c.Value(stored[:n]); got != want {
		offset, length := int64(h.offset), int64(n)
		return nil, corrupt(fault.KindChecksum, h, &fault.ChecksumError{
			Stored: want, Calculated: got, Offset: offset, Length: length, At: offset + length, Text: errChecksum.Error(),
		})
	}
	contents := stored[: n-1 : n-1]
	switch stored[n-1] {
	case typePlain:
	case typeSnappy:
		var ok bool
		if contents, ok = decodeSnappy(contents, t.maxBlock); !ok {
			return nil, corrupt(fault.KindFormat, h, errCompressed)
		}
	default:
		return nil, corrupt(fault.KindFormat, h, errType)
	}
	b, err := parseBlock(contents)
	if err != nil {
		return nil, corrupt(fault.KindFormat, h, err)
	}
	return b, nil
}

// holds tells whether the file has the bytes of h and its trailer.
func (t *Reader) holds(h handle) bool {
	// Compared this way round, nothing can overflow: size ≥ footerLen.
	limit := uint64(t.size - footerLen)
	return h.offset <= limit && limit-h.offset >= trailerLen && h.size <= limit-h.offset-trailerLen && h.size <= math.MaxInt-trailerLen
}

// readFull fills p from the offset of h.
func (t *Reader) readFull(p []byte, h handle) error {
	n, err := t.r.ReadAt(p, int64(h.offset))
	if n == len(p) {
		return nil // io.EOF is allowed with a full read
	}
	if err == nil {
		err = io.ErrUnexpectedEOF
	}
	return readError(h, err)
}

// Iterator is a position in a table. It becomes invalid at the end and at the
// first error. The slices it returns are valid until the next step and must
// not be modified. It is not safe for concurrent use.
type Iterator struct {
	t     *Reader
	index cursor
	data  cursor
	end   uint64 // where the data block ends, trailer included
	seen  int64  // what Decoded returns
	valid bool
	err   error
}

func (t *Reader) iterator() *Iterator {
	it := &Iterator{t: t}
	it.index.reset(t.index)
	it.data.reset(new(block))
	return it
}

// Valid reports whether the Iterator stands at an entry.
func (it *Iterator) Valid() bool { return it.valid }

// Key returns the key of the entry, nil if there is none.
func (it *Iterator) Key() []byte {
	if !it.valid {
		return nil
	}
	return it.data.key
}

// Value returns the value of the entry, nil if there is none.
func (it *Iterator) Value() []byte {
	if !it.valid {
		return nil
	}
	return it.data.value
}

// Decoded returns the length of the data blocks that the Iterator has entered, of
// compressed ones what they decode to.
func (it *Iterator) Decoded() int64 { return it.seen }

// Err returns the first error, nil at the end of the table.
func (it *Iterator) Err() error { return it.err }

// Next goes to the next entry. At the end and after an error it does nothing.
func (it *Iterator) Next() {
	it.valid = false
	if it.err != nil {
		return
	}
	for !it.data.advance() {
		if !it.nextBlock() {
			return
		}
	}
	it.valid = true
}

func (it *Iterator) seek(key []byte) {
	if !it.index.seek(key) || !it.load() {
		return
	}
	it.valid = it.data.seek(key)
	if !it.valid {
		it.Next() // whose keys are all above the index key of the block, and so above key
	}
}

// nextBlock enters the data block behind the one at hand. Its keys must be
// above the index key of that one: this orders blocks, and Get relies on it.
func (it *Iterator) nextBlock() bool {
	e, ok := it.index.peek()
	if !ok {
		return false
	}
	first := it.index.next == 0
	h, b, ok := it.find(e.value)
	if !ok {
		return false
	}
	if e, some := readEntry(b.entries, 0); some && !first && bytes.Compare(e.unshared, it.index.key) <= 0 {
		return it.fail(corrupt(fault.KindFormat, h, &keyError{e.unshared, errOrder}))
	}
	it.index.take(e)
	return it.enter(h, b)
}

// load enters the data block that the index cursor stands at.
func (it *Iterator) load() bool {
	h, b, ok := it.find(it.index.value)
	return ok && it.enter(h, b)
}

// find reads the data block of a handle. Blocks must follow each other in the
// file, which keeps a small hostile file from making a pass endless.
func (it *Iterator) find(value []byte) (handle, *block, bool) {
	d := wire.NewDecoder(value)
	h := decodeHandle(d) // bytes behind the handle are tolerated
	if d.Err() != nil {
		return h, nil, it.fail(corrupt(fault.KindFormat, it.t.indexAt, errHandle))
	}
	if h.offset < it.end {
		return h, nil, it.fail(corrupt(fault.KindFormat, h, errOverlap))
	}
	b, err := it.t.dataBlock(h)
	if err != nil {
		return h, nil, it.fail(err)
	}
	return h, b, true
}

func (it *Iterator) enter(h handle, b *block) bool {
	if bytes.Compare(b.last, it.index.key) > 0 {
		return it.fail(corrupt(fault.KindFormat, h, errIndexKey))
	}
	it.end = h.end()
	it.seen += int64(len(b.entries) + len(b.restarts) + 4)
	it.data.reset(b)
	return true
}

func (it *Iterator) fail(err error) bool {
	it.err = err
	return false
}
