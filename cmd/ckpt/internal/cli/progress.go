package cli

import (
	"fmt"
	"io"
	"time"
)

// progress is one line on a terminal that tells how far a long work is. It
// appears after a second and changes ten times a second at most.
type progress struct {
	w     io.Writer // nil: nobody watches
	now   func() time.Time
	shown bool
	last  time.Time

	prefix string
	start  time.Time // of this prefix
}

const (
	progressDelay = time.Second
	progressEvery = 100 * time.Millisecond
)

func newProgress(s *call) *progress {
	if !s.stdio.ErrIsTerminal {
		return new(progress)
	}
	return newProgressAt(s.stdio.Err, time.Now)
}

func newProgressAt(w io.Writer, now func() time.Time) *progress {
	p := &progress{w: w, now: now, start: now()}
	p.last = p.start.Add(progressDelay - progressEvery)
	return p
}

// report takes the bytes of one checkpoint that are done, and all of them.
func (p *progress) report(prefix string, done, total int64) {
	if p.w == nil {
		return
	}
	now := p.now()
	if prefix != p.prefix {
		if p.prefix != "" {
			p.start = now
		}
		p.prefix = prefix
	}
	if now.Sub(p.last) < progressEvery {
		return
	}
	p.last, p.shown = now, true
	fmt.Fprintf(p.w, "\r\x1b[K%s", progressText(prefix, done, total, now.Sub(p.start)))
}

func progressText(prefix string, done, total int64, elapsed time.Duration) string {
	text := fmt.Sprintf("%s: %s of %s", printable(prefix), humanBytes(done), humanBytes(total))
	if elapsed <= 0 || done <= 0 {
		return text
	}
	rate := float64(done) / elapsed.Seconds()
	text += fmt.Sprintf(", %s/s", humanBytes(int64(rate)))
	if left := time.Duration(float64(total-done) / rate * float64(time.Second)).Round(time.Second); left > 0 {
		text += fmt.Sprintf(", %s left", left)
	}
	return text
}

// clear takes the line away.
func (p *progress) clear() {
	if p.shown {
		p.shown = false
		fmt.Fprint(p.w, "\r\x1b[K")
	}
}
