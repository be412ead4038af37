package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strconv"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/tensor"
)

// WriterOptions are the options of Create; nil means the zero value.
type WriterOptions struct {
	// Plan says which data file each tensor goes to; all tensors of the plan must
	// be added, and no other, in any order. Nil means one file for what comes.
	Plan *Plan
	// BeforeIndex is called by Commit between the data and the index; nil is not.
	BeforeIndex BeforeIndex
	// Guard is called before Commit takes away or replaces what others may have put
	// there meanwhile, and before it publishes the index; an error ends it there and
	// then. For storage that is no storage.Claimer; nil is not.
	Guard func(ctx context.Context) error
	// Digests takes the SHA-256 of each data file for BeforeIndex, while it is
	// written; files of tensors that the Plan cuts are read for it.
	Digests bool
}

// Writer writes one bundle (BundleWriter), or with a Plan what several of them
// and MergeV2Checkpoints make. It is for one goroutine. The first error is
// final: every later call returns it, and Commit publishes nothing.
//
// All data files are open until Commit or Abort. They collect at most 32 MiB, or
// 4 KiB each, before it is written.
type Writer struct {
	bucket storage.Bucket
	prefix string
	plan   *Plan
	before BeforeIndex
	guard  func(ctx context.Context) error
	sums   bool // of data files
	index  storage.Writer
	digest FileDigest  // of the index
	data   []*appender // by shard

	room    []entry // entries that are not used yet: growing one slice would copy them
	entries map[string]*entry
	order   []*entry // in the order they were added
	sliced  []*sliced
	wholes  map[string]*sliced

	err  error
	done bool
}

var errDone = errors.New("the bundle was committed or aborted before")

// Create starts a bundle. Nothing is visible under the names of prefix before
// Commit.
func Create(ctx context.Context, b storage.Bucket, prefix string, o *WriterOptions) (*Writer, error) {
	if o == nil {
		o = new(WriterOptions)
	}
	w := &Writer{
		bucket:  b,
		prefix:  prefix,
		plan:    o.Plan,
		before:  o.BeforeIndex,
		guard:   o.Guard,
		sums:    o.Digests && o.BeforeIndex != nil,
		entries: make(map[string]*entry),
	}
	shards := 1
	if w.plan != nil {
		shards = w.plan.shards
	}
	var err error
	// The index is created first: its unpublished file is what proves, after a
	// crash, that data files of this prefix without an index are ours.
	if w.index, err = b.Create(ctx, IndexName(prefix), fileOptions(b)); err != nil {
		return nil, err
	}
	for i := range shards {
		data, err := b.Create(ctx, DataName(prefix, i, shards), fileOptions(b))
		if err != nil {
			return nil, errors.Join(err, w.Abort())
		}
		a := &appender{
			file: data, room: max(4<<10, min(chunkSize, (32<<20)/shards)),
			shared: w.plan != nil && w.plan.cuts,
		}
		if w.sums && !a.shared {
			a.sum = newSummer()
		}
		w.data = append(w.data, a)
	}
	return w, nil
}

// Add appends a tensor of a fixed-size dtype. The chunks are its little-endian
// row-major bytes, cut anywhere; their sum must be the size of the tensor. A
// chunk is not kept and may be reused when the next one is asked for.
func (w *Writer) Add(ctx context.Context, key string, d tensor.DType, s tensor.Shape, chunks iter.Seq[[]byte]) error {
	if cut := w.cutOf(key); cut != nil {
		return w.addCut(cut, d, s, func(parts []*target) error {
			return w.dealBytes(ctx, cut, d, parts, chunks)
		})
	}
	return w.add(key, d, s, func(t *target) error {
		if !d.Fixed() {
			return fmt.Errorf("elements of dtype %s have no fixed size", d)
		}
		n, _ := s.Elements()
		size, ok := byteSize(n, d)
		if !ok {
			return fmt.Errorf("a %s tensor of shape %s is too large", d, s)
		}
		for p := range chunks {
			if int64(len(p)) > size-t.size() {
				return tooMany(size, d, s)
			}
			if err := t.append(ctx, p); err != nil {
				return err
			}
		}
		if got := t.size(); got != size {
			return tooFew(got, size, d, s)
		}
		return nil
	})
}

func tooMany(size int64, d tensor.DType, s tensor.Shape) error {
	return fmt.Errorf("more bytes than the %d of a %s tensor of shape %s", size, d, s)
}

func tooFew(got, size int64, d tensor.DType, s tensor.Shape) error {
	return fmt.Errorf("%d bytes are no %s tensor of shape %s, which has %d", got, d, s, size)
}

// target is an entry whose bytes are being written.
type target struct {
	Entry
	out *appender
}

// append adds bytes that count for the checksum.
func (t *target) append(ctx context.Context, p []byte) error {
	var err error
	t.CRC, err = t.out.append(ctx, t.CRC, p)
	return err
}

// size returns how many bytes were added.
func (t *target) size() int64 { return t.out.offset - t.Offset }

// byteSize returns the bytes of n elements.
func byteSize(n int64, d tensor.DType) (int64, bool) {
	size := n * int64(d.Size())
	return size, size/int64(d.Size()) == n
}

// usable says why nothing can be added any more.
func (w *Writer) usable() error {
	if w.err == nil && w.done {
		w.err = errDone
	}
	return w.err
}

// fail keeps the first error, and says which tensor it is about.
func (w *Writer) fail(key string, err error) error {
	if err != nil && w.err == nil {
		w.err = fmt.Errorf("tensor %s: %w", strconv.Quote(errKey(key)), err)
	}
	return w.err
}

// add checks a new key and shape, lets write add the bytes, and keeps the
// entry.
func (w *Writer) add(key string, d tensor.DType, s tensor.Shape, write func(t *target) error) error {
	if err := w.usable(); err != nil {
		return err
	}
	err := w.checkNew(key, s)
	shard := 0
	if err == nil && w.plan != nil {
		shard, err = w.plan.shardOf(key, d, s)
	}
	if err != nil {
		return w.fail(key, err)
	}
	out := w.data[shard]
	t := target{Entry{DType: d, Shape: s.Clone(), Shard: int32(shard), Offset: out.offset}, out}
	if err := write(&t); err != nil {
		return w.fail(key, err)
	}
	t.Size = t.size()
	w.keep(key, t.Entry)
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
		return fmt.Errorf("duplicate key: %s", fault.Printable(errKey(key)))
	}
	return checkShape(s)
}

// checkShape refuses what TensorFlow would not read back.
func checkShape(s tensor.Shape) error {
	if len(s) > maxRank {
		return fmt.Errorf("invalid tensor shape: it has %d dimensions, at most %d are possible", len(s), maxRank)
	}
	for i, n := range s {
		if n < 0 {
			return fmt.Errorf("invalid tensor shape: %s: dimension %d is negative, %d", s, i, n)
		}
	}
	if _, ok := s.Elements(); !ok {
		return fmt.Errorf("invalid tensor shape: %s: more elements than 64 bits count", s)
	}
	return nil
}

// Abort gives the bundle up: nothing of it stays. After Commit it does nothing.
func (w *Writer) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	var errs []error
	for _, a := range w.data {
		errs = append(errs, a.file.Abort())
	}
	return errors.Join(append(errs, w.index.Abort())...)
}

// Commit makes the bundle durable and visible under its prefix, replacing a
// checkpoint of that prefix without a moment in which neither could be read.
// When it fails, what the prefix named before is still, or again, there; only
// if the storage goes on failing does that wait for Recover.
func (w *Writer) Commit(ctx context.Context) error {
	if err := w.usable(); err != nil {
		return errors.Join(err, w.Abort())
	}
	if err := w.finish(); err != nil {
		w.err = err
		return errors.Join(err, w.Abort())
	}
	defer w.Abort()
	if err := w.publication().publish(ctx); err != nil {
		w.err = err
		return err
	}
	w.done = true
	w.entries, w.order, w.room, w.sliced, w.wholes = nil, nil, nil, nil, nil
	return nil
}

// finish writes what is left of all files, so that a full disk is noticed
// before anything is published.
func (w *Writer) finish() error {
	if err := w.checkPlan(); err != nil {
		return err
	}
	for _, a := range w.data {
		if err := a.flush(); err != nil {
			return err
		}
	}
	for _, t := range w.sliced {
		t.finish()
	}
	header := Header{NumShards: int32(len(w.data)), Producer: producerVersion}
	if w.before == nil {
		return writeIndex(w.index, &header, w.order)
	}
	sum := newSummer()
	err := writeIndex(io.MultiWriter(w.index, sum), &header, w.order)
	w.digest = sum.digest(IndexName(w.prefix))
	return err
}

// beforeIndex calls the hook.
func (w *Writer) beforeIndex(ctx context.Context) error {
	var data []FileDigest
	if w.sums {
		var err error
		if data, err = w.dataDigests(ctx); err != nil {
			return err
		}
	}
	return w.before(ctx, w.digest, data)
}

// publication returns what Commit publishes.
func (w *Writer) publication() *publication {
	p := &publication{bucket: w.bucket, prefix: w.prefix, index: w.index, guard: w.guard}
	if w.before != nil {
		p.before = w.beforeIndex
	}
	for _, a := range w.data {
		p.data = append(p.data, a.file)
	}
	return p
}
