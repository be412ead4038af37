// Package local keeps files in a folder of the local file system.
//
// A file is written under a temporary name, `.<name>.<16 hex>.ckpt-tmp`, in
// the folder it will live in. Commit syncs it, renames it and syncs the
// folder, so that a power failure leaves the old file or the new one. While
// its Writer lives, a temporary file is locked (flock): that is how Leftovers
// tells files of the living from those of the dead. Where the system has no
// such lock, on Windows for one, Leftovers lists nothing and Lock is
// errors.ErrUnsupported.
//
// Names of that form are reserved: they are never listed and cannot be opened or
// created. A temporary name is
// 27 bytes longer than the final one, which file systems limit to 255.
package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/internal/names"
)

var (
	errReserved   = errors.New("names of temporary files are reserved")
	errNotRegular = errors.New("not a regular file")
	errNotFolder  = errors.New("not a folder")
	errSystemName = errors.New("this system cannot hold a file of that name")
	errForeign    = errors.New("writer of another bucket")
	errLocked     = errors.New("somebody else holds the lock")
	errAlive      = errors.New("the writer of this temporary file is alive")
	errNoLeftover = errors.New("not a temporary file of this package")
	errEscapes    = errors.New("a symbolic link leads out of the folder, which FollowLinks (ckpt --follow-links) would allow")
)

// Options are the options of Open; nil means the zero value.
type Options struct {
	// FollowLinks allows symbolic links that lead out of the folder. By default
	// they are an error, because folders of checkpoints come from strangers.
	FollowLinks bool
}

// Bucket is a folder, and also a storage.GroupCommitter, Linker, Locker, Claimer,
// Identifier, Syncer, Spacer, Notifier and Sweeper. It is safe for concurrent use, by several processes too.
type Bucket struct {
	dir    string // as it was given
	work   string // the working directory of Open, if dir is relative to it
	path   string // dir in work
	follow bool

	mu    sync.Mutex
	weak  error           // the first folder sync the system does not offer
	dirty map[string]bool // folders with removals that are not synced
}

var _ interface {
	storage.Bucket
	storage.GroupCommitter
	storage.Linker
	storage.Locker
	storage.Claimer
	storage.Identifier
	storage.Syncer
	storage.Spacer
	storage.Notifier
	storage.Sweeper
} = (*Bucket)(nil)

// Open returns the bucket of the files in dir. It looks for none of them: Create
// makes the folder, and those above it, when they are missing. A relative dir is that
// of the working directory of this moment, also when the program changes it later.
func Open(dir string, o *Options) *Bucket {
	work := ""
	if !filepath.IsAbs(dir) {
		work = workingDir()
	}
	return open(work, dir, o)
}

func open(work, dir string, o *Options) *Bucket {
	if dir == "" {
		dir = "."
	}
	b := &Bucket{dir: dir, work: work, path: within(work, dir), dirty: make(map[string]bool)}
	if o != nil {
		b.follow = o.FollowLinks
	}
	return b
}

// Beside is Open, but for a relative dir: it is that of the working directory in which
// this bucket was opened.
func (b *Bucket) Beside(dir string, o *Options) *Bucket {
	if b.work == "" {
		return Open(dir, o)
	}
	return open(b.work, dir, o)
}

// Dir returns the folder as Open got it, which is also how errors name it.
func (b *Bucket) Dir() string { return b.dir }

// Path returns where the folder is looked for: Dir, made absolute when it was opened.
// Where the working directory had no path that leads there, it is Dir.
func (b *Bucket) Path() string { return b.path }

// Weak returns an error if a folder could not be synced because the file
// system does not offer it. Files of such a folder may lose their names, not
// their contents, in a power failure. It is nil while no such folder was met.
func (b *Bucket) Weak() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.weak
}

// Open implements storage.Bucket. Only regular files can be opened.
func (b *Bucket) Open(ctx context.Context, name string) (storage.File, error) {
	if err := b.check(ctx, "open", name); err != nil {
		return nil, err
	}
	dir, err := b.folder("open", name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	f, err := dir.OpenFile(name, os.O_RDONLY|openFlags, 0)
	if err != nil {
		return nil, b.fail("open", name, err)
	}
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = errNotRegular
	}
	if err != nil {
		f.Close()
		return nil, b.fail("open", name, err)
	}
	return &file{File: f, size: info.Size()}, nil
}

// file is an open file. Its size is that of the moment it was opened.
type file struct {
	*os.File
	size int64
}

// Size implements storage.File.
func (f *file) Size() int64 { return f.size }

// SameFile implements storage.SameFiler.
func (f *file) SameFile(other storage.File) bool {
	o, ok := other.(*file)
	if !ok {
		return false
	}
	a, err := f.Stat()
	if err != nil {
		return false
	}
	b, err := o.Stat()
	return err == nil && os.SameFile(a, b)
}

// Remove implements storage.Bucket. The removal is durable after Sync.
func (b *Bucket) Remove(ctx context.Context, name string) error {
	if err := b.check(ctx, "remove", name); err != nil {
		return err
	}
	dir, err := b.folder("remove", name)
	if err != nil {
		return err
	}
	defer dir.Close()
	info, err := dir.Lstat(name)
	if err == nil && info.IsDir() {
		err = errNotRegular
	}
	if err == nil {
		err = dir.Remove(name)
	}
	if err != nil {
		return b.fail("remove", name, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.dirty[path.Dir(name)] = true
	return nil
}

// Sync implements storage.Syncer: it syncs the folders files were removed
// from.
func (b *Bucket) Sync(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	b.mu.Lock()
	dirty := b.dirty
	b.dirty = make(map[string]bool)
	b.mu.Unlock()
	if len(dirty) == 0 {
		return nil
	}
	err := b.syncAll(dirty)
	if err != nil {
		b.mu.Lock()
		defer b.mu.Unlock()
		for name := range dirty {
			b.dirty[name] = true
		}
	}
	return err
}

func (b *Bucket) syncAll(folders map[string]bool) error {
	dir, err := b.folder("sync", "")
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	for name := range folders {
		// A folder that is gone took its removals with it.
		if err := b.syncFolder(dir, name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// Link implements storage.Linker. On a file system without hard links, and from
// one to another, it is errors.ErrUnsupported.
func (b *Bucket) Link(ctx context.Context, name, newName string) error {
	if err := b.check(ctx, "link", name); err != nil {
		return err
	}
	if err := b.check(ctx, "link", newName); err != nil {
		return err
	}
	dir, err := b.make("link", newName)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Link(name, newName); err != nil {
		place := newName
		if errors.Is(err, fs.ErrNotExist) {
			place = name
		}
		if noLinks(err) {
			err = fmt.Errorf("%w: %w", errors.ErrUnsupported, cause(err))
		}
		return b.fail("link", place, err)
	}
	return b.syncFolder(dir, path.Dir(newName))
}

// check says whether a file may have that name.
func (b *Bucket) check(ctx context.Context, op, name string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := names.Check(op, name); err != nil {
		return err
	}
	if base := path.Base(name); isTemp(base) {
		return names.Invalid(op, name, errReserved)
	}
	if filepath.Separator != '/' && (strings.ContainsRune(name, filepath.Separator) || !filepath.IsLocal(name)) {
		return names.Invalid(op, name, errSystemName)
	}
	return nil
}

// fail names the file an operation failed on by its full path, once, and
// explains links that were refused.
func (b *Bucket) fail(op, name string, err error) error {
	err = cause(err)
	// The standard library does not export the error of os.Root.
	if !b.follow && err.Error() == "path escapes from parent" {
		err = errEscapes
	}
	return &fs.PathError{Op: op, Path: filepath.Join(b.dir, filepath.FromSlash(name)), Err: err}
}

// cause takes off what names the operation and the path of an error.
func cause(err error) error {
	switch e := err.(type) {
	case *fs.PathError:
		return cause(e.Err)
	case *os.LinkError:
		return cause(e.Err)
	case *os.SyscallError:
		return cause(e.Err)
	}
	return err
}
