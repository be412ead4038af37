package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
)

// Adopt says which checkpoints of earlier runs a Manager looks after. What it
// does not adopt it never removes.
type Adopt int

const (
	// AdoptListed adopts those that the state file lists with a time stamp, as
	// TensorFlow does.
	AdoptListed Adopt = iota
	// AdoptNone adopts none: only what this Manager saves is ever removed, and the
	// state file lists nothing else from then on.
	AdoptNone
	// AdoptAll adopts every checkpoint of the Manager's name in the directory, the
	// lowest number first, listed or not: those of Checkpoint.Save, of runs whose
	// state file was lost, and those that an earlier run kept for good. With
	// KeepEvery the unlisted ones below the lowest number listed stay alone, as they
	// may be what that kept.
	AdoptAll
)

// recover takes over what the state file records (TensorFlow's constructor).
func (m *Manager) recover(ctx context.Context) error {
	m.stateErr, m.list, m.unstamped, m.bare, m.outdated = nil, nil, nil, false, ""
	now := m.seconds()
	s, err := m.dir.readState(ctx)
	if err != nil {
		m.lastPreserved = now - 1
		if errors.Is(err, ErrNoCheckpoint) {
			return m.adoptAll(ctx, now)
		}
		// A directory that cannot be used at all is for the caller to know now.
		if err := m.scan(ctx); err != nil {
			return err
		}
		m.stateErr = err
		m.log.Warn("the state file cannot be used", "error", err)
		return m.adoptAll(ctx, now)
	}
	m.latest = s.Latest
	m.see(s.Latest)
	m.adoptListed(ctx, s, now)
	if m.lastPreserved = s.LastPreserved; now < m.lastPreserved {
		m.log.Warn("the clock went back behind the state file's last_preserved_timestamp", "timestamp", m.lastPreserved)
		m.lastPreserved = now - 1 // below what is listed now, as in a new directory
	}
	return m.adoptAll(ctx, now)
}

// adoptListed takes over what the state file lists, as far as that is wanted. What it
// lists without time stamps is for Prune.
func (m *Manager) adoptListed(ctx context.Context, s *State, now float64) {
	list := &m.list
	if m.bare = m.adopts == AdoptListed && len(s.Timestamps) == 0; m.bare && len(s.All) > 1 && !m.rules.lists() {
		list = &m.unstamped
	}
	last := make(map[string]int) // of paths listed twice the last one counts
	for i, stored := range s.All {
		m.see(stored)
		// Entries without a time stamp were recorded by Checkpoint.Save, which
		// manages nothing; where some have one the others lost theirs.
		seconds := s.LastPreserved
		if n := len(s.Timestamps); n > 0 {
			seconds = s.Timestamps[min(i, n-1)]
		}
		if m.adopts != AdoptNone && (seconds > s.LastPreserved || m.rules.lists() || list == &m.unstamped) {
			if name, ok := m.managedName(ctx, stored); ok {
				if before, twice := last[name]; twice {
					(*list)[before].Name = ""
				}
				last[name] = len(*list)
				*list = append(*list, m.managed(name, min(seconds, now)))
			}
		}
	}
	*list = slices.DeleteFunc(*list, func(c Managed) bool { return c.Name == "" })
}

// see notes the number of a stored path, whether its file is there or not.
func (m *Manager) see(stored string) {
	if number, ok := numberOf(lastElement(stored), m.name); ok {
		m.highest = max(m.highest, number)
	}
}

// scan notes the greatest number in the directory.
func (m *Manager) scan(ctx context.Context) error {
	_, highest, err := m.dir.scan(ctx, m.name)
	if err != nil {
		return fmt.Errorf("ckpt: directory %s: %w", m.dir.dir, err)
	}
	m.highest, m.scanned = max(m.highest, highest), true
	return nil
}

// managedName is the name of a stored path that lies in the directory; others
// are never managed, so never removed.
func (m *Manager) managedName(ctx context.Context, stored string) (string, bool) {
	name, inside := m.dir.nameOf(stored)
	if inside && !strings.ContainsAny(name, `/\`) {
		return name, true
	}
	// The directory may have been moved or be from another system: then the path
	// leads nowhere and the file lies here. If it leads to another file, that
	// one is meant, and the one here is a stranger's.
	at, found := m.dir.resolve(ctx, stored)
	if !found || !sameBucket(at.bucket, m.dir.bucket) {
		return "", false
	}
	if other, ok := m.dir.outside(stored); ok && other.identityOf() != at.identityOf() {
		cleaned := m.dir.beside(filepath.Clean(other.prefix))
		if exists(ctx, other) || exists(ctx, cleaned) {
			return "", false
		}
	}
	return strings.TrimPrefix(at.name, m.dir.base), true
}

// adoptAll takes over every checkpoint of the Manager's name, if that is wanted.
func (m *Manager) adoptAll(ctx context.Context, now float64) error {
	if m.adopts != AdoptAll {
		return nil
	}
	files, highest, err := m.dir.scan(ctx, m.name)
	if err != nil {
		return fmt.Errorf("ckpt: directory %s: %w", m.dir.dir, err)
	}
	m.highest, m.scanned = max(m.highest, highest), true
	kept := int64(math.MinInt64) // what lies below may have been kept for good
	if m.rules.KeepEvery > 0 && len(m.list) > 0 {
		kept = slices.MinFunc(m.list, byNumber).Number
	}
	for _, f := range files {
		if f.own && f.number >= kept && !m.lists(f.name) {
			m.list = append(m.list, m.managed(f.name, min(float64(f.time/1000)/1e6, now)))
		}
	}
	slices.SortStableFunc(m.list, byNumber)
	return nil
}

func byNumber(a, b Managed) int { return cmp.Compare(a.Number, b.Number) }

// managed describes a checkpoint of an earlier run. Its step is known only where
// the number stands for it.
func (m *Manager) managed(name string, seconds float64) Managed {
	c := Managed{Name: name, Time: seconds}
	number, own := numberOf(name, m.name)
	c.Number, c.Foreign = number, !own
	c.Step, c.StepKnown = number, own && m.schedule.step == nil
	return c
}

// hintAdoption tells of checkpoints that nobody looks after any more, because the
// state file that may have listed them is damaged.
func (a *attempts) hintAdoption(ctx context.Context) {
	var c *CorruptError
	if a.m.adopts != AdoptListed || !errors.As(a.resumed.State, &c) || c.Kind == KindUnreadable { // which is read again
		return
	}
	files, _, err := a.m.dir.scan(ctx, a.m.name)
	if err != nil {
		return
	}
	n := 0
	for _, f := range files {
		if f.own && !a.m.lists(f.name) {
			n++
		}
	}
	if n > 0 {
		a.m.log.Warn("the next save replaces the state file, and retention does not know these checkpoints: ManagerOptions.Adopt, AdoptAll, has it look after them", "directory", a.m.dir.dir, "checkpoints", n)
		a.resumed.State = fmt.Errorf("%w (checkpoints that retention does not know then: %d; it does if ManagerOptions.Adopt is AdoptAll)", a.resumed.State, n)
	}
}
