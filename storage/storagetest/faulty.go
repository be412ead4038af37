package storagetest

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"iter"
	"strings"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
)

// Fault says which operation of a Faulty bucket fails, and how.
type Fault struct {
	N   int   // the number of the operation, from 1; 0 fails none
	Err error // what it returns
	// Sticky fails the operations after it too, as a disk that is gone.
	Sticky bool
	// Late lets the operation happen and then fails it all the same, as when a
	// folder cannot be synced after a rename. Writes and reads fail early.
	Late bool
}

// Faulty is a bucket that fails chosen operations of the bucket it wraps. It
// has all optional interfaces; where the inner bucket lacks one, their methods
// return errors.ErrUnsupported and have touched nothing, which callers of
// optional interfaces take for the interface not being there.
//
// Operations are counted and recorded as strings: "open a", "read a",
// "create a", "write a", "commit a", "commit a b" for a group, "list prefix",
// "remove a", "link a b", "sync", "free", "lock a", "leftovers", "remove leftover a".
// A write that fails has written half of its bytes. A commit that fails has
// aborted its writers, unless the Fault is Late. "abort a" of a living writer
// is recorded but neither counted nor failed: it is how callers clean up.
// Closing files is neither. A Faulty is safe for concurrent use, but which
// operation is the n-th is then a matter of luck.
type Faulty struct {
	inner storage.Bucket

	mu         sync.Mutex
	fault      Fault
	count      int
	fired      bool
	operations []string
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
	storage.Sweeper
} = (*Faulty)(nil)

// NewFaulty returns a bucket that fails nothing until Set.
func NewFaulty(inner storage.Bucket) *Faulty { return &Faulty{inner: inner} }

// Set starts counting and recording anew, with another fault.
func (f *Faulty) Set(fault Fault) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault, f.count, f.fired, f.operations = fault, 0, false, nil
}

// Fired says whether the fault has happened since Set.
func (f *Faulty) Fired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.fired
}

// Count returns how many operations there were since Set.
func (f *Faulty) Count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.count
}

// Operations returns the operations since Set, the failed ones too.
func (f *Faulty) Operations() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.operations...)
}

// begin counts an operation. At most one of early and late is not nil.
func (f *Faulty) begin(operation ...string) (early, late error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.count++
	f.operations = append(f.operations, strings.Join(operation, " "))
	if f.fault.N == 0 || f.count < f.fault.N || (f.count > f.fault.N && !f.fault.Sticky) {
		return nil, nil
	}
	f.fired = true
	if f.fault.Late {
		return nil, f.fault.Err
	}
	return f.fault.Err, nil
}

// transfer counts a read or a write, which fails early in any case.
func (f *Faulty) transfer(operation ...string) error {
	early, late := f.begin(operation...)
	if early != nil {
		return early
	}
	return late
}

// do runs an operation that has no result.
func (f *Faulty) do(run func() error, operation ...string) error {
	early, late := f.begin(operation...)
	if early != nil {
		return early
	}
	if err := run(); err != nil {
		return err
	}
	return late
}

// Open implements storage.Bucket.
func (f *Faulty) Open(ctx context.Context, name string) (storage.File, error) {
	early, late := f.begin("open", name)
	if early != nil {
		return nil, early
	}
	file, err := f.inner.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	if late != nil {
		file.Close()
		return nil, late
	}
	return &faultyFile{file, f, name}, nil
}

// Create implements storage.Bucket.
func (f *Faulty) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	early, late := f.begin("create", name)
	if early != nil {
		return nil, early
	}
	w, err := f.inner.Create(ctx, name, o)
	if err != nil {
		return nil, err
	}
	if late != nil {
		w.Abort()
		return nil, late
	}
	return &faultyWriter{inner: w, bucket: f, name: name}, nil
}

// List implements storage.Bucket. A Late fault yields the error at the end.
func (f *Faulty) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return faultySeq(f, func() iter.Seq2[storage.Info, error] { return f.inner.List(ctx, prefix) }, "list", prefix)
}

func faultySeq[T any](f *Faulty, inner func() iter.Seq2[T, error], operation ...string) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		early, late := f.begin(operation...)
		if early != nil {
			yield(none, early)
			return
		}
		for item, err := range inner() {
			if !yield(item, err) || err != nil {
				return
			}
		}
		if late != nil {
			yield(none, late)
		}
	}
}

// Remove implements storage.Bucket.
func (f *Faulty) Remove(ctx context.Context, name string) error {
	return f.do(func() error { return f.inner.Remove(ctx, name) }, "remove", name)
}

// CommitAll implements storage.GroupCommitter.
func (f *Faulty) CommitAll(ctx context.Context, writers []storage.Writer) error {
	inner, ok := f.inner.(storage.GroupCommitter)
	if !ok {
		return errors.ErrUnsupported
	}
	group := make([]storage.Writer, len(writers))
	operation := []string{"commit"}
	for i, w := range writers {
		group[i] = w
		if own, ok := w.(*faultyWriter); ok {
			group[i] = own.inner
			operation = append(operation, own.name)
		}
	}
	early, late := f.begin(operation...)
	for _, w := range writers {
		if own, ok := w.(*faultyWriter); ok {
			own.done = true
			early = cmp.Or(early, own.torn())
		}
	}
	if early != nil {
		for _, w := range group {
			w.Abort()
		}
		return early
	}
	if err := inner.CommitAll(ctx, group); err != nil {
		return err
	}
	return late
}

// Link implements storage.Linker.
func (f *Faulty) Link(ctx context.Context, name, newName string) error {
	inner, ok := f.inner.(storage.Linker)
	if !ok {
		return errors.ErrUnsupported
	}
	return f.do(func() error { return inner.Link(ctx, name, newName) }, "link", name, newName)
}

// Lock implements storage.Locker.
func (f *Faulty) Lock(ctx context.Context, name string) (unlock func() error, err error) {
	inner, ok := f.inner.(storage.Locker)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	early, late := f.begin("lock", name)
	if early != nil {
		return nil, early
	}
	unlock, err = inner.Lock(ctx, name)
	if err == nil && late != nil {
		return nil, errors.Join(late, unlock())
	}
	return unlock, err
}

// Identify implements storage.Identifier. It never fails by itself.
func (f *Faulty) Identify(ctx context.Context, folder string) (fs.FileInfo, error) {
	inner, ok := f.inner.(storage.Identifier)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	return inner.Identify(ctx, folder)
}

// Claim implements storage.Claimer.
func (f *Faulty) Claim(ctx context.Context, name string) (release func() error, err error) {
	inner, ok := f.inner.(storage.Claimer)
	if !ok {
		return nil, errors.ErrUnsupported
	}
	early, late := f.begin("claim", name)
	if early != nil {
		return nil, early
	}
	release, err = inner.Claim(ctx, name)
	if err == nil && late != nil {
		return nil, errors.Join(late, release())
	}
	return release, err
}

// Sync implements storage.Syncer.
func (f *Faulty) Sync(ctx context.Context) error {
	inner, ok := f.inner.(storage.Syncer)
	if !ok {
		return errors.ErrUnsupported
	}
	return f.do(func() error { return inner.Sync(ctx) }, "sync")
}

// Free implements storage.Spacer.
func (f *Faulty) Free(ctx context.Context) (free int64, err error) {
	inner, ok := f.inner.(storage.Spacer)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	err = f.do(func() error {
		free, err = inner.Free(ctx)
		return err
	}, "free")
	return free, err
}

// Leftovers implements storage.Sweeper.
func (f *Faulty) Leftovers(ctx context.Context) iter.Seq2[storage.Leftover, error] {
	inner, ok := f.inner.(storage.Sweeper)
	if !ok {
		return func(yield func(storage.Leftover, error) bool) {
			yield(storage.Leftover{}, errors.ErrUnsupported)
		}
	}
	return faultySeq(f, func() iter.Seq2[storage.Leftover, error] { return inner.Leftovers(ctx) }, "leftovers")
}

// RemoveLeftover implements storage.Sweeper.
func (f *Faulty) RemoveLeftover(ctx context.Context, l storage.Leftover) error {
	inner, ok := f.inner.(storage.Sweeper)
	if !ok {
		return errors.ErrUnsupported
	}
	return f.do(func() error { return inner.RemoveLeftover(ctx, l) }, "remove leftover", l.Name)
}

type faultyFile struct {
	storage.File
	bucket *Faulty
	name   string
}

// SameFile implements storage.SameFiler where the inner bucket's files do. Those
// of others are taken for the same.
func (f *faultyFile) SameFile(other storage.File) bool {
	same, ok := f.File.(storage.SameFiler)
	if !ok {
		return true
	}
	if o, ok := other.(*faultyFile); ok {
		other = o.File
	}
	return same.SameFile(other)
}

// ReadAt implements io.ReaderAt.
func (f *faultyFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.bucket.transfer("read", f.name); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

type faultyWriter struct {
	inner  storage.Writer
	bucket *Faulty
	name   string
	done   bool

	mu  sync.Mutex
	err error // a write that failed: the file lacks bytes
}

// Write implements io.Writer.
func (w *faultyWriter) Write(p []byte) (int, error) {
	return w.write(p, w.inner.Write)
}

// WriteAt implements io.WriterAt.
func (w *faultyWriter) WriteAt(p []byte, off int64) (int, error) {
	return w.write(p, func(p []byte) (int, error) { return w.inner.WriteAt(p, off) })
}

func (w *faultyWriter) write(p []byte, inner func(p []byte) (int, error)) (int, error) {
	fault := w.bucket.transfer("write", w.name)
	if fault == nil {
		return inner(p)
	}
	n, err := inner(p[:len(p)/2])
	if err != nil {
		return n, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = fault
	return n, fault
}

func (w *faultyWriter) torn() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.err
}

// Abort implements storage.Writer.
func (w *faultyWriter) Abort() error {
	if !w.done {
		w.done = true
		w.bucket.mu.Lock()
		w.bucket.operations = append(w.bucket.operations, "abort "+w.name)
		w.bucket.mu.Unlock()
	}
	return w.inner.Abort()
}

// Commit implements storage.Writer.
func (w *faultyWriter) Commit(ctx context.Context) error {
	early, late := w.bucket.begin("commit", w.name)
	w.done = true
	if early = cmp.Or(early, w.torn()); early != nil {
		w.inner.Abort()
		return early
	}
	if err := w.inner.Commit(ctx); err != nil {
		return err
	}
	return late
}
