package ckpt

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strconv"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
)

// restored notes that the program is now where a checkpoint is.
func (m *Manager) restored(at place) {
	now := m.moment()
	m.parent = baseName(at.name)
	m.schedule.restored(now)
	if i := m.listed(at); i >= 0 && now.stepKnown {
		m.list[i].Step, m.list[i].StepKnown = now.step, true
	}
}

// listed is the position of a checkpoint in the list, -1 if it is not there.
func (m *Manager) listed(at place) int {
	id := at.identityOf()
	for i, c := range m.list {
		if m.dir.at(c.Name).identityOf() == id {
			return i
		}
	}
	return -1
}

// refused notes that a checkpoint is damaged. What only cannot be read now, or
// not by this version, may be good.
func (m *Manager) refused(at place, p *CorruptError) {
	i := m.listed(at)
	if i < 0 || p.Kind == KindUnreadable || p.Kind == KindUnsupported {
		return
	}
	if m.damaged == nil {
		m.damaged = make(map[string]bool)
	}
	m.damaged[m.list[i].Name] = true
}

// chosen restores the checkpoint that ResumeOptions.Prefix names.
func (a *attempts) chosen(ctx context.Context) (*Resumed, error) {
	at, err := a.m.choose(ctx, a.o.Prefix)
	if err != nil {
		return nil, err
	}
	refusal, err := a.try(ctx, candidate{at: at})
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return nil, unusable(fmt.Errorf("ckpt: ResumeOptions.Prefix asks for this checkpoint, and no other is tried: %w", refusal), a.overwritten)
	}
	a.m.branch(ctx, at)
	return a.resumed, nil
}

// choose is the checkpoint that a person means: a number, a name in the
// directory, or a path.
func (m *Manager) choose(ctx context.Context, prefix string) (place, error) {
	if _, err := strconv.ParseInt(prefix, 10, 64); err == nil {
		return m.dir.at(m.name + "-" + prefix), nil
	}
	if !strings.ContainsAny(prefix, `/\`) {
		at := m.dir.at(trimFileSuffix(prefix))
		if there, err := bundle.Exists(ctx, at.bucket, at.name); there || err != nil {
			return at, nil // opening it will say what is wrong
		}
	}
	if m.dir.system {
		return find(ctx, prefix, nil)
	}
	return find(ctx, prefix, m.dir.bucket)
}

// branch marks what is newer than the checkpoint to go on from. If that is not
// in the list, its number tells; without one all are. A checkpoint of a line that
// was left takes its line up again.
func (m *Manager) branch(ctx context.Context, at place) {
	m.learn(ctx)
	position := m.listed(at)
	name, inside := strings.CutPrefix(at.name, m.dir.base)
	number, own := numberOf(name, m.name)
	own = own && inside && m.dir.at(name).identityOf() == at.identityOf()
	left := m.branchOf(ctx, at)
	m.otherBranch = make(map[string]bool)
	for i, c := range m.list {
		older := i <= position
		if position < 0 {
			older = own && c.Number < number
		}
		switch {
		case !older:
			m.otherBranch[c.Name] = true
			m.log.Info("on another branch from now on", "checkpoint", c.Name)
		case c.OtherBranch && left != "" && m.branchOf(ctx, m.dir.at(c.Name)) == left:
			m.otherBranch[c.Name] = false
		}
	}
}

// branchOf is what the metadata of a checkpoint says, "" if it says nothing.
func (m *Manager) branchOf(ctx context.Context, at place) string {
	said, err := readMetadata(ctx, at)
	if err != nil {
		return ""
	}
	return said.Branch
}

// noteBranches lets later runs know what this one chose, once it has a checkpoint of
// its own. It is best effort: this run knows.
func (m *Manager) noteBranches(ctx context.Context) {
	if m.branchesNoted {
		return
	}
	m.branchesNoted = true
	for name, other := range m.otherBranch {
		at := m.dir.at(name)
		if other == (m.branchOf(ctx, at) != "") {
			continue
		}
		err := updateMetadata(ctx, at, func(said *Metadata) {
			if said.Branch = ""; other {
				said.Branch = m.latest
			}
		})
		if err != nil {
			m.log.Warn("later runs will not know that a checkpoint is on another branch", "checkpoint", name, "error", err)
		}
	}
}

// from lists the checkpoints that ResumeOptions.From names.
func (o *ResumeOptions) from(ctx context.Context, warn func(error)) (*directory, iter.Seq2[candidate, error]) {
	d := openDirectory(o.From, &FindOptions{Bucket: o.FromBucket})
	if at, ok := d.single(ctx); ok {
		return d, func(yield func(candidate, error) bool) { yield(candidate{at: at}, nil) }
	}
	return d, d.candidates(ctx, "", warn)
}

// single is the checkpoint that a path names where a directory could stand, too.
func (d *directory) single(ctx context.Context) (place, bool) {
	if model, ok := d.model(ctx); ok {
		return model, true
	}
	at := locate(trimFileSuffix(d.dir), nil)
	if !d.system {
		at = locate(trimFileSuffix(d.dir), d.bucket)
	}
	if !isName(at.name) {
		return at, false
	}
	if info, err := os.Stat(d.dir); d.system && err == nil && info.IsDir() {
		there, err := indexExists(ctx, at)
		return at, there && err == nil
	}
	return at, exists(ctx, at)
}
