package ckpt

import (
	"context"
	"errors"
	"io/fs"
	"maps"
)

// saving describes the checkpoint that a save makes, to retention and, where its
// metadata says something, to those who come later: the options get what the
// Manager knows.
func (m *Manager) saving(at place, now moment, o *SaveOptions) Managed {
	saved := m.now()
	c := m.managed(at.name[len(m.dir.base):], stampOf(saved))
	if now.stepKnown {
		c.Step, c.StepKnown = now.step, true
	}
	c.Metrics = make(map[string]float64)
	if o.Metadata != nil {
		c.tell(o.Metadata)
	}
	steps := m.rules.KeepEverySteps > 0 && m.schedule.step != nil // later runs have to know them
	if o.Metadata.says() || o.Digests || steps {
		own := Metadata{}
		if o.Metadata != nil {
			own = *o.Metadata
		}
		if own.Step == nil && now.stepKnown {
			own.Step = new(now.step)
		}
		own.worth, own.saved = steps, saved
		if own.Parent == "" {
			own.Parent = m.parent
		}
		o.Metadata = &own
	}
	return c
}

// tell takes over what metadata says.
func (c *Managed) tell(of *Metadata) {
	if of.Step != nil {
		c.Step, c.StepKnown = *of.Step, true
	}
	c.Pinned, c.OtherBranch = of.Pinned, of.Branch != ""
	if c.Metrics = maps.Clone(of.Metrics); c.Metrics == nil {
		c.Metrics = make(map[string]float64)
	}
}

// learn reads what the metadata of checkpoints says: of those of earlier runs once,
// of all each time where metrics count. What cannot be read stays unknown.
func (m *Manager) learn(ctx context.Context) {
	for i := range m.list {
		c := &m.list[i]
		if c.Metrics != nil && len(m.rules.KeepBest) == 0 {
			continue // metrics may be measured later
		}
		switch said, err := readMetadata(ctx, m.dir.at(c.Name)); {
		case err == nil:
			c.tell(said)
		case errors.Is(err, fs.ErrNotExist):
			if c.Metrics == nil {
				c.Metrics = make(map[string]float64)
			}
		default:
			m.log.Warn("the metadata of a checkpoint cannot be read", "checkpoint", c.Name, "error", err)
		}
	}
}

// pinned tells whether a checkpoint is pinned now, by whoever it was. So it is
// while that cannot be told, and if its index is damaged.
func (m *Manager) pinned(ctx context.Context, name string) bool {
	said, err := keptMetadata(ctx, m.dir.at(name))
	if err == nil {
		return said.Pinned
	}
	if errors.Is(err, fs.ErrNotExist) {
		return false
	}
	m.log.Warn("a checkpoint stays, because its metadata cannot be read and may pin it", "checkpoint", name, "error", err)
	return true
}
