package bundle

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
)

// MergeOptions are the options of Merge; nil means the zero value.
type MergeOptions struct {
	// Keep leaves the inputs as they are. Where the storage has links the data is
	// shared, otherwise copied. TensorFlow's op has no such mode.
	Keep bool
	// AllowMissing passes over inputs that do not exist, as long as one does
	// (allow_missing_files).
	AllowMissing bool
}

// Merge makes one checkpoint out of several, whose data files become its shards
// in the order of inputs (MergeV2Checkpoints). Inputs may themselves have several
// shards, and may each hold some slices of a tensor. A tensor that two of them
// have, slices that overlap, other dtypes or shapes, byte orders or versions are
// refused before any file is touched, and so are fields of a newer format that
// the output could not keep. Tensors are not read.
//
// The inputs stay what they are until the output is durable; then they go, unless
// Keep is set. After a crash in between both are there. An error after that
// moment says so, and Remove takes away what is left. An output that exists is
// replaced as by Writer.Commit, and may be one of the inputs. Folders are the
// caller's: those of the inputs stay (delete_old_dirs=False).
func Merge(ctx context.Context, b storage.Bucket, out string, inputs []string, o *MergeOptions) error {
	if o == nil {
		o = new(MergeOptions)
	}
	m := merger{bucket: b, out: out, options: o, entries: make(map[string]*mergedEntry)}
	for _, input := range inputs {
		if err := m.add(ctx, input); err != nil {
			return fmt.Errorf("merge %s: %w", strconv.Quote(input), err)
		}
	}
	if len(m.inputs) == 0 {
		return fmt.Errorf("merge: at least one prefix checkpoint file must exist, but none existed: %w", fs.ErrNotExist)
	}
	if err := m.publish(ctx); err != nil {
		return err
	}
	if o.Keep {
		return nil
	}
	var errs []error
	for _, input := range m.inputs {
		if input != out {
			errs = append(errs, Remove(ctx, b, input))
		}
	}
	if err := errors.Join(append(errs, syncRemovals(ctx, b))...); err != nil {
		return fmt.Errorf("merged into %s, but an input could not be removed: %w", strconv.Quote(out), err)
	}
	return nil
}

// merger collects the entries of the inputs.
type merger struct {
	bucket  storage.Bucket
	out     string
	options *MergeOptions

	inputs  []string // that exist
	header  Header   // of the first
	version []byte   // its version, encoded
	entries map[string]*mergedEntry
	order   []*entry
	data    []*linked // in the order in which entries name them
	// compared counts the pairs of slices that were compared, of all tensors.
	compared int
}

// mergedEntry is an entry of the output. A tensor in slices has a set of them.
type mergedEntry struct {
	*entry
	slices *disjoint
}

// maxMergePairs is how many pairs of slices are compared in a merge, about a
// second's worth. A square grid of 400,000 slices needs that many, and tensors
// that are cut along one dimension next to none.
const maxMergePairs = 1 << 28

// linked is a data file that gets a second name when it is committed.
type linked struct {
	bucket   storage.Bucket
	from, to string
}

// Commit implements committer.
func (l *linked) Commit(ctx context.Context) error { return link(ctx, l.bucket, l.from, l.to) }

func (m *merger) add(ctx context.Context, input string) error {
	// An input whose overwriting was interrupted has its files elsewhere.
	if err := Recover(ctx, m.bucket, input); err != nil {
		return err
	}
	r, err := openAt(ctx, m.bucket, input, input, nil)
	if errors.Is(err, fs.ErrNotExist) {
		if m.options.AllowMissing {
			return nil
		}
		return noCheckpoint(input, err)
	}
	if err != nil {
		return err
	}
	err = m.read(ctx, r)
	return errors.Join(err, r.Close())
}

// read takes the entries of an input over.
func (m *merger) read(ctx context.Context, r *Reader) error {
	if err := m.checkHeader(&r.header); err != nil {
		return err
	}
	if err := r.checkNested(); err != nil {
		return err
	}
	m.inputs = append(m.inputs, r.prefix)
	numbers := make(map[int32]int32) // of shards, old to new
	for item, err := range r.Entries() {
		if err = errOr(err, ctx.Err()); err != nil {
			return err
		}
		if item.Entry.Shard, err = m.shard(ctx, r, &item, numbers); err != nil {
			return err
		}
		if err := m.merge(&item); err != nil {
			return fmt.Errorf("tensor %s: %w", strconv.Quote(errKey(item.Key)), err)
		}
	}
	return nil
}

// checkHeader compares the header of an input with that of the first.
func (m *merger) checkHeader(h *Header) error {
	version := EncodeHeader(nil, &Header{Producer: h.Producer, MinConsumer: h.MinConsumer, BadConsumers: h.BadConsumers, UnknownVersion: h.UnknownVersion})
	switch {
	case len(m.inputs) == 0:
		m.header, m.version = *h, version
	case !bytes.Equal(m.header.Unknown, h.Unknown):
		return unsupported("merging bundles whose headers differ in fields that are not known: they were written by a newer TensorFlow")
	case m.header.BigEndian != h.BigEndian:
		return errors.New("merging bundles with conflicting endianness")
	case !bytes.Equal(m.version, version):
		return errors.New("merging bundles with different format versions")
	}
	return nil
}

// shard returns the new number of the data file of an entry: files are counted
// as the entries of one input after the other name them.
func (m *merger) shard(ctx context.Context, r *Reader, item *Item, numbers map[int32]int32) (int32, error) {
	old := item.Entry.Shard
	if number, known := numbers[old]; known {
		return number, nil
	}
	// The entry of a tensor in slices has no bytes, but a number that counts.
	if len(item.Entry.Slices) == 0 {
		if _, err := r.checkEntry(item.Key, &item.Entry); err != nil {
			return 0, err
		}
	}
	if _, err := r.shard(ctx, old); err != nil {
		return 0, openError(err, r.dataName(old), "")
	}
	from := r.dataName(old)
	if r.prefix == m.out {
		from = moveName(from, m.out, undoOf(m.out)) // where it is when the output comes
	}
	number := int32(len(m.data))
	numbers[old] = number
	m.data = append(m.data, &linked{bucket: m.bucket, from: from})
	return number, nil
}

// merge adds an entry, or its slices to those the tensor has.
func (m *merger) merge(item *Item) error {
	e := item.Entry
	before := m.entries[item.Key]
	switch {
	case before == nil:
		added := &mergedEntry{entry: &entry{item.Key, e}}
		m.entries[item.Key] = added
		m.order = append(m.order, added.entry)
		if len(e.Slices) == 0 {
			return nil
		}
		if err := checkShape(e.Shape); err != nil {
			return err
		}
		added.slices = newDisjoint(e.Shape)
		return m.addSlices(added, e.Slices)
	case before.slices == nil:
		return fmt.Errorf("duplicate tensor keyed by %s", fault.Printable(errKey(item.Key)))
	case len(e.Slices) == 0:
		return errors.New("attempting to merge in a non-slice bundle entry")
	case before.DType != e.DType || !before.Shape.Equal(e.Shape):
		return fmt.Errorf("slices of %s %s and of %s %s", before.DType, before.Shape, e.DType, e.Shape)
	}
	before.Slices = append(before.Slices, e.Slices...)
	return m.addSlices(before, e.Slices)
}

// addSlices adds slices to those of a tensor.
func (m *merger) addSlices(t *mergedEntry, added []Slice) error {
	for _, s := range added {
		if err := s.fits(t.Shape); err != nil {
			return err
		}
	}
	set := t.slices
	n := len(set.all)
	set.add(added...)
	for i, s := range added {
		other, found, compared := set.overlapping(s, n+i)
		if found {
			return fmt.Errorf("overlapping slices: existing slice = %s, new slice = %s", other, s)
		}
		if m.compared += compared; m.compared > maxMergePairs {
			return errors.New("too many slices lie side by side")
		}
	}
	return nil
}

// publish links the data files and writes the index.
func (m *merger) publish(ctx context.Context) error {
	m.header.NumShards = int32(len(m.data))
	p := &publication{bucket: m.bucket, prefix: m.out}
	for i, l := range m.data {
		l.to = DataName(m.out, i, len(m.data))
		p.data = append(p.data, l)
	}
	var err error
	if p.index, err = m.bucket.Create(ctx, IndexName(m.out), fileOptions(m.bucket)); err != nil {
		return err
	}
	defer p.index.Abort()
	if err := writeIndex(p.index, &m.header, m.order); err != nil {
		return err
	}
	return p.publish(ctx)
}
