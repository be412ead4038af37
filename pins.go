package ckpt

import (
	"context"
	"sync"
)

// holds are the checkpoints that this process reads or waits for, and those
// that it is removing. Retention of every Manager in the process asks them: a
// checkpoint in use is removed by a later save. It is process state by nature, as
// the files are.
var holds struct {
	sync.Mutex
	of map[any]*hold
}

// hold is of one checkpoint: some read it, or one removes it.
type hold struct {
	readers int
	removal chan struct{} // closed when it has ended; nil: nobody removes it
	turn    chan struct{} // has one element while a reader changes what stands beside it
}

// pin protects a checkpoint until unpin, which may be called twice. One that is
// just being removed is waited for: then there is nothing to open
// (fs.ErrNotExist), or, if the removal failed, all of it. The error is the context's.
func pin(ctx context.Context, at place) (unpin func(), err error) {
	id := at.identityOf()
	for {
		removal := takePin(id)
		if removal == nil {
			return sync.OnceFunc(func() { dropPin(id) }), nil
		}
		select {
		case <-removal:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

// pinAlone is pin for those that change what stands beside a checkpoint, one at a
// time.
func pinAlone(ctx context.Context, at place) (done func(), err error) {
	unpin, err := pin(ctx, at)
	if err != nil {
		return nil, err
	}
	holds.Lock()
	h := holds.of[at.identityOf()]
	if h.turn == nil {
		h.turn = make(chan struct{}, 1)
	}
	holds.Unlock()
	select {
	case h.turn <- struct{}{}:
		return func() { <-h.turn; unpin() }, nil
	case <-ctx.Done():
		unpin()
		return nil, ctx.Err()
	}
}

// takePin counts a reader, or gives the removal to wait for.
func takePin(id any) (removal <-chan struct{}) {
	holds.Lock()
	defer holds.Unlock()
	h := holds.of[id]
	switch {
	case h == nil:
		if holds.of == nil {
			holds.of = make(map[any]*hold)
		}
		holds.of[id] = &hold{readers: 1}
	case h.removal != nil:
		return h.removal
	default:
		h.readers++
	}
	return nil
}

func dropPin(id any) {
	holds.Lock()
	defer holds.Unlock()
	if h := holds.of[id]; h.readers > 1 {
		h.readers--
	} else {
		delete(holds.of, id)
	}
}

// claim takes a checkpoint for its removal, until release: nobody begins to read it
// in between. It is not ok if somebody reads it, waits for it or removes it.
func claim(at place) (release func(), ok bool) {
	id := at.identityOf()
	holds.Lock()
	defer holds.Unlock()
	if holds.of[id] != nil {
		return nil, false
	}
	if holds.of == nil {
		holds.of = make(map[any]*hold)
	}
	removal := make(chan struct{})
	holds.of[id] = &hold{removal: removal}
	return func() {
		holds.Lock()
		defer holds.Unlock()
		delete(holds.of, id)
		close(removal)
	}, true
}

// inUse tells whether this process reads a checkpoint or waits for it.
func inUse(at place) bool {
	holds.Lock()
	defer holds.Unlock()
	h := holds.of[at.identityOf()]
	return h != nil && h.readers > 0
}
