package bundle

import (
	"context"
	"errors"
	"io/fs"
	"syscall"

	"github.com/ckpt-go/ckpt/storage"
)

// Remove removes a checkpoint, its index first, and its data files of any
// number of shards. A prefix without a checkpoint is fs.ErrNotExist. After a
// crash the next Remove or Clean finishes what was begun.
func Remove(ctx context.Context, b storage.Bucket, prefix string) error {
	c, err := ClaimPrefix(ctx, b, prefix)
	if err != nil {
		return err
	}
	defer c.Release()
	return c.Remove(ctx)
}

// Remove is Remove of the prefix.
func (c *Claim) Remove(ctx context.Context) error {
	b, prefix := c.bucket, c.prefix
	undo, err := exists(ctx, b, IndexName(undoOf(prefix)))
	if err != nil {
		return err
	}
	if undo {
		if !claims(b) {
			if c.held, err = c.held.put(ctx, b, prefix); err != nil {
				return err
			}
		}
		// Without this the old checkpoint would come back.
		if err := c.held.recover(ctx, b, prefix); err != nil {
			return err
		}
	}
	present, err := exists(ctx, b, IndexName(prefix))
	if err != nil {
		return err
	}
	if present {
		if err := removeIndex(ctx, b, prefix); err != nil {
			return err
		}
	} else if begun, err := exists(ctx, b, IndexName(goneOf(prefix))); err != nil {
		return err
	} else if !begun {
		return noCheckpoint(prefix, fs.ErrNotExist)
	}
	return finishRemoval(ctx, b, prefix)
}

// Discard removes the data files of a prefix that has no index: what a Commit
// that failed could not take back. That they are its own only the caller knows.
// A prefix with a checkpoint is fs.ErrExist.
func Discard(ctx context.Context, b storage.Bucket, prefix string) error {
	c, err := ClaimPrefix(ctx, b, prefix)
	if err != nil {
		return err
	}
	defer c.Release()
	return c.Discard(ctx)
}

// Discard is Discard of the prefix.
func (c *Claim) Discard(ctx context.Context) error {
	b, prefix := c.bucket, c.prefix
	found, err := Exists(ctx, b, prefix)
	if err != nil {
		return err
	}
	if found {
		return &fs.PathError{Op: "discard", Path: prefix, Err: fs.ErrExist}
	}
	return errors.Join(removeData(ctx, b, prefix), syncRemovals(ctx, b))
}

// removeIndex takes the index away, keeping it as evidence that the data files
// may go too, and makes that durable before any of them does.
func removeIndex(ctx context.Context, b storage.Bucket, prefix string) error {
	err := link(ctx, b, IndexName(prefix), IndexName(goneOf(prefix)))
	if isFull(err) {
		return removeIndexFirst(ctx, b, prefix)
	}
	if err != nil {
		return err
	}
	if err := b.Remove(ctx, IndexName(prefix)); err != nil {
		return err
	}
	return syncRemovals(ctx, b)
}

// removeIndexFirst is removeIndex where there is no room for a second name, and none
// would ever be made if that stopped it. What is left of the index is evidence for
// whoever has the checkpoint in a list; for others an empty file is put where it was
// freed, if that is enough.
func removeIndexFirst(ctx context.Context, b storage.Bucket, prefix string) error {
	if err := b.Remove(ctx, IndexName(prefix)); err != nil {
		return err
	}
	if err := syncRemovals(ctx, b); err != nil {
		return err
	}
	if err := putEmpty(ctx, b, IndexName(goneOf(prefix))); !isFull(err) {
		return err
	}
	return nil
}

func putEmpty(ctx context.Context, b storage.Bucket, name string) error {
	w, err := b.Create(ctx, name, nil)
	if err != nil {
		return err
	}
	defer w.Abort()
	return w.Commit(ctx)
}

// isFull tells whether a disk or somebody's part of it has no room for another file
// or name.
func isFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// finishRemoval removes the data files of a prefix that has no index, and the
// evidence last.
func finishRemoval(ctx context.Context, b storage.Bucket, prefix string) error {
	if err := removeData(ctx, b, prefix); err != nil {
		return err
	}
	if err := syncRemovals(ctx, b); err != nil {
		return err
	}
	return remove(ctx, b, IndexName(goneOf(prefix)))
}
