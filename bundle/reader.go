package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path"
	"strconv"
	"sync"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/table"
)

// ReaderOptions are the options of Open; nil means the zero value.
type ReaderOptions struct {
	// MaxBlock is the ceiling in bytes for one decompressed block of the index; 0
	// means the default of package table. Files that compress nothing, as all
	// newer ones, do not need it.
	MaxBlock int64
	// MaxNames is how long the names of all tensors and slices may be together, in
	// bytes, a name counted once for its tensor and once for each slice. 0 means
	// 1 MiB and 32 times the size of the index, decompressed, which is more than
	// TensorFlow and this package write.
	MaxNames int64
}

func (o *ReaderOptions) table(cache int64) *table.ReaderOptions {
	t := &table.ReaderOptions{Cache: cache}
	if o != nil {
		t.MaxBlock = o.MaxBlock
	}
	return t
}

// In an index that TensorFlow writes, every sixteenth key stands in full and the
// others share a beginning with the one before; a tensor in slices has its name
// in the key of each. So all names together, counted once for the tensor and once
// for each slice, are at most 32 times as long as the blocks they stand in, also
// up to any entry: the keys of slices come first. A hostile file can hold a name of
// megabytes and a million keys that begin with it: what is beyond this is refused.
const (
	namesBase   = 1 << 20
	namesFactor = 32
)

// names is how long the names in files of that size may be together.
func (o *ReaderOptions) names(size int64) int64 {
	if o != nil && o.MaxNames > 0 {
		return o.MaxNames
	}
	return namesBase + namesFactor*min(size, 1<<40)
}

// takeNames adds the names that an entry stands for to those used up, if the
// limit allows them.
func takeNames(used, limit int64, key string, sliced int) (int64, error) {
	if used += int64(len(key)) * int64(1+sliced); used > limit {
		return used, fault.Corrupt(fault.KindEntry, "the names of tensors and slices are too long for a file of this size")
	}
	return used, nil
}

// Reader reads one bundle (BundleReader). Opening reads the index only; data
// files are opened when a tensor of theirs is asked for, and entries decoded
// when they are looked at. A Reader is safe for concurrent use, except that
// Close must come last.
//
// Memory: a Reader keeps the blocks of the index it has read. They and everything
// Entries yields take 72 × the size of the index and 1 MiB at most, where a
// compressed block counts as what it decodes to.
type Reader struct {
	bucket storage.Bucket
	prefix string // as asked for
	actual string // whose files are read: prefix, or its undo place
	file   storage.File
	table  *table.Reader
	header Header
	limits ReaderOptions
	v1     *v1 // not nil for the format before bundles, which has no file and table

	ahead window

	mu     sync.Mutex
	shards map[int32]*shard
	closed bool
}

// Open opens the checkpoint of a prefix. A prefix without an index is
// fs.ErrNotExist; a file that is no index is ErrCorrupt and the error says what
// it looks like; a bundle for newer readers is errors.ErrUnsupported. If the
// prefix was being overwritten when its writer died, the old checkpoint is read
// from its second names, and nothing is changed.
//
// A prefix that names a checkpoint of the format before bundles, or a pattern
// for its files such as "export-?????-of-00002", is read too. Its entries have
// shard −1, and no offset or checksum; the size of strings is 0.
func Open(ctx context.Context, b storage.Bucket, prefix string, o *ReaderOptions) (*Reader, error) {
	r, err := openAt(ctx, b, prefix, prefix, o)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	r, undoErr := openAt(ctx, b, prefix, undoOf(prefix), o)
	if !errors.Is(undoErr, fs.ErrNotExist) {
		return r, undoErr
	}
	// The second names go when the new index is there: perhaps just now.
	r, err = openAt(ctx, b, prefix, prefix, o)
	if !errors.Is(err, fs.ErrNotExist) {
		return r, err
	}
	old, v1Err := openV1(ctx, b, prefix, o)
	if old != nil || v1Err != nil {
		return old, v1Err
	}
	return nil, noCheckpoint(prefix, err)
}

// openAt opens the bundle whose files have the prefix actual, for a prefix
// that may be another.
func openAt(ctx context.Context, b storage.Bucket, prefix, actual string, o *ReaderOptions) (*Reader, error) {
	f, err := b.Open(ctx, IndexName(actual))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	if err != nil {
		return nil, openError(err, path.Base(IndexName(actual)), "")
	}
	r := &Reader{bucket: b, prefix: prefix, actual: actual, file: f, shards: make(map[int32]*shard)}
	if o != nil {
		r.limits = *o
	}
	if err := r.readHeader(o); err != nil {
		return nil, errors.Join(r.locate(err, ""), f.Close())
	}
	return r, nil
}

func (r *Reader) readHeader(o *ReaderOptions) error {
	t, err := table.NewReader(r.file, r.file.Size(), o.table(r.file.Size()))
	if err != nil {
		return explain(err, r.file)
	}
	r.table = t
	it := t.First()
	if err := it.Err(); err != nil {
		return err
	}
	if !it.Valid() || len(it.Key()) > 0 {
		return fault.Corrupt(fault.KindFormat, "the index has no header entry (failed to seek to header entry)")
	}
	if r.header, err = DecodeHeader(it.Value()); err != nil {
		return err
	}
	return r.header.checkVersion()
}

// locate names the index, and the tensor if one is meant, in an error about
// the index.
func (r *Reader) locate(err error, key string) error {
	name := path.Base(IndexName(r.actual))
	var c *CorruptError
	if !errors.As(err, &c) {
		return openError(err, name, key)
	}
	if c.Key != "" {
		named := *c // what the table calls a key may be that of a slice
		named.Key = errKey(c.Key)
		err = &named
	}
	return fault.Locate(err, name, key)
}

// Header returns the header of the index.
func (r *Reader) Header() Header { return r.header }

// Prefix returns the prefix that was opened.
func (r *Reader) Prefix() string { return r.prefix }

// Item is an entry with its key.
type Item struct {
	Key   string
	Entry Entry
	// IsSlice says that the entry holds a slice of a tensor, and the key is an
	// encoded slice key: see DecodeSliceKey. Lists of tensors leave it out.
	IsSlice bool
}

// Entries yields all entries in the order of the index, which is that of the
// keys' bytes, without the header. It stops after the first error.
func (r *Reader) Entries() iter.Seq2[Item, error] {
	if r.v1 != nil {
		return r.v1.entries()
	}
	return func(yield func(Item, error) bool) {
		room := &shapes{large: true}
		var names int64 // used up
		it := r.table.First()
		for ; it.Valid(); it.Next() {
			if len(it.Key()) == 0 {
				continue
			}
			item := Item{Key: string(it.Key())}
			item.IsSlice = isSliceKey(item.Key)
			var err error
			if item.Entry, err = decodeEntry(it.Value(), room); err == nil {
				names, err = takeNames(names, r.limits.names(it.Decoded()), item.Key, len(item.Entry.Slices))
			}
			if err != nil {
				yield(Item{}, r.locate(err, errKey(item.Key)))
				return
			}
			if !yield(item, nil) {
				return
			}
		}
		if it.Err() != nil {
			yield(Item{}, r.locate(it.Err(), ""))
		}
	}
}

// Entry returns the entry of one tensor, or of one slice by its encoded key. A
// key that is not there is fs.ErrNotExist, in TensorFlow's words.
func (r *Reader) Entry(key string) (Entry, error) {
	if r.v1 != nil {
		t, err := r.v1.find(key)
		if err != nil {
			return Entry{}, err
		}
		return t.entry, nil
	}
	if key == headerKey {
		return Entry{}, &keyError{key}
	}
	value, ok, err := r.table.Get([]byte(key))
	if err != nil {
		return Entry{}, r.locate(err, errKey(key))
	}
	if !ok {
		return Entry{}, &keyError{key}
	}
	e, err := DecodeEntry(value)
	if err == nil {
		_, err = takeNames(0, r.limits.names(r.file.Size()), key, len(e.Slices))
	}
	if err != nil {
		return Entry{}, r.locate(err, errKey(key))
	}
	return e, nil
}

// keyError says that a checkpoint has no tensor of a name.
type keyError struct{ key string }

func (e *keyError) Error() string {
	key := errKey(e.key)
	if quoted := strconv.Quote(key); quoted[1:len(quoted)-1] != key {
		key = quoted
	}
	return fmt.Sprintf("Key %s not found in checkpoint", key)
}

// Unwrap gives the class.
func (e *keyError) Unwrap() error { return fs.ErrNotExist }

// shard is an open data file.
type shard struct {
	storage.File
	name string // base name
}

// shard opens the data file of an entry, once.
func (r *Reader) shard(ctx context.Context, number int32) (*shard, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil, fs.ErrClosed
	}
	if f, ok := r.shards[number]; ok {
		return f, nil
	}
	name := r.dataName(number)
	f, err := r.bucket.Open(ctx, name)
	if r.actual != r.prefix && errors.Is(err, fs.ErrNotExist) {
		// Recover may have put the file back in its place meanwhile.
		if back, err2 := r.bucket.Open(ctx, moveName(name, r.actual, r.prefix)); err2 == nil {
			f, err = back, nil
		}
	}
	if err == nil {
		if err = r.checkInPlace(ctx); err != nil {
			f.Close()
		}
	}
	if err != nil {
		return nil, err
	}
	opened := &shard{File: f, name: path.Base(name)}
	r.shards[number] = opened
	return opened, nil
}

// DataFile returns the base name of a data file as it is read and as errors name
// it: where an overwrite was interrupted that is a second name.
func (r *Reader) DataFile(shard int32) string { return path.Base(r.dataName(shard)) }

func (r *Reader) dataName(shard int32) string {
	return DataName(r.actual, int(shard), int(r.header.NumShards))
}

// Close lets go of all files.
func (r *Reader) Close() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		return nil
	}
	r.closed = true
	r.ahead.release()
	if r.v1 != nil {
		return errors.Join(r.v1.close()...)
	}
	errs := []error{r.file.Close()}
	for _, f := range r.shards {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}
