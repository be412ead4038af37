package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"github.com/ckpt-go/ckpt/storage"
)

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
