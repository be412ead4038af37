// Command digits learns to read digits: pictures drawn from the Go fonts, and
// tested on a font that training never sees. It saves in the background while
// it trains. Stop it at any moment, with Ctrl-C or kill -9, and start it again:
// it says which checkpoint it goes on from, which ones it refused and why, and
// ends with the same weights, bit for bit, as a run that was never stopped.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/ckpt-go/ckpt"
)

func main() {
	var o options
	flag.StringVar(&o.dir, "dir", "digits_checkpoints", "`folder` for the checkpoints")
	flag.Int64Var(&o.steps, "steps", 4000, "train until this `step`")
	flag.DurationVar(&o.every, "save-every", 3*time.Second, "save after so much `time`")
	flag.IntVar(&o.config.Pictures, "pictures", 30_000, "`number` of pictures to learn from")
	flag.Uint64Var(&o.config.Seed, "seed", 1, "`number` that pictures, weights and their order follow from")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "digits: %q is no flag; did you mean -dir %[1]s?\n", flag.Arg(0))
		os.Exit(2)
	}
	err := run(ctx, &o)
	switch {
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

type options struct {
	dir    string
	steps  int64
	every  time.Duration
	config config
}

// config is what the training depends on besides its state.
type config struct {
	Pictures int    `json:"pictures"`
	Seed     uint64 `json:"seed"`
}

func (c config) check() error {
	if c.Pictures < batch {
		return fmt.Errorf("digits: %d pictures are too few, at least %d are needed", c.Pictures, batch)
	}
	return nil
}

func run(ctx context.Context, o *options) (err error) {
	if o.steps < 1 || o.every < 0 {
		return errors.New("digits: -steps must be at least 1, -save-every not negative")
	}
	if err := o.config.check(); err != nil {
		return err
	}
	t := newTraining(o.config)
	manager, err := ckpt.NewManager(t.checkpoint(), o.dir, &ckpt.ManagerOptions{MaxToKeep: 5})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, manager.Close()) }()
	resumed, err := manager.Resume(ctx, nil)
	if err != nil {
		return err
	}
	if resumed.State != nil {
		fmt.Println(resumed.State) // looked at the files instead
	}
	for _, refused := range resumed.Refused {
		fmt.Println(refused)
	}
	if resumed.Prefix == "" {
		fmt.Println("No checkpoint found, starting from scratch.")
	} else {
		fmt.Printf("Restored from checkpoint: %s (step %d)\n", resumed.Prefix, t.step.Value())
		if t.config != o.config {
			return fmt.Errorf("digits: the checkpoints in %s were made with -pictures %d -seed %d: give the same, or another -dir", o.dir, t.config.Pictures, t.config.Seed)
		}
	}
	if err := t.draw(); err != nil {
		return err
	}
	if err := train(ctx, o, t, manager); err != nil {
		return err
	}
	// A run that was done already has not built it yet.
	if err := t.optimizer.Build(t.model.TrainableVariables()); err != nil {
		return err
	}
	accuracy, err := t.test(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("Done at step %d. Accuracy on a font that training never saw: %.2f %%\nWeights: %s\n", t.step.Value(), 100*accuracy, t.fingerprint())
	return nil
}

// train goes on to the last step and saves every so often, in the background: a
// save takes a reference to the values of the moment, so training does not wait.
func train(ctx context.Context, o *options, t *training, manager *ckpt.Manager) error {
	if t.step.Value() >= o.steps {
		return nil
	}
	line := newProgress(os.Stdout, o.steps)
	last := time.Time{} // the first save is due at once
	for t.step.Value() < o.steps {
		loss, accuracy, err := t.train(context.WithoutCancel(ctx))
		if err != nil {
			return err
		}
		line.show(t.step.Value(), loss, accuracy)
		if ctx.Err() != nil {
			break
		}
		if time.Since(last) < o.every || t.step.Value() == o.steps {
			continue
		}
		last = time.Now()
		_, err = manager.Save(context.WithoutCancel(ctx), &ckpt.SaveOptions{Background: true, Done: line.saved})
		if err != nil { // the next one may succeed
			line.end()
			fmt.Fprintln(os.Stderr, err)
		}
	}
	line.end()
	if err := manager.Wait(context.WithoutCancel(ctx)); err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	// The last one is saved in the foreground. The signal only ends the training.
	prefix, err := manager.Save(context.WithoutCancel(ctx), nil)
	if err != nil {
		return err
	}
	fmt.Println("Saved checkpoint at:", prefix)
	if ctx.Err() != nil && t.step.Value() < o.steps {
		fmt.Printf("Interrupted at step %d; run the same command again to go on from here.\n", t.step.Value())
		return ctx.Err()
	}
	return nil
}
