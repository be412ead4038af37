package bundle

import (
	"bufio"
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

// WriterOptions are the options of Create; nil means the zero value. There are
// none yet.
type WriterOptions struct{}

// Writer writes one bundle of one shard (BundleWriter). It is for one
// goroutine. The first error is final: every later call returns it, and Commit
// publishes nothing.
type Writer struct {
	bucket storage.Bucket
	prefix string
	index  storage.Writer
	data   storage.Writer

	buf     []byte  // data that was added and not written
	offset  int64   // data that was added
	room    []entry // entries that are not used yet: growing one slice would copy them
	entries map[string]*entry
	order   []*entry // in the order they were added

	err  error
	done bool
}

// entry is an Entry with its key.
type entry struct {
	key string
	Entry
}

var errDone = errors.New("the bundle was committed or aborted before")

// Create starts a bundle. Nothing is visible under the names of prefix before
// Commit.
func Create(ctx context.Context, b storage.Bucket, prefix string, _ *WriterOptions) (*Writer, error) {
	// The index is created first: its unpublished file is what proves, after a
	// crash, that data files of this prefix without an index are ours.
	index, err := b.Create(ctx, IndexName(prefix), nil)
	if err != nil {
		return nil, err
	}
	data, err := b.Create(ctx, DataName(prefix, 0, 1), nil)
	if err != nil {
		return nil, errors.Join(err, index.Abort())
	}
	return &Writer{
		bucket:  b,
		prefix:  prefix,
		index:   index,
		data:    data,
		buf:     make([]byte, 0, chunkSize),
		entries: make(map[string]*entry),
	}, nil
}

// Add appends a tensor of a fixed-size dtype. The chunks are its little-endian
// row-major bytes, cut anywhere; their sum must be the size of the tensor. A
// chunk is not kept and may be reused when the next one is asked for.
func (w *Writer) Add(ctx context.Context, key string, d tensor.DType, s tensor.Shape, chunks iter.Seq[[]byte]) error {
	return w.add(key, d, s, func(e *Entry) error {
		if !d.Fixed() {
			return fmt.Errorf("elements of dtype %s have no fixed size", d)
		}
		n, _ := s.Elements()
		size, ok := byteSize(n, d)
		if !ok {
			return fmt.Errorf("a %s tensor of shape %s is too large", d, s)
		}
		for p := range chunks {
			if int64(len(p)) > size-(w.offset-e.Offset) {
				return fmt.Errorf("more bytes than the %d of a %s tensor of shape %s", size, d, s)
			}
			var err error
			if e.CRC, err = w.append(ctx, e.CRC, p); err != nil {
				return err
			}
		}
		if got := w.offset - e.Offset; got != size {
			return fmt.Errorf("%d bytes are no %s tensor of shape %s, which has %d", got, d, s, size)
		}
		return nil
	})
}

// byteSize returns the bytes of n elements.
func byteSize(n int64, d tensor.DType) (int64, bool) {
	size := n * int64(d.Size())
	return size, size/int64(d.Size()) == n
}

// add checks a new key and shape, lets write add the bytes, and keeps the
// entry.
func (w *Writer) add(key string, d tensor.DType, s tensor.Shape, write func(e *Entry) error) error {
	if w.err == nil && w.done {
		w.err = errDone
	}
	if w.err != nil {
		return w.err
	}
	e := Entry{DType: d, Shape: s.Clone(), Offset: w.offset}
	err := w.checkNew(key, s)
	if err == nil {
		err = write(&e)
	}
	if err != nil {
		w.err = fmt.Errorf("tensor %s: %w", strconv.Quote(errKey(key)), err)
		return w.err
	}
	e.Size = w.offset - e.Offset
	w.keep(key, e)
	return nil
}

func (w *Writer) keep(key string, e Entry) *entry {
	const block = 512
	if len(w.room) == 0 {
		// Small checkpoints need not pay for many.
		w.room = make([]entry, min(block, 16+len(w.entries)))
	}
	kept := &w.room[0]
	w.room = w.room[1:]
	*kept = entry{key, e}
	w.entries[key] = kept
	w.order = append(w.order, kept)
	return kept
}

func (w *Writer) checkNew(key string, s tensor.Shape) error {
	if key == headerKey {
		return errors.New("the empty string is no tensor name")
	}
	if w.entries[key] != nil {
		return fmt.Errorf("duplicate key: %s", errKey(key))
	}
	return checkShape(s)
}

// checkShape refuses what TensorFlow would not read back.
func checkShape(s tensor.Shape) error {
	if _, ok := s.Elements(); !ok || len(s) > maxRank {
		return fmt.Errorf("invalid tensor shape: %s", s)
	}
	return nil
}

// append adds bytes to the data file and returns the checksum of what crc
// stands for and them. What is as large as the buffer bypasses it.
func (w *Writer) append(ctx context.Context, crc uint32, p []byte) (uint32, error) {
	for len(p) > 0 {
		if err := ctx.Err(); err != nil {
			return crc, err
		}
		n := min(len(p), cap(w.buf)-len(w.buf))
		piece := p[:n]
		p = p[n:]
		crc = crc32c.Update(crc, piece)
		w.offset += int64(n)
		if n == cap(w.buf) {
			if _, err := w.data.Write(piece); err != nil {
				return crc, err
			}
			continue
		}
		w.buf = append(w.buf, piece...)
		if len(w.buf) == cap(w.buf) {
			if err := w.flush(); err != nil {
				return crc, err
			}
		}
	}
	return crc, nil
}

func (w *Writer) flush() error {
	if len(w.buf) == 0 {
		return nil
	}
	_, err := w.data.Write(w.buf)
	w.buf = w.buf[:0]
	return err
}

// Abort gives the bundle up: nothing of it stays. After Commit it does nothing.
func (w *Writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	return errors.Join(w.data.Abort(), w.index.Abort())
}

// Commit makes the bundle durable and visible under its prefix, replacing a
// checkpoint of that prefix without a moment in which neither could be read.
// When it fails, what the prefix named before is still, or again, there; only
// if the storage goes on failing does that wait for Recover.
func (w *Writer) Commit(ctx context.Context) error {
	if w.err == nil && w.done {
		w.err = errDone
	}
	if w.err != nil {
		return errors.Join(w.err, w.Abort())
	}
	if err := w.finish(); err != nil {
		w.err = err
		return errors.Join(err, w.Abort())
	}
	defer w.Abort()
	if err := w.publish(ctx); err != nil {
		w.err = err
		return err
	}
	w.done = true
	w.entries, w.order, w.room = nil, nil, nil
	return nil
}

// sorted returns the entries in the order of the index. Comparing the eight
// bytes after what all keys begin with settles most comparisons of a hundred
// thousand keys without looking at the keys themselves.
func (w *Writer) sorted() []*entry {
	type item struct {
		head uint64
		e    *entry
	}
	items := make([]item, len(w.order))
	common := math.MaxInt
	for _, e := range w.order {
		common = shared(e.key, w.order[0].key, common)
	}
	for i, e := range w.order {
		var head [8]byte
		copy(head[:], e.key[common:])
		items[i] = item{binary.BigEndian.Uint64(head[:]), e}
	}
	slices.SortFunc(items, func(a, b item) int {
		if a.head != b.head {
			return cmp.Compare(a.head, b.head)
		}
		return strings.Compare(a.e.key, b.e.key)
	})
	for i := range items {
		w.order[i] = items[i].e
	}
	return w.order
}

// shared returns how many bytes, at most limit, two keys have in common at
// their beginning.
func shared(a, b string, limit int) int {
	limit = min(limit, len(a), len(b))
	for i := range limit {
		if a[i] != b[i] {
			return i
		}
	}
	return limit
}

// finish writes what is left of both files, so that a full disk is noticed
// before anything is published.
func (w *Writer) finish() error {
	if err := w.flush(); err != nil {
		return err
	}
	out := bufio.NewWriter(w.index)
	t := table.NewWriter(out, nil)
	header := Header{NumShards: 1, Producer: producerVersion}
	value := EncodeHeader(nil, &header)
	if err := t.Add([]byte(headerKey), value); err != nil {
		return err
	}
	var key []byte
	for _, e := range w.sorted() {
		key = append(key[:0], e.key...)
		value = EncodeEntry(value[:0], &e.Entry)
		if err := t.Add(key, value); err != nil {
			return fmt.Errorf("tensor %s: %w", strconv.Quote(errKey(e.key)), err)
		}
	}
	if err := t.Close(); err != nil {
		return err
	}
	return out.Flush()
}
