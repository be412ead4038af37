package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
)

// Recover finishes or undoes an overwrite of this prefix that was interrupted.
// If the new checkpoint is in place, the old one's second names go; otherwise
// the old one comes back. Without such traces it changes nothing. It waits for
// a Writer of the same prefix that is committing, if the storage is a
// storage.Claimer, and otherwise makes it fail.
func Recover(ctx context.Context, b storage.Bucket, prefix string) error {
	if found, err := traced(ctx, b, prefix); err != nil || !found {
		return err
	}
	c, err := waitClaim(ctx, b, prefix)
	if err != nil {
		return err
	}
	defer func() { c.release() }()
	if c, err = c.put(ctx, b, prefix); err != nil {
		return err
	}
	return c.recover(ctx, b, prefix)
}

// traced tells whether an overwrite has left anything.
func traced(ctx context.Context, b storage.Bucket, prefix string) (bool, error) {
	for info, err := range b.List(ctx, undoOf(prefix)+".") {
		if errors.Is(err, fs.ErrNotExist) {
			break // no folder, no traces
		}
		if err != nil {
			return false, err
		}
		if info.Name == claimName(prefix) || tracePrefix(info.Name) == undoOf(prefix) {
			return true, nil
		}
	}
	return false, nil
}

// recover is Recover for who has claimed the prefix. Published claims of the dead go
// with the rest.
func (c *claim) recover(ctx context.Context, b storage.Bucket, prefix string) error {
	err := c.settle(ctx, b, prefix)
	if err == nil && claims(b) {
		err = remove(ctx, b, claimName(prefix))
	}
	return err
}

func (c *claim) settle(ctx context.Context, b storage.Bucket, prefix string) error {
	undo := undoOf(prefix)
	committed, err := exists(ctx, b, IndexName(undo))
	if err != nil {
		return err
	}
	if !committed {
		// The second names were never complete, so the first were not touched.
		return dropUndoData(ctx, b, prefix)
	}
	good, err := whole(ctx, b, prefix)
	if err == nil {
		err = c.check(ctx)
	}
	if err != nil {
		return err
	}
	if good {
		if err := removeNew(ctx, b, prefix); err != nil {
			return err
		}
		return dropUndo(ctx, b, prefix)
	}
	present, err := exists(ctx, b, IndexName(prefix))
	if err != nil {
		return err
	}
	if present {
		// Of two that are damaged the one in place stays: the second names may
		// be half gone.
		better, err := whole(ctx, b, undo)
		if err == nil {
			err = c.check(ctx)
		}
		if err != nil {
			return err
		}
		if !better {
			return dropUndo(ctx, b, prefix)
		}
	}
	if err := restore(ctx, b, prefix); err != nil {
		return err
	}
	if err := c.check(ctx); err != nil {
		return err
	}
	if err := removeNew(ctx, b, prefix); err != nil {
		return err
	}
	return dropUndo(ctx, b, prefix)
}

// removeNew removes the data files of a checkpoint that came with an overwrite
// and are none of its own: new ones, for another number of shards, beside the old
// index that stayed or is back. What was there before has a second name. It also
// removes those of the old checkpoint beside a new index, where a removal was
// lost.
func removeNew(ctx context.Context, b storage.Bucket, prefix string) error {
	undo := undoOf(prefix)
	shards, err := shardsOf(ctx, b, prefix)
	if err != nil {
		return err
	}
	old, err := shardsOf(ctx, b, undo)
	if err != nil || shards < 0 {
		return err
	}
	before, err := dataFiles(ctx, b, undo)
	if err != nil {
		return err
	}
	keep := make(map[string]bool, len(before))
	for _, name := range before {
		if _, _, n, _ := ParseDataName(name); n != old {
			keep[moveName(name, undo, prefix)] = true
		}
	}
	all, err := dataFiles(ctx, b, prefix)
	if err != nil {
		return err
	}
	for _, name := range all {
		if _, _, n, _ := ParseDataName(name); n == shards || keep[name] {
			continue
		}
		if err := remove(ctx, b, name); err != nil {
			return err
		}
	}
	return nil
}

// whole reports whether a checkpoint opens and its files have the sizes its
// index needs.
func whole(ctx context.Context, b storage.Bucket, prefix string) (bool, error) {
	r, err := openAt(ctx, b, prefix, prefix, nil)
	if errors.Is(err, ErrCorrupt) || errors.Is(err, errors.ErrUnsupported) || errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer r.Close()
	for finding := range r.CheckLayout(ctx) {
		if finding.Kind != fault.KindUnreadable {
			return false, nil
		}
		// What cannot be read now is not known to be bad.
		return false, finding
	}
	return true, ctx.Err()
}

// restore puts the files of the undo place back, the index last.
func restore(ctx context.Context, b storage.Bucket, prefix string) error {
	undo := undoOf(prefix)
	if err := remove(ctx, b, IndexName(prefix)); err != nil {
		return err
	}
	if err := syncRemovals(ctx, b); err != nil {
		return err
	}
	data, err := dataFiles(ctx, b, undo)
	if err != nil {
		return err
	}
	for _, name := range data {
		if err := link(ctx, b, name, moveName(name, undo, prefix)); err != nil {
			return err
		}
	}
	return link(ctx, b, IndexName(undo), IndexName(prefix))
}

// dropUndo removes the second names, the index first: data without it is a
// leftover, it without data would be a damaged checkpoint.
func dropUndo(ctx context.Context, b storage.Bucket, prefix string) error {
	undo := undoOf(prefix)
	if err := remove(ctx, b, IndexName(undo)); err != nil {
		return err
	}
	names, err := dataFiles(ctx, b, undo)
	if err != nil {
		return err
	}
	counts := make(map[int]bool)
	for _, name := range names {
		_, _, shards, _ := ParseDataName(name)
		counts[shards] = true
	}
	if len(counts) > 1 {
		// Some belong to no index. Should the second one come back without them, they
		// would be taken for new.
		if err := syncRemovals(ctx, b); err != nil {
			return err
		}
	}
	return dropUndoData(ctx, b, prefix)
}

func dropUndoData(ctx context.Context, b storage.Bucket, prefix string) error {
	return removeData(ctx, b, undoOf(prefix))
}

func removeData(ctx context.Context, b storage.Bucket, prefix string) error {
	names, err := dataFiles(ctx, b, prefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := remove(ctx, b, name); err != nil {
			return err
		}
	}
	return nil
}

// Exists reports whether Open would find a checkpoint of this prefix. Whether
// it is a good one is not looked at.
func Exists(ctx context.Context, b storage.Bucket, prefix string) (bool, error) {
	// The second names go when the new index is there: perhaps between two looks.
	for _, name := range [...]string{IndexName(prefix), IndexName(undoOf(prefix)), IndexName(prefix)} {
		if found, err := exists(ctx, b, name); found || err != nil {
			return found, err
		}
	}
	r, err := openV1(ctx, b, prefix, nil)
	if r == nil {
		return false, err
	}
	return true, r.Close()
}

// noCheckpoint says that a prefix names nothing.
func noCheckpoint(prefix string, err error) error {
	return fmt.Errorf("no checkpoint at prefix %s: %w", strconv.Quote(prefix), err)
}
