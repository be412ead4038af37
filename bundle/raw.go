package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

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
// checkpoint; one that is there is fs.ErrExist. Nothing is visible before Commit. A
// base name that is empty, a folder's ("." and ".."), or one of those that saves use
// (".ckpt-…") is fs.ErrInvalid.
func CreateRaw(ctx context.Context, b storage.Bucket, prefix string, shards int) (*RawWriter, error) {
	if err := CheckFree(ctx, b, prefix); err != nil {
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

// CheckFree returns the error that CreateRaw would have for a prefix.
func CheckFree(ctx context.Context, b storage.Bucket, prefix string) error {
	switch base := path.Base(prefix); {
	case base == "." || base == ".." || strings.HasSuffix(prefix, "/"):
		return fmt.Errorf("%s is no name for a checkpoint: %w", strconv.Quote(prefix), fs.ErrInvalid)
	case strings.HasPrefix(base, markPrefix):
		return fmt.Errorf("names that begin with %s are for files of saves; give another: %w", markPrefix, fs.ErrInvalid)
	}
	there, err := Exists(ctx, b, prefix)
	if err == nil && there {
		err = fmt.Errorf("there is a checkpoint %s; give a new name: %w", strconv.Quote(prefix), fs.ErrExist)
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
// that is not nil, as WriterOptions.BeforeIndex. Data files that are there without an
// index are fs.ErrExist, since a checkpoint may have lost it, unless their bytes are
// the same: a Commit that was killed leaves such. When it fails nothing of it stays,
// unless the storage goes on failing.
func (w *RawWriter) Commit(ctx context.Context, index []byte, before BeforeIndex) error {
	defer w.Abort()
	if w.done {
		return errDone
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
	if err := p.publishFree(ctx, digests); err != nil {
		return err
	}
	w.done = true
	return nil
}

// publishFree is publish for a prefix that must be free when its turn comes:
// another program may have been waited for, which wrote it.
func (p *publication) publishFree(ctx context.Context, data []FileDigest) (err error) {
	if p.claim, err = waitClaim(ctx, p.bucket, p.prefix); err != nil {
		return err
	}
	defer func() { p.claim.release() }()
	if err := CheckFree(ctx, p.bucket, p.prefix); err != nil {
		return err
	}
	left, err := dataFiles(ctx, p.bucket, p.prefix)
	if err != nil {
		return err
	}
	for _, name := range left {
		d, err := DigestFile(ctx, p.bucket, name)
		if err != nil {
			return err
		}
		if d.Name = name; !slices.Contains(data, d) {
			return LostIndex(name)
		}
	}
	if claims(p.bucket) {
		return p.publishNew(ctx)
	}
	return p.publishUnclaimed(ctx, left)
}

// publishUnclaimed is publishNew where another program may publish the same prefix just
// now: only the data files that were found to be left are taken away, and one that has
// got its name since makes it fail.
func (p *publication) publishUnclaimed(ctx context.Context, left []string) error {
	if err := p.makeWay(ctx, left); err != nil {
		return err
	}
	err := p.commitData(ctx)
	if err == nil {
		err = p.commitIndex(ctx)
	}
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("another program has written this checkpoint: %w", err)
	}
	if err == nil {
		return nil
	}
	// A commit may fail after the name was there. The index goes first: it must
	// not stay without its data.
	undo := context.WithoutCancel(ctx)
	if err2 := remove(undo, p.bucket, IndexName(p.prefix)); err2 != nil {
		return errors.Join(err, err2)
	}
	for i := range p.data {
		err = errors.Join(err, remove(undo, p.bucket, p.dataName(i)))
	}
	return err
}

// LostIndex says that a data file is in the way of a new checkpoint.
func LostIndex(name string) error {
	return fmt.Errorf("there is %s without an index, which a checkpoint may have lost; give a new name, or remove what nobody needs: %w", strconv.Quote(name), fs.ErrExist)
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
