package bundle

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"path"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/table"
)

// The format before bundles, which TensorFlow calls V1 (core/util/
// saved_tensor_slice.proto, tensor_slice_reader.cc), is read and not written.
// A checkpoint P is one table with the name P itself, or several named
// P-00000-of-00002 and so on, which are opened together by the pattern
// P-?????-of-00002. Tables hold, under the empty key, a list of their tensors and
// of the slices of each, and under each slice key the values of that slice as
// a message with one repeated field. An unsliced tensor is one full slice.

// v1Shards is the end of a pattern for several files.
const v1Shards = "-?????" + ofInfix

// v1 is a checkpoint in the format before bundles.
type v1 struct {
	files   []*v1File
	tensors []v1Tensor // sorted by name
	bytes   int64      // of all files
}

type v1File struct {
	name  string // base name
	file  storage.File
	table *table.Reader
}

// v1Tensor is what the lists of all files say of a tensor.
type v1Tensor struct {
	name   string
	entry  Entry
	slices []v1Slice
}

type v1Slice struct {
	slice Slice
	file  *v1File
}

// openV1 opens a prefix that has no index. If there is nothing of the old
// format either, both results are nil.
//
// Memory: 72 × the size of the files and 1 MiB at most, where a compressed block
// counts as what it decodes to.
func openV1(ctx context.Context, b storage.Bucket, prefix string, o *ReaderOptions) (*Reader, error) {
	names, err := v1Names(ctx, b, prefix)
	if err != nil || len(names) == 0 {
		return nil, err
	}
	r := &Reader{bucket: b, prefix: prefix, actual: prefix, v1: new(v1)}
	for _, name := range names {
		found, err := r.addV1(ctx, name, o)
		if err != nil {
			return nil, errors.Join(err, r.Close())
		}
		if !found {
			return nil, r.Close()
		}
	}
	slices.SortStableFunc(r.v1.tensors, func(a, b v1Tensor) int { return strings.Compare(a.name, b.name) })
	if err := r.v1.merge(o.names(r.v1.bytes)); err != nil {
		return nil, errors.Join(err, r.Close())
	}
	r.header.NumShards = int32(len(names))
	return r, nil
}

// v1Names lists the files a prefix stands for.
func v1Names(ctx context.Context, b storage.Bucket, prefix string) ([]string, error) {
	base, count, ok := cutV1(prefix)
	if !ok {
		return []string{prefix}, nil
	}
	var names []string
	for info, err := range b.List(ctx, base+"-") {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return nil, err
		}
		number, ok := strings.CutSuffix(strings.TrimPrefix(info.Name, base+"-"), ofInfix+count)
		if _, isNumber := parseNumber(number); ok && isNumber {
			names = append(names, info.Name)
		}
	}
	return names, nil
}

// cutV1 takes a pattern such as "export-?????-of-00002" apart.
func cutV1(prefix string) (base, count string, ok bool) {
	i := strings.LastIndex(prefix, v1Shards)
	if i < 0 {
		return "", "", false
	}
	count = prefix[i+len(v1Shards):]
	_, ok = parseNumber(count)
	return prefix[:i], count, ok
}

// addV1 opens one file and reads its list. It is not found if there is no such
// file, or if it is something else.
func (r *Reader) addV1(ctx context.Context, name string, o *ReaderOptions) (found bool, err error) {
	f, err := r.bucket.Open(ctx, name)
	if err != nil {
		// Also a folder of that name, or a name the storage cannot hold: what is
		// missing for the caller is the index.
		return false, ctx.Err()
	}
	file := &v1File{name: path.Base(name), file: f}
	r.v1.files = append(r.v1.files, file)
	r.v1.bytes += f.Size()
	t, err := table.NewReader(f, f.Size(), o.table(0))
	if err != nil {
		return false, nil
	}
	file.table = t
	it := t.First()
	if err := it.Err(); err != nil {
		return false, fault.Locate(err, file.name, "")
	}
	if !it.Valid() || len(it.Key()) > 0 || !looksV1(it.Value()) {
		return false, nil
	}
	header, tensors, err := decodeV1Meta(it.Value())
	if err == nil {
		err = header.checkVersion()
	}
	if err != nil {
		return false, fault.Locate(err, file.name, "")
	}
	for i := range tensors {
		for j := range tensors[i].slices {
			tensors[i].slices[j].file = file
		}
	}
	r.header = header
	if len(r.v1.tensors) == 0 {
		r.v1.tensors = tensors // not a copy: there may be many
	} else {
		r.v1.tensors = append(r.v1.tensors, tensors...)
	}
	return true, nil
}

// merge joins what several files say of the same tensor. Tensors are sorted by
// name; limit is how long all names may be together.
func (v *v1) merge(limit int64) error {
	merged := v.tensors[:0]
	for i, t := range v.tensors {
		if err := checkShape(t.entry.Shape); err != nil || len(t.slices) == 0 {
			return v.corrupt(&t, "tensor of shape %s in %d slices", clip(t.entry.Shape.String()), len(t.slices))
		}
		if n := len(merged); n > 0 && merged[n-1].name == t.name {
			last := &merged[n-1]
			if last.entry.DType != t.entry.DType || !last.entry.Shape.Equal(t.entry.Shape) {
				return v.corrupt(&t, "stored as %s %s and as %s %s", last.entry.DType, last.entry.Shape, t.entry.DType, t.entry.Shape)
			}
			if cap(last.slices) == len(last.slices) {
				last.slices = slices.Grow(last.slices, v.slicesOf(i))
			}
			last.slices = append(last.slices, t.slices...)
			continue
		}
		merged = append(merged, t)
	}
	v.tensors = merged
	var names int64 // used up
	for i := range v.tensors {
		t := &v.tensors[i]
		var err error
		if names, err = takeNames(names, limit, t.name, len(t.slices)); err != nil {
			return fault.Locate(err, t.slices[0].file.name, t.name)
		}
		if err := v.finish(&v.tensors[i]); err != nil {
			return err
		}
	}
	return nil
}

// slicesOf counts the slices of a tensor from its i-th mention on. Mentions of a
// tensor lie together.
func (v *v1) slicesOf(i int) (n int) {
	for _, t := range v.tensors[i:] {
		if t.name != v.tensors[i].name {
			break
		}
		n += len(t.slices)
	}
	return n
}

// finish fills in the entry of a tensor whose slices are all known.
func (v *v1) finish(t *v1Tensor) error {
	// In the order of their keys, each block is read once.
	slices.SortStableFunc(t.slices, func(a, b v1Slice) int {
		return cmp.Or(strings.Compare(a.file.name, b.file.name), a.slice.compare(b.slice))
	})
	kept := t.slices[:0]
	for _, s := range t.slices {
		n, err := s.slice.elements(t.entry.Shape)
		if err != nil {
			return v.corrupt(t, "%w", err)
		}
		// A slice without elements may be listed again and again.
		if i := len(kept) - 1; n == 0 && i >= 0 && kept[i].file == s.file && slices.Equal(kept[i].slice, s.slice) {
			continue
		}
		kept = append(kept, s)
	}
	t.slices = kept
	t.entry.Shard = -1
	n, _ := t.entry.Shape.Elements()
	if d := t.entry.DType; d.Fixed() {
		size, ok := byteSize(n, d)
		if !ok {
			return v.corrupt(t, "a %s tensor of shape %s is too large", d, t.entry.Shape)
		}
		t.entry.Size = size
	}
	if shape, err := t.slices[0].slice.Shape(t.entry.Shape); err == nil && len(t.slices) == 1 && shape.Equal(t.entry.Shape) {
		return nil
	}
	t.entry.Slices = make([]Slice, 0, len(t.slices))
	for _, s := range t.slices {
		t.entry.Slices = append(t.entry.Slices, s.slice)
	}
	return nil
}

func (v *v1) corrupt(t *v1Tensor, format string, args ...any) error {
	file := v.files[0].name
	if len(t.slices) > 0 {
		file = t.slices[0].file.name
	}
	return fault.Locate(fault.Corrupt(fault.KindEntry, format, args...), file, t.name)
}

// find returns the tensor of a name.
func (v *v1) find(name string) (*v1Tensor, error) {
	i, ok := slices.BinarySearchFunc(v.tensors, name, func(t v1Tensor, name string) int { return strings.Compare(t.name, name) })
	if !ok {
		return nil, &keyError{name}
	}
	return &v.tensors[i], nil
}

// entries yields the tensors in the order of their names.
func (v *v1) entries() iter.Seq2[Item, error] {
	return func(yield func(Item, error) bool) {
		for i := range v.tensors {
			if !yield(Item{Key: v.tensors[i].name, Entry: v.tensors[i].entry}, nil) {
				return
			}
		}
	}
}

func (v *v1) close() []error {
	var errs []error
	for _, f := range v.files {
		errs = append(errs, f.file.Close())
	}
	return errs
}

// looksV1 tells the list of a V1 file from the header of a bundle.
func looksV1(value []byte) bool { return bytes.HasPrefix(value, []byte{v1Meta<<3 | 2}) }
