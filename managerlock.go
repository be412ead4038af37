package ckpt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
)

// locked counts the Managers of this process that save into a directory. It is
// process state by nature: the lock keeps other processes out, not this one, and
// tests and programs that start over make one Manager after the other.
var locked struct {
	sync.Mutex
	folders map[any]*lockedFolder
}

type lockedFolder struct {
	users  int
	unlock func() error
}

// lock keeps other processes from saving into the directory until unlock, until
// nobody has the Manager any more, or until this process ends, however it does. A
// process that this one was started by may hold it: it knows what it does.
func (m *Manager) lock(ctx context.Context) error {
	if m.unlock != nil {
		return nil
	}
	locker, ok := m.dir.bucket.(storage.Locker)
	if !ok {
		return nil
	}
	id := m.dir.at("").identityOf()
	locked.Lock()
	defer locked.Unlock()
	folder := locked.folders[id]
	if folder == nil {
		unlock, err := locker.Lock(ctx, strings.TrimSuffix(m.dir.base, "/"))
		if held, ok := errors.AsType[*storage.LockedError](err); ok && !ours(held.PID) {
			return fmt.Errorf("ckpt: directory %s: another program saves into it (%w): stop it, or give this one a directory of its own", m.dir.dir, err)
		}
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, errors.ErrUnsupported) {
				m.log.Warn("the directory is not locked against other programs", "directory", m.dir.dir, "error", err)
			}
			return ctx.Err()
		}
		folder = &lockedFolder{unlock: unlock}
		if locked.folders == nil {
			locked.folders = make(map[any]*lockedFolder)
		}
		locked.folders[id] = folder
	}
	folder.users++
	m.unlock = sync.OnceFunc(func() { unlock(id) })
	runtime.AddCleanup(m, func(unlock func()) { unlock() }, m.unlock)
	return nil
}

// unlock is for one Manager that is done.
func unlock(id any) {
	locked.Lock()
	defer locked.Unlock()
	folder := locked.folders[id]
	if folder.users--; folder.users == 0 {
		delete(locked.folders, id)
		folder.unlock()
	}
}

// ours tells whether a process is this one or one that started it.
func ours(pid int) bool {
	if pid == 0 {
		return false
	}
	return pid == os.Getpid() || pid == os.Getppid() || isAncestor(pid)
}
