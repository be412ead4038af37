package bundle

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
)

// FileDigest is the SHA-256 of one file of a bundle.
type FileDigest struct {
	Name   string // the file's name in the bucket
	Size   int64
	SHA256 [sha256.Size]byte
}

// BeforeIndex is called by Writer.Commit once all data files have their names
// and are durable, before the index gets its own: what it makes durable, a
// reader of the checkpoint will find. index is the digest of the index to come;
// data has those of the data files, in the order of the shards, if
// WriterOptions.Digests asks for them. An error ends the Commit.
type BeforeIndex func(ctx context.Context, index FileDigest, data []FileDigest) error

// summer takes the SHA-256 of what passes through. Large pieces are hashed by
// another goroutine while they are written.
type summer struct {
	hash hash.Hash
	size int64
}

// inline is up to which size a piece is hashed by the goroutine at hand.
const inline = 32 << 10

// beside hashes p while do uses it.
func (s *summer) beside(p []byte, do func() error) error {
	s.size += int64(len(p))
	if len(p) <= inline {
		s.hash.Write(p)
		return do()
	}
	var wait sync.WaitGroup
	wait.Go(func() { s.hash.Write(p) })
	defer wait.Wait()
	return do()
}

func (s *summer) digest(name string) FileDigest {
	d := FileDigest{Name: name, Size: s.size}
	s.hash.Sum(d.SHA256[:0])
	return d
}

// Write makes a summer a writer for the index.
func (s *summer) Write(p []byte) (int, error) {
	s.size += int64(len(p))
	return s.hash.Write(p)
}

func newSummer() *summer { return &summer{hash: sha256.New()} }

// dataDigests are the digests of the data files. One that was not written from
// its beginning to its end, because tensors were cut, is read.
func (w *Writer) dataDigests(ctx context.Context) ([]FileDigest, error) {
	all := make([]FileDigest, len(w.data))
	for i, a := range w.data {
		name := DataName(w.prefix, i, len(w.data))
		if a.sum != nil {
			all[i] = a.sum.digest(name)
			continue
		}
		var err error
		if all[i], err = DigestFile(ctx, w.bucket, name); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// DigestFile reads a whole file of a bucket and returns its digest.
func DigestFile(ctx context.Context, b storage.Bucket, name string) (FileDigest, error) {
	f, err := b.Open(ctx, name)
	if err != nil {
		return FileDigest{}, err
	}
	defer f.Close()
	s := newSummer()
	buf := make([]byte, chunkSize)
	for r := io.NewSectionReader(f, 0, f.Size()); ; {
		if err := ctx.Err(); err != nil {
			return FileDigest{}, err
		}
		n, err := r.Read(buf)
		s.Write(buf[:n])
		if err == io.EOF {
			return s.digest(name), nil
		}
		if err != nil {
			return FileDigest{}, fmt.Errorf("%s: %w", name, err)
		}
	}
}

// Digest reads one file of the checkpoint and returns its digest, under the name
// that the checkpoint gives it: where an overwrite was interrupted, the file that
// is read has another. Reader.Entries and the rest read the same files.
func (r *Reader) Digest(ctx context.Context, name string) (FileDigest, error) {
	if r.actual == r.prefix || r.v1 != nil {
		return DigestFile(ctx, r.bucket, name)
	}
	d, err := DigestFile(ctx, r.bucket, moveName(name, r.prefix, r.actual))
	if errors.Is(err, fs.ErrNotExist) {
		return DigestFile(ctx, r.bucket, name) // Recover put it back meanwhile
	}
	d.Name = name
	return d, err
}

// DigestIndex is the digest of the index that Open would read: that of an
// overwrite that was interrupted has another name.
func DigestIndex(ctx context.Context, b storage.Bucket, prefix string) (FileDigest, error) {
	d, err := DigestFile(ctx, b, IndexName(prefix))
	if !errors.Is(err, fs.ErrNotExist) {
		return d, err
	}
	old, oldErr := DigestFile(ctx, b, IndexName(undoOf(prefix)))
	if errors.Is(oldErr, fs.ErrNotExist) {
		return d, err
	}
	old.Name = IndexName(prefix)
	return old, oldErr
}
