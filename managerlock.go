package ckpt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/ckpt-go/ckpt/storage"
)

// locked are the directories that Managers of this process save into. It is
// process state by nature: the lock keeps other processes out, not this one, and
// tests and programs that start over make one Manager after the other.
var locked struct {
	sync.Mutex
	folders []*lockedFolder
}

// lockedFolder is a folder with its lock, which keeps it from changing its identity.
type lockedFolder struct {
	spot
	users  int
	unlock func() error
}

// is tells whether a place is in this folder. What its name leads to counts, not the
// name: the folder may have been moved away since. One that cannot be looked at is
// taken to be as it was.
func (f *lockedFolder) is(here spot) bool {
	if f.folder != nil && (here.folder != nil || here.gone) {
		return f.sameFolder(here)
	}
	return f.id == here.id
}

// lease is what one Manager has of a locked folder. A cleanup holds it, so it knows
// nothing of the Manager.
type lease struct {
	folder *lockedFolder // nil when it has ended
}

var errDisplaced = errors.New("the directory was moved, removed or replaced meanwhile: save again")

// lock keeps other processes from saving into the directory until Close, until
// nobody has the Manager any more, or until this process ends, however it does. A
// process that this one was started by may hold it: it knows what it does. It is asked
// before each save: where the directory's name leads to another folder by now, that
// one is locked, and the Manager begins anew there.
func (m *Manager) lock(ctx context.Context) error {
	locker, ok := m.dir.bucket.(storage.Locker)
	if !ok {
		return nil
	}
	locked.Lock()
	defer locked.Unlock()
	here := m.dir.at("").spot()
	old := m.lease.held()
	if old != nil && old.is(here) {
		return nil
	}
	folder, err := m.lockFolder(ctx, locker, here)
	if err != nil {
		return err
	}
	if old != nil {
		if err := m.beginAnew(ctx); err != nil {
			folder.leave()
			return err
		}
		old.leave()
		m.lease.folder = folder
		return nil
	}
	if folder == nil {
		return nil
	}
	if m.lease == nil {
		m.lease = new(lease)
		runtime.AddCleanup(m, (*lease).end, m.lease)
	}
	m.lease.folder = folder
	return nil
}

// lockFolder is a folder locked for one more Manager of this process; nil if it goes
// on without a lock. The mutex is held.
func (m *Manager) lockFolder(ctx context.Context, locker storage.Locker, here spot) (*lockedFolder, error) {
	const most = 10 // of a folder that is replaced again and again
	for tried := 1; ; tried++ {
		for _, f := range locked.folders {
			if f.is(here) {
				f.users++
				return f, nil
			}
		}
		unlock, err := locker.Lock(ctx, strings.TrimSuffix(m.dir.base, "/"))
		if held, ok := errors.AsType[*storage.LockedError](err); ok && !ours(held.PID) {
			return nil, fmt.Errorf("ckpt: directory %s: another program saves into it (%w): stop it, or give this one a directory of its own", m.dir.dir, err)
		}
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, errors.ErrUnsupported) {
				m.log.Warn("the directory is not locked against other programs", "directory", m.dir.dir, "error", err)
			}
			return nil, ctx.Err()
		}
		now := m.dir.at("").spot() // perhaps it was made just now
		if (here.folder == nil || now.sameFolder(here)) && !now.gone || tried == most {
			f := &lockedFolder{now, 1, unlock}
			locked.folders = append(locked.folders, f)
			return f, nil
		}
		unlock() // of a folder that somebody is replacing
		here = now
	}
}

// beginAnew forgets what this Manager knows of the folder that its directory was. What
// is there now it may not have saved, and it must not go by the old list.
func (m *Manager) beginAnew(ctx context.Context) error {
	m.log.Warn("the directory was moved, removed or replaced: what lies there now counts, and what was saved before is no longer looked after", "directory", m.dir.dir)
	for _, mark := range m.unrecorded {
		m.unmark(mark)
	}
	for _, f := range m.failed {
		m.unmark(f.mark)
	}
	m.marks, m.unrecorded, m.failed = nil, nil, nil
	m.latest, m.refusals, m.branches = "", refusals{}, branches{}
	m.scanned, m.looked, m.prepared = false, false, false
	if err := m.recover(ctx); err != nil {
		return err
	}
	m.show()
	return nil
}

// displaced tells whether the directory's name leads to another folder than the one
// that is locked.
func (m *Manager) displaced() bool {
	locked.Lock()
	defer locked.Unlock()
	f := m.lease.held()
	return f != nil && !f.is(m.dir.at("").spot())
}

func (l *lease) held() *lockedFolder {
	if l == nil {
		return nil
	}
	return l.folder
}

// end is for a Manager that is done.
func (l *lease) end() {
	if l == nil {
		return
	}
	locked.Lock()
	defer locked.Unlock()
	l.folder.leave()
	l.folder = nil
}

// leave is for one user of a folder less. The mutex is held.
func (f *lockedFolder) leave() {
	if f == nil {
		return
	}
	if f.users--; f.users == 0 {
		locked.folders = slices.DeleteFunc(locked.folders, func(other *lockedFolder) bool { return other == f })
		f.unlock()
	}
}

// parent is the process that started this one. Whoever adopts it later, such as PID 1
// where the parent died, did not.
var parent = os.Getppid()

// ours tells whether a process is this one or one that started it, as far as that is
// certain. PID 1 and other reapers adopt the children of the dead: they count as
// starters only of what they started themselves.
func ours(pid int) bool {
	if pid == 0 {
		return false
	}
	if pid == os.Getpid() {
		return true
	}
	return os.Getppid() == parent && (pid == parent || isAncestor(pid))
}
