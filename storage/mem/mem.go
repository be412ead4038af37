// Package mem keeps files in memory, for tests and for checkpoints that never
// reach a disk.
package mem

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"math"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

// maxHint bounds how much memory CreateOptions.Size may reserve ahead.
const maxHint = 64 << 20

var (
	errOffset = errors.New("negative offset")
	errHuge   = errors.New("file too large")
)

// Bucket is a storage.Bucket in memory, and also a storage.Linker, Claimer,
// Syncer and Sweeper. The bytes of a published file never change: files that are open
// keep them after Remove or replacement, and links share them. It is safe for
// concurrent use. Use New.
type Bucket struct {
	mu     sync.Mutex
	files  map[string]*blob
	claims map[string]bool
}

var _ interface {
	storage.Bucket
	storage.Linker
	storage.Claimer
	storage.Syncer
	storage.Sweeper
} = (*Bucket)(nil)

// blob is the immutable contents of a published file.
type blob struct {
	data    []byte
	modTime time.Time
}

// New returns an empty bucket.
func New() *Bucket {
	return &Bucket{files: make(map[string]*blob), claims: make(map[string]bool)}
}

// Open implements storage.Bucket.
func (b *Bucket) Open(ctx context.Context, name string) (storage.File, error) {
	if err := check(ctx, "open", name); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.files[name]
	if !ok {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return file{bytes.NewReader(found.data), found}, nil
}

// Create implements storage.Bucket. At most 64 MiB of o.Size are reserved
// ahead.
func (b *Bucket) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	if err := check(ctx, "create", name); err != nil {
		return nil, err
	}
	w := &writer{bucket: b, name: name}
	if o != nil {
		w.exclusive = o.Exclusive
		w.data = make([]byte, 0, min(max(o.Size, 0), maxHint))
	}
	return w, nil
}

// List implements storage.Bucket. It sees the files of one moment. The bucket
// itself always exists; a folder in it exists while it holds a file.
func (b *Bucket) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		infos, err := b.list(ctx, prefix)
		if err != nil {
			yield(storage.Info{}, err)
			return
		}
		for _, info := range infos {
			if err := ctx.Err(); err != nil {
				yield(storage.Info{}, err)
				return
			}
			if !yield(info, nil) {
				return
			}
		}
	}
}

func (b *Bucket) list(ctx context.Context, prefix string) ([]storage.Info, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	dir, _, err := names.Folder(prefix)
	if err != nil {
		return nil, err
	}
	folder := names.Join(dir, "")
	b.mu.Lock()
	defer b.mu.Unlock()
	exists := dir == "."
	var infos []storage.Info
	for name, found := range b.files {
		if !strings.HasPrefix(name, folder) {
			continue
		}
		exists = true
		if strings.HasPrefix(name, prefix) && !strings.Contains(name[len(folder):], "/") {
			infos = append(infos, storage.Info{Name: name, Size: int64(len(found.data)), ModTime: found.modTime})
		}
	}
	if !exists {
		return nil, &fs.PathError{Op: "list", Path: dir, Err: fs.ErrNotExist}
	}
	slices.SortFunc(infos, func(x, y storage.Info) int { return cmp.Compare(x.Name, y.Name) })
	return infos, nil
}

// Remove implements storage.Bucket.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	if err := check(ctx, "remove", name); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.files[name]; !ok {
		return &fs.PathError{Op: "remove", Path: name, Err: fs.ErrNotExist}
	}
	delete(b.files, name)
	return nil
}

// Link implements storage.Linker.
func (b *Bucket) Link(ctx context.Context, name, newName string) error {
	if err := check(ctx, "link", name); err != nil {
		return err
	}
	if err := names.Check("link", newName); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	found, ok := b.files[name]
	if !ok {
		return &fs.PathError{Op: "link", Path: name, Err: fs.ErrNotExist}
	}
	if _, ok := b.files[newName]; ok {
		return &fs.PathError{Op: "link", Path: newName, Err: fs.ErrExist}
	}
	b.files[newName] = found
	return nil
}

// Claim implements storage.Claimer.
func (b *Bucket) Claim(ctx context.Context, name string) (release func() error, err error) {
	if err := check(ctx, "claim", name); err != nil {
		return nil, err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.claims[name] {
		return nil, &fs.PathError{Op: "claim", Path: name, Err: &storage.LockedError{}}
	}
	b.claims[name] = true
	return sync.OnceValue(func() error {
		b.mu.Lock()
		defer b.mu.Unlock()
		delete(b.claims, name)
		return nil
	}), nil
}

// Sync implements storage.Syncer. Memory needs none.
func (b *Bucket) Sync(ctx context.Context) error { return ctx.Err() }

// Leftovers implements storage.Sweeper. Memory dies with its writers: there
// are none.
func (b *Bucket) Leftovers(ctx context.Context) iter.Seq2[storage.Leftover, error] {
	return func(yield func(storage.Leftover, error) bool) {
		if err := ctx.Err(); err != nil {
			yield(storage.Leftover{}, err)
		}
	}
}

// RemoveLeftover implements storage.Sweeper.
func (b *Bucket) RemoveLeftover(ctx context.Context, l storage.Leftover) error {
	if err := check(ctx, "remove leftover", l.Name); err != nil {
		return err
	}
	return &fs.PathError{Op: "remove leftover", Path: l.Name, Err: fs.ErrNotExist}
}

func (b *Bucket) publish(name string, data []byte, exclusive bool) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if _, ok := b.files[name]; ok && exclusive {
		return &fs.PathError{Op: "commit", Path: name, Err: fs.ErrExist}
	}
	b.files[name] = &blob{data: data, modTime: time.Now()}
	return nil
}

func check(ctx context.Context, op, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	return names.Check(op, name)
}

// file is an open file; its bytes belong to the blob.
type file struct {
	*bytes.Reader
	blob *blob
}

// SameFile implements storage.SameFiler.
func (f file) SameFile(other storage.File) bool {
	o, ok := other.(file)
	return ok && o.blob == f.blob
}

// Close implements storage.File.
func (file) Close() error { return nil }

// writer gathers one file. The mutex is for WriteAt calls side by side.
type writer struct {
	bucket    *Bucket
	name      string
	exclusive bool

	mu   sync.Mutex
	data []byte
	pos  int64 // where Write goes on
	done bool
	err  error // a write that failed: the file must not be published
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n, err := w.put(p, w.pos)
	w.pos += int64(n)
	return n, err
}

// WriteAt implements io.WriterAt. Gaps read as zeros.
func (w *writer) WriteAt(p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.put(p, off)
}

func (w *writer) put(p []byte, off int64) (int, error) {
	end := off + int64(len(p))
	switch {
	case w.done:
		return 0, w.fail("write", fs.ErrClosed)
	case off < 0:
		w.err = w.fail("write", errOffset)
	case end < off || end > math.MaxInt>>1:
		w.err = w.fail("write", errHuge)
	}
	if w.err != nil {
		return 0, w.err
	}
	if len(p) == 0 {
		return 0, nil
	}
	if size := int64(len(w.data)); off == size {
		w.data = append(w.data, p...)
		return len(p), nil
	} else if end > size {
		w.data = slices.Grow(w.data, int(end-size))[:end]
		clear(w.data[size:end])
	}
	return copy(w.data[off:], p), nil
}

// Abort implements storage.Writer.
func (w *writer) Abort() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.done, w.data = true, nil
	return nil
}

// Commit implements storage.Writer.
func (w *writer) Commit(ctx context.Context) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done {
		return w.fail("commit", fs.ErrClosed)
	}
	data := w.data
	w.done, w.data = true, nil
	if err := cmp.Or(w.err, ctx.Err()); err != nil {
		return err
	}
	return w.bucket.publish(w.name, data, w.exclusive)
}

func (w *writer) fail(op string, err error) error {
	return &fs.PathError{Op: op, Path: w.name, Err: err}
}
