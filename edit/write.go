package edit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
)

// maxShards bounds the files that a damaged header can ask for.
const maxShards = 1 << 16

// layout is the new checkpoint: an index, and what each data file is made of.
type layout struct {
	items  []bundle.Item
	index  []byte
	shards [][]segment
}

// segment is a range of a data file of the source.
type segment struct {
	file   *patched
	off, n int64
}

// size is how long a data file gets.
func (l *layout) size(shard int) (n int64) {
	for _, s := range l.shards[shard] {
		n += s.n
	}
	return n
}

// plan lays the new checkpoint out: as the old one if all of it is there, otherwise
// what is left one behind the other.
func (j *job) plan(ctx context.Context) (*layout, error) {
	rd, err := j.reader(ctx)
	if err != nil {
		return nil, err
	}
	defer rd.Close()
	shards := rd.Header().NumShards
	if shards < 0 || shards > maxShards {
		return nil, fault.Corrupt(fault.KindEntry, "its index speaks of %d data files, and a repair writes %d at most", shards, maxShards)
	}
	l := &layout{items: j.kept(), index: j.indexBytes, shards: make([][]segment, shards)}
	if j.out.Complete() {
		for i := range l.shards {
			f := j.over.add(ctx, dataName(j.from, rd, int32(i)))
			if f.size > 0 {
				l.shards[i] = []segment{{f, 0, f.size}}
			}
		}
		return l, j.checkSize(l)
	}
	var order []*bundle.Item
	for i := range l.items {
		if len(l.items[i].Entry.Slices) == 0 {
			order = append(order, &l.items[i])
		}
	}
	slices.SortStableFunc(order, func(a, b *bundle.Item) int { return cmp.Compare(a.Entry.Offset, b.Entry.Offset) })
	ends := make([]int64, shards)
	for _, it := range order {
		e := &it.Entry
		l.shards[e.Shard] = append(l.shards[e.Shard], segment{j.over.add(ctx, dataName(j.from, rd, e.Shard)), e.Offset, e.Size})
		e.Offset, ends[e.Shard] = ends[e.Shard], ends[e.Shard]+e.Size
	}
	if err := j.checkSize(l); err != nil {
		return nil, err
	}
	l.index, err = (&index{header: j.index.header, items: l.items}).encode()
	return l, err
}

// gap is what may lie unused before a tensor, where nobody has its bytes: TensorFlow
// leaves nothing, or what an alignment asks for.
const gap = 4096

// checkSize refuses an index that would have more written than there is to read: of
// which tensors overlap, or lie far behind the end of their file.
func (j *job) checkSize(l *layout) error {
	var want, have int64
	for _, segments := range l.shards {
		for i, s := range segments { // all of one file
			if want += s.n; want < 0 {
				want = math.MaxInt64
			}
			if i == 0 {
				have += s.file.room()
			}
		}
	}
	if want <= have {
		return nil
	}
	return fault.Corrupt(fault.KindOverlap, "the tensors of its index overlap, or lie far behind the end of their files: %d bytes would be written, and there are %d", want, have)
}

// write makes the new checkpoint.
func (j *job) write(ctx context.Context, l *layout) error {
	w, err := bundle.CreateRaw(ctx, j.to.bucket, j.to.name, len(l.shards))
	if err != nil {
		return err
	}
	defer w.Abort()
	buf := make([]byte, 1<<20)
	for i, segments := range l.shards {
		for _, s := range segments {
			if err := copySegment(ctx, w, i, s, buf); err != nil {
				return err
			}
		}
	}
	noted := false
	err = w.Commit(ctx, l.index, func(ctx context.Context, index bundle.FileDigest, data []bundle.FileDigest) error {
		if err := j.prove(ctx, l); err != nil {
			return fmt.Errorf("what was written does not verify: %w", err)
		}
		m := j.note(l, index, data)
		if m == nil {
			return nil
		}
		noted = true
		return ckpt.WriteMetadata(ctx, j.to.prefix, m, index.SHA256, j.o.open())
	})
	if err != nil && noted {
		ctx := context.WithoutCancel(ctx)
		if there, existsErr := bundle.Exists(ctx, j.to.bucket, j.to.name); existsErr == nil && !there {
			j.to.bucket.Remove(ctx, j.to.name+metadataSuffix) // it belongs to nothing
		}
	}
	return err
}

const metadataSuffix = ".meta.json"

func copySegment(ctx context.Context, w *bundle.RawWriter, shard int, s segment, buf []byte) error {
	for s.n > 0 {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(int64(len(buf)), s.n)]
		if n, err := (view{s.file}).ReadAt(p, s.off); n < len(p) {
			return cmp.Or(err, io.ErrUnexpectedEOF)
		}
		if err := w.Write(shard, p); err != nil {
			return err
		}
		s.off, s.n = s.off+int64(len(p)), s.n-int64(len(p))
	}
	return nil
}

// prove reads the data files that were written and compares them with the index to
// come and with what was recorded.
func (j *job) prove(ctx context.Context, l *layout) error {
	over := &overlay{below: j.to.bucket, files: make(map[string]*patched)}
	over.put(bundle.IndexName(j.to.name), l.index)
	rd, err := bundle.Open(ctx, over, j.to.name, nil)
	if err != nil {
		return err
	}
	defer rd.Close()
	for i := range l.items {
		it := &l.items[i]
		if len(it.Entry.Slices) > 0 {
			err = rd.CheckEntry(ctx, it.Key, &it.Entry)
		} else {
			err = rd.Check(ctx, it.Key)
		}
		if err != nil {
			return err
		}
	}
	if len(j.sums) == 0 {
		return nil
	}
	r, err := ckpt.Open(ctx, j.to.name, &ckpt.OpenOptions{Bucket: over})
	if err != nil {
		return err
	}
	defer r.Close()
	for i := range l.items {
		want, ok := j.sums[l.items[i].Key]
		if !ok {
			continue
		}
		got, err := r.Hash(ctx, l.items[i].Key)
		if err == nil && got != want {
			err = errors.New("it has not its recorded SHA-256")
		}
		if err != nil {
			return fmt.Errorf("tensor %q: %w", l.items[i].Key, err)
		}
	}
	return nil
}

// note is the metadata of the new checkpoint, nil for none: what the old one had, and
// what was done.
func (j *job) note(l *layout, index bundle.FileDigest, data []bundle.FileDigest) *ckpt.Metadata {
	m := j.meta
	files := append([]bundle.FileDigest{index}, data...)
	if m != nil && m.Digests != nil {
		old := make(map[string]ckpt.FileDigest)
		for _, f := range m.Digests.Files {
			old[f.Name] = f
		}
		digests := &ckpt.Digests{}
		same := len(old) == len(files)
		for _, f := range files {
			d := ckpt.FileDigest{Name: f.Name[len(j.to.name)+1:], Size: f.Size, SHA256: f.SHA256}
			same = same && old[d.Name] == d
			digests.Files = append(digests.Files, d)
		}
		j.out.Identical = same
		kept := make(map[string]bool)
		for i := range l.items {
			kept[l.items[i].Key] = true
		}
		digests.Tensors = slices.DeleteFunc(slices.Clone(m.Digests.Tensors), func(d ckpt.TensorDigest) bool { return !kept[d.Name] })
		m.Digests = digests
	}
	if len(j.out.Tensors) == 0 && j.out.Index.How == Intact {
		return m
	}
	if m == nil {
		m = new(ckpt.Metadata)
	}
	if m.Values = maps.Clone(m.Values); m.Values == nil {
		m.Values = make(map[string]any)
	}
	m.Values["repair"] = j.said
	return m
}
