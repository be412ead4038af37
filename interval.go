package ckpt

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// SaveIfDue is Save if a checkpoint is due by ManagerOptions.Interval,
// IntervalTime and Overhead; else it gives "" and no error, and does nothing:
// save(check_interval=True). Without any of those options it always saves. It is
// meant to be called after every step.
//
// A checkpoint is due when the first one of a run is not taken yet, or when as
// many steps as Interval have been taken, or as much time as IntervalTime has
// passed, since the last one was; never twice at the same step. Resuming
// counts as taking one. What failed was not taken and is due again, in the
// background, too, where TensorFlow counts it all the same.
func (m *Manager) SaveIfDue(ctx context.Context, o *SaveOptions) (string, error) {
	now := m.moment()
	if !m.closed && !m.schedule.due(now) {
		return "", nil
	}
	m.warnGrid(now)
	return m.Save(ctx, o)
}

// warnGrid tells once that SaveIfDue, called after every step, saves at none that
// KeepEverySteps keeps, because it counts its intervals from another step.
func (m *Manager) warnGrid(now moment) {
	every, interval := m.rules.KeepEverySteps, m.schedule.steps
	if m.warnedGrid || every == 0 || interval == 0 || m.schedule.timed() || now.step%gcd(every, interval) == 0 {
		return
	}
	m.warnedGrid = true
	m.log.Warn("KeepEverySteps keeps nothing: intervals count from a step that no multiple of it follows; see ManagerOptions.LastStep",
		"directory", m.dir.dir, "step", now.step, "interval", interval, "KeepEverySteps", every)
}

// gcd is the greatest common divisor of two positive numbers.
func gcd(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}

// moment is where a program is.
type moment struct {
	step      int64
	stepKnown bool
	time      time.Time // only looked at where something depends on it
	prefix    string    // of a save of this Manager
}

func (m *Manager) moment() moment {
	at := moment{stepKnown: m.schedule.step != nil}
	if at.stepKnown {
		at.step = m.schedule.step()
	}
	if m.schedule.timed() {
		at.time = m.now()
	}
	return at
}

// schedule decides when checkpoints are due. A background save tells it of its
// end, so it has a lock.
type schedule struct {
	step     func() int64
	steps    int64
	pause    time.Duration
	overhead float64

	mu      sync.Mutex
	saved   *moment       // of the last save that succeeded, or of what was restored
	pending *moment       // of a later one that has not ended
	began   time.Time     // of the last attempt
	stall   time.Duration // what a save costs the caller, smoothed
	saves   int           // that stall is made of
}

func newSchedule(o *ManagerOptions) (*schedule, error) {
	switch {
	case o.Interval < 0:
		return nil, fmt.Errorf("ckpt: Interval is %d; it must not be negative", o.Interval)
	case o.Interval > 0 && o.Step == nil:
		return nil, errors.New("ckpt: Interval counts steps; set ManagerOptions.Step, too")
	case o.LastStep != nil && o.Step == nil:
		return nil, errors.New("ckpt: LastStep needs ManagerOptions.Step, too")
	case o.IntervalTime < 0:
		return nil, fmt.Errorf("ckpt: IntervalTime is %v; it must not be negative", o.IntervalTime)
	case !(o.Overhead >= 0 && o.Overhead < 1):
		return nil, fmt.Errorf("ckpt: Overhead is %v; it is a part of the run time, such as 0.02 for 2 %%, below 1", o.Overhead)
	}
	return &schedule{step: o.Step, steps: o.Interval, pause: o.IntervalTime, overhead: o.Overhead}, nil
}

func (s *schedule) timed() bool { return s.pause > 0 || s.overhead > 0 }

// due tells whether a checkpoint is due now.
func (s *schedule) due(now moment) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	last := s.last()
	switch {
	case s.steps == 0 && !s.timed():
		return true
	case last != nil && now.stepKnown && now.step == last.step:
		return false
	case !s.affordable(now.time):
		return false
	case last == nil || s.steps == 0 && s.pause == 0:
		return true
	}
	// The difference cannot overflow below zero where the steps went forward.
	return s.steps > 0 && now.step > last.step && uint64(now.step)-uint64(last.step) >= uint64(s.steps) ||
		s.pause > 0 && passed(last.time, now.time, s.pause)
}

// last is the save that counts: the one under way, until it fails.
func (s *schedule) last() *moment {
	if s.pending != nil {
		return s.pending
	}
	return s.saved
}

// affordable tells whether saving now, at what saves have cost so far, keeps
// them within their part of the run time.
func (s *schedule) affordable(now time.Time) bool {
	if s.overhead == 0 || s.saves == 0 {
		return true
	}
	pause := math.Min(float64(s.stall)/s.overhead, math.MaxInt64/2)
	return passed(s.began, now, time.Duration(pause))
}

// passed tells whether so much time has passed. A clock that went back tells
// nothing, so it has.
func passed(from, to time.Time, pause time.Duration) bool {
	d := to.Sub(from)
	return d >= pause || d < 0
}

// begin notes a save of which nothing can be told yet. ended tells how it went;
// of one that is replaced before it is written SaveOptions.Done hears.
func (s *schedule) begin(at moment, prefix string, o *SaveOptions) (ended func(err error)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	at.prefix = prefix
	s.pending, s.began = &at, at.time
	ended = func(err error) { s.end(&at, err) }
	done := o.Done
	o.Done = func(prefix string, err error) {
		if errors.Is(err, ErrReplaced) {
			ended(err)
		}
		if done != nil {
			done(prefix, err)
		}
	}
	return ended
}

// end notes how a save went.
func (s *schedule) end(begun *moment, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.saved = begun
	}
	if s.pending == begun {
		s.pending = nil
	}
}

// smoothing is how many saves the stall is a mean of, about.
const smoothing = 4

// paid notes how long a save has kept the caller waiting.
func (s *schedule) paid(stall time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saves = min(s.saves+1, smoothing)
	s.stall += (max(stall, 0) - s.stall) / time.Duration(s.saves)
}

// restored notes that the program is where a checkpoint is.
func (s *schedule) restored(at moment) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.saved, s.pending = &at, nil
}

// recent is the prefix of the last save, if it was at this very step.
func (s *schedule) recent(now moment) (prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.saved == nil || !now.stepKnown || s.saved.step != now.step {
		return ""
	}
	return s.saved.prefix
}
