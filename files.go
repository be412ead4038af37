package ckpt

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"runtime"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
)

// files is a checkpoint that can be opened again while values wait for their
// objects. It is pinned against this process's retention until released.
type files struct {
	bucket storage.Bucket
	name   string // prefix inside the bucket
	prefix string // as the caller knows it
	keep   bool   // hold the reader open between calls

	held     *bundle.Reader
	identity [sha256.Size]byte // of the index when it was restored from
	known    bool              // identity is set
	reopened int
	unpin    func()
}

// holdAfter is how many objects may be tracked one by one before the files stay
// open until the last of them: with many objects, opening is all that costs.
const holdAfter = 8

func (f *files) indexName() string { return baseName(bundle.IndexName(f.name)) }

// open gives the checkpoint's reader; close closes it unless it is held. A
// checkpoint that another one has replaced since is an error.
func (f *files) open(ctx context.Context) (*bundle.Reader, error) {
	if f.held != nil {
		return f.held, nil
	}
	rd, err := bundle.Open(ctx, f.bucket, f.name, nil)
	if err != nil {
		return nil, fmt.Errorf("ckpt: %s: %w", f.prefix, err)
	}
	if f.known {
		now, err := identify(rd)
		if err == nil && now != f.identity {
			err = fmt.Errorf("another checkpoint took this name while restored values were waiting: %w", ErrMismatch)
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("ckpt: %s: %w", f.prefix, err), rd.Close())
		}
		f.reopened++
		f.keep = f.keep || f.reopened > holdAfter
	}
	f.held = rd
	return rd, nil
}

// close ends a use of the reader.
func (f *files) close() {
	if !f.keep && f.held != nil {
		f.held.Close()
		f.held = nil
	}
}

// identify sums up the index, which has the checksum of every tensor.
func identify(rd *bundle.Reader) (sum [sha256.Size]byte, err error) {
	h := sha256.New()
	var b []byte
	for it, err := range rd.Entries() {
		if err != nil {
			return sum, err
		}
		b = append(append(b[:0], it.Key...), 0)
		h.Write(bundle.EncodeEntry(b, &it.Entry))
	}
	h.Sum(sum[:0])
	return sum, nil
}

// release closes what is held and ends the pin.
func (f *files) release() {
	f.keep = false
	f.close()
	if f.unpin != nil {
		f.unpin()
		f.unpin = nil
	}
}

// releaseWhenLost ends the pin when nobody can take what waits any more, because
// the Checkpoint, its objects and the status were given up without a Close.
func (f *files) releaseWhenLost() {
	if f.unpin != nil {
		runtime.AddCleanup(f, func(unpin func()) { unpin() }, f.unpin)
	}
}
