package bundle

import (
	"cmp"
	"context"
	"errors"
	"iter"
	"maps"
	"math"
	"path"
	"slices"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/table"
)

// CheckLayout finds what is wrong with a checkpoint without reading the bytes
// of tensors: an index that cannot be read to its end, entries whose size does
// not fit dtype and shape, ranges beyond the end of a data file, ranges that
// two entries claim, slices that do not cover their tensor, and data files that
// are missing. It yields nothing for a checkpoint that is fine.
func (r *Reader) CheckLayout(ctx context.Context) iter.Seq[*fault.CorruptError] {
	return func(yield func(*fault.CorruptError) bool) {
		if r.v1 != nil {
			r.v1.checkLayout(r.prefix, yield)
			return
		}
		l := layout{reader: r, yield: yield, missing: make(map[int32]bool)}
		for item, err := range r.Entries() {
			if err = errOr(err, ctx.Err()); err != nil {
				l.report(err)
				break
			}
			if !l.entry(ctx, &item) {
				break
			}
		}
		l.overlaps()
	}
}

// CheckFiles finds data files that are missing, or shorter than the index needs:
// the part of CheckLayout that is about files, one finding for each of them. It
// reads the index for that, and yields what is wrong with reading it.
func (r *Reader) CheckFiles(ctx context.Context) iter.Seq[*fault.CorruptError] {
	if r.v1 != nil {
		return r.CheckLayout(ctx)
	}
	return func(yield func(*fault.CorruptError) bool) {
		l := layout{reader: r, yield: yield}
		need := make(map[int32]int64) // shard → size
		for item, err := range r.Entries() {
			if err = errOr(err, ctx.Err()); err != nil {
				l.report(err)
				break
			}
			if e := &item.Entry; len(e.Slices) == 0 {
				need[e.Shard] = max(need[e.Shard], addSizes(e.Offset, e.Size))
			}
		}
		for _, shard := range slices.Sorted(maps.Keys(need)) {
			if !l.file(ctx, shard, need[shard]) {
				return
			}
		}
	}
}

// addSizes adds what an index claims without an overflow.
func addSizes(offset, size int64) int64 {
	offset, size = max(0, offset), max(0, size)
	if offset > math.MaxInt64-size {
		return math.MaxInt64
	}
	return offset + size
}

// file checks the size of one data file and says whether to go on.
func (l *layout) file(ctx context.Context, shard int32, need int64) bool {
	r := l.reader
	if shard < 0 || shard >= r.header.NumShards {
		return l.report(r.locate(fault.Corrupt(fault.KindEntry, "shard %d of a checkpoint that has %d", shard, r.header.NumShards), ""))
	}
	f, err := r.shard(ctx, shard)
	if err != nil {
		return l.report(openError(err, path.Base(r.dataName(shard)), ""))
	}
	if f.Size() >= need {
		return true
	}
	c := fault.Corrupt(fault.KindTruncated, "the file has %d bytes, the index needs %d", f.Size(), need)
	c.File = f.name
	return l.report(c)
}

// CheckUnread finds what is wrong with the bytes of an index that no reader looks
// at, TensorFlow's included: see table.Reader.CheckUnread. No value is affected,
// and a checkpoint that has nothing else can be used; but its index is not as it
// was written. Bytes of data files that belong to no tensor are not looked at.
// Memory: one block of the index.
func (r *Reader) CheckUnread(ctx context.Context) iter.Seq[*fault.CorruptError] {
	return func(yield func(*fault.CorruptError) bool) {
		l := layout{reader: r, yield: yield}
		if r.v1 == nil {
			l.unread(ctx, path.Base(IndexName(r.actual)), r.table)
			return
		}
		for _, f := range r.v1.files {
			if !l.unread(ctx, f.name, f.table) {
				return
			}
		}
	}
}

// unread reports what is wrong with one table and says whether to go on.
func (l *layout) unread(ctx context.Context, name string, t *table.Reader) bool {
	for err := range t.CheckUnread() {
		var c *CorruptError
		if err = errOr(ctx.Err(), err); !errors.As(err, &c) {
			err = fault.Corrupt(fault.KindUnreadable, "%w", err)
		}
		if !l.report(fault.Locate(err, name, "")) {
			return false
		}
	}
	return true
}

// layout collects the ranges of all entries.
type layout struct {
	reader  *Reader
	yield   func(*fault.CorruptError) bool
	stopped bool
	ranges  []byteRange
	missing map[int32]bool // shards that were reported
}

type byteRange struct {
	shard        int32
	offset, size int64
	key          string
}

// report yields an error as a finding and says whether to go on.
func (l *layout) report(err error) bool {
	if l.stopped {
		return false
	}
	var c *CorruptError
	if !errors.As(err, &c) {
		c = fault.Corrupt(fault.KindUnreadable, "%w", err)
	}
	l.stopped = !l.yield(c)
	return !l.stopped
}

// entry checks one entry and says whether to go on.
func (l *layout) entry(ctx context.Context, item *Item) bool {
	r, e := l.reader, &item.Entry
	if len(e.Slices) > 0 {
		if item.IsSlice {
			return l.report(r.locate(fault.Corrupt(fault.KindEntry, "a slice is stored in slices"), errKey(item.Key)))
		}
		_, err := r.pieces(ctx, item.Key, e)
		var c *CorruptError
		if errors.As(err, &c) && c.Kind == fault.KindMissing {
			return true // reported at the entry of the slice
		}
		return err == nil || l.report(err)
	}
	_, err := r.span(ctx, item.Key, e)
	var c *CorruptError
	if errors.As(err, &c) && (c.Kind == fault.KindMissing || c.Kind == fault.KindUnreadable) {
		// One finding per file, not one per tensor of it.
		if l.missing[e.Shard] {
			return true
		}
		l.missing[e.Shard] = true
		file := *c
		file.Key = ""
		return l.report(&file)
	}
	if err != nil {
		return l.report(err)
	}
	if e.Size > 0 {
		l.ranges = append(l.ranges, byteRange{e.Shard, e.Offset, e.Size, item.Key})
	}
	return true
}

// overlaps reports ranges that begin before the one before them ends.
func (l *layout) overlaps() {
	slices.SortFunc(l.ranges, func(a, b byteRange) int {
		return cmp.Or(cmp.Compare(a.shard, b.shard), cmp.Compare(a.offset, b.offset), cmp.Compare(a.size, b.size), cmp.Compare(a.key, b.key))
	})
	last := -1 // the range that reaches farthest so far
	for i := range l.ranges {
		a := &l.ranges[i]
		if last < 0 || l.ranges[last].shard != a.shard {
			last = i
			continue
		}
		before := &l.ranges[last]
		if a.offset < before.offset+before.size {
			c := fault.Corrupt(fault.KindOverlap, "the bytes are also those of tensor %s", fault.Printable(clip(errKey(before.key))))
			c.File, c.Key = path.Base(l.reader.dataName(a.shard)), errKey(a.key)
			c.Offset, c.Length = a.offset, a.size
			if !l.report(c) {
				return
			}
		}
		if a.offset+a.size > before.offset+before.size {
			last = i
		}
	}
}
