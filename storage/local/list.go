package local

import (
	"cmp"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"os"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

// batch is how many names are read from a folder at once.
const batch = 1024

// List implements storage.Bucket. A symbolic link counts as the file it leads
// to; one that leads out of the folder is listed with its own size, and Open
// says why it is refused.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		at, base, err := names.Folder(prefix)
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			yield(storage.Info{}, err)
			return
		}
		dir, err := b.folder("list", at)
		if err != nil {
			yield(storage.Info{}, err)
			return
		}
		defer dir.Close()
		found, err := b.readFolder(dir, at, func(name string) bool {
			return strings.HasPrefix(name, base) && !isTemp(name)
		})
		if err != nil {
			yield(storage.Info{}, err)
			return
		}
		for _, entry := range found {
			name := names.Join(at, entry.Name())
			info, err := b.info(ctx, dir, name, entry)
			if err != nil {
				yield(storage.Info{}, err)
				return
			}
			if info != nil && !yield(storage.Info{Name: name, Size: info.Size(), ModTime: info.ModTime()}, nil) {
				return
			}
		}
	}
}

// readFolder returns the entries of a folder whose names keep wants, sorted by
// name; folders are left out where the system says so at once.
func (b *Bucket) readFolder(dir folder, at string, keep func(name string) bool) ([]fs.DirEntry, error) {
	f, err := dir.OpenFile(at, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, b.fail("list", at, err)
	}
	defer f.Close()
	var found []fs.DirEntry
	for {
		entries, err := f.ReadDir(batch)
		for _, entry := range entries {
			if !entry.IsDir() && keep(entry.Name()) {
				found = append(found, entry)
			}
		}
		if err == io.EOF {
			slices.SortFunc(found, func(x, y fs.DirEntry) int { return cmp.Compare(x.Name(), y.Name()) })
			return found, nil
		}
		if err != nil {
			return nil, b.fail("list", at, err)
		}
	}
}

// info describes a file, or returns nil for what is not one. The entry's own
// description takes half the time of one through os.Root; should the folder be
// swapped meanwhile, a size and a time are all that is wrong.
func (b *Bucket) info(ctx context.Context, dir folder, name string, entry fs.DirEntry) (fs.FileInfo, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	info, err := entry.Info()
	if err == nil && info.Mode()&fs.ModeSymlink != 0 {
		target, err := dir.Stat(name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil, nil
		case err != nil:
			return info, nil
		}
		info = target
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // removed meanwhile
	}
	if err != nil {
		return nil, b.fail("list", name, err)
	}
	if !info.Mode().IsRegular() {
		return nil, nil
	}
	return info, nil
}
