package bundle

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"io/fs"
	mathrand "math/rand/v2"
	"strconv"
	"time"

	"github.com/ckpt-go/ckpt/storage"
)

// longestWait is how long a writer waits for another one of its prefix, or for
// somebody who cleans up or removes there.
const longestWait = 30 * time.Second

// errTaken says that a claim was taken over, by somebody who took its holder for
// dead.
var errTaken = errors.New("another program took this one for dead and went on with the files of this checkpoint; let one at a time write it")

// claim keeps others from publishing, removing and cleaning up the files of a
// prefix while it is held. Where the storage knows no claims it is a published file
// with a token, and the last who puts it has it: whoever had it before notices
// before the next thing it does.
type claim struct {
	unlock func() error // of a storage.Claimer; nil for a published claim

	bucket storage.Bucket
	name   string
	token  []byte
	lost   bool
}

// claimSuffix ends the names of published claims.
const claimSuffix = ".claim"

func claimName(prefix string) string { return undoOf(prefix) + claimSuffix }

// tryClaim claims a prefix, or is a *storage.LockedError. It is nil where the storage
// knows no claims. A folder that does not exist is fs.ErrNotExist.
func tryClaim(ctx context.Context, b storage.Bucket, prefix string) (*claim, error) {
	c, ok := b.(storage.Claimer)
	if !ok {
		return nil, nil
	}
	unlock, err := c.Claim(ctx, IndexName(undoOf(prefix)))
	if errors.Is(err, errors.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &claim{unlock: unlock}, nil
}

// waitClaim is tryClaim that waits for others who claim the prefix.
func waitClaim(ctx context.Context, b storage.Bucket, prefix string) (*claim, error) {
	for waited, pause := time.Duration(0), time.Millisecond; ; pause = min(2*pause, 50*time.Millisecond) {
		c, err := tryClaim(ctx, b, prefix)
		if _, locked := errors.AsType[*storage.LockedError](err); !locked {
			return c, err
		}
		if waited > longestWait {
			return nil, fmt.Errorf("another program has been writing or removing the checkpoint %s for %v: %w", strconv.Quote(prefix), longestWait, err)
		}
		p := pause/2 + mathrand.N(pause) // of two that wait for each other one is first
		waited += p
		select {
		case <-time.After(p):
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// put publishes a claim, where the storage knows none, and takes it from whoever
// has it.
func (c *claim) put(ctx context.Context, b storage.Bucket, prefix string) (*claim, error) {
	if c != nil {
		return c, nil
	}
	c = &claim{bucket: b, name: claimName(prefix), token: []byte(rand.Text())}
	w, err := b.Create(ctx, c.name, nil)
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	if _, err := w.Write(c.token); err != nil {
		return nil, err
	}
	if err := w.Commit(ctx); err != nil {
		c.release() // it may be there
		return nil, err
	}
	return c, nil
}

// A Claim keeps others from publishing, removing and cleaning up the files of a
// prefix until it is released, where the storage is a storage.Claimer; elsewhere, and
// on a full disk, it does nothing. Whoever holds one must not publish the prefix. It is
// for one goroutine.
type Claim struct {
	bucket storage.Bucket
	prefix string
	held   *claim
}

// ClaimPrefix claims a prefix, and waits for others who do.
func ClaimPrefix(ctx context.Context, b storage.Bucket, prefix string) (*Claim, error) {
	c, err := waitClaim(ctx, b, prefix)
	return newClaim(b, prefix, c, err)
}

// TryClaimPrefix is a *storage.LockedError if somebody else claims the prefix.
func TryClaimPrefix(ctx context.Context, b storage.Bucket, prefix string) (*Claim, error) {
	c, err := tryClaim(ctx, b, prefix)
	return newClaim(b, prefix, c, err)
}

func newClaim(b storage.Bucket, prefix string, held *claim, err error) (*Claim, error) {
	// A full disk must not keep anybody from making room.
	if err != nil && !isFull(err) && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	return &Claim{b, prefix, held}, nil
}

// Release gives the claim up. It may be called twice.
func (c *Claim) Release() {
	c.held.release()
	c.held = nil
}

// check is errTaken for a claim that was taken over.
func (c *claim) check(ctx context.Context) error {
	if c == nil || c.unlock != nil {
		return nil
	}
	if c.lost {
		return errTaken
	}
	held, err := holds(ctx, c.bucket, c.name, c.token)
	if err == nil && !held {
		c.lost = true
		err = errTaken
	}
	return err
}

// release gives the claim up. One that stays, since its file cannot be removed in two
// tries, is as that of a dead program.
func (c *claim) release() {
	switch {
	case c == nil:
	case c.unlock != nil:
		c.unlock()
	default:
		ctx := context.Background()
		for range 2 {
			if err := c.check(ctx); err == nil && remove(ctx, c.bucket, c.name) == nil || c.lost {
				return
			}
		}
	}
}

// holds tells whether a file has exactly these bytes.
func holds(ctx context.Context, b storage.Bucket, name string, want []byte) (bool, error) {
	f, err := b.Open(ctx, name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if f.Size() != int64(len(want)) {
		return false, nil
	}
	got := make([]byte, len(want))
	if n, err := f.ReadAt(got, 0); n < len(got) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return false, err
	}
	return bytes.Equal(got, want), nil
}

// claims tells whether a bucket tells the claims of living programs from those of
// dead ones.
func claims(b storage.Bucket) bool {
	_, ok := b.(storage.Claimer)
	return ok
}

// fileOptions are those of the files of a checkpoint. Where nobody can claim a prefix,
// what had their names is removed before they get them, and of two who write a
// checkpoint one must fail.
func fileOptions(b storage.Bucket) *storage.CreateOptions {
	return &storage.CreateOptions{Exclusive: !claims(b)}
}
