package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"time"

	"github.com/ckpt-go/ckpt/storage"
)

// defaultPoll is what IterateOptions.Poll 0 means, as in TensorFlow.
const defaultPoll = time.Second

// IterateOptions are the options of Iterate and WaitForNew; nil means the zero
// value.
type IterateOptions struct {
	// Bucket is where the directory is, which then is a folder's name in it.
	// Nil means the local file system.
	Bucket storage.Bucket
	// Poll is the time from one look at the directory to the next; 0 means a
	// second.
	Poll time.Duration
	// Notify looks at once, too, when the file system tells that something happened in
	// the directory: on Linux, for what this machine does. It waits in a goroutine of
	// its own, for which the clock of testing/synctest would wait for ever.
	Notify bool
	// MinInterval is the least time from one checkpoint to the next
	// (min_interval_secs); those in between are left out.
	MinInterval time.Duration
	// Timeout ends the waiting for the next checkpoint (timeout), each time anew;
	// 0 means no limit. The directory is looked at once more when it is over.
	Timeout time.Duration
	// TimeoutFn is asked when Timeout is over, and after each checkpoint, whether
	// no more are to come (timeout_fn): true ends the iteration, false goes on.
	// Nil means that Timeout ends it. WaitForNew does not ask.
	TimeoutFn func() bool
	// Verify yields only checkpoints that are good: every byte is read and
	// compared with its checksums, as FindGood does, once for each. If the newest
	// one is damaged the one before it counts; it is looked at again when its
	// files change. Without Verify the state file's latest counts, as in
	// TensorFlow, and nothing is read.
	Verify bool
	// Problem hears of what is passed over: damaged checkpoints (a *Refusal), a
	// state file that cannot be used or whose checkpoint is gone, files that
	// cannot be read. It hears of each once, until it changes, and only if it is
	// still there at the next look. Nil is silent. None of it ends the iteration.
	Problem func(err error)
}

// Iterate yields each new latest checkpoint of a directory as it appears, first
// the one that is there: tf.train.checkpoints_iterator. Those that came and went
// between two looks are left out. The directory need not exist yet. A checkpoint
// that was written again under the same name counts as new, which TensorFlow
// does not notice: its files' sizes and times and the end of its index tell. So
// does an older one that the state file names again.
//
// Timeout and TimeoutFn end the iteration without an error; the context ends it
// with its own, which comes last with an empty prefix, as does a negative
// duration in the options. Nothing else ends it; see IterateOptions.Problem.
//
// While a checkpoint is being handled, the Managers of this process do not
// remove it. Those of another process may: if opening it says fs.ErrNotExist, the
// next one is on its way. Each range over the result is an iteration of its own;
// several may run side by side.
func Iterate(ctx context.Context, dir string, o *IterateOptions) iter.Seq2[string, error] {
	return func(yield func(string, error) bool) {
		w, err := newWatch(dir, o)
		if err == nil {
			defer w.stopNews()
			err = w.run(ctx, func(prefix string) bool { return yield(prefix, nil) })
		}
		if err != nil {
			yield("", err)
		}
	}
}

// WaitForNew waits until the latest checkpoint of a directory is another than
// last, or was written again, and returns it: wait_for_new_checkpoint of
// TensorFlow's checkpoint_utils. last is a prefix that Iterate, Latest or
// WaitForNew gave, or "" for any. The error is ErrNoCheckpoint when Timeout is
// over, or the context's.
func WaitForNew(ctx context.Context, dir, last string, o *IterateOptions) (string, error) {
	w, err := newWatch(dir, o)
	if err != nil {
		return "", err
	}
	defer w.stopNews()
	if last != "" {
		w.last.id = locate(last, w.o.Bucket).identityOf()
	}
	s, ok, err := w.next(ctx)
	if err != nil {
		return "", err
	}
	if !ok {
		return "", fmt.Errorf("ckpt: no new checkpoint in %s for %v: %w", dir, w.o.Timeout, ErrNoCheckpoint)
	}
	s.unpin()
	return s.at.prefix, nil
}

// watch is one iteration.
type watch struct {
	dir   *directory
	o     IterateOptions
	last  sight             // what was yielded last
	known map[any]judgement // Verify: checkpoints of the last look, by identity
	gone  []any             // Verify: those that were not there
	notes notes
	news  news
}

// sight is a checkpoint as it was seen.
type sight struct {
	at    place
	id    any         // of the place
	mark  fingerprint // of its files; "" if not known yet
	unpin func()
}

func newWatch(dir string, o *IterateOptions) (*watch, error) {
	w := &watch{}
	if o != nil {
		w.o = *o
	}
	for _, d := range [...]struct {
		name string
		time.Duration
	}{{"Poll", w.o.Poll}, {"MinInterval", w.o.MinInterval}, {"Timeout", w.o.Timeout}} {
		if d.Duration < 0 {
			return nil, fmt.Errorf("ckpt: IterateOptions.%s is %v; it must not be negative", d.name, d.Duration)
		}
	}
	if w.o.Poll == 0 {
		w.o.Poll = defaultPoll
	}
	w.dir = openDirectory(dir, &FindOptions{Bucket: w.o.Bucket})
	w.notes.tell = w.o.Problem
	return w, nil
}

// run yields until the caller, the options or the context end it.
func (w *watch) run(ctx context.Context, yield func(prefix string) bool) error {
	for {
		s, ok, err := w.next(ctx)
		if err != nil {
			return err
		}
		if ok {
			start := time.Now()
			if more := s.handled(yield); !more {
				return nil
			}
			if err := pause(ctx, w.o.MinInterval-time.Since(start)); err != nil {
				return err
			}
		} else if w.o.TimeoutFn == nil {
			return nil
		}
		if w.o.TimeoutFn != nil && w.o.TimeoutFn() {
			return nil
		}
	}
}

// handled gives a checkpoint to the caller, and lets go of it afterwards.
func (s sight) handled(yield func(prefix string) bool) bool {
	defer s.unpin()
	return yield(s.at.prefix)
}

// next waits for the next checkpoint, which is pinned; it is not ok if there is
// none in time.
func (w *watch) next(ctx context.Context) (s sight, ok bool, err error) {
	start := time.Now()
	for {
		if err := ctx.Err(); err != nil {
			return sight{}, false, err
		}
		w.listen() // before looking: what comes after is heard
		if s, ok := w.look(ctx); ok {
			w.last = s
			return s, true, nil
		}
		wait := w.o.Poll
		if w.o.Timeout > 0 {
			wait = min(wait, w.o.Timeout-time.Since(start))
			if wait <= 0 {
				return sight{}, false, nil
			}
		}
		if err := w.wait(ctx, wait); err != nil {
			return sight{}, false, err
		}
	}
}

func pause(ctx context.Context, d time.Duration) error { return pauseOr(ctx, d, nil) }

// pauseOr ends early when something is received.
func pauseOr(ctx context.Context, d time.Duration, early <-chan struct{}) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-early:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// mostTries bounds how often one look begins again because what it found is
// being replaced.
const mostTries = 4

// look tells whether the directory has a new latest checkpoint now.
func (w *watch) look(ctx context.Context) (s sight, ok bool) {
	defer w.notes.turn()
	find := w.latest
	if w.o.Verify {
		find = w.newestGood
	}
	for try := range mostTries {
		s, ok, moved := find(ctx, try == mostTries-1)
		if moved {
			continue
		}
		if !ok {
			return sight{}, false
		}
		if s.id != w.last.id {
			return s, true
		}
		if w.last.mark == "" {
			w.last.mark = s.mark
		}
		if s.mark == w.last.mark || s.mark == unmarked {
			s.unpin()
			return sight{}, false
		}
		return s, true
	}
	return sight{}, false
}

// see pins a checkpoint and looks at its files; it is not ok if there are none, or
// if they cannot be looked at.
func (w *watch) see(ctx context.Context, at place) (s sight, ok bool) {
	s = sight{at: at, id: at.identityOf()}
	var err error
	if s.unpin, err = pin(ctx, at); err != nil {
		return s, false // the context's
	}
	if s.mark, err = fingerprintOf(ctx, at, w.o.Verify); err == nil && s.mark != "" {
		return s, true
	}
	s.unpin()
	if err != nil {
		w.notes.add(err.Error(), fmt.Errorf("ckpt: %s: %w", at.prefix, err))
	}
	return s, false
}

// latest is the state file's. It has moved if it went while it was looked at.
func (w *watch) latest(ctx context.Context, _ bool) (s sight, ok, moved bool) {
	at, err := w.dir.latest(ctx)
	switch {
	case err == nil:
		s, ok = w.see(ctx, at)
		return s, ok, !ok && !exists(ctx, at)
	case !errors.Is(err, fs.ErrNotExist): // no state file yet is no problem
		w.notes.add(err.Error(), err)
	}
	return sight{}, false, false
}
