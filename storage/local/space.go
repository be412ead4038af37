package local

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
)

// Free implements storage.Spacer with what the file system says. Where the folder does not exist yet, the one
// above it that does is asked. It is errors.ErrUnsupported on other systems than
// Linux and macOS, and on file systems without a size.
func (b *Bucket) Free(ctx context.Context) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	for at := filepath.Clean(b.path); ; {
		n, ok, err := free(at)
		up := filepath.Dir(at)
		switch {
		case errors.Is(err, fs.ErrNotExist) && up != at:
			at = up
			continue
		case err != nil:
			return 0, b.fail("free", "", err)
		case !ok:
			return 0, errors.ErrUnsupported
		}
		return n, nil
	}
}
