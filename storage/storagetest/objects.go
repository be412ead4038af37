package storagetest

import (
	"context"
	"iter"
	"slices"
	"strings"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
)

// Objects is a bucket, kept in another, that can do what an object store can: put an
// object whole, put it only if the name is free (CreateOptions.Exclusive), get
// it, list names and delete. It has no rename, no second names, no locks, no
// syncs, and none of the optional interfaces; what was written of an object that
// is not put is seen by nobody and does not outlive its writer.
//
// A request either happens, and is durable then, or after the crash fails with
// ErrCrashed and does nothing. They are recorded as "put a", "put new a", "get
// a", "list prefix" and "delete a". It is safe for concurrent use.
type Objects struct {
	inner storage.Bucket

	mu       sync.Mutex
	requests []string
	limit    int // requests before the crash, −1 for no crash
	crashed  bool
}

var _ storage.Bucket = (*Objects)(nil)

// NewObjects returns a store that does not crash and keeps its objects in inner,
// which nobody else uses.
func NewObjects(inner storage.Bucket) *Objects { return &Objects{inner: inner, limit: -1} }

// CrashAfter lets n more requests happen; the one after them crashes the
// program that makes them.
func (o *Objects) CrashAfter(n int) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.limit = len(o.requests) + n
}

// Crashed says whether the crash has happened.
func (o *Objects) Crashed() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.crashed
}

// Requests returns the requests that happened.
func (o *Objects) Requests() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.requests)
}

// Restart returns the store as the next program finds it: all that was put. Both
// share it; the old one must have crashed.
func (o *Objects) Restart() *Objects { return NewObjects(o.inner) }

// request counts one request, or crashes.
func (o *Objects) request(what ...string) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.crashed || len(o.requests) == o.limit {
		o.crashed = true
		return ErrCrashed
	}
	o.requests = append(o.requests, strings.Join(what, " "))
	return nil
}

// Open implements storage.Bucket.
func (o *Objects) Open(ctx context.Context, name string) (storage.File, error) {
	if err := o.request("get", name); err != nil {
		return nil, err
	}
	return o.inner.Open(ctx, name)
}

// Create implements storage.Bucket. It is no request: Commit is.
func (o *Objects) Create(ctx context.Context, name string, options *storage.CreateOptions) (storage.Writer, error) {
	w, err := o.inner.Create(ctx, name, options)
	if err != nil {
		return nil, err
	}
	what := "put"
	if options != nil && options.Exclusive {
		what = "put new"
	}
	return &objectWriter{w, o, what, name}, nil
}

// List implements storage.Bucket.
func (o *Objects) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return func(yield func(storage.Info, error) bool) {
		if err := o.request("list", prefix); err != nil {
			yield(storage.Info{}, err)
			return
		}
		o.inner.List(ctx, prefix)(yield)
	}
}

// Remove implements storage.Bucket.
func (o *Objects) Remove(ctx context.Context, name string) error {
	if err := o.request("delete", name); err != nil {
		return err
	}
	return o.inner.Remove(ctx, name)
}

type objectWriter struct {
	storage.Writer
	store *Objects
	what  string
	name  string
}

// Commit implements storage.Writer.
func (w *objectWriter) Commit(ctx context.Context) error {
	if err := w.store.request(w.what, w.name); err != nil {
		w.Abort()
		return err
	}
	return w.Writer.Commit(ctx)
}
