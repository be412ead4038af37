package ckpt

import (
	"context"
	"errors"
	"fmt"
	"slices"
)

// flight is a save that is being written beside the program.
type flight struct {
	done chan struct{}
	err  error
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
	return &own
}

// carryOut runs a save's writing part now or, if it is to be in the background,
// beside the program. There is no other one in flight.
func (c *Checkpoint) carryOut(prefix string, o *SaveOptions, write func() error) (string, error) {
	if !o.Background {
		err := write()
		if unrecorded := new(unrecordedError); err != nil && !errors.As(err, &unrecorded) {
			prefix = ""
		}
		return prefix, err
	}
	f := &flight{done: make(chan struct{}), err: errGone}
	c.flight = f
	go func() {
		defer close(f.done) // even if a hook ends the goroutine
		if f.err = write(); f.err != nil {
			f.err = fmt.Errorf("in the background: %w", f.err)
		}
		if o.Done != nil {
			o.Done(prefix, f.err)
		}
	}()
	return prefix, nil
}

// join waits for the save in flight and leaves its error to Wait and the next
// save.
func (c *Checkpoint) join(ctx context.Context) error {
	if c.flight == nil {
		return nil
	}
	select {
	case <-c.flight.done:
		return nil
	default:
	}
	select {
	case <-c.flight.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// land waits for the save in flight and gives its error, once.
func (c *Checkpoint) land(ctx context.Context) error {
	if err := c.join(ctx); err != nil || c.flight == nil {
		return err
	}
	err := c.flight.err
	c.flight = nil
	return err
}

// Wait returns when the background save is done, with its error unless another
// call gave it already: tf.train.Checkpoint.sync. The context limits the
// waiting only. Calls that save or restore wait, too; those that save give the
// error and then do nothing else.
func (c *Checkpoint) Wait(ctx context.Context) error { return c.land(ctx) }

// Wait is Checkpoint.Wait: it returns when the background save is done and
// recorded, and retention after it.
func (m *Manager) Wait(ctx context.Context) error { return m.checkpoint.land(ctx) }

// Close waits for the background save and gives its error. A closed Manager
// saves no more; closing it again does nothing.
func (m *Manager) Close() error {
	m.closed = true
	return m.checkpoint.land(context.Background())
}
