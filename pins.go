package ckpt

import (
	"context"
	"slices"
	"sync"
)

// holds are the checkpoints that this process reads or waits for, and those
// that it is removing. Retention of every Manager in the process asks them: a
// checkpoint in use is removed by a later save. It is process state by nature, as
// the files are.
var holds struct {
	sync.Mutex
	of map[string][]*hold // by the checkpoint's name in its folder
}

// hold is what one reader or remover has of a checkpoint.
type hold struct {
	spot
	removal bool
	ended   chan struct{} // closed when the removal has ended
	alone   chan struct{} // not nil: it changes what stands beside the checkpoint; closed when that has ended
}

// holdsAt are those of a checkpoint, by whatever name of its folder; the mutex is held.
func holdsAt(s spot) []*hold {
	var at []*hold
	for _, h := range holds.of[s.name] {
		if h.is(s) {
			at = append(at, h)
		}
	}
	return at
}

// add and drop need the mutex, too.
func (h *hold) add() {
	if holds.of == nil {
		holds.of = make(map[string][]*hold)
	}
	holds.of[h.name] = append(holds.of[h.name], h)
}

func (h *hold) drop() {
	left := slices.DeleteFunc(holds.of[h.name], func(other *hold) bool { return other == h })
	if holds.of[h.name] = left; len(left) == 0 {
		delete(holds.of, h.name)
	}
}

// pin protects a checkpoint until unpin, which may be called twice. One that is
// just being removed is waited for: then there is nothing to open
// (fs.ErrNotExist), or, if the removal failed, all of it. The error is the context's.
func pin(ctx context.Context, at place) (unpin func(), err error) {
	_, unpin, err = take(ctx, at)
	return unpin, err
}

func take(ctx context.Context, at place) (h *hold, unpin func(), err error) {
	h = &hold{spot: at.spot()}
	for {
		removal := h.tryTake()
		if removal == nil {
			return h, sync.OnceFunc(h.end), nil
		}
		select {
		case <-removal:
		case <-ctx.Done():
			return nil, nil, ctx.Err()
		}
	}
}

// tryTake counts a reader, or gives the removal to wait for.
func (h *hold) tryTake() (removal <-chan struct{}) {
	holds.Lock()
	defer holds.Unlock()
	for _, other := range holdsAt(h.spot) {
		if other.removal {
			return other.ended
		}
	}
	h.add()
	return nil
}

func (h *hold) end() {
	holds.Lock()
	defer holds.Unlock()
	h.drop()
	if h.removal {
		close(h.ended)
	}
}

// pinAlone is pin for those that change what stands beside a checkpoint, one at a
// time.
func pinAlone(ctx context.Context, at place) (done func(), err error) {
	h, unpin, err := take(ctx, at)
	if err != nil {
		return nil, err
	}
	for {
		turn := h.tryAlone()
		if turn == nil {
			return func() { h.leave(); unpin() }, nil
		}
		select {
		case <-turn:
		case <-ctx.Done():
			unpin()
			return nil, ctx.Err()
		}
	}
}

// tryAlone takes the turn, or gives the one to wait for.
func (h *hold) tryAlone() (turn <-chan struct{}) {
	holds.Lock()
	defer holds.Unlock()
	for _, other := range holdsAt(h.spot) {
		if other.alone != nil {
			return other.alone
		}
	}
	h.alone = make(chan struct{})
	return nil
}

func (h *hold) leave() {
	holds.Lock()
	defer holds.Unlock()
	close(h.alone)
	h.alone = nil
}

// claim takes a checkpoint for its removal, until release: nobody begins to read it
// in between. It is not ok if somebody reads it, waits for it or removes it.
func claim(at place) (release func(), ok bool) {
	h := &hold{spot: at.spot(), removal: true, ended: make(chan struct{})}
	holds.Lock()
	defer holds.Unlock()
	if len(holdsAt(h.spot)) > 0 {
		return nil, false
	}
	h.add()
	return h.end, true
}

// inUse tells whether this process reads a checkpoint or waits for it.
func inUse(at place) bool {
	holds.Lock()
	somebody := len(holds.of[baseName(at.name)]) > 0
	holds.Unlock()
	if !somebody { // no need to look for the folder
		return false
	}
	s := at.spot()
	holds.Lock()
	defer holds.Unlock()
	return slices.ContainsFunc(holdsAt(s), func(h *hold) bool { return !h.removal })
}
