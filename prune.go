package ckpt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
)

// PruneOptions are the options of Prune; nil means the zero value.
type PruneOptions struct {
	// DryRun changes nothing, and locks nothing: the verdicts are what would be done.
	DryRun bool
	// Level is how thoroughly the newest checkpoint has to be found good before
	// older ones may go. Zero is LevelAll.
	Level Level
}

// Prune removes what this Manager's rules do not keep, without saving: retention
// by hand, also with rules that no program has. The verdicts, oldest first, are
// those it went by. Unlike the retention after a save it does not know that the
// newest checkpoint is good: it looks, and damaged ones are not counted. If none is
// good nothing is removed, which is ErrCorrupt, or ErrNoCheckpoint if there are
// none; nor if KeepBest asks for a metric that no checkpoint has, or if the rules
// would remove the state file's latest. A save that died before the state file named
// its checkpoint is finished: that one, if it is good and the one named until then was
// the newest, is the latest. A list without
// time stamps, as tf.compat.v1.train.Saver writes it, is taken for what this Manager
// looks after, unless it has only one entry, as after Checkpoint.Save, which looks
// after none. KeepEvery is an error. What could not be
// removed is an error after all else was done. It is refused while another process
// saves into the directory, see Manager.
func (m *Manager) Prune(ctx context.Context, o *PruneOptions) ([]Verdict, error) {
	if o == nil {
		o = new(PruneOptions)
	}
	if m.closed {
		return nil, fmt.Errorf("ckpt: the Manager of %s is closed", m.dir.dir)
	}
	if m.rules.KeepEvery > 0 {
		return nil, errors.New("ckpt: Prune knows no KeepEvery, which goes by what was kept for good before; use KeepEverySteps or KeepBest")
	}
	if err := m.checkpoint.join(ctx); err != nil {
		return nil, err
	}
	if c, ok := errors.AsType[*CorruptError](m.stateErr); ok && c.Kind == KindUnreadable {
		if err := m.recover(ctx); err != nil { // it may be readable by now
			return nil, err
		}
	}
	if o.DryRun {
		defer m.keep()()
	}
	m.takeUnstamped()
	if m.stateErr != nil && m.adopts != AdoptAll {
		return nil, fmt.Errorf("ckpt: directory %s: the state file does not tell which checkpoints there are; with AdoptAll the files do: %w", m.dir.dir, m.stateErr)
	}
	if o.DryRun {
		if err := m.findMarks(ctx); err != nil {
			return nil, fmt.Errorf("ckpt: directory %s: %w", m.dir.dir, err)
		}
		m.adopt(ctx)
	} else {
		if err := m.lock(ctx); err != nil {
			return nil, err
		}
		m.prepare(ctx)
	}
	if err := m.judge(ctx, o.Level); err != nil {
		return nil, err
	}
	verdicts, err := m.Plan(ctx)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(m.checkMetrics(verdicts), m.checkLatest(verdicts)); err != nil {
		return nil, err
	}
	if o.DryRun {
		return verdicts, nil
	}
	if err := m.sweep(ctx); err != nil {
		return verdicts, err
	}
	if m.stays != nil {
		return verdicts, fmt.Errorf("ckpt: directory %s: not all could be removed, another run tries again: %w", m.dir.dir, m.stays)
	}
	return verdicts, nil
}

// checkMetrics refuses a rule about a metric that no checkpoint has: with a typing
// error in it the best would go.
func (m *Manager) checkMetrics(verdicts []Verdict) error {
	for _, b := range m.rules.KeepBest {
		has := func(v Verdict) bool { _, ok := v.Metrics[b.Metric]; return ok && v.counts() }
		if !slices.ContainsFunc(verdicts, has) {
			return fmt.Errorf("ckpt: nothing is removed: no checkpoint of %s that counts has the metric %q", fault.Printable(m.dir.dir), b.Metric)
		}
	}
	return nil
}

// checkLatest refuses to remove what the state file calls the latest.
func (m *Manager) checkLatest(verdicts []Verdict) error {
	for _, v := range verdicts {
		if v.Action == ActionRemove && v.Name == m.latest {
			return fmt.Errorf("ckpt: nothing is removed: the latest checkpoint by the state file of %s is %s, which the rules do not keep: keep more, or let a program save once", fault.Printable(m.dir.dir), fault.Printable(v.Name))
		}
	}
	return nil
}

// judge looks for the newest good checkpoint of the list that rules count, and marks as damaged newer
// ones, and all whose index is gone. Without a state file the good one is the latest, and
// so it is if its save died before it could say so.
func (m *Manager) judge(ctx context.Context, level Level) error {
	o, err := (&VerifyOptions{Level: level}).orDefault()
	if err != nil {
		return err
	}
	worst := ErrNoCheckpoint
	a := &attempts{m: m, refusals: newRefusals()}
	good := ""
	m.learn(ctx)
	for i := len(m.list) - 1; i >= 0; i-- {
		at := m.dir.at(m.list[i].Name)
		if good != "" {
			if there, err := bundle.Exists(ctx, at.bucket, at.name); err != nil {
				return err
			} else if !there {
				a.damaged[m.list[i].Name] = true
			}
			continue
		}
		v, err := verify(ctx, at, o, false)
		if err != nil {
			return err
		}
		if v.OK() {
			if !m.onOtherBranch(i) { // which rules do not count
				good = m.list[i].Name
			}
			continue
		}
		p := v.Problems[0]
		a.refused(at, p)
		if errors.Is(worst, ErrNoCheckpoint) && !isGone(p) {
			worst = p
		}
	}
	if good != "" {
		if m.latest == "" || m.interrupted(good) {
			m.outdated, m.latest = m.latest, good
		}
		m.refusals = a.refusals
		return nil
	}
	if len(m.list) == 0 {
		return fmt.Errorf("ckpt: nothing is removed: the state file of %s lists no checkpoints to look after; with AdoptAll all that are called %s-<n> are: %w", fault.Printable(m.dir.dir), m.name, worst)
	}
	return fmt.Errorf("ckpt: nothing is removed: no checkpoint that %s lists is good: %w", fault.Printable(m.dir.dir), worst)
}

// interrupted tells whether the save of a checkpoint died before the state file named it
// as the latest, which still is what was the newest then: nobody chose another.
func (m *Manager) interrupted(name string) bool {
	at := slices.IndexFunc(m.list, func(c Managed) bool { return c.Name == m.latest })
	if at < 0 || !slices.ContainsFunc(m.list[at+1:], func(c Managed) bool { return c.Name == name }) {
		return false
	}
	return !slices.ContainsFunc(m.list[at+1:], func(c Managed) bool { return !m.marked(c.Name) })
}

// marked tells whether a save of this checkpoint died before it was recorded.
func (m *Manager) marked(name string) bool {
	return slices.ContainsFunc(m.marks, func(l storage.Leftover) bool { return l.Name == m.dir.base+name })
}

// keep remembers what a dry run changes in the Manager.
func (m *Manager) keep() (restore func()) {
	list, unstamped, marks, latest, outdated, refusals := slices.Clone(m.list), m.unstamped, m.marks, m.latest, m.outdated, m.refusals
	return func() {
		m.list, m.unstamped, m.marks, m.latest, m.outdated, m.refusals = list, unstamped, marks, latest, outdated, refusals
	}
}

// takeUnstamped has the Manager look after what the state file lists without any time
// stamps.
func (m *Manager) takeUnstamped() {
	listed := slices.DeleteFunc(slices.Clone(m.unstamped), func(c Managed) bool { return m.lists(c.Name) })
	m.list = slices.Concat(listed, m.list)
	m.unstamped = nil
}
