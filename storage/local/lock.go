package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

// Lock implements storage.Locker with a lock (flock) on the folder itself, so
// that nothing has to be cleaned up; Identify tells when it is no longer that of the
// folder of this name. Linux tells which process holds it. Where the file system has no such locks it is
// errors.ErrUnsupported.
func (b *Bucket) Lock(ctx context.Context, folder string) (unlock func() error, err error) {
	at, err := b.folderName(ctx, "lock", folder)
	if err != nil {
		return nil, err
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

// Identify implements storage.Identifier.
func (b *Bucket) Identify(ctx context.Context, folder string) (fs.FileInfo, error) {
	const op = "stat"
	at, err := b.folderName(ctx, op, folder)
	if err != nil {
		return nil, err
	}
	dir, err := b.folder(op, folder)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	info, err := dir.Stat(at)
	if err == nil && !info.IsDir() {
		err = errNotFolder
	}
	if err != nil {
		return nil, b.fail(op, folder, err)
	}
	return info, nil
}

// folderName is a folder's name in the bucket; "" is the bucket's own.
func (b *Bucket) folderName(ctx context.Context, op, folder string) (string, error) {
	if folder == "" {
		return ".", ctx.Err()
	}
	return folder, b.check(ctx, op, folder)
}
