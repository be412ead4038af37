package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"
)

// progress is one line that is written again and again on a terminal, and a
// line every few seconds elsewhere.
type progress struct {
	out      io.Writer
	terminal bool
	steps    int64
	shown    time.Time
	started  time.Time
	first    int64 // step at the start, 0 before it
	loss     float64
	accuracy float64 // moving averages

	mu   sync.Mutex // of what background saves tell
	note string
}

func newProgress(out *os.File, steps int64) *progress {
	info, err := out.Stat()
	return &progress{out: out, terminal: err == nil && info.Mode()&os.ModeCharDevice != 0, steps: steps}
}

// show is called after every step.
func (p *progress) show(step int64, loss, accuracy float64) {
	now := time.Now()
	if p.first == 0 {
		p.first, p.started, p.loss, p.accuracy = step, now, loss, accuracy
	}
	p.loss += (loss - p.loss) / 20
	p.accuracy += (accuracy - p.accuracy) / 20
	pause := 2 * time.Second
	if p.terminal {
		pause = 200 * time.Millisecond
	}
	if now.Sub(p.shown) < pause && step < p.steps {
		return
	}
	p.shown = now
	text := fmt.Sprintf("step %d/%d  loss %.4f  accuracy %.1f %%", step, p.steps, p.loss, 100*p.accuracy)
	if step > p.first {
		text += fmt.Sprintf("  %.0f steps/s  %s", float64(step-p.first)/now.Sub(p.started).Seconds(), p.lastSave())
	}
	if p.terminal {
		fmt.Fprintf(p.out, "\r\x1b[K%s", text)
	} else {
		fmt.Fprintln(p.out, text)
	}
}

// saved is told of a background save that ended. An error comes back from the
// manager, too.
func (p *progress) saved(prefix string, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if err == nil {
		p.note = "saved " + prefix
	}
}

func (p *progress) lastSave() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.note
}

// end leaves the line as it is.
func (p *progress) end() {
	if p.terminal && p.first != 0 {
		fmt.Fprintln(p.out)
	}
}
