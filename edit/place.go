package edit

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// place is where a prefix lives: a name in a bucket.
type place struct {
	bucket storage.Bucket
	name   string
	prefix string // as the caller spells it
}

// at is the place of a prefix.
func (o *RepairOptions) at(prefix string) place {
	if o.Bucket != nil {
		return place{o.Bucket, prefix, prefix}
	}
	i := len(prefix)
	for i > 0 && !os.IsPathSeparator(prefix[i-1]) {
		i--
	}
	dir := prefix[:i]
	if dir == "" {
		dir = "."
	}
	return place{local.Open(dir, &local.Options{FollowLinks: o.FollowLinks}), prefix[i:], prefix}
}

// open are the options to read it as the library does.
func (o *RepairOptions) open() *ckpt.OpenOptions {
	return &ckpt.OpenOptions{Bucket: o.Bucket, FollowLinks: o.FollowLinks}
}

// folder is the part of a name up to its last slash.
func folder(name string) string { return name[:strings.LastIndexByte(name, '/')+1] }

// dataName is the name in the bucket of a data file that a reader reads.
func dataName(at place, rd *bundle.Reader, shard int32) string {
	return folder(at.name) + rd.DataFile(shard)
}

// neighbours are the other checkpoints of the folder, by name from the last.
func neighbours(ctx context.Context, of place) (all []place, err error) {
	dir := folder(of.name)
	for info, err := range of.bucket.List(ctx, dir) {
		if err != nil {
			return nil, err
		}
		name, ok := strings.CutSuffix(info.Name, ".index")
		if base := strings.TrimPrefix(name, dir); !ok || name == of.name || base == "" || base[0] == '.' {
			continue
		}
		all = append([]place{{of.bucket, name, strings.TrimSuffix(of.prefix, of.name) + name}}, all...)
	}
	return all, nil
}

// maxIndex and maxState bound what is read of an index and of a state file: a file may
// claim any size. Of an index that is a million tensors with long names, twice.
const (
	maxIndex = 256 << 20
	maxState = 64 << 20
)

// readAll reads a whole file, if it has no more bytes than that.
func readAll(ctx context.Context, b storage.Bucket, name string, most int64) ([]byte, error) {
	f, err := b.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > most {
		c := fault.Corrupt(fault.KindFormat, "%d bytes; a repair reads at most %d", f.Size(), most)
		c.File = baseName(name)
		return nil, c
	}
	data := make([]byte, f.Size())
	if n, err := f.ReadAt(data, 0); n < len(data) {
		return nil, cmp.Or(err, io.ErrUnexpectedEOF)
	}
	return data, nil
}

// checkSource refuses what cannot be repaired at all.
func checkSource(ctx context.Context, at place) error {
	f, err := at.bucket.Open(ctx, bundle.IndexName(at.name))
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if rd, err := bundle.Open(ctx, at.bucket, at.name, nil); err == nil {
		v1 := false
		for it, err := range rd.Entries() {
			v1 = err == nil && it.Entry.Shard < 0
			break
		}
		rd.Close()
		if v1 {
			return fmt.Errorf("it has the format before bundles (V1), which has no checksums of tensors: it can be verified, and restored, but not repaired: %w", errors.ErrUnsupported)
		}
		return errors.New("a save over this checkpoint was interrupted; open it with a Manager, or call bundle.Recover, and repair it then")
	}
	for info, err := range at.bucket.List(ctx, at.name+".") {
		if err != nil {
			return err
		}
		if p, _, _, ok := bundle.ParseDataName(info.Name); ok && p == at.name {
			return nil // the index is lost
		}
	}
	return fmt.Errorf("there are no files of this checkpoint: %w", errors.Join(ckpt.ErrNoCheckpoint, fs.ErrNotExist))
}

// checkTarget refuses a prefix that is not free, and the source, also by another
// path, which looks free if it lost its index.
func (j *job) checkTarget(ctx context.Context) error {
	if err := bundle.CheckFree(ctx, j.to.bucket, j.to.name); err != nil {
		return err
	}
	for info, err := range j.to.bucket.List(ctx, j.to.name+".") {
		if errors.Is(err, fs.ErrNotExist) {
			break // no folder, no files
		}
		if err != nil {
			return err
		}
		p, _, _, ok := bundle.ParseDataName(info.Name)
		if !ok || p != j.to.name {
			continue
		}
		own, err := j.isSource(ctx, info.Name)
		if err != nil {
			return err
		}
		if own {
			return fmt.Errorf("it is the checkpoint to be repaired, which is not changed; give a new name: %w", fs.ErrExist)
		}
	}
	return nil
}

// isSource tells whether a data file of the new checkpoint is one of the source.
func (j *job) isSource(ctx context.Context, name string) (bool, error) {
	if j.o.Bucket != nil {
		return j.from.name == j.to.name, nil
	}
	a, err := j.to.bucket.Open(ctx, name)
	if err != nil {
		return false, err
	}
	defer a.Close()
	b, err := j.from.bucket.Open(ctx, j.from.name+strings.TrimPrefix(name, j.to.name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer b.Close()
	s, ok := a.(storage.SameFiler)
	return ok && s.SameFile(b), nil
}

// checkLeft refuses data files without an index that this repair would not write.
func (j *job) checkLeft(ctx context.Context, l *layout) error {
	for info, err := range j.to.bucket.List(ctx, j.to.name+".") {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		p, shard, shards, ok := bundle.ParseDataName(info.Name)
		if !ok || p != j.to.name {
			continue
		}
		if shards != len(l.shards) || info.Size != l.size(shard) {
			return bundle.LostIndex(info.Name)
		}
	}
	return nil
}
