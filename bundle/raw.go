package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ckpt-go/ckpt/storage"
)

// RawWriter writes a bundle of bytes that the caller has: data files, and an index
// that fits them, such as those of another checkpoint. It publishes them as a
// Writer does, and looks at none of them. It is for one goroutine.
type RawWriter struct {
	bucket storage.Bucket
	prefix string
	index  storage.Writer
	data   []storage.Writer
	sums   []*summer
	done   bool
}

// CreateRaw starts a bundle of that many data files at a prefix that has no
// checkpoint; one that is there is fs.ErrExist. Nothing is visible before Commit.
func CreateRaw(ctx context.Context, b storage.Bucket, prefix string, shards int) (*RawWriter, error) {
	if err := free(ctx, b, prefix); err != nil {
		return nil, err
	}
	w := &RawWriter{bucket: b, prefix: prefix}
	var err error
	// The index first: see Create.
	if w.index, err = b.Create(ctx, IndexName(prefix), fileOptions(b)); err != nil {
		return nil, err
	}
	for i := range shards {
		data, err := b.Create(ctx, DataName(prefix, i, shards), fileOptions(b))
		if err != nil {
			return nil, errors.Join(err, w.Abort())
		}
		w.data, w.sums = append(w.data, data), append(w.sums, newSummer())
	}
	return w, nil
}

// free is fs.ErrExist for a prefix with a checkpoint.
func free(ctx context.Context, b storage.Bucket, prefix string) error {
	there, err := Exists(ctx, b, prefix)
	if err == nil && there {
		err = fmt.Errorf("there is a checkpoint %s: %w", prefix, fs.ErrExist)
	}
	return err
}

// Write appends to a data file.
func (w *RawWriter) Write(shard int, p []byte) error {
	return w.sums[shard].beside(p, func() error {
		_, err := w.data[shard].Write(p)
		return err
	})
}

// Commit publishes the data files and the index. Between them it calls before, if
// that is not nil, as WriterOptions.BeforeIndex. When it fails nothing of it stays,
// unless the storage goes on failing.
func (w *RawWriter) Commit(ctx context.Context, index []byte, before BeforeIndex) error {
	defer w.Abort()
	if w.done {
		return errDone
	}
	if err := free(ctx, w.bucket, w.prefix); err != nil {
		return err
	}
	if _, err := w.index.Write(index); err != nil {
		return err
	}
	p := &publication{bucket: w.bucket, prefix: w.prefix, index: w.index}
	var digests []FileDigest
	for i, data := range w.data {
		p.data = append(p.data, data)
		digests = append(digests, w.sums[i].digest(DataName(w.prefix, i, len(w.data))))
	}
	if before != nil {
		sum := newSummer()
		sum.Write(index)
		p.before = func(ctx context.Context) error { return before(ctx, sum.digest(IndexName(w.prefix)), digests) }
	}
	if err := p.publish(ctx); err != nil {
		return err
	}
	w.done = true
	return nil
}

// Abort gives the bundle up: nothing of it stays. After Commit it does nothing.
func (w *RawWriter) Abort() error {
	if w.done {
		return nil
	}
	w.done = true
	errs := []error{w.index.Abort()}
	for _, data := range w.data {
		errs = append(errs, data.Abort())
	}
	return errors.Join(errs...)
}
