package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ckpt-go/ckpt/storage"
)

// publish commits the data, then the index. A crash at any point leaves the
// prefix readable as it was, or as it is now; a prefix that was new may be left
// without an index, which is no checkpoint.
func (w *Writer) publish(ctx context.Context) error {
	undo, err := exists(ctx, w.bucket, IndexName(undoOf(w.prefix)))
	if err != nil {
		return err
	}
	if undo {
		if err := Recover(ctx, w.bucket, w.prefix); err != nil {
			return err
		}
	}
	old, err := exists(ctx, w.bucket, IndexName(w.prefix))
	if err != nil {
		return err
	}
	if old {
		return w.overwrite(ctx)
	}
	return w.publishNew(ctx)
}

func (w *Writer) publishNew(ctx context.Context) error {
	// Data without an index may be a stranger's: a success replaces it, a
	// failure leaves it.
	orphan, err := exists(ctx, w.bucket, DataName(w.prefix, 0, 1))
	if err != nil {
		return err
	}
	err = w.data.Commit(ctx)
	if err == nil {
		err = w.index.Commit(ctx)
	}
	if err == nil {
		return nil
	}
	// A commit may fail after the name was there. The index goes first: it must
	// not stay without its data.
	undo := context.WithoutCancel(ctx)
	if err2 := remove(undo, w.bucket, IndexName(w.prefix)); err2 != nil || orphan {
		return errors.Join(err, err2)
	}
	return errors.Join(err, remove(undo, w.bucket, DataName(w.prefix, 0, 1)))
}

// overwrite publishes over an index that exists.
func (w *Writer) overwrite(ctx context.Context) error {
	oldData, err := keepUndo(ctx, w.bucket, w.prefix)
	if err != nil {
		return errors.Join(err, dropUndo(context.WithoutCancel(ctx), w.bucket, w.prefix))
	}
	// From here on the old checkpoint can be read under its second names.
	if err := w.replace(ctx, oldData); err != nil {
		ctx := context.WithoutCancel(ctx)
		// The new index may be visible though its commit failed: it goes first,
		// because Recover would take it for a success.
		return errors.Join(err, remove(ctx, w.bucket, IndexName(w.prefix)), Recover(ctx, w.bucket, w.prefix))
	}
	// The new checkpoint is durable. If its second names stay, the next Recover
	// sees that and drops them.
	return dropUndo(ctx, w.bucket, w.prefix)
}

// replace takes the old index away and puts the new files in place.
func (w *Writer) replace(ctx context.Context, oldData []string) error {
	if err := w.bucket.Remove(ctx, IndexName(w.prefix)); err != nil {
		return err
	}
	if err := syncRemovals(ctx, w.bucket); err != nil {
		return err
	}
	if err := w.data.Commit(ctx); err != nil {
		return err
	}
	for _, name := range oldData {
		if name == DataName(w.prefix, 0, 1) {
			continue
		}
		if err := remove(ctx, w.bucket, name); err != nil {
			return err
		}
	}
	return w.index.Commit(ctx)
}

// keepUndo gives the files of a checkpoint their second names, the index last,
// and returns the data files among them.
func keepUndo(ctx context.Context, b storage.Bucket, prefix string) (data []string, err error) {
	if err := dropUndoData(ctx, b, prefix); err != nil {
		return nil, err
	}
	data, err = ownData(ctx, b, prefix)
	if err != nil {
		return nil, err
	}
	undo := undoOf(prefix)
	for _, name := range data {
		if err := link(ctx, b, name, moveName(name, prefix, undo)); err != nil {
			return nil, err
		}
	}
	return data, link(ctx, b, IndexName(prefix), IndexName(undo))
}

// ownData lists the data files of a checkpoint that exist: those its header
// speaks of, or all of that prefix if the index cannot be read.
func ownData(ctx context.Context, b storage.Bucket, prefix string) ([]string, error) {
	shards := -1
	r, err := openAt(ctx, b, prefix, prefix, nil)
	switch {
	case err == nil:
		shards = int(r.header.NumShards)
		err = r.Close()
	case errors.Is(err, ErrCorrupt) || errors.Is(err, errors.ErrUnsupported):
		err = nil
	}
	if err != nil {
		return nil, err
	}
	all, err := dataFiles(ctx, b, prefix)
	if err != nil || shards < 0 {
		return all, err
	}
	var own []string
	for _, name := range all {
		if _, _, n, _ := ParseDataName(name); n == shards {
			own = append(own, name)
		}
	}
	return own, nil
}

// dataFiles lists all data files of a prefix, whatever number of shards they
// belong to.
func dataFiles(ctx context.Context, b storage.Bucket, prefix string) ([]string, error) {
	var names []string
	for info, err := range b.List(ctx, prefix+dataInfix) {
		if errors.Is(err, fs.ErrNotExist) {
			break // no folder, no files
		}
		if err != nil {
			return nil, err
		}
		if p, _, _, ok := ParseDataName(info.Name); ok && p == prefix {
			names = append(names, info.Name)
		}
	}
	return names, nil
}

// moveName returns the name a data file of one prefix has under another.
func moveName(name, from, to string) string { return to + name[len(from):] }

// exists reports whether a file of that name can be opened.
func exists(ctx context.Context, b storage.Bucket, name string) (bool, error) {
	f, err := b.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

// remove removes a file that may be gone already.
func remove(ctx context.Context, b storage.Bucket, name string) error {
	if err := b.Remove(ctx, name); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// syncRemovals makes removals durable where that takes a step of its own.
func syncRemovals(ctx context.Context, b storage.Bucket) error {
	s, ok := b.(storage.Syncer)
	if !ok {
		return nil
	}
	if err := s.Sync(ctx); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	return nil
}

// link gives a file a second, durable name, replacing what had it; where the
// storage has no links, by a copy.
func link(ctx context.Context, b storage.Bucket, name, newName string) error {
	l, ok := b.(storage.Linker)
	if !ok {
		return duplicate(ctx, b, name, newName)
	}
	err := l.Link(ctx, name, newName)
	if errors.Is(err, fs.ErrExist) {
		if err := remove(ctx, b, newName); err != nil {
			return err
		}
		err = l.Link(ctx, name, newName)
	}
	if errors.Is(err, errors.ErrUnsupported) {
		return duplicate(ctx, b, name, newName)
	}
	return err
}

func duplicate(ctx context.Context, b storage.Bucket, name, newName string) error {
	from, err := b.Open(ctx, name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := b.Create(ctx, newName, &storage.CreateOptions{Size: from.Size()})
	if err != nil {
		return err
	}
	defer to.Abort()
	buf := make([]byte, chunkSize)
	for off := int64(0); off < from.Size(); {
		if err := ctx.Err(); err != nil {
			return err
		}
		p := buf[:min(int64(len(buf)), from.Size()-off)]
		if n, err := from.ReadAt(p, off); n < len(p) {
			if err == nil || err == io.EOF {
				err = io.ErrUnexpectedEOF
			}
			return fmt.Errorf("copy %s: %w", name, err)
		}
		if _, err := to.Write(p); err != nil {
			return err
		}
		off += int64(len(p))
	}
	return to.Commit(ctx)
}
