package ckpt

import (
	"context"
	"errors"
	"io/fs"
	"maps"

	"github.com/ckpt-go/ckpt/bundle"
)

// Plan tells what retention would do now, and why, and does none of it: the
// verdicts on the checkpoints this Manager looks after, oldest first. It waits
// for a background save.
func (m *Manager) Plan(ctx context.Context) ([]Verdict, error) {
	if err := m.checkpoint.join(ctx); err != nil {
		return nil, err
	}
	verdicts, _ := m.plan(ctx)
	for i := range verdicts {
		verdicts[i].Metrics = maps.Clone(verdicts[i].Metrics)
	}
	return verdicts, nil
}

// plan asks the rules.
func (m *Manager) plan(ctx context.Context) (verdicts []Verdict, last float64) {
	if m.rules.MaxToKeep != KeepAll {
		m.learn(ctx)
	}
	list := make([]Managed, len(m.list))
	for i, c := range m.list {
		c.InUse = isPinned(m.dir.at(c.Name))
		c.Damaged = m.damaged[c.Name]
		if other, said := m.otherBranch[c.Name]; said {
			c.OtherBranch = other
		}
		list[i] = c
	}
	return Retain(list, m.rules, m.lastPreserved)
}

// sweep removes what retention no longer keeps, then records it. A file that
// cannot be removed does not fail the save that was done; it is tried again
// after the next one.
func (m *Manager) sweep(ctx context.Context) error {
	m.stays = nil
	m.noteBranches(ctx)
	verdicts, last := m.plan(ctx)
	var kept []Managed
	for i, v := range verdicts {
		switch v.Action {
		case ActionKeep:
			kept = append(kept, m.list[i])
		case ActionPreserve:
			m.log.Info("no longer looked after", "checkpoint", v.Name, "reason", v.Reasons[0])
		case ActionRemove:
			if !m.discard(ctx, v.Name) {
				kept = append(kept, m.list[i])
			}
		}
	}
	if len(kept) == len(m.list) && last == m.lastPreserved {
		return nil
	}
	m.list, m.lastPreserved = kept, last
	m.show()
	return m.writeState(ctx)
}

// discard removes a checkpoint and reports whether it is done with.
func (m *Manager) discard(ctx context.Context, name string) bool {
	if m.pinned(ctx, name) {
		return false
	}
	at := m.dir.at(name)
	err := bundle.Remove(ctx, at.bucket, at.name)
	switch {
	case err == nil:
	case errors.Is(err, fs.ErrNotExist):
		m.log.Info("gone already", "checkpoint", name)
	default:
		m.log.Warn("could not remove a checkpoint", "checkpoint", name, "error", err)
		m.stays = errors.Join(m.stays, err)
		return false
	}
	if err := dropMetadata(ctx, at); err != nil {
		m.log.Warn("could not remove the metadata of a checkpoint", "checkpoint", name, "error", err)
	}
	return true
}
