package storagetest

import (
	"context"
	"io/fs"
	"strings"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
)

// Claim implements storage.Claimer.
func (c *Crashable) Claim(ctx context.Context, name string) (release func() error, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, file := range c.live {
		if of, _, ok := strings.Cut(key, tempMark); ok && of == name && file.alive {
			return nil, &fs.PathError{Op: "claim", Path: name, Err: &storage.LockedError{}}
		}
	}
	w, err := c.create(ctx, name, nil)
	if err != nil {
		return nil, err
	}
	return sync.OnceValue(w.Abort), nil
}
