package table

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"

	"github.com/ckpt-go/ckpt/internal/crc32c"
)

// WriterOptions changes how entries are grouped. Nil and zero fields give
// exactly the bytes of TensorFlow's bundle writer.
type WriterOptions struct {
	// BlockSize is the size in bytes of the contents at which a data block is
	// closed (TensorFlow's block_size). Zero and less mean 262144, more than
	// 1 GiB means 1 GiB.
	BlockSize int
	// RestartInterval is the number of entries from one full key to the next
	// in data blocks (block_restart_interval). Zero and less mean 16.
	RestartInterval int
}

// maxBlockSize keeps offsets inside a block far from their 32 bits.
const maxBlockSize = 1 << 30

// Writer writes a table, the counterpart of TensorFlow's table::TableBuilder
// with compression off. It writes each block once, in file order, and holds
// one data block and the index in memory. Errors are latched. It is not safe
// for concurrent use.
type Writer struct {
	w         io.Writer
	blockSize int
	data      blockBuilder
	index     blockBuilder
	last      []byte // last key added
	pending   bool   // the block at flushed waits for its index entry
	flushed   handle
	entries   int64
	offset    int64
	scratch   []byte
	err       error
	closed    bool
}

// NewWriter returns a Writer to w, whose present position becomes offset 0.
// o may be nil.
func NewWriter(w io.Writer, o *WriterOptions) *Writer {
	blockSize, interval := defaultBlockSize, defaultRestartInterval
	if o != nil && o.BlockSize > 0 {
		blockSize = min(o.BlockSize, maxBlockSize)
	}
	if o != nil && o.RestartInterval > 0 {
		interval = o.RestartInterval
	}
	return &Writer{
		w:         w,
		blockSize: blockSize,
		data:      newBlockBuilder(interval),
		index:     newBlockBuilder(indexRestartInterval),
	}
}

// Add appends an entry and keeps neither slice. Keys must ascend strictly in
// byte order; the empty key can only be the first. A key out of order makes
// this and every later call fail.
func (w *Writer) Add(key, value []byte) error {
	switch {
	case w.err != nil:
		return w.err
	case w.closed:
		return errors.New("table: add after close")
	case w.entries > 0 && bytes.Compare(key, w.last) <= 0:
		w.err = fmt.Errorf("table: key %q added after %q", clip(key), clip(w.last))
		return w.err
	case uint64(len(w.data.buf))+uint64(len(key))+uint64(len(value)) > math.MaxUint32/2:
		// Lengths and restart offsets are 32 bits wide.
		w.err = fmt.Errorf("table: entry of key %q is too large: %d bytes", clip(key), len(value))
		return w.err
	}
	// A very large entry gets a block of its own. LevelDB has no such rule.
	if w.entries > 0 && (len(key)+len(value))/2 >= w.blockSize {
		w.flush()
	}
	if w.pending {
		w.addIndex(separator(w.last, key))
	}
	w.data.add(key, value)
	w.last = append(w.last[:0], key...)
	w.entries++
	if w.data.size() >= w.blockSize {
		w.flush()
	}
	return w.err
}

// Close writes what is left: the last data block, the empty metaindex block,
// the index block and the footer. It does not close the underlying writer. A
// table without entries is valid. A second Close does nothing and returns
// what the first one did.
func (w *Writer) Close() error {
	if w.closed {
		return w.err
	}
	w.closed = true
	w.flush()
	empty := newBlockBuilder(defaultRestartInterval)
	metaindex := w.writeBlock(&empty)
	if w.pending {
		w.addIndex(successor(w.last))
	}
	index := w.writeBlock(&w.index)
	w.write(appendFooter(nil, metaindex, index))
	return w.err
}

// Size returns the number of bytes written so far, 0 before the first block
// is full and the length of the file after Close.
func (w *Writer) Size() int64 { return w.offset }

// flush closes the data block unless it is empty.
func (w *Writer) flush() {
	if w.data.empty() {
		return
	}
	w.flushed = w.writeBlock(&w.data)
	w.pending = true
}

func (w *Writer) addIndex(key []byte) {
	w.scratch = w.flushed.append(w.scratch[:0])
	w.index.add(key, w.scratch)
	w.pending = false
}

// writeBlock writes the block of b with its trailer and empties b.
func (w *Writer) writeBlock(b *blockBuilder) handle {
	contents := b.finish()
	h := handle{offset: uint64(w.offset), size: uint64(len(contents))}
	contents = append(contents, typePlain)
	contents = binary.LittleEndian.AppendUint32(contents, crc32c.Mask(crc32c.Value(contents)))
	w.write(contents)
	b.reset(contents)
	return h
}

func (w *Writer) write(p []byte) {
	if w.err != nil {
		return
	}
	n, err := w.w.Write(p)
	w.offset += int64(n)
	if err == nil && n < len(p) {
		err = io.ErrShortWrite
	}
	w.err = err
}

// clip shortens a key for a message.
func clip(key []byte) []byte { return key[:min(len(key), 200)] }

// blockBuilder assembles the contents of one block.
type blockBuilder struct {
	interval int
	buf      []byte
	restarts []uint32
	counter  int // entries since the last restart point
	last     []byte
}

func newBlockBuilder(interval int) blockBuilder {
	return blockBuilder{interval: interval, restarts: []uint32{0}}
}

func (b *blockBuilder) empty() bool { return len(b.buf) == 0 }

// size is the length of the contents if the block were finished now.
func (b *blockBuilder) size() int { return len(b.buf) + 4*len(b.restarts) + 4 }

func (b *blockBuilder) add(key, value []byte) {
	shared := 0
	if b.counter < b.interval {
		n := min(len(b.last), len(key))
		for shared < n && b.last[shared] == key[shared] {
			shared++
		}
	} else {
		b.restarts = append(b.restarts, uint32(len(b.buf)))
		b.counter = 0
	}
	b.buf = binary.AppendUvarint(b.buf, uint64(shared))
	b.buf = binary.AppendUvarint(b.buf, uint64(len(key)-shared))
	b.buf = binary.AppendUvarint(b.buf, uint64(len(value)))
	b.buf = append(b.buf, key[shared:]...)
	b.buf = append(b.buf, value...)
	b.last = append(b.last[:0], key...)
	b.counter++
}

// finish appends the restart list and hands the buffer out.
func (b *blockBuilder) finish() []byte {
	for _, r := range b.restarts {
		b.buf = binary.LittleEndian.AppendUint32(b.buf, r)
	}
	return binary.LittleEndian.AppendUint32(b.buf, uint32(len(b.restarts)))
}

// reset starts the next block in the memory of the one before.
func (b *blockBuilder) reset(buf []byte) {
	b.buf = buf[:0]
	b.restarts = append(b.restarts[:0], 0)
	b.counter = 0
	b.last = b.last[:0]
}
