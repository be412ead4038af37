package ckpt_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
)

// ticking is a clock that each save moves on by its cost.
type ticking struct {
	storage.Bucket
	at   time.Time
	cost time.Duration
}

func newTicking() *ticking { return &ticking{Bucket: newMem(), at: time.Unix(1e9, 0)} }

func (c *ticking) now() time.Time { return c.at }

// Create costs something for the data file only, of which each save has one.
func (c *ticking) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	if strings.Contains(name, ".data-") {
		c.at = c.at.Add(c.cost)
	}
	return c.Bucket.Create(ctx, name, o)
}

func TestIntervalTime(t *testing.T) {
	c := newTicking()
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: c, Now: c.now, Step: p.step.Value, Interval: 100, IntervalTime: time.Minute})
	for i, test := range []struct {
		step    int64
		seconds int
		due     bool
	}{
		{0, 0, true},    // nothing is saved yet
		{0, 600, false}, // the same step: nothing new
		{1, 0, true},    // by time
		{2, 59, false},
		{3, 1, true},
		{103, 1, true}, // by steps
		{104, 58, false},
		{105, 2, true},
		{90, -100, true}, // a clock that went back tells nothing
	} {
		p.setStep(test.step)
		c.at = c.at.Add(time.Duration(test.seconds) * time.Second)
		if got := saveIfDue(t, m, nil); got != test.due {
			t.Errorf("call %d, step %d: got %v, want %v", i, test.step, got, test.due)
		}
	}

	p = newProgram()
	m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: c, Now: c.now, IntervalTime: time.Minute})
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for i, want := range []bool{false, true, false, true} {
		if got := saveIfDue(t, m, nil); got != want {
			t.Errorf("after Resume, call %d: got %v, want %v", i, got, want)
		}
		c.at = c.at.Add(30 * time.Second * time.Duration(2-i%2))
	}
}

// TestOverhead has saves that cost ten seconds, and lets them take 2 % of the run
// time: 500 seconds are between them, whatever the intervals say.
func TestOverhead(t *testing.T) {
	for _, test := range []struct {
		name string
		o    ckpt.ManagerOptions
		want time.Duration // from one save to the next
	}{
		{"alone", ckpt.ManagerOptions{Overhead: 0.02}, 500 * time.Second},
		{"above a short interval", ckpt.ManagerOptions{Overhead: 0.02, IntervalTime: time.Minute}, 500 * time.Second},
		{"below a long interval", ckpt.ManagerOptions{Overhead: 0.02, IntervalTime: 10 * time.Minute}, 600 * time.Second},
		{"above an interval of steps", ckpt.ManagerOptions{Overhead: 0.02, Interval: 100}, 500 * time.Second},
		{"below an interval of steps", ckpt.ManagerOptions{Overhead: 0.02, Interval: 700}, 700 * time.Second},
		{"next to nothing", ckpt.ManagerOptions{Overhead: 1e-300}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := newTicking()
			c.cost = 10 * time.Second
			p := newProgram()
			o := test.o
			o.Bucket, o.Now = c, c.now
			started := c.at
			o.Step = func() int64 { return int64(c.at.Sub(started) / time.Second) } // a step takes a second
			m := newManager(t, p.Checkpoint, "", &o)
			var last time.Time
			saves := 0
			for range 3000 {
				before := c.at
				if saveIfDue(t, m, nil) {
					if saves++; saves > 1 && before.Sub(last) != test.want {
						t.Errorf("%v after the save before, want %v", before.Sub(last), test.want)
					}
					last = before
				}
				c.at = c.at.Add(time.Second)
			}
			if test.want > 0 && saves < 4 || test.want == 0 && saves != 1 {
				t.Errorf("%d saves", saves)
			}
		})
	}
}

// TestOverheadAdapts changes what a save costs: the distance follows.
func TestOverheadAdapts(t *testing.T) {
	c := newTicking()
	c.cost = time.Second
	m := newManager(t, newProgram().Checkpoint, "", &ckpt.ManagerOptions{Bucket: c, Now: c.now, Overhead: 0.1})
	var distances []time.Duration
	last := c.at
	for len(distances) < 40 {
		before := c.at
		if saveIfDue(t, m, nil) {
			distances = append(distances, before.Sub(last).Round(time.Second))
			last = before
			if len(distances) == 10 {
				c.cost = 5 * time.Second
			}
		}
		c.at = c.at.Add(100 * time.Millisecond)
	}
	got := fmt.Sprint(distances[9], distances[39])
	if want := "10s 50s"; got != want || distances[12] <= distances[9] || distances[12] >= distances[39] {
		t.Errorf("got %s (%v), want %s", got, distances, want)
	}
}
