package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/tensor"
)

// OpenOptions are the options of Open, ReadMetadata and UpdateMetadata; nil means
// the zero value. OpenFS takes them too.
type OpenOptions struct {
	// Bucket is where the files are; the path is then one in it. Nil means the
	// local file system.
	Bucket storage.Bucket
	// FollowLinks allows symbolic links that lead out of the checkpoint's folder,
	// as the caches of model hubs have them. Without it they are refused.
	FollowLinks bool
}

// Reader reads one checkpoint without any objects: tf.train.load_checkpoint.
// Opening reads the index only; a damaged or missing data file is noticed by
// the calls that need it. A Reader is safe for concurrent use, except for
// Close. While it is open, this process's Managers do not remove its files.
type Reader struct {
	at    place
	rd    *bundle.Reader
	unpin func()
}

// Open opens a checkpoint by whatever a person would type: its prefix, one of
// its files, a directory (then its latest), a SavedModel directory. The error of
// a path that leads nowhere is fs.ErrNotExist or ErrNoCheckpoint.
func Open(ctx context.Context, path string, o *OpenOptions) (*Reader, error) {
	at, err := o.find(ctx, path)
	if err != nil {
		return nil, err
	}
	return openPlace(ctx, at)
}

// find is the place that a path means.
func (o *OpenOptions) find(ctx context.Context, path string) (place, error) {
	if o == nil {
		o = new(OpenOptions)
	}
	at, err := find(ctx, path, o.Bucket)
	if err == nil && o.FollowLinks {
		at = at.followed()
	}
	return at, err
}

func openPlace(ctx context.Context, at place) (*Reader, error) {
	unpin, err := pin(ctx, at)
	if err != nil {
		return nil, err
	}
	rd, err := bundle.Open(ctx, at.bucket, at.name, nil)
	if err != nil {
		unpin()
		return nil, fmt.Errorf("ckpt: %s: %w", at.prefix, recognise(ctx, at, err))
	}
	return &Reader{at: at, rd: rd, unpin: unpin}, nil
}

// ResolvePath turns what a person types into the prefix of one checkpoint: a
// prefix stays as it is, the name of an index or data file loses its ending, a
// directory means its latest checkpoint, or the newest one lying there if no
// state file tells, and a SavedModel directory its variables.
func ResolvePath(ctx context.Context, path string) (string, error) {
	if _, err := os.Stat(path + ".index"); err == nil {
		return path, nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return trimFileSuffix(path), nil
	}
	if isSavedModel(path) {
		return joinPath(joinPath(path, "variables"), "variables"), nil
	}
	at, err := openDirectory(path, nil).newest(ctx)
	return at.prefix, err
}

// Prefix is the prefix the checkpoint was found under.
func (r *Reader) Prefix() string { return r.at.prefix }

// Close lets go of the files.
func (r *Reader) Close() error {
	r.unpin()
	return r.rd.Close()
}

// VariableInfo describes one stored tensor.
type VariableInfo struct {
	Name   string
	DType  tensor.DType
	Shape  tensor.Shape
	Bytes  int64  // stored size, of all slices together
	Shard  int    // −1 if the tensor is sliced, or stored in a V1 file
	Offset int64  // in the shard; −1 where Shard is
	CRC32C uint32 // of the stored bytes, unmasked
	Slices []SliceInfo
}

// SliceInfo describes one stored piece of a sliced tensor.
type SliceInfo struct {
	Start, Length []int64 // one for each dimension
	Bytes         int64
	Shard         int
	Offset        int64
	CRC32C        uint32
}

// Variables yields the stored tensors in the order of the index, which is that
// of their names' bytes: tf.train.list_variables, with the object graph's own
// tensor. It stops after the first error.
func (r *Reader) Variables() iter.Seq2[VariableInfo, error] {
	return func(yield func(VariableInfo, error) bool) {
		for it, err := range r.rd.Entries() {
			if err != nil {
				yield(VariableInfo{}, fmt.Errorf("ckpt: %s: %w", r.at.prefix, err))
				return
			}
			if it.IsSlice {
				continue
			}
			v, err := r.describe(it)
			if !yield(v, err) || err != nil {
				return
			}
		}
	}
}

func (r *Reader) describe(it bundle.Item) (VariableInfo, error) {
	e := it.Entry
	v := VariableInfo{Name: it.Key, DType: e.DType, Shape: e.Shape, Bytes: e.Size, Shard: int(e.Shard), Offset: e.Offset, CRC32C: e.CRC}
	if e.Shard < 0 { // a V1 file keeps values inside the table
		v.Offset = -1
		return v, nil
	}
	if len(e.Slices) == 0 {
		return v, nil
	}
	v.Shard, v.Offset, v.CRC32C = -1, -1, 0
	seen := make(map[string]bool, len(e.Slices)) // a hostile file lists one a million times
	for _, s := range e.Slices {
		key := bundle.EncodeSliceKey(it.Key, s)
		if seen[key] {
			continue
		}
		seen[key] = true
		piece, err := r.rd.Entry(key)
		if err != nil {
			return v, fmt.Errorf("ckpt: %s: %w", r.at.prefix, err)
		}
		info := SliceInfo{Bytes: piece.Size, Shard: int(piece.Shard), Offset: piece.Offset, CRC32C: piece.CRC}
		for d, extent := range s {
			if extent.Full && d < len(e.Shape) {
				extent.Start, extent.Length = 0, e.Shape[d]
			}
			info.Start = append(info.Start, extent.Start)
			info.Length = append(info.Length, extent.Length)
		}
		v.Bytes += piece.Size
		v.Slices = append(v.Slices, info)
	}
	return v, nil
}

// String lists the stored tensors, one a line, as TensorFlow's debug_string:
// name (DT_FLOAT) [2,3].
func (r *Reader) String() string {
	var b strings.Builder
	for v, err := range r.Variables() {
		if err != nil {
			fmt.Fprintf(&b, "%v\n", err)
			break
		}
		fmt.Fprintf(&b, "%s (%s) %s\n", fault.Printable(v.Name), v.DType.ProtoName(), v.Shape)
	}
	return b.String()
}

// Has tells whether the checkpoint holds a tensor of this name.
func (r *Reader) Has(name string) bool {
	_, err := r.rd.Entry(r.key(name))
	return err == nil
}

// Tensor reads one tensor and checks its checksum. A trailing ":0" of the name
// is TensorFlow 1's and ignored. A name the checkpoint does not have is an
// error that lists the nearest ones and is fs.ErrNotExist.
func (r *Reader) Tensor(ctx context.Context, name string) (*tensor.Tensor, error) {
	t, err := r.rd.Tensor(ctx, r.key(name))
	if err == nil {
		return t, nil
	}
	if errors.Is(err, fs.ErrNotExist) && !r.Has(name) {
		return nil, r.notFound(name)
	}
	return nil, fmt.Errorf("ckpt: %s: %w", r.at.prefix, recognise(ctx, r.at, err))
}

// key is a name without TensorFlow 1's output number.
func (r *Reader) key(name string) string {
	if short, ok := strings.CutSuffix(name, ":0"); ok {
		if _, err := r.rd.Entry(name); err != nil {
			return short
		}
	}
	return name
}

func (r *Reader) notFound(name string) error {
	var names []string
	for it, err := range r.rd.Entries() {
		if err != nil {
			break
		}
		if !it.IsSlice {
			names = append(names, it.Key)
		}
	}
	_, err := r.rd.Entry(name) // says which key, and is fs.ErrNotExist
	if near := nearestKeys(name, names); len(near) > 0 {
		err = fmt.Errorf("%w; did you mean %s?", err, proposed(near))
	}
	return fmt.Errorf("ckpt: %s: %w", r.at.prefix, err)
}

// Graph decodes the object graph. A name-based checkpoint, which has none, is
// errors.ErrUnsupported and the error names the missing key.
func (r *Reader) Graph(ctx context.Context) (*objectgraph.Graph, error) {
	return readGraph(ctx, r.rd, r.at)
}

// Read reads a numeric or bool tensor into a new slice, row-major. Another
// dtype is a *MismatchError.
func Read[T tensor.Element](ctx context.Context, r *Reader, name string) ([]T, error) {
	t, err := r.Tensor(ctx, name)
	if err != nil {
		return nil, err
	}
	if want := tensor.DTypeOf[T](); t.DType() != want {
		return nil, &MismatchError{
			Key: name, Want: want.String(), Got: describe(t.DType(), t.Shape()),
			Err: fmt.Errorf("expected dtype %s does not equal original dtype %s", want.OpName(), t.DType().OpName()),
		}
	}
	return tensor.Values[T](t)
}
