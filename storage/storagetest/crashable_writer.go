package storagetest

import (
	"bytes"
	"context"
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"time"

	"github.com/ckpt-go/ckpt/storage"
)

// crashableFile is an open file of a Crashable.
type crashableFile struct {
	reader *bytes.Reader
	bucket *Crashable
	inode  *inode
}

// SameFile implements storage.SameFiler.
func (f crashableFile) SameFile(other storage.File) bool {
	o, ok := other.(crashableFile)
	return ok && o.inode == f.inode
}

// ReadAt implements io.ReaderAt.
func (f crashableFile) ReadAt(p []byte, off int64) (int, error) {
	if f.bucket.Crashed() {
		return 0, ErrCrashed
	}
	return f.reader.ReadAt(p, off)
}

// Size implements storage.File.
func (f crashableFile) Size() int64 { return f.reader.Size() }

// Close implements storage.File.
func (f crashableFile) Close() error { return nil }

// crashableWriter writes one file of a Crashable, whose mutex guards it.
type crashableWriter struct {
	bucket     *Crashable
	name, temp string
	file       *inode
	pos        int
	exclusive  bool
	done       bool
	err        error // a write that failed: the file must not be published
}

// Write implements io.Writer.
func (w *crashableWriter) Write(p []byte) (int, error) {
	w.bucket.mu.Lock()
	defer w.bucket.mu.Unlock()
	n, err := w.put(p, w.pos)
	w.pos += n
	return n, err
}

// WriteAt implements io.WriterAt.
func (w *crashableWriter) WriteAt(p []byte, off int64) (int, error) {
	w.bucket.mu.Lock()
	defer w.bucket.mu.Unlock()
	if off < 0 {
		w.err = &fs.PathError{Op: "write", Path: w.name, Err: fs.ErrInvalid}
		return 0, w.err
	}
	return w.put(p, int(off))
}

func (w *crashableWriter) put(p []byte, off int) (int, error) {
	if w.done {
		return 0, &fs.PathError{Op: "write", Path: w.name, Err: fs.ErrClosed}
	}
	if err := w.bucket.step("write %s", w.name); err != nil {
		return 0, err
	}
	w.file.data = put(w.file.data, p, off)
	w.file.writes = append(w.file.writes, [2]int{off, off + len(p)})
	return len(p), nil
}

// Abort implements storage.Writer. After the crash it fails: the temporary
// file is a leftover.
func (w *crashableWriter) Abort() error {
	w.bucket.mu.Lock()
	defer w.bucket.mu.Unlock()
	return w.discard()
}

func (w *crashableWriter) discard() error {
	if w.done {
		return nil
	}
	w.end()
	return w.bucket.change(change{folder: path.Dir(w.name), gone: w.temp}, "unlink temporary %s", w.name)
}

func (w *crashableWriter) end() { w.done, w.file.alive = true, false }

// Commit implements storage.Writer.
func (w *crashableWriter) Commit(ctx context.Context) error {
	return w.bucket.CommitAll(ctx, []storage.Writer{w})
}

// CommitAll implements storage.GroupCommitter.
func (c *Crashable) CommitAll(ctx context.Context, writers []storage.Writer) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	group := make([]*crashableWriter, len(writers))
	for i, w := range writers {
		var ok bool
		if group[i], ok = w.(*crashableWriter); !ok || group[i].bucket != c {
			return errors.New("writer of another bucket")
		}
	}
	err := c.check(ctx, "commit")
	for _, w := range group {
		if err == nil {
			err = w.sync()
		}
	}
	folders := make(map[string]bool)
	for _, w := range group {
		if err == nil {
			err = w.publish()
		}
		folders[path.Dir(w.name)] = true
	}
	if err != nil {
		for _, w := range group {
			w.discard() // those that are not published; the crash leaves them
		}
		return err
	}
	for _, folder := range slices.Sorted(maps.Keys(folders)) {
		if err := c.syncFolder(folder); err != nil {
			return err
		}
	}
	return nil
}

func (w *crashableWriter) sync() error {
	if w.done {
		return &fs.PathError{Op: "commit", Path: w.name, Err: fs.ErrClosed}
	}
	if w.err != nil {
		return w.err
	}
	if err := w.bucket.step("sync %s", w.name); err != nil {
		return err
	}
	w.file.writes = nil
	w.file.modTime = time.Now()
	return nil
}

// publish gives the file its name.
func (w *crashableWriter) publish() error {
	folder := path.Dir(w.name)
	if !w.exclusive {
		what := change{folder: folder, gone: w.temp, name: w.name, file: w.file}
		if err := w.bucket.change(what, "rename %s", w.name); err != nil {
			return err
		}
		w.end()
		return nil
	}
	if _, ok := w.bucket.live[w.name]; ok {
		return &fs.PathError{Op: "commit", Path: w.name, Err: fs.ErrExist}
	}
	if err := w.bucket.change(change{folder: folder, name: w.name, file: w.file}, "link %s", w.name); err != nil {
		return err
	}
	return w.discard() // the second name
}
