package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
)

// A saveMark says that a save is under way, until Abort.
type saveMark interface{ Abort() error }

// savePrefix begins the names of marks that are published.
const savePrefix = ".ckpt-save."

// mark notes that a save of this name is under way: a file that is never
// published. If the process dies before the state file lists the checkpoint,
// the mark tells the next manager that the checkpoint is ours to look after.
// Where the bucket cannot tell such files of the dead from those of the living,
// as an object store, the mark is published under a name of its own.
func (m *Manager) mark(ctx context.Context, at place) (saveMark, error) {
	if _, ok := at.bucket.(storage.Sweeper); ok {
		return at.bucket.Create(ctx, at.name, nil)
	}
	p := &publishedMark{at.bucket, m.dir.base + savePrefix + strings.TrimPrefix(at.name, m.dir.base)}
	w, err := at.bucket.Create(ctx, p.name, &storage.CreateOptions{Exclusive: true})
	if err != nil {
		return nil, err
	}
	defer w.Abort()
	own := m.marked[at.name]
	if m.marked == nil {
		m.marked = make(map[string]bool)
	}
	m.marked[at.name] = true // a Commit that fails may have put it
	err = w.Commit(ctx)
	if errors.Is(err, fs.ErrExist) {
		if own || slices.ContainsFunc(m.marks, func(l storage.Leftover) bool { return l.Name == at.name }) {
			return p, nil // of a dead save of this number, or an earlier one of this Manager
		}
		return nil, fmt.Errorf("another program is saving this checkpoint (%s is there); let one at a time save into this directory: %w", p.name, err)
	}
	if err != nil {
		return nil, err
	}
	return p, nil
}

// publishedMark is an empty file of a name of its own.
type publishedMark struct {
	bucket storage.Bucket
	name   string
}

// Abort removes the mark.
func (p *publishedMark) Abort() error {
	err := p.bucket.Remove(background, p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// stillMarked is an error if another program took a save for one that died, and
// perhaps removed some of its files. Whoever does so takes the mark first and
// looks for the index then, so that one of the two notices.
func (m *Manager) stillMarked(ctx context.Context, p *publishedMark, save failedSave, fresh bool) error {
	f, err := p.bucket.Open(ctx, p.name)
	if err == nil {
		return f.Close()
	}
	if !errors.Is(err, fs.ErrNotExist) {
		m.failed = append(m.failed, save)
		return err
	}
	err = fmt.Errorf("another program that saves into this directory took this save for an interrupted one (%s is gone); let one at a time save there", p.name)
	if fresh {
		err = errors.Join(err, bundle.Remove(context.WithoutCancel(ctx), save.at.bucket, save.at.name))
	}
	return err
}

// cleanPublished removes what saves left that died before their index was there,
// and collects the marks of those that were never recorded.
func (m *Manager) cleanPublished(ctx context.Context) error {
	var found []string
	for info, err := range m.dir.bucket.List(ctx, m.dir.base+savePrefix) {
		if err != nil {
			return err
		}
		found = append(found, info.Name)
	}
	for _, name := range found {
		prefix := m.dir.base + strings.TrimPrefix(name, m.dir.base+savePrefix)
		if !m.owns(prefix) {
			continue
		}
		m.see(strings.TrimPrefix(prefix, m.dir.base)) // its program may live
		there, err := bundle.Exists(ctx, m.dir.bucket, prefix)
		if err != nil {
			return err
		}
		if there {
			m.marks = append(m.marks, storage.Leftover{Name: prefix})
			continue
		}
		if err := m.dir.bucket.Remove(ctx, name); err != nil { // first: see stillMarked
			return err
		}
		err = bundle.Discard(ctx, m.dir.bucket, prefix)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		m.log.Info("removed what an interrupted save left", "checkpoint", prefix)
	}
	return nil
}

// dropMark removes the mark of a dead save.
func (m *Manager) dropMark(ctx context.Context, l storage.Leftover) error {
	if sweeper, ok := m.dir.bucket.(storage.Sweeper); ok {
		return sweeper.RemoveLeftover(ctx, l)
	}
	return m.dir.bucket.Remove(ctx, m.dir.base+savePrefix+strings.TrimPrefix(l.Name, m.dir.base))
}
