// Package storage says where checkpoint files live. A Bucket is a flat or
// nested set of named files; names are relative, their elements separated by
// single slashes, none of them empty, "." or "..", and may hold any byte but
// NUL. Other names are fs.ErrInvalid. A file becomes visible under its name
// only when its Writer commits, whole or not at all. Package local keeps files
// in a folder, package mem in memory, and storagetest is the contract both
// pass.
package storage

import (
	"context"
	"io"
	"io/fs"
	"iter"
	"strconv"
	"time"
)

// Bucket holds files. Implementations are safe for concurrent use, and pointers
// or otherwise comparable: the same bucket is equal to itself.
type Bucket interface {
	// Open opens a published file. A name that does not exist is fs.ErrNotExist.
	Open(ctx context.Context, name string) (File, error)
	// Create starts a new file. Nothing is visible under name before Commit.
	Create(ctx context.Context, name string, o *CreateOptions) (Writer, error)
	// List yields the published files whose names begin with prefix, sorted by
	// name, and stops after the first error. It does not descend: after the last
	// slash of prefix, the names it yields hold no other. A bucket that does not
	// exist yet yields fs.ErrNotExist, and so may a folder of it.
	List(ctx context.Context, prefix string) iter.Seq2[Info, error]
	// Remove removes a published file. A name that does not exist is
	// fs.ErrNotExist. A File that is open can be read on, where the system
	// allows removing it.
	Remove(ctx context.Context, name string) error
}

// File is an open file. ReadAt may be called from several goroutines.
type File interface {
	io.ReaderAt
	io.Closer
	Size() int64
}

// SameFiler is a File that knows whether another one is the same, not one that
// took its name since. Both are open.
type SameFiler interface {
	SameFile(other File) bool
}

// Writer writes one file. It is for one goroutine, except that WriteAt calls
// on ranges that do not overlap may run side by side. Write has a position of
// its own, from 0; gaps read as zeros. After a write that failed, Commit fails.
type Writer interface {
	io.Writer
	io.WriterAt
	// Abort gives up: nothing of the file stays. After Commit it does nothing,
	// so deferring it is always right.
	Abort() error
	// Commit makes the contents durable, publishes the name, replacing what had
	// it unless Exclusive was asked for, and makes the name durable. A Commit
	// that fails has published nothing it knows of, and the Writer is finished.
	Commit(ctx context.Context) error
}

// CreateOptions are the options of Bucket.Create; nil means the zero value.
type CreateOptions struct {
	Size      int64 // expected size in bytes, 0 if unknown; a hint
	Exclusive bool  // Commit fails with fs.ErrExist if the name exists
}

// Info describes a published file.
type Info struct {
	Name    string
	Size    int64
	ModTime time.Time
}

// GroupCommitter is a Bucket that publishes several files with fewer syncs
// than one Commit each would take. Either order of publication may be seen.
// After an error every Writer is finished, and some may be published. Methods
// of this and the other optional interfaces may return errors.ErrUnsupported
// and have then touched nothing: the caller goes on without.
type GroupCommitter interface {
	CommitAll(ctx context.Context, writers []Writer) error
}

// Linker is a Bucket that can give a published file a second name that shares
// its bytes. The new name must not exist (fs.ErrExist). The name is durable
// when Link returns.
type Linker interface {
	Link(ctx context.Context, name, newName string) error
}

// Locker is a Bucket whose folders can be locked; "" is its own. A lock keeps
// nobody from reading and writing, only from locking, and leaves no file. It ends
// with unlock, which may be called twice, or with the process. One that somebody
// else holds, this process included, is a *LockedError at once. Folders that are
// missing are made.
type Locker interface {
	Lock(ctx context.Context, folder string) (unlock func() error, err error)
}

// Identifier is a Bucket whose folders can be told apart whatever their names: on a
// file system one folder may have many names, and a name may lead to another folder
// than before, because of links, mounts and moves.
type Identifier interface {
	// Identify describes the folder that a name leads to now, for os.SameFile; "" is
	// the bucket's own. One that does not exist is fs.ErrNotExist.
	Identify(ctx context.Context, folder string) (fs.FileInfo, error)
}

// LockedError says that a lock is held.
type LockedError struct {
	PID int // the process that holds it, 0 if that is not known
}

// Error implements error.
func (e *LockedError) Error() string {
	if e.PID == 0 {
		return "somebody else holds the lock"
	}
	return "process " + strconv.Itoa(e.PID) + " holds the lock"
}

// Claimer is a Bucket in which a program can claim a name, whether or not a file
// has it. A claim keeps nobody from reading and writing, only from claiming the
// name. It ends with release, which may be called twice, or with the process, and
// what it leaves of itself then is among the Leftovers of a Sweeper. A name that
// somebody else claims, this process included, is a *LockedError at once; of two who
// claim it at the same moment both may get that.
type Claimer interface {
	Claim(ctx context.Context, name string) (release func() error, err error)
}

// Syncer is a Bucket whose removals become durable only with Sync.
type Syncer interface {
	Sync(ctx context.Context) error
}

// Spacer is a Bucket that knows how much room it has.
type Spacer interface {
	// Free is how many more bytes this program may write there, by what the system
	// says now; errors.ErrUnsupported if it does not say.
	Free(ctx context.Context) (int64, error)
}

// Notifier is a Bucket that tells when files of a folder may have changed.
type Notifier interface {
	// Changes returns a channel that receives after files of a folder got their
	// names, many of them perhaps once, and is closed when there will be no more
	// news, as of a folder that was removed. It may miss what other machines do:
	// whoever waits has to look now and then all the same. stop ends it, and may be
	// called twice. A folder that does not exist is fs.ErrNotExist; "" is the
	// bucket's own.
	Changes(folder string) (changed <-chan struct{}, stop func(), err error)
}

// Sweeper is a Bucket that knows what writers of dead processes left behind.
type Sweeper interface {
	// Leftovers yields unpublished files whose writer is gone. Those of a living
	// writer, of this process or another, are not listed.
	Leftovers(ctx context.Context) iter.Seq2[Leftover, error]
	// RemoveLeftover removes one.
	RemoveLeftover(ctx context.Context, l Leftover) error
}

// Leftover is an unpublished file of a writer that died.
type Leftover struct {
	Name string // the name it would have been published under
	ID   string // what tells it apart from others of the same name
	Size int64
}
