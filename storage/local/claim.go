package local

import (
	"context"
	"errors"
	"io/fs"
	"path"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

// Claim implements storage.Claimer by an unpublished file of that name, as Create
// makes one. What dead claims of the name have left goes. Where the file system has
// no locks it is errors.ErrUnsupported, and a folder that does not exist is
// fs.ErrNotExist.
func (b *Bucket) Claim(ctx context.Context, name string) (release func() error, err error) {
	const op = "claim"
	if err := b.check(ctx, op, name); err != nil {
		return nil, err
	}
	dir, err := b.folder(op, name)
	if err != nil {
		return nil, err
	}
	f, temp, err := b.createTemp(dir, name)
	if err != nil {
		dir.Close()
		if errors.Is(err, errLocked) {
			return nil, b.fail(op, name, &storage.LockedError{})
		}
		return nil, b.fail(op, name, err)
	}
	release = sync.OnceValue(func() error {
		err := dir.Remove(temp)
		return errors.Join(err, f.Close(), dir.Close())
	})
	err = lockFile(f) // again: createTemp does without
	if err == nil {
		err = b.alone(dir, name, temp)
	}
	if err != nil {
		release()
		if errors.Is(err, errors.ErrUnsupported) {
			return nil, err
		}
		return nil, b.fail(op, name, err)
	}
	return release, nil
}

// alone is a *storage.LockedError if a file that is not published under a name has a
// writer that lives, other than that of own. Those of the dead are removed.
func (b *Bucket) alone(dir folder, name, own string) error {
	at, base := path.Dir(name), path.Base(name)
	same := func(temp string) bool {
		of, _, ok := parseTemp(temp)
		return ok && of == base
	}
	found, err := b.readFolder(dir, at, same)
	if err != nil {
		return err
	}
	for _, entry := range found {
		temp := names.Join(at, entry.Name())
		if temp == own {
			continue
		}
		f, err := openDead(dir, temp)
		switch {
		case err == nil:
			err = dir.Remove(temp)
			f.Close()
			if err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		case errors.Is(err, errAlive):
			return &storage.LockedError{}
		}
	}
	return nil
}
