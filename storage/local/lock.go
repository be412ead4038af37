package local

import (
	"context"
	"errors"
	"os"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

// Lock implements storage.Locker with a lock (flock) on the folder itself, so
// that nothing has to be cleaned up. Linux tells which process holds it. Where the
// file system has no such locks it is errors.ErrUnsupported.
func (b *Bucket) Lock(ctx context.Context, folder string) (unlock func() error, err error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	at := "."
	if folder != "" {
		if err := b.check(ctx, "lock", folder); err != nil {
			return nil, err
		}
		at = folder
	}
	dir, err := b.make("lock", names.Join(at, "file"))
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(at, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, b.fail("lock", folder, err)
	}
	err = lockFile(f)
	if err == nil {
		return sync.OnceValue(f.Close), nil
	}
	if errors.Is(err, errLocked) {
		err = &storage.LockedError{PID: lockHolder(f)}
	}
	f.Close()
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, err
	}
	return nil, b.fail("lock", folder, err)
}
