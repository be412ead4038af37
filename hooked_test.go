package ckpt_test

import (
	"context"
	"sync"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
)

// hooked calls a function before an operation on a file, the first time.
type hooked struct {
	storage.Bucket
	mu     sync.Mutex
	before map[string]func() // by operation and name
}

func (h *hooked) hook(operation, name string) {
	h.mu.Lock()
	f := h.before[operation+" "+name]
	delete(h.before, operation+" "+name)
	h.mu.Unlock()
	if f != nil {
		f()
	}
}

func (h *hooked) Open(ctx context.Context, name string) (storage.File, error) {
	h.hook("open", name)
	return h.Bucket.Open(ctx, name)
}

func (h *hooked) Remove(ctx context.Context, name string) error {
	h.hook("remove", name)
	return h.Bucket.Remove(ctx, name)
}

func (h *hooked) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	h.hook("create", name)
	return h.Bucket.Create(ctx, name, o)
}

// wantHere wants that there are checkpoints, or are none.
func wantHere(t *testing.T, b storage.Bucket, want bool, names ...string) {
	t.Helper()
	for _, name := range names {
		if got, err := ckpt.Exists(t.Context(), name, &ckpt.FindOptions{Bucket: b}); err != nil || got != want {
			t.Errorf("%s is there: got %v, %v, want %v", name, got, err, want)
		}
	}
}
