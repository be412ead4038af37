package ckpt

import "sync"

// pinned counts the checkpoints that this process reads or waits for.
// Retention of every Manager in the process asks it: a checkpoint in use is
// removed by a later save. It is process state by nature, as the files are.
var pinned struct {
	sync.Mutex
	count map[any]int
}

// pin protects a checkpoint until unpin, which may be called twice.
func pin(at place) (unpin func()) {
	id := at.identityOf()
	pinned.Lock()
	defer pinned.Unlock()
	if pinned.count == nil {
		pinned.count = make(map[any]int)
	}
	pinned.count[id]++
	var once sync.Once
	return func() {
		once.Do(func() {
			pinned.Lock()
			defer pinned.Unlock()
			if pinned.count[id]--; pinned.count[id] == 0 {
				delete(pinned.count, id)
			}
		})
	}
}

func isPinned(at place) bool {
	pinned.Lock()
	defer pinned.Unlock()
	return pinned.count[at.identityOf()] > 0
}
