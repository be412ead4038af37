package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strconv"

	"github.com/ckpt-go/ckpt/storage"
)

// ErrReplaced says that a checkpoint was written anew, or removed, between the
// opening of its index and that of its data, which may be another's then. It is
// also fs.ErrNotExist: what was opened is there no more. Opening it again helps.
var ErrReplaced = fmt.Errorf("it was replaced or removed while it was read: read it again: %w", fs.ErrNotExist)

// checkInPlace makes sure, after a data file was opened, that the index that is
// being read is still in its place: whoever writes over a checkpoint takes the
// index away first, and puts the new one last. It is no use on files that cannot
// be told apart.
func (r *Reader) checkInPlace(ctx context.Context) error {
	same, ok := r.file.(storage.SameFiler)
	if !ok {
		return nil
	}
	for _, prefix := range [...]string{r.actual, r.prefix} { // Recover may have put it back
		f, err := r.bucket.Open(ctx, IndexName(prefix))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		in := same.SameFile(f)
		f.Close()
		if in {
			return nil
		}
	}
	return fmt.Errorf("checkpoint %s: %w", strconv.Quote(r.prefix), ErrReplaced)
}
