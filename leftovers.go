package ckpt

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
)

// failedSave is a checkpoint that could not be written, with its mark.
type failedSave struct {
	at   place
	mark saveMark
	as   Managed
}

// prepare is done once, before the first save. Reading needs none of it.
func (m *Manager) prepare(ctx context.Context) {
	if m.prepared {
		return
	}
	var c *CorruptError
	if errors.As(m.stateErr, &c) && c.Kind == KindUnreadable {
		// The next state file would forget what this one lists.
		if err := m.recover(ctx); err != nil {
			m.log.Warn("the state file is replaced unread", "error", err)
		}
	}
	m.clean(ctx)
	m.adopt(ctx)
	m.prepared = ctx.Err() == nil
}

// clean finishes what an interrupted save or removal left of this manager's
// checkpoints. It is best effort: a folder that cannot be written is for the
// next save to report.
func (m *Manager) clean(ctx context.Context) {
	removed, err := bundle.CleanFolder(ctx, m.dir.bucket, m.dir.base, m.owns)
	files := make(map[string]int) // most were never published, or had a second name
	for _, name := range removed {
		prefix := trimFileSuffix(name)
		files[prefix[max(0, strings.LastIndex(prefix, m.name+"-")):]]++
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		m.log.Info("removed what an interrupted save or removal left", "checkpoint", name, "files", files[name])
	}
	for _, err := range [...]error{err, m.cleanOwn(ctx), m.cleanMetadata(ctx)} {
		if err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errors.ErrUnsupported) {
			m.log.Warn("left-over files stay", "directory", m.dir.dir, "error", err)
		}
	}
}

// cleanMetadata removes metadata of this manager's checkpoints that are gone:
// TensorFlow's retention leaves it behind, and so may a crash. That of a listed one
// whose data is there may pin it.
func (m *Manager) cleanMetadata(ctx context.Context) error {
	var orphans []place
	for info, err := range m.dir.bucket.List(ctx, m.dir.base+m.name+"-") {
		if err != nil {
			return err
		}
		if !m.ownsMetadata(info.Name) {
			continue
		}
		prefix := strings.TrimSuffix(info.Name, metadataSuffix)
		at := m.dir.at(strings.TrimPrefix(prefix, m.dir.base))
		if orphan, err := m.orphaned(ctx, at); err != nil {
			return err
		} else if orphan {
			orphans = append(orphans, at)
		}
	}
	for _, at := range orphans {
		if err := m.dropOrphan(ctx, at); err != nil {
			return err
		}
	}
	return nil
}

// orphaned tells whether metadata has no checkpoint.
func (m *Manager) orphaned(ctx context.Context, at place) (bool, error) {
	there, err := bundle.Exists(ctx, at.bucket, at.name)
	return err == nil && !there && !m.halfGone(ctx, at), err
}

// dropOrphan removes metadata that has no checkpoint, unless one is being published.
func (m *Manager) dropOrphan(ctx context.Context, at place) error {
	claim, err := bundle.TryClaimPrefix(ctx, at.bucket, at.name)
	if _, locked := errors.AsType[*storage.LockedError](err); locked {
		return nil
	}
	if err != nil {
		return err
	}
	defer claim.Release()
	orphan, err := m.orphaned(ctx, at)
	if err != nil || !orphan {
		return err
	}
	if err := dropMetadata(ctx, at); err != nil {
		return err
	}
	m.log.Info("removed metadata of a checkpoint that is gone", "checkpoint", at.prefix)
	return nil
}

// halfGone tells whether a checkpoint without an index is listed and has data.
func (m *Manager) halfGone(ctx context.Context, at place) bool {
	if m.listed(at) < 0 {
		return false
	}
	data, err := hasData(ctx, at)
	return data || err != nil
}

// cleanOwn removes state files and metadata that were never published, and collects
// the marks of saves that were never recorded.
func (m *Manager) cleanOwn(ctx context.Context) error {
	sweeper, ok := m.dir.bucket.(storage.Sweeper)
	if !ok {
		return m.cleanPublished(ctx)
	}
	for l, err := range sweeper.Leftovers(ctx) {
		if err != nil {
			return err
		}
		if l.Name == m.dir.base+stateFileName || m.ownsMetadata(l.Name) {
			if err := sweeper.RemoveLeftover(ctx, l); err != nil {
				return err
			}
		}
	}
	return m.findMarks(ctx)
}

// findMarks collects the marks of saves that were never recorded.
func (m *Manager) findMarks(ctx context.Context) error {
	m.marks = nil
	sweeper, ok := m.dir.bucket.(storage.Sweeper)
	if !ok {
		return m.findPublished(ctx)
	}
	for l, err := range sweeper.Leftovers(ctx) {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported) {
			break
		}
		if err != nil {
			return err
		}
		if m.owns(l.Name) {
			m.marks = append(m.marks, l)
		}
	}
	return nil
}

// ownsMetadata tells whether a name is one this manager would give metadata.
func (m *Manager) ownsMetadata(name string) bool {
	prefix, ok := strings.CutSuffix(name, metadataSuffix)
	return ok && m.owns(prefix)
}

// owns tells whether a name in the bucket is a prefix this manager would write.
func (m *Manager) owns(prefix string) bool {
	name, ok := strings.CutPrefix(prefix, m.dir.base)
	if !ok {
		return false
	}
	_, ok = numberOf(name, m.name)
	return ok
}

// unmark removes a mark.
func (m *Manager) unmark(mark saveMark) {
	if mark == nil {
		return
	}
	if err := mark.Abort(); err != nil {
		m.log.Warn("a mark of a finished save stays", "directory", m.dir.dir, "error", err)
	}
}

// adopt takes unrecorded checkpoints of dead saves into the list, so that
// retention removes them in their turn.
func (m *Manager) adopt(ctx context.Context) {
	if m.adopts == AdoptNone {
		return
	}
	for _, l := range m.marks {
		name := strings.TrimPrefix(l.Name, m.dir.base)
		if there, err := bundle.Exists(ctx, m.dir.bucket, l.Name); err == nil && there && !m.lists(name) {
			m.list = append(m.list, m.managed(name, m.seconds()))
		}
	}
}

func (m *Manager) lists(name string) bool {
	return slices.ContainsFunc(m.list, func(c Managed) bool { return c.Name == name })
}

// enlist puts a checkpoint that was just saved at the end of the list.
func (m *Manager) enlist(c Managed) {
	m.list = append(slices.DeleteFunc(m.list, func(old Managed) bool { return old.Name == c.Name }), c)
}

// dropMarks removes marks whose checkpoints the state file lists now.
func (m *Manager) dropMarks(ctx context.Context) {
	for _, mark := range m.unrecorded {
		m.unmark(mark)
	}
	m.unrecorded = nil
	for _, l := range m.marks {
		if err := m.dropMark(ctx, l); err != nil && !errors.Is(err, fs.ErrNotExist) {
			m.log.Warn("the mark of an interrupted save stays", "checkpoint", l.Name, "error", err)
		}
	}
	m.marks = nil
}

// giveUp sees to what a save that failed has left. A checkpoint that is there
// is whole: then a hook failed, or the last sync, and it stays as it is.
func (m *Manager) giveUp(ctx context.Context, f failedSave, fresh bool) {
	ctx = context.WithoutCancel(ctx)
	there, err := bundle.Exists(ctx, f.at.bucket, f.at.name)
	if fresh && err == nil && !there {
		err = bundle.Discard(ctx, f.at.bucket, f.at.name)
	}
	if fresh && err != nil {
		m.failed = append(m.failed, f)
		return
	}
	m.unmark(f.mark)
}

// settle tries again to see to what failed saves have left.
func (m *Manager) settle(ctx context.Context) {
	failed := m.failed
	m.failed = nil
	for _, f := range failed {
		if there, err := bundle.Exists(ctx, f.at.bucket, f.at.name); err == nil && there {
			f.as.Time = m.seconds()
			m.enlist(f.as)
			m.unrecorded = append(m.unrecorded, f.mark)
			continue
		}
		m.giveUp(ctx, f, true)
	}
}
