package ckpt

import (
	"context"
	"errors"
	"os"
	"os/signal"
	"sync"
	"syscall"
	"time"
)

// PreemptionOptions are the options of NewPreemption; nil means the zero value.
type PreemptionOptions struct {
	// Signals are what asks the program to leave. Empty means SIGTERM and
	// os.Interrupt, which is Ctrl-C.
	Signals []os.Signal
	// GracePeriod is the time from the signal to the end of the save
	// (TerminationConfig.grace_period): a save that has not ended by then is given
	// up, and leaves no files. 0 means that there is no limit.
	GracePeriod time.Duration
	// Exit ends the program at the second signal, with 128 and the signal's number
	// as a shell has it. Nil means os.Exit. It is called from a goroutine of its own.
	Exit func(code int)
}

// Preemption saves a last checkpoint when the system asks the program to
// leave: tf.distribute.experimental.PreemptionCheckpointHandler, the part for one
// process. A signal ends nothing by itself. The training loop asks after each step:
//
//	p := ckpt.NewPreemption(manager, nil)
//	defer p.Stop()
//	for … {
//		… // one step
//		if prefix, leave, err := p.SaveIfPreempted(ctx, nil); leave {
//			log.Print("leaving, saved ", prefix)
//			return err
//		}
//		…
//	}
//
// Unlike TensorFlow's it restores nothing, adds no variable to the checkpoint,
// and leaves the leaving to the program. SaveIfPreempted is for the goroutine
// that uses the Manager; the other methods may be called from any.
type Preemption struct {
	manager *Manager
	grace   time.Duration
	exit    func(code int)
	signals chan os.Signal
	came    chan struct{} // closed at the first signal
	at      time.Time     // of the first signal; set before came is closed
	quit    chan struct{}
	stop    sync.Once
	left    bool
	prefix  string // of the last checkpoint, once left
}

// NewPreemption begins to watch the signals, which then no longer end the
// program, until Stop.
func NewPreemption(m *Manager, o *PreemptionOptions) *Preemption {
	if o == nil {
		o = new(PreemptionOptions)
	}
	p := &Preemption{
		manager: m,
		grace:   o.GracePeriod,
		exit:    o.Exit,
		signals: make(chan os.Signal, 2),
		came:    make(chan struct{}),
		quit:    make(chan struct{}),
	}
	if p.exit == nil {
		p.exit = os.Exit
	}
	signals := o.Signals
	if len(signals) == 0 { // Notify would take that for all there are
		signals = []os.Signal{syscall.SIGTERM, os.Interrupt}
	}
	signal.Notify(p.signals, signals...)
	go p.watch()
	return p
}

// watch notes the first signal and leaves at the second.
func (p *Preemption) watch() {
	for first := true; ; first = false {
		var s os.Signal
		select {
		case s = <-p.signals:
		case <-p.quit:
			return
		}
		if first {
			p.at = time.Now()
			p.manager.log.Warn("asked to leave; the next step boundary saves, another signal leaves at once", "signal", s.String())
			close(p.came)
			continue
		}
		code := 1
		if number, ok := s.(syscall.Signal); ok {
			code = 128 + int(number)
		}
		p.exit(code)
	}
}

// Preempted is closed when the first signal comes, for programs that wait for
// something else, too.
func (p *Preemption) Preempted() <-chan struct{} { return p.came }

// SaveIfPreempted saves in the foreground if a signal came, and says to leave
// then (save_checkpoint_if_preempted); without a signal it does nothing. A
// background save is waited for first; if it failed its error comes back here,
// but the last checkpoint is saved all the same: then prefix is not empty. What
// this Manager has saved at this step already, by ManagerOptions.Step, is not
// saved again. After a save it only says once more to leave.
//
// A context that the same signal cancels, such as one of signal.NotifyContext,
// would cancel the save, too: see context.WithoutCancel.
func (p *Preemption) SaveIfPreempted(ctx context.Context, o *SaveOptions) (prefix string, leave bool, err error) {
	select {
	case <-p.came:
	default:
		return "", false, nil
	}
	if p.left {
		return p.prefix, true, nil
	}
	if p.grace > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, p.at.Add(p.grace))
		defer cancel()
	}
	m := p.manager
	failed := m.Wait(ctx)
	if err := ctx.Err(); err != nil {
		return "", true, errors.Join(failed, err)
	}
	prefix = m.schedule.recent(m.moment())
	if prefix == "" {
		o = o.own()
		o.Background, o.Busy, o.Done = false, BusyWait, nil
		prefix, err = m.Save(ctx, o)
	}
	if p.left = prefix != "" && err == nil; p.left {
		p.prefix = prefix
	}
	return prefix, true, errors.Join(failed, err)
}

// Stop ends the watching: signals do again what they did before. A signal that
// came stays known. It may be called twice.
func (p *Preemption) Stop() {
	p.stop.Do(func() {
		signal.Stop(p.signals)
		close(p.quit)
	})
}
