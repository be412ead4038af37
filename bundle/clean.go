package bundle

import (
	"context"
	"errors"
	"io/fs"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/storage"
)

// Clean finishes what crashes interrupted at prefixes that match wants: it
// undoes or finishes overwrites, finishes removals, and removes unpublished
// files of dead writers with the data files they had published before their
// index. An unpublished file of exactly the prefix's name says the same of that
// prefix as one of its index; it is the caller's and stays. A data file without
// an index and without such evidence is somebody else's and stays. It looks at
// the top folder of the bucket, and returns the names it removed, also when it fails
// later. What dead claims left goes whatever their prefix. A prefix whose Writer is committing it leaves alone, if the storage is a
// storage.Claimer; otherwise it takes the prefix over, and the Writer fails.
func Clean(ctx context.Context, b storage.Bucket, match func(prefix string) bool) (removed []string, err error) {
	return CleanFolder(ctx, b, "", match)
}

// CleanFolder is Clean for a folder of the bucket, whose name ends in a slash.
// Unpublished files are removed as far as the bucket's Leftovers reach.
func CleanFolder(ctx context.Context, b storage.Bucket, folder string, match func(prefix string) bool) (removed []string, err error) {
	undone, gone, err := traces(ctx, b, folder, match)
	if err != nil {
		return nil, err
	}
	c := cleaner{bucket: b}
	// Overwrites first: what they bring back has an index again, and its data
	// files are no orphans.
	for _, prefix := range undone {
		if err := c.claimed(ctx, prefix, c.undo); err != nil {
			return c.removed, err
		}
	}
	for _, prefix := range gone {
		if err := c.claimed(ctx, prefix, c.finish); err != nil {
			return c.removed, err
		}
	}
	if s, ok := b.(storage.Sweeper); ok {
		err = c.leftovers(ctx, s, match)
	}
	return c.removed, errors.Join(err, syncRemovals(ctx, b))
}

// traces lists the prefixes of a folder that overwrites and removals left marks
// of.
func traces(ctx context.Context, b storage.Bucket, folder string, match func(string) bool) (undone, gone []string, err error) {
	for info, err := range b.List(ctx, folder+markPrefix) {
		if errors.Is(err, fs.ErrNotExist) {
			break // no folder, no traces
		}
		if err != nil {
			return nil, nil, err
		}
		name, claimed := strings.CutSuffix(info.Name, claimSuffix)
		if !claimed {
			name = tracePrefix(name)
		}
		if prefix, ok := unmark(name, undoPrefix); ok && match(prefix) && !slices.Contains(undone[max(0, len(undone)-1):], prefix) {
			undone = append(undone, prefix)
		}
		if name, ok := parseIndexName(info.Name); ok {
			if prefix, ok := unmark(name, gonePrefix); ok && match(prefix) {
				gone = append(gone, prefix)
			}
		}
	}
	return undone, gone, nil
}

// tracePrefix returns the prefix a file name belongs to, "" if it is neither
// an index nor a data file.
func tracePrefix(name string) string {
	if prefix, ok := parseIndexName(name); ok {
		return prefix
	}
	prefix, _, _, _ := ParseDataName(name)
	return prefix
}

// cleaner removes files and keeps a list.
type cleaner struct {
	bucket  storage.Bucket
	removed []string
}

func (c *cleaner) remove(ctx context.Context, name string) error {
	err := c.bucket.Remove(ctx, name)
	if err == nil {
		c.removed = append(c.removed, name)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// claimed does something to a prefix unless somebody else does.
func (c *cleaner) claimed(ctx context.Context, prefix string, do func(context.Context, *claim, string) error) error {
	held, err := tryClaim(ctx, c.bucket, prefix)
	if _, locked := errors.AsType[*storage.LockedError](err); locked {
		return nil
	}
	if err != nil {
		return err
	}
	defer held.release()
	return do(ctx, held, prefix)
}

// finish ends a removal.
func (c *cleaner) finish(ctx context.Context, _ *claim, prefix string) error {
	if err := c.orphans(ctx, prefix); err != nil {
		return err
	}
	// The evidence must not be gone before what it is evidence of.
	if err := syncRemovals(ctx, c.bucket); err != nil {
		return err
	}
	return c.remove(ctx, IndexName(goneOf(prefix)))
}

// undo settles an overwrite and lists the second names that are gone, and the new
// files of one that was undone.
func (c *cleaner) undo(ctx context.Context, held *claim, prefix string) (err error) {
	if held, err = held.put(ctx, c.bucket, prefix); err != nil {
		return err
	}
	defer held.release()
	undo := undoOf(prefix)
	names, err := dataFiles(ctx, c.bucket, undo)
	if err != nil {
		return err
	}
	if committed, err := exists(ctx, c.bucket, IndexName(undo)); err != nil {
		return err
	} else if committed {
		names = append(names, IndexName(undo))
	}
	before, err := dataFiles(ctx, c.bucket, prefix)
	if err != nil {
		return err
	}
	if err := held.recover(ctx, c.bucket, prefix); err != nil {
		return err
	}
	c.removed = append(c.removed, names...)
	after, err := dataFiles(ctx, c.bucket, prefix)
	if err != nil {
		return err
	}
	for _, name := range before {
		if _, stayed := slices.BinarySearch(after, name); !stayed {
			c.removed = append(c.removed, name)
		}
	}
	return nil
}

// orphans removes the data files of a prefix unless it has an index.
func (c *cleaner) orphans(ctx context.Context, prefix string) error {
	// An index in the undo place keeps the data of an overwrite alive.
	for _, name := range [...]string{IndexName(prefix), IndexName(undoOf(prefix))} {
		if found, err := exists(ctx, c.bucket, name); found || err != nil {
			return err
		}
	}
	names, err := dataFiles(ctx, c.bucket, prefix)
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := c.remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// leftovers removes the unpublished files of dead writers. That of an index
// goes after the data it proves to be ours, so that a crash here leaves the
// proof.
func (c *cleaner) leftovers(ctx context.Context, s storage.Sweeper, match func(string) bool) error {
	var dead []storage.Leftover
	for l, err := range s.Leftovers(ctx) {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
			break
		}
		if err != nil {
			return err
		}
		dead = append(dead, l)
	}
	for _, l := range dead {
		prefix := tracePrefix(l.Name)
		noted := prefix == "" && match(l.Name)
		if noted {
			prefix = l.Name
		}
		for _, mark := range [...]string{undoPrefix, gonePrefix} {
			// Copies to second names leave such files too.
			if original, ok := unmark(prefix, mark); ok {
				prefix = original
			}
		}
		claimed := prefix != "" && l.Size == 0 && l.Name == IndexName(undoOf(prefix)) // by the dead
		if prefix == "" || !match(prefix) && !claimed {
			continue
		}
		if noted || l.Name == IndexName(prefix) {
			settled := false
			err := c.claimed(ctx, prefix, func(ctx context.Context, _ *claim, prefix string) error {
				settled = true
				return errors.Join(c.orphans(ctx, prefix), syncRemovals(ctx, c.bucket))
			})
			if err != nil {
				return err
			}
			if !settled {
				continue
			}
		}
		if noted {
			continue
		}
		if err := s.RemoveLeftover(ctx, l); err != nil {
			return err
		}
		c.removed = append(c.removed, l.Name)
	}
	return nil
}
