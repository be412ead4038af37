package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/ckpt-go/ckpt/storage"
)

// publication is the files of a checkpoint that are complete but for their
// names.
type publication struct {
	bucket storage.Bucket
	prefix string
	data   []committer // by shard
	index  storage.Writer
	before func(ctx context.Context) error // once the data is durable; nil is nothing
	guard  func(ctx context.Context) error // of the caller; nil is nothing
	claim  *claim
}

// committer is a file that gets its name, durably, by Commit. A storage.Writer
// is one.
type committer interface {
	Commit(ctx context.Context) error
}

func (p *publication) dataName(shard int) string { return DataName(p.prefix, shard, len(p.data)) }

// publish commits the data, then the index. A crash at any point leaves the
// prefix readable as it was, or as it is now; a prefix that was new may be left
// without an index, which is no checkpoint.
//
// Meanwhile the prefix is claimed; where the storage knows no claims, only to
// overwrite, since nobody touches the files of a new one.
func (p *publication) publish(ctx context.Context) (err error) {
	if p.claim, err = waitClaim(ctx, p.bucket, p.prefix); err != nil {
		return err
	}
	defer func() { p.claim.release() }()
	undo, err := exists(ctx, p.bucket, IndexName(undoOf(p.prefix)))
	if err != nil {
		return err
	}
	if undo {
		if p.claim, err = p.claim.put(ctx, p.bucket, p.prefix); err != nil {
			return err
		}
		if err := p.claim.recover(ctx, p.bucket, p.prefix); err != nil {
			return err
		}
	}
	old, err := exists(ctx, p.bucket, IndexName(p.prefix))
	if err != nil {
		return err
	}
	if !old {
		return p.publishNew(ctx)
	}
	if p.claim, err = p.claim.put(ctx, p.bucket, p.prefix); err != nil {
		return err
	}
	return p.overwrite(ctx)
}

// check fails if somebody else has gone on with the files of the prefix.
func (p *publication) check(ctx context.Context) error {
	if err := p.claim.check(ctx); err != nil || p.guard == nil {
		return err
	}
	return p.guard(ctx)
}

// commitData gives the data files their names: together where the storage can,
// which takes fewer syncs.
func (p *publication) commitData(ctx context.Context) error {
	if err := p.commitGroup(ctx); !errors.Is(err, errors.ErrUnsupported) {
		return err
	}
	for _, c := range p.data {
		if err := c.Commit(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (p *publication) commitGroup(ctx context.Context) error {
	group, ok := p.bucket.(storage.GroupCommitter)
	if !ok || len(p.data) == 1 {
		return errors.ErrUnsupported
	}
	writers := make([]storage.Writer, len(p.data))
	for i, c := range p.data {
		if writers[i], ok = c.(storage.Writer); !ok {
			return errors.ErrUnsupported
		}
	}
	return group.CommitAll(ctx, writers)
}

func (p *publication) publishNew(ctx context.Context) error {
	// Data without an index may be a stranger's: a success replaces it, a
	// failure leaves it where prefixes can be claimed.
	orphans := make(map[string]bool)
	for i := range p.data {
		found, err := exists(ctx, p.bucket, p.dataName(i))
		if err != nil {
			return err
		}
		if found {
			orphans[p.dataName(i)] = true
		}
	}
	if err := p.makeWay(ctx, slices.Collect(maps.Keys(orphans))); err != nil {
		return err
	}
	err := p.commitData(ctx)
	if err == nil {
		err = p.commitIndex(ctx)
	}
	if err == nil {
		return nil
	}
	undo := context.WithoutCancel(ctx)
	if !claims(p.bucket) {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("another program has written this checkpoint: %w", err)
		}
		if p.check(undo) != nil {
			return err // what is there now is theirs
		}
	}
	// A commit may fail after the name was there. The index goes first: it must
	// not stay without its data.
	if err2 := remove(undo, p.bucket, IndexName(p.prefix)); err2 != nil {
		return errors.Join(err, err2)
	}
	for i := range p.data {
		if name := p.dataName(i); !orphans[name] {
			err = errors.Join(err, remove(undo, p.bucket, name))
		}
	}
	return err
}

// makeWay removes what has the names of new data files where nobody can claim a
// prefix: see fileOptions.
func (p *publication) makeWay(ctx context.Context, names []string) error {
	if claims(p.bucket) {
		return nil
	}
	if err := p.check(ctx); err != nil {
		return err
	}
	for _, name := range names {
		if err := remove(ctx, p.bucket, name); err != nil {
			return err
		}
	}
	return nil
}

// overwrite publishes over an index that exists.
func (p *publication) overwrite(ctx context.Context) error {
	oldData, err := keepUndo(ctx, p.bucket, p.prefix)
	if err != nil {
		ctx := context.WithoutCancel(ctx)
		if lost := p.check(ctx); lost != nil {
			return errors.Join(err, lost)
		}
		return errors.Join(err, dropUndo(ctx, p.bucket, p.prefix))
	}
	// From here on the old checkpoint can be read under its second names.
	if err := p.replace(ctx, oldData); err != nil {
		ctx := context.WithoutCancel(ctx)
		if lost := p.check(ctx); lost != nil {
			return errors.Join(err, lost)
		}
		// The new index may be visible though its commit failed: it goes first,
		// because Recover would take it for a success.
		return errors.Join(err, remove(ctx, p.bucket, IndexName(p.prefix)), p.claim.recover(ctx, p.bucket, p.prefix))
	}
	// The new checkpoint is durable. If its second names stay, the next Recover
	// sees that and drops them.
	if err := p.check(ctx); err != nil {
		return err
	}
	return dropUndo(ctx, p.bucket, p.prefix)
}

// replace takes the old index away and puts the new files in place.
func (p *publication) replace(ctx context.Context, oldData []string) error {
	if err := p.check(ctx); err != nil {
		return err
	}
	if err := p.bucket.Remove(ctx, IndexName(p.prefix)); err != nil {
		return err
	}
	if err := syncRemovals(ctx, p.bucket); err != nil {
		return err
	}
	way := slices.Clone(oldData)
	for i := range p.data {
		way = append(way, p.dataName(i))
	}
	if err := p.makeWay(ctx, way); err != nil {
		return err
	}
	if err := p.commitData(ctx); err != nil {
		return err
	}
	if err := p.check(ctx); err != nil {
		return err
	}
	for _, name := range oldData {
		if _, _, shards, _ := ParseDataName(name); shards == len(p.data) {
			continue // replaced
		}
		if err := remove(ctx, p.bucket, name); err != nil {
			return err
		}
	}
	return p.commitIndex(ctx)
}

// commitIndex is the moment the checkpoint is there.
func (p *publication) commitIndex(ctx context.Context) error {
	if p.before != nil {
		if err := p.before(ctx); err != nil {
			return err
		}
	}
	if err := p.check(ctx); err != nil {
		return err
	}
	return p.index.Commit(ctx)
}

// keepUndo gives the files of a checkpoint their second names, the index last,
// and returns the data files among them: those its index speaks of, or all of the
// prefix if it cannot be read. Data files of the prefix that no index
// speaks of, as an earlier writer left them, get second names too: after a crash
// those without are known to be new.
func keepUndo(ctx context.Context, b storage.Bucket, prefix string) (data []string, err error) {
	if err := dropUndoData(ctx, b, prefix); err != nil {
		return nil, err
	}
	all, err := dataFiles(ctx, b, prefix)
	if err != nil {
		return nil, err
	}
	shards, err := shardsOf(ctx, b, prefix)
	if err != nil {
		return nil, err
	}
	data = all
	if shards >= 0 {
		data = ofShards(all, shards)
	}
	undo := undoOf(prefix)
	for _, name := range all {
		if err := link(ctx, b, name, moveName(name, prefix, undo)); err != nil {
			return nil, err
		}
	}
	return data, link(ctx, b, IndexName(prefix), IndexName(undo))
}

// shardsOf is how many shards the index of a prefix speaks of, −1 if it cannot be
// read.
func shardsOf(ctx context.Context, b storage.Bucket, prefix string) (int, error) {
	r, err := openAt(ctx, b, prefix, prefix, nil)
	switch {
	case err == nil:
		return int(r.header.NumShards), r.Close()
	case errors.Is(err, ErrCorrupt) || errors.Is(err, errors.ErrUnsupported):
		return -1, nil
	}
	return 0, err
}

// ofShards are those data files that belong to that number of shards.
func ofShards(all []string, shards int) (own []string) {
	for _, name := range all {
		if _, _, n, _ := ParseDataName(name); n == shards {
			own = append(own, name)
		}
	}
	return own
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
