package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

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

// plan asks the rules, and looks again whether what they would not keep is pinned.
func (m *Manager) plan(ctx context.Context) (verdicts []Verdict, last float64) {
	if m.rules.MaxToKeep != KeepAll {
		m.learn(ctx)
	}
	verdicts, _ = m.ask(false)
	for i, v := range verdicts {
		if v.Action == ActionRemove {
			m.list[i].Pinned = m.pinned(ctx, v.Name)
		}
	}
	return m.ask(true)
}

// ask asks the rules, with pins or without.
func (m *Manager) ask(pins bool) (verdicts []Verdict, last float64) {
	list := make([]Managed, len(m.list))
	for i, c := range m.list {
		c.Pinned = c.Pinned && pins
		c.InUse = inUse(m.dir.at(c.Name))
		c.Damaged, c.Unreadable = m.refusals.damaged[c.Name], m.refusals.unreadable[c.Name]
		c.OtherBranch = m.onOtherBranch(i)
		list[i] = c
	}
	return Retain(list, m.rules, m.lastPreserved)
}

// onOtherBranch tells whether a checkpoint of the list is on a line that was left.
func (m *Manager) onOtherBranch(i int) bool {
	if other, said := m.branches.other[m.list[i].Name]; said {
		return other
	}
	return m.list[i].OtherBranch
}

// sweep removes what retention no longer keeps, then records it. A file that
// cannot be removed does not fail the save that was done; it is tried again
// after the next one.
func (m *Manager) sweep(ctx context.Context) error {
	m.stays = nil
	if m.displaced() {
		return fmt.Errorf("ckpt: directory %s: nothing is removed: %w", m.dir.dir, errDisplaced)
	}
	m.noteBranches(ctx)
	verdicts, last := m.plan(ctx)
	m.warnMetrics(verdicts)
	var kept []Managed
	since := len(verdicts) // where in kept those begin that were saved after what is kept for good now
	for i, v := range verdicts {
		switch v.Action {
		case ActionKeep:
			kept = append(kept, m.list[i])
		case ActionPreserve:
			since = len(kept)
			m.log.Info("no longer looked after", "checkpoint", v.Name, "reason", v.Reasons[0])
		case ActionRemove:
			if !m.nameLatest(ctx, v.Name) || !m.discard(ctx, v.Name) {
				kept = append(kept, m.list[i])
			}
		}
	}
	for _, c := range kept[min(since, len(kept)):] {
		last = below(last, c.Time)
	}
	if len(kept) == len(m.list) && last == m.lastPreserved {
		return nil
	}
	m.list, m.lastPreserved = kept, last
	m.show()
	if err := m.writeState(ctx); err != nil {
		return err
	}
	m.dropMarks(ctx)
	return nil
}

// nameLatest has the state file name the latest checkpoint before the one goes that it
// names now, if that is another.
func (m *Manager) nameLatest(ctx context.Context, goes string) bool {
	if goes != m.outdated {
		return true
	}
	if err := m.writeState(ctx); err != nil {
		m.log.Warn("a checkpoint stays, because the state file that names it cannot be written", "checkpoint", goes, "error", err)
		m.stays = errors.Join(m.stays, err)
		return false
	}
	return true
}

// warnMetrics tells once that a checkpoint goes although KeepBest may have been meant
// to keep it: none has its metric, which may have a typing error in it.
func (m *Manager) warnMetrics(verdicts []Verdict) {
	if !slices.ContainsFunc(verdicts, func(v Verdict) bool { return v.Action == ActionRemove }) {
		return
	}
	for _, b := range m.rules.KeepBest {
		if m.warned[b.Metric] || slices.ContainsFunc(verdicts, func(v Verdict) bool { _, has := v.Metrics[b.Metric]; return has }) {
			continue
		}
		if m.warned == nil {
			m.warned = make(map[string]bool)
		}
		m.warned[b.Metric] = true
		m.log.Warn("KeepBest keeps nothing: no checkpoint has this metric in its metadata", "directory", m.dir.dir, "metric", b.Metric)
	}
}

// below is the time stamp of what KeepEvery preserved last, below that of a
// checkpoint saved since. It differs where the clock went back: then a later run would
// take the checkpoint for one that is kept for good, and forget it. Equal ones it
// leaves, as TensorFlow does, whose file this is.
func below(last, saved float64) float64 {
	if saved < last {
		return saved - 1
	}
	return last
}

// remove removes a checkpoint, or the data of one whose index is gone.
func (m *Manager) remove(ctx context.Context, claim *bundle.Claim, name string) error {
	err := claim.Remove(ctx)
	if !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	m.log.Info("gone already", "checkpoint", name)
	if err = claim.Discard(ctx); errors.Is(err, fs.ErrExist) {
		return nil // another format's, or there again
	}
	return err
}

// discard removes a checkpoint and reports whether it is done with. Of one whose
// index somebody else removed the data goes, as with TensorFlow: that it is ours the
// list says.
func (m *Manager) discard(ctx context.Context, name string) bool {
	at := m.dir.at(name)
	release, ok := claim(at)
	if !ok {
		return false
	}
	defer release()
	claim, err := bundle.ClaimPrefix(ctx, at.bucket, at.name)
	if err == nil {
		defer claim.Release()
		if m.pinned(ctx, name) { // since it was looked at
			return false
		}
		err = m.remove(ctx, claim, name)
	}
	if err != nil {
		m.log.Warn("could not remove a checkpoint", "checkpoint", name, "error", err)
		m.stays = errors.Join(m.stays, err)
		return false
	}
	if err := dropMetadata(ctx, at); err != nil {
		m.log.Warn("could not remove the metadata of a checkpoint", "checkpoint", name, "error", err)
	}
	return true
}
