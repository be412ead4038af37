package local

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"io/fs"
	"os"
	"path"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

// attempts bounds how often Create looks for another temporary name because a
// sweeper was faster than its lock.
const attempts = 100

// writer is one file being written. Its folder stays open, so that it is
// published in the folder it was written to.
type writer struct {
	bucket    *Bucket
	dir       folder
	file      *os.File
	name      string
	temp      string
	exclusive bool

	mu  sync.Mutex
	err error // why nothing can be written or committed any more
}

// Create implements storage.Bucket. It makes missing folders.
func (b *Bucket) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	if err := b.check(ctx, "create", name); err != nil {
		return nil, err
	}
	dir, err := b.make("create", name)
	if err != nil {
		return nil, err
	}
	f, temp, err := b.createTemp(dir, name)
	if err != nil {
		dir.Close()
		return nil, b.fail("create", name, err)
	}
	return &writer{
		bucket: b, dir: dir, file: f, name: name, temp: temp,
		exclusive: o != nil && o.Exclusive,
	}, nil
}

// createTemp makes a temporary file and locks it. Between the two a sweeper
// may take it for a leftover, lock it and even remove it: then another name is
// tried.
func (b *Bucket) createTemp(dir folder, name string) (*os.File, string, error) {
	for range attempts {
		var id [8]byte
		rand.Read(id[:]) // never fails
		temp := names.Join(path.Dir(name), tempName(path.Base(name), hex.EncodeToString(id[:])))
		f, err := dir.OpenFile(temp, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o666)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return nil, "", err
		}
		switch err := lockFile(f); {
		case errors.Is(err, errLocked):
		case err != nil && !errors.Is(err, errors.ErrUnsupported):
			f.Close()
			dir.Remove(temp)
			return nil, "", err
		case isFile(dir, temp, f):
			return f, temp, nil
		}
		f.Close()
		dir.Remove(temp)
	}
	return nil, "", errLocked
}

// isFile says whether name is still the open file f.
func isFile(dir folder, name string, f *os.File) bool {
	there, err := dir.Lstat(name)
	if err != nil {
		return false
	}
	here, err := f.Stat()
	return err == nil && os.SameFile(there, here)
}

// Write implements io.Writer.
func (w *writer) Write(p []byte) (int, error) {
	if err := w.usable("write"); err != nil {
		return 0, err
	}
	n, err := w.file.Write(p)
	return n, w.latch(err)
}

// WriteAt implements io.WriterAt.
func (w *writer) WriteAt(p []byte, off int64) (int, error) {
	if err := w.usable("write"); err != nil {
		return 0, err
	}
	n, err := w.file.WriteAt(p, off)
	return n, w.latch(err)
}

func (w *writer) usable(op string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err != nil {
		return w.bucket.fail(op, w.name, w.err)
	}
	return nil
}

// latch remembers a failed write: the file lacks bytes and must not be
// published.
func (w *writer) latch(err error) error {
	if err == nil {
		return nil
	}
	err = w.bucket.fail("write", w.name, err)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.err == nil {
		w.err = err
	}
	return err
}

// Abort implements storage.Writer.
func (w *writer) Abort() error {
	if !w.finish() {
		return nil
	}
	if err := w.discard(); err != nil {
		return w.bucket.fail("abort", w.name, err)
	}
	return nil
}

// finish ends the Writer and says whether it had not ended before.
func (w *writer) finish() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if errors.Is(w.err, fs.ErrClosed) {
		return false
	}
	w.err = fs.ErrClosed
	return true
}

// discard removes the temporary file and closes what is open. The lock goes
// last, so that no sweeper comes between.
func (w *writer) discard() error {
	if closeFirst {
		w.file.Close()
	}
	err := w.dir.Remove(w.temp)
	w.file.Close()
	w.dir.Close()
	return err
}

// Commit implements storage.Writer. If only the last step fails, syncing the
// folder, the file is visible but may be gone after a power failure.
func (w *writer) Commit(ctx context.Context) error {
	return w.bucket.commit(ctx, []*writer{w})
}

// CommitAll implements storage.GroupCommitter: all files are synced before
// the first is published, and each folder is synced once.
func (b *Bucket) CommitAll(ctx context.Context, writers []storage.Writer) error {
	group := make([]*writer, 0, len(writers))
	var foreign error
	for _, one := range writers {
		if w, ok := one.(*writer); ok && w.bucket == b {
			group = append(group, w)
			continue
		}
		foreign = errors.Join(errForeign, one.Abort())
	}
	if foreign != nil {
		for _, w := range group {
			foreign = errors.Join(foreign, w.Abort())
		}
		return foreign
	}
	return b.commit(ctx, group)
}

func (b *Bucket) commit(ctx context.Context, group []*writer) error {
	for i, w := range group {
		if err := w.flush(ctx); err != nil {
			abortAll(group[i:])
			for _, flushed := range group[:i] {
				flushed.discard()
			}
			return err
		}
	}
	folders := make(map[string]folder)
	defer func() {
		for _, dir := range folders {
			dir.Close()
		}
	}()
	for i, w := range group {
		if err := w.publish(); err != nil {
			for _, rest := range group[i:] {
				rest.discard()
			}
			return b.fail("commit", w.name, err)
		}
		w.file.Close()
		if name := path.Dir(w.name); folders[name] == nil {
			folders[name] = w.dir
		} else {
			w.dir.Close()
		}
	}
	for name, dir := range folders {
		if err := b.syncFolder(dir, name); err != nil {
			return err
		}
	}
	return nil
}

func abortAll(group []*writer) {
	for _, w := range group {
		w.Abort()
	}
}

// flush syncs the contents and ends the Writer. A sync that failed is final:
// the system may have dropped the pages, and a second try would succeed
// without them.
func (w *writer) flush(ctx context.Context) error {
	if err := w.usable("commit"); err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.file.Sync(); err != nil {
		return w.bucket.fail("sync", w.name, err)
	}
	w.finish()
	return nil
}

// publish gives the file its name.
func (w *writer) publish() error {
	if closeFirst {
		w.file.Close()
	}
	if !w.exclusive {
		return w.dir.Rename(w.temp, w.name)
	}
	err := w.dir.Link(w.temp, w.name)
	if err == nil {
		// The file is published; should its second name stay, it is a leftover.
		w.dir.Remove(w.temp)
		return nil
	}
	if !noLinks(err) {
		return err
	}
	// Without hard links two processes that publish at the same instant cannot
	// be told apart; within that instant the last one wins.
	if _, err := w.dir.Lstat(w.name); err == nil {
		return fs.ErrExist
	} else if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return w.dir.Rename(w.temp, w.name)
}
