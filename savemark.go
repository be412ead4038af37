package ckpt

import (
	"context"
	"crypto/rand"
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
	if m.token == "" {
		m.token = rand.Text()
	}
	p := &publishedMark{at.bucket, m.dir.base + savePrefix + strings.TrimPrefix(at.name, m.dir.base), m.token}
	err := p.put(ctx, true)
	if !errors.Is(err, fs.ErrExist) {
		return p, err
	}
	if held, err := p.held(ctx); held || err != nil {
		return p, err // of an earlier save of this Manager, which could not remove it
	}
	if slices.ContainsFunc(m.marks, func(l storage.Leftover) bool { return l.Name == at.name }) {
		return p, p.put(ctx, false) // of a dead save of this number
	}
	return nil, fmt.Errorf("another program is saving this checkpoint (%s is there); let one at a time save into this directory: %w", p.name, err)
}

// publishedMark is a file of a name of its own with the token of the Manager whose save
// it is of.
type publishedMark struct {
	bucket storage.Bucket
	name   string
	token  string
}

func (p *publishedMark) put(ctx context.Context, exclusive bool) error {
	w, err := p.bucket.Create(ctx, p.name, &storage.CreateOptions{Exclusive: exclusive})
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write([]byte(p.token)); err != nil {
		return err
	}
	return w.Commit(ctx)
}

// held tells whether the mark is there, and of this save.
func (p *publishedMark) held(ctx context.Context) (bool, error) {
	f, err := p.bucket.Open(ctx, p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	if f.Size() != int64(len(p.token)) {
		return false, nil
	}
	got := make([]byte, len(p.token))
	if n, err := f.ReadAt(got, 0); n < len(got) {
		return false, err
	}
	return string(got) == p.token, nil
}

// check is an error if another program took the save for one that died, and perhaps
// removed some of its files. Whoever does so takes the mark first and looks for the
// index then, so that one of the two notices.
func (p *publishedMark) check(ctx context.Context) error {
	held, err := p.held(ctx)
	if err != nil || held {
		return err
	}
	f, err := p.bucket.Open(ctx, p.name)
	if err == nil {
		err = f.Close()
	}
	gone := errors.Is(err, fs.ErrNotExist)
	if err != nil && !gone {
		return err
	}
	return &takenError{p.name, gone}
}

// takenError says that a mark was taken.
type takenError struct {
	mark string
	gone bool // by one that no longer looks after this checkpoint; else it is another's
}

func (e *takenError) Error() string {
	return "another program that saves into this directory took this save for an interrupted one (" + e.mark + " is no longer its own); let one at a time save there"
}

// Abort removes the mark, unless it is another's by now.
func (p *publishedMark) Abort() error {
	held, err := p.held(background)
	if err != nil || !held {
		return err
	}
	err = p.bucket.Remove(background, p.name)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// stillMarked looks for the mark once the checkpoint is there. Where another program
// has it the index goes again: it may have data that is gone.
func (m *Manager) stillMarked(ctx context.Context, p *publishedMark, save failedSave, fresh bool) error {
	err := p.check(ctx)
	if err == nil {
		return nil
	}
	taken, ok := errors.AsType[*takenError](err)
	if !ok {
		m.failed = append(m.failed, save)
		return err
	}
	if fresh {
		err = errors.Join(err, save.at.bucket.Remove(context.WithoutCancel(ctx), bundle.IndexName(save.at.name)))
		m.leave(ctx, save.at, taken)
	}
	return err
}

// leave sees to the data of a save that was taken for dead: it is another's, or
// nobody's.
func (m *Manager) leave(ctx context.Context, at place, taken *takenError) {
	if !taken.gone {
		return
	}
	if err := bundle.Discard(context.WithoutCancel(ctx), at.bucket, at.name); err != nil && !errors.Is(err, fs.ErrExist) {
		m.log.Warn("left-over files stay", "checkpoint", at.prefix, "error", err)
	}
}

// cleanPublished removes what saves left that died before their index was there,
// and collects the marks of those that were never recorded.
func (m *Manager) cleanPublished(ctx context.Context) error {
	if err := m.findPublished(ctx); err != nil {
		return err
	}
	found := m.marks
	m.marks = nil
	for _, l := range found {
		m.see(strings.TrimPrefix(l.Name, m.dir.base)) // its program may live
		there, err := bundle.Exists(ctx, m.dir.bucket, l.Name)
		if err != nil {
			return err
		}
		if there {
			m.marks = append(m.marks, l)
			continue
		}
		if err := m.dropMark(ctx, l); err != nil { // first: see check
			return err
		}
		err = bundle.Discard(ctx, m.dir.bucket, l.Name)
		if err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
		m.log.Info("removed what an interrupted save left", "checkpoint", l.Name)
	}
	return nil
}

// findPublished collects the marks that are published.
func (m *Manager) findPublished(ctx context.Context) error {
	m.marks = nil
	for info, err := range m.dir.bucket.List(ctx, m.dir.base+savePrefix) {
		if errors.Is(err, fs.ErrNotExist) {
			break
		}
		if err != nil {
			return err
		}
		if prefix := m.dir.base + strings.TrimPrefix(info.Name, m.dir.base+savePrefix); m.owns(prefix) {
			m.marks = append(m.marks, storage.Leftover{Name: prefix})
		}
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
