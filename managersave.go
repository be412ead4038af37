package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strconv"

	"github.com/ckpt-go/ckpt/bundle"
)

// Save writes the next checkpoint, makes it the latest, and removes what
// retention no longer keeps. When it returns, the checkpoint survives a power
// loss. Its number is the save counter's, or higher: above every number in the
// directory, so that going on from an older checkpoint overwrites nothing.
func (m *Manager) Save(ctx context.Context, o *SaveOptions) (string, error) {
	return m.save(ctx, nil, o)
}

// SaveNumber is Save with a number of the caller's choice, such as a step
// (checkpoint_number). A checkpoint of that number is replaced. The save counter
// goes up by one all the same.
func (m *Manager) SaveNumber(ctx context.Context, number int64, o *SaveOptions) (string, error) {
	return m.save(ctx, &number, o)
}

func (m *Manager) save(ctx context.Context, number *int64, o *SaveOptions) (string, error) {
	o = o.own()
	if o.Bucket != nil {
		return "", errors.New("ckpt: a Manager saves into its own bucket; leave SaveOptions.Bucket nil")
	}
	if m.closed {
		return "", fmt.Errorf("ckpt: the Manager of %s is closed", m.dir.dir)
	}
	begin := m.moment()
	when, err := m.checkpoint.ready(ctx, o)
	if err != nil || when == never {
		return "", err
	}
	if !o.DropWaiting { // before counting: a refused save is none
		if err := m.checkpoint.checkNothingWaits(); err != nil {
			return "", err
		}
	}
	at, fresh, err := m.numberAt(ctx, when, number)
	if err != nil {
		return "", err
	}
	as := m.saving(at, begin, o) // here: the clock is for this goroutine only
	k, err := m.checkpoint.cut(ctx, at, o)
	if err != nil {
		return "", err
	}
	ended := m.schedule.begin(begin, at.prefix, o)
	if m.schedule.timed() {
		defer func() { m.schedule.paid(m.now().Sub(begin.time)) }()
	}
	return m.checkpoint.carryOut(at.prefix, o, k, func() (err error) {
		defer func() { ended(err) }() // even if a hook ends the goroutine
		err = errGone
		err = m.finish(ctx, k, at, fresh, as, o)
		if err != nil && o.Background {
			m.log.Error("a background save failed", "checkpoint", at.prefix, "error", err)
		}
		return err
	})
}

// number takes the next number, or the one given, and the place that goes with
// it. A fresh one is the number of no file.
func (m *Manager) number(ctx context.Context, number *int64) (at place, fresh bool, err error) {
	if err := m.lock(ctx); err != nil {
		return at, false, err
	}
	if err := m.checkpoint.ensureCounter(ctx); err != nil {
		return at, false, err
	}
	m.prepare(ctx)
	fresh = number == nil
	if fresh && !m.scanned {
		if err := m.scan(ctx); err != nil {
			return at, false, err
		}
	}
	m.settle(ctx)
	if fresh {
		next, err := m.checkpoint.count(m.highest)
		if err != nil {
			return at, false, fmt.Errorf("ckpt: directory %s: %w", m.dir.dir, err)
		}
		number = &next
	} else if _, err := m.checkpoint.count(math.MinInt64); err != nil {
		return at, false, fmt.Errorf("ckpt: saving %s: %w", m.nameOf(*number), err)
	}
	at = m.dir.at(m.nameOf(*number))
	taken, err := indexExists(ctx, at)
	if err != nil {
		return at, false, fmt.Errorf("ckpt: saving %s: %w", at.prefix, err)
	}
	if fresh && taken {
		// Somebody else writes to this directory: take a number above theirs.
		m.log.Warn("another program saves into this directory; two Managers there remove each other's checkpoints", "directory", m.dir.dir, "checkpoint", at.prefix)
		if err := m.scan(ctx); err != nil {
			return at, false, err
		}
		next, err := m.checkpoint.count(m.highest)
		if err != nil {
			return at, false, fmt.Errorf("ckpt: directory %s: %w", m.dir.dir, err)
		}
		at = m.dir.at(m.nameOf(next))
	}
	return at, fresh, nil
}

func (m *Manager) nameOf(number int64) string { return m.name + "-" + strconv.FormatInt(number, 10) }

// finish writes a checkpoint, records it and removes what retention no longer
// keeps. It may run beside the program.
func (m *Manager) finish(ctx context.Context, k *cut, at place, fresh bool, as Managed, o *SaveOptions) error {
	mark, err := m.mark(ctx, at)
	if err != nil {
		k.release()
		return fmt.Errorf("ckpt: saving %s: %w", at.prefix, err)
	}
	p, published := mark.(*publishedMark)
	if published {
		k.guard = p.check
	}
	if err := k.write(ctx, at, o); err != nil {
		if taken, ok := errors.AsType[*takenError](err); !ok {
			m.giveUp(ctx, failedSave{at, mark, as}, fresh)
		} else if fresh {
			m.leave(ctx, at, taken)
		}
		return err
	}
	if published {
		if err := m.stillMarked(ctx, p, failedSave{at, mark, as}, fresh); err != nil {
			return fmt.Errorf("ckpt: saving %s: %w", at.prefix, err)
		}
	}
	if m.displaced() {
		return fmt.Errorf("ckpt: saving %s: %w", at.prefix, errors.Join(errDisplaced, mark.Abort()))
	}
	m.unrecorded = append(m.unrecorded, mark)
	m.see(as.Name)
	if o.Background {
		ctx = context.WithoutCancel(ctx) // the checkpoint is there: too late to cancel
	}
	m.refusals.forget(as.Name)
	m.branches.forget(as.Name)
	m.enlist(as)
	m.lastPreserved = below(m.lastPreserved, as.Time)
	m.latest = as.Name
	m.stateErr, m.unstamped = nil, nil
	if err := m.writeState(ctx); err != nil {
		return &unrecordedError{at.prefix, err}
	}
	m.show()
	m.dropMarks(ctx)
	return m.sweep(ctx)
}

// unrecordedError says that a checkpoint is complete all the same.
type unrecordedError struct {
	prefix string
	err    error
}

func (e *unrecordedError) Error() string {
	return fmt.Sprintf("%v (%s is complete, the state file does not name it yet)", e.err, e.prefix)
}
func (e *unrecordedError) Unwrap() error { return e.err }

// indexExists tells whether a checkpoint has this name.
func indexExists(ctx context.Context, at place) (bool, error) {
	f, err := at.bucket.Open(ctx, bundle.IndexName(at.name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return true, f.Close()
}

func (m *Manager) writeState(ctx context.Context) error {
	s := &State{Latest: m.latest, LastPreserved: m.lastPreserved}
	for _, c := range m.list {
		s.All = append(s.All, c.Name)
		s.Timestamps = append(s.Timestamps, c.Time)
	}
	if m.bare && !slices.ContainsFunc(m.list, func(c Managed) bool { return c.Time > m.lastPreserved }) {
		s.Timestamps = nil // as before: retention of later runs looks after none of them
	}
	err := writeState(ctx, m.dir.bucket, m.dir.base+stateFileName, s)
	if err == nil {
		m.outdated = ""
	}
	return err
}
