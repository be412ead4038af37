package ckpt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"sync"
)

// Busy is what a background save does while another one is being written.
type Busy int

const (
	// BusyWait waits until the other one is written, as TensorFlow does.
	BusyWait Busy = iota
	// BusySkip saves nothing: the prefix is "", the error nil, and the save
	// counter stays as it is.
	BusySkip
	// BusyReplace takes the values of this moment and lets them wait beside the
	// program until the other one is written. One save waits at a time: a newer
	// one takes its place, its number stays unused, and its Done hears
	// ErrReplaced. Memory for copies is twice that of BusyWait: those being
	// written and those waiting.
	BusyReplace
)

// ErrReplaced is what SaveOptions.Done hears of a save that never began to be
// written, because a newer one took its place; see BusyReplace. It is no
// failure: Wait and the next save do not return it.
var ErrReplaced = errors.New("ckpt: a newer save took the place of this one before it was written")

// job is one background save.
type job struct {
	prefix string
	done   func(prefix string, err error)
	cut    *cut
	write  func() error
}

// flights are the background saves of a Checkpoint: at most one that is being
// written, and one that waits for it.
type flights struct {
	mu       sync.Mutex
	landed   chan struct{} // closed when none is written or waits; nil before the first
	flying   bool
	waiting  *job
	replaced []*job   // to be told so before the next one is written
	err      error    // of those that ended, until somebody takes it
	spare    [][]byte // memory of copies, to be used again
}

var errGone = errors.New("ckpt: a hook ended the goroutine of the background save")

// own gives options that the caller cannot change any more: a save in the
// background looks at them after Save has returned.
func (o *SaveOptions) own() *SaveOptions {
	if o == nil {
		return new(SaveOptions)
	}
	own := *o
	own.AfterWrite = slices.Clone(o.AfterWrite)
	own.Metadata = o.Metadata.clone()
	return &own
}

// turn is when a save may be written.
type turn int

const (
	alone  turn = iota // nothing is being written
	beside             // another save is, and this one waits for it
	never
)

// ready makes way for a save: it waits for those before it, unless SaveOptions.Busy
// wants otherwise. An error of theirs comes back here, and the caller then does
// nothing else.
func (c *Checkpoint) ready(ctx context.Context, o *SaveOptions) (turn, error) {
	if o.Busy < BusyWait || o.Busy > BusyReplace {
		return never, fmt.Errorf("ckpt: SaveOptions.Busy is %d; it must be BusyWait, BusySkip or BusyReplace", o.Busy)
	}
	if !o.Background && o.Busy != BusyWait {
		return never, errors.New("ckpt: SaveOptions.Busy is for saves in the background: set Background, too, or leave it out")
	}
	if !o.Background || o.Busy == BusyWait {
		return alone, c.land(ctx)
	}
	f := &c.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := f.err; err != nil || !f.flying {
		f.err = nil
		return alone, err
	}
	if o.Busy == BusySkip {
		return never, nil
	}
	return beside, nil
}

// carryOut runs a save's writing part now or, if it is to be in the background,
// beside the program.
func (c *Checkpoint) carryOut(prefix string, o *SaveOptions, k *cut, write func() error) (string, error) {
	if !o.Background {
		err := write()
		if o.Done != nil {
			o.Done(prefix, err)
		}
		if unrecorded := new(unrecordedError); err != nil && !errors.As(err, &unrecorded) {
			prefix = ""
		}
		return prefix, err
	}
	c.flights.add(&job{prefix, o.Done, k, write})
	return prefix, nil
}

// add starts a job, or lets it wait.
func (f *flights) add(j *job) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.flying {
		f.waiting = j
		return
	}
	f.landed = make(chan struct{})
	f.start(j)
}

// start begins to write; f.mu is held.
func (f *flights) start(j *job) {
	f.flying = true
	replaced := f.replaced
	f.replaced = nil
	go func() {
		err := errGone
		defer func() { f.end(j, err) }() // even if a hook ends the goroutine
		for _, r := range replaced {
			if r.done != nil {
				r.done(r.prefix, ErrReplaced)
			}
		}
		if err = j.write(); err != nil {
			err = fmt.Errorf("in the background: %w", err)
		}
		if j.done != nil {
			j.done(j.prefix, err)
		}
	}()
}

// end notes how a job ended and starts the next one.
func (f *flights) end(j *job, err error) {
	j.cut.release()
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil && f.err != nil {
		err = errors.Join(f.err, err)
	}
	if err != nil {
		f.err = err
	}
	f.reuse(j.cut)
	if next := f.waiting; next != nil {
		f.waiting = nil
		f.start(next)
		return
	}
	f.flying = false
	close(f.landed)
}

// memory is for the copies of a new save: that of an earlier one, if there is
// any. One that waits gives its place up.
func (f *flights) memory() []byte {
	f.mu.Lock()
	defer f.mu.Unlock()
	if j := f.waiting; j != nil {
		f.waiting = nil
		f.replaced = append(f.replaced, j)
		j.cut.release()
		f.reuse(j.cut)
	}
	n := len(f.spare)
	if n == 0 {
		return nil
	}
	m := f.spare[n-1]
	f.spare = f.spare[:n-1]
	return m
}

// reuse keeps the memory of a cut that is done with; f.mu is held.
func (f *flights) reuse(k *cut) {
	if k.memory != nil {
		f.spare = append(f.spare, k.memory[:0])
		k.memory = nil
	}
}

// join waits for the saves in flight and leaves their error to Wait and the next
// save.
func (c *Checkpoint) join(ctx context.Context) error {
	f := &c.flights
	f.mu.Lock()
	landed := f.landed
	f.mu.Unlock()
	if landed == nil {
		return nil
	}
	select {
	case <-landed:
		return nil
	default:
	}
	select {
	case <-landed:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// land waits for the saves in flight and gives their error, once.
func (c *Checkpoint) land(ctx context.Context) error {
	if err := c.join(ctx); err != nil {
		return err
	}
	f := &c.flights
	f.mu.Lock()
	defer f.mu.Unlock()
	err := f.err
	f.err = nil
	return err
}

// numberAt is number for a save in its turn.
func (m *Manager) numberAt(ctx context.Context, when turn, number *int64) (at place, fresh bool, err error) {
	if when == beside {
		at, ok, err := m.numberBeside(ctx, number)
		if ok || err != nil {
			m.begun = m.begun || ok
			return at, number == nil, err
		}
		if err := m.checkpoint.land(ctx); err != nil {
			return place{}, false, err
		}
	}
	at, fresh, err = m.number(ctx, number)
	m.given = max(m.given, m.highest)
	if fresh {
		m.given = max(m.given, m.checkpoint.counter.data[0])
	} else if number != nil {
		m.given = max(m.given, *number)
	}
	m.begun = m.begun || err == nil
	return at, fresh, err
}

// numberBeside is number while another save is being written: it touches
// nothing that the writing goroutine does. It is not ok if that cannot be done.
func (m *Manager) numberBeside(ctx context.Context, number *int64) (at place, ok bool, err error) {
	if m.begun && m.displaced() {
		return at, false, nil // the lock, and what the list names, is the other save's until it is written
	}
	if !m.begun { // the other save is none of this Manager
		if m.stateErr != nil {
			return at, false, nil // to be read again before it is replaced
		}
		if err := m.lock(ctx); err != nil {
			return at, false, err
		}
		m.given = max(m.given, m.highest)
	}
	if number == nil && !m.scanned && !m.looked {
		_, highest, err := m.dir.scan(ctx, m.name)
		if err != nil {
			return at, false, fmt.Errorf("ckpt: directory %s: %w", m.dir.dir, err)
		}
		m.given, m.looked = max(m.given, highest), true
	}
	if err := m.checkpoint.ensureCounter(ctx); err != nil {
		return at, false, err
	}
	counter := m.checkpoint.counter
	if number != nil {
		if _, err := m.checkpoint.count(math.MinInt64); err != nil {
			return at, false, fmt.Errorf("ckpt: saving %s: %w", m.nameOf(*number), err)
		}
		m.given = max(m.given, *number)
		return m.dir.at(m.nameOf(*number)), true, nil
	}
	next := max(m.given, counter.data[0])
	if next == math.MaxInt64 {
		return at, false, nil
	}
	next++
	at = m.dir.at(m.nameOf(next))
	if taken, err := indexExists(ctx, at); err != nil || taken {
		return at, false, nil
	}
	counter.data[0], m.given = next, next
	return at, true, nil
}

// Wait returns when the background save is done, and the one that waits for it,
// with their error unless another call gave it already:
// tf.train.Checkpoint.sync. The context limits the waiting only. Calls that
// save or restore wait, too, unless SaveOptions.Busy says otherwise; those that
// save give the error and then do nothing else.
func (c *Checkpoint) Wait(ctx context.Context) error { return c.land(ctx) }

// Wait is Checkpoint.Wait: it returns when the background saves are done and
// recorded, and retention after them.
func (m *Manager) Wait(ctx context.Context) error { return m.checkpoint.land(ctx) }

// Close waits for the background saves, gives their error, and lets other
// processes save into the directory. A closed Manager saves no more; closing it
// again does nothing.
func (m *Manager) Close() error {
	m.closed = true
	err := m.checkpoint.land(context.Background())
	m.lease.end()
	return err
}
