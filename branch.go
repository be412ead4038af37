package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"maps"
	"os"
	"slices"
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

// inside is the name of a checkpoint in the directory; not ok if it is elsewhere.
func (m *Manager) inside(at place) (name string, ok bool) {
	name, ok = strings.CutPrefix(at.name, m.dir.base)
	return name, ok && m.dir.at(name).identityOf() == at.identityOf()
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

// refusals are the checkpoints that were refused, by name in the Manager's directory.
type refusals struct {
	damaged    map[string]bool
	unreadable map[string]bool // they may be good
}

func newRefusals() refusals { return refusals{make(map[string]bool), make(map[string]bool)} }

// forget is for a checkpoint that is being replaced.
func (r *refusals) forget(name string) {
	delete(r.damaged, name)
	delete(r.unreadable, name)
}

// refused notes that a checkpoint is damaged, whether the list has it yet or not.
// What only cannot be read now, or not by this version, may be good.
func (a *attempts) refused(at place, p *CorruptError) {
	name, ok := a.m.inside(at)
	switch {
	case !ok:
	case p.Kind == KindUnreadable || p.Kind == KindUnsupported:
		a.unreadable[name] = true
	default:
		a.damaged[name] = true
	}
}

// chosen restores the checkpoint that ResumeOptions.Prefix names.
func (a *attempts) chosen(ctx context.Context) (*Resumed, error) {
	at, err := a.m.choose(ctx, a.o.Prefix)
	if err != nil {
		return nil, err
	}
	files, _, err := a.m.dir.scan(ctx, a.m.name)
	if err != nil {
		return nil, fmt.Errorf("ckpt: directory %s: %w", a.m.dir.dir, err)
	}
	refusal, err := a.try(ctx, candidate{at: at})
	if err != nil {
		return nil, err
	}
	if refusal != nil {
		return nil, unusable(fmt.Errorf("ckpt: ResumeOptions.Prefix asks for this checkpoint, and no other is tried: %w", refusal), a.overwritten)
	}
	a.m.branch(ctx, at, files)
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

// branch marks what is newer than the checkpoint to go on from: by the list, or by
// its number what the list does not have, or not yet. If nothing tells where it
// stands, all others are marked. A checkpoint of a line that was left takes its line
// up again.
func (m *Manager) branch(ctx context.Context, at place, files []found) {
	m.learn(ctx)
	position := m.listed(at)
	name, inside := m.inside(at)
	number, own := numberOf(name, m.name)
	own = own && inside
	m.branches = branches{other: make(map[string]bool), open: make(map[string]bool)}
	left, _ := m.branchOf(ctx, at)
	mark := func(name string, older, before bool) {
		switch {
		case !older:
			m.branches.set(name, true)
			m.log.Info("on another branch from now on", "checkpoint", name)
		case before && left != "":
			if line, _ := m.branchOf(ctx, m.dir.at(name)); line == left {
				m.branches.set(name, false)
			}
		}
	}
	for i, c := range m.list {
		mark(c.Name, i <= position || position < 0 && own && c.Number < number, c.OtherBranch)
	}
	for _, f := range files {
		if f.own && !m.lists(f.name) && !(inside && f.name == name) {
			mark(f.name, own && f.number < number, true)
		}
	}
}

// branches is what ResumeOptions.Prefix decided about checkpoints of the directory,
// by name.
type branches struct {
	other map[string]bool // false: no longer on another branch
	open  map[string]bool // those whose metadata does not say so yet; true: the log knows that it could not be written
	first string          // of the line that took over
}

func (b *branches) set(name string, other bool) { b.other[name], b.open[name] = other, false }

// forget is for a checkpoint that is being replaced.
func (b *branches) forget(name string) {
	delete(b.other, name)
	delete(b.open, name)
}

// branchOf is what the metadata of a checkpoint says, "" if it says nothing.
func (m *Manager) branchOf(ctx context.Context, at place) (string, error) {
	said, err := readMetadata(ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return said.Branch, nil
}

// noteBranches lets later runs know what this one chose, once it has a checkpoint of
// its own. It is best effort: this run knows. What could not be written is tried
// again after the next save.
func (m *Manager) noteBranches(ctx context.Context) {
	b := &m.branches
	if len(b.open) == 0 {
		return
	}
	b.first = cmp.Or(b.first, m.latest)
	for _, name := range slices.Sorted(maps.Keys(b.open)) {
		err := m.noteBranch(ctx, m.dir.at(name), b.other[name])
		if err == nil || errors.Is(err, fs.ErrNotExist) { // or nothing is there to be told of
			delete(b.open, name)
			continue
		}
		if !b.open[name] {
			m.log.Warn("later runs do not know yet that a checkpoint is on another branch", "checkpoint", name, "error", err)
		}
		b.open[name] = true
	}
}

func (m *Manager) noteBranch(ctx context.Context, at place, other bool) error {
	line, err := m.branchOf(ctx, at)
	if err != nil || other == (line != "") {
		return err
	}
	return updateMetadata(ctx, at, func(said *Metadata) {
		if said.Branch = ""; other {
			said.Branch = m.branches.first
		}
	})
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
