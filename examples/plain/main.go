// Command plain trains a linear regression in plain Go, without any framework,
// and saves a checkpoint every so often. Stop it at any moment, with Ctrl-C or
// kill -9, and start it again: it goes on from the newest checkpoint that is
// really good and ends with the same bits as a run that was never stopped,
// because everything a step depends on is in the checkpoint: weights, momentum,
// the step and the state of the random numbers.
package main

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math"
	"os"
	"os/signal"
	"syscall"

	"github.com/ckpt-go/ckpt"
)

const features = 16

// state is all that a step reads and writes.
type state struct {
	Step     int64             `ckpt:"step"`
	Weights  [features]float64 `ckpt:"weights"`
	Bias     float64           `ckpt:"bias"`
	Velocity []float64         `ckpt:"velocity"` // momentum of weights and bias
	Random   uint64            `ckpt:"random"`   // position in the stream of examples
	Config   config            `ckpt:"config,json"`
}

type config struct {
	LearningRate float64 `json:"learning_rate"`
	Momentum     float64 `json:"momentum"`
	Batch        int     `json:"batch"`
}

func main() {
	dir := flag.String("dir", "plain_checkpoints", "`folder` for the checkpoints")
	steps := flag.Int64("steps", 500_000, "train until this `step`")
	every := flag.Int64("save-every", 20_000, "save after so many `steps`")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "plain: %q is no flag; did you mean -dir %[1]s?\n", flag.Arg(0))
		os.Exit(2)
	}
	err := run(ctx, *dir, *steps, *every)
	switch {
	case errors.Is(err, context.Canceled):
		os.Exit(130)
	case err != nil:
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(ctx context.Context, dir string, steps, every int64) error {
	if every < 1 {
		return errors.New("plain: -save-every must be at least 1")
	}
	s := &state{
		Velocity: make([]float64, features+1),
		Random:   42,
		Config:   config{LearningRate: 0.01, Momentum: 0.9, Batch: 256},
	}
	checkpoint := ckpt.New(ckpt.Objects{"state": ckpt.Track(s)})
	manager, err := ckpt.NewManager(checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 5})
	if err != nil {
		return err
	}
	resumed, err := manager.Resume(ctx, nil)
	if err != nil {
		return err
	}
	if resumed.State != nil {
		fmt.Println(resumed.State) // looked at the files instead
	}
	for _, refusal := range resumed.Refused {
		fmt.Println(refusal)
	}
	if resumed.Prefix == "" {
		fmt.Println("No checkpoint found, starting from scratch.")
	} else {
		fmt.Printf("Restored from checkpoint: %s (step %d)\n", resumed.Prefix, s.Step)
	}

	for s.Step < steps {
		loss := s.step()
		done, interrupted := s.Step == steps, ctx.Err() != nil
		if !done && !interrupted && s.Step%every != 0 {
			continue
		}
		// The signal only ends the training; the save is for after it.
		prefix, err := manager.Save(context.WithoutCancel(ctx), nil)
		if err != nil {
			return err
		}
		fmt.Printf("Step: %d, Loss: %.9f\nSaved checkpoint at: %s\n", s.Step, loss, prefix)
		if interrupted && !done {
			fmt.Println("Interrupted; run the same command again to go on from here.")
			return ctx.Err()
		}
	}
	fmt.Printf("Done at step %d. Weights: %s\n", s.Step, s.fingerprint())
	return nil
}

// step draws a batch from the stream of examples and follows its gradient.
func (s *state) step() (loss float64) {
	var gradient [features + 1]float64
	for range s.Config.Batch {
		x, y := s.example()
		e := s.Bias - y
		for i, w := range s.Weights {
			e += w * x[i]
		}
		loss += e * e
		for i := range x {
			gradient[i] += e * x[i]
		}
		gradient[features] += e
	}
	for i, g := range gradient {
		s.Velocity[i] = s.Config.Momentum*s.Velocity[i] - s.Config.LearningRate*g/float64(s.Config.Batch)
	}
	for i := range s.Weights {
		s.Weights[i] += s.Velocity[i]
	}
	s.Bias += s.Velocity[features]
	s.Step++
	return loss / float64(s.Config.Batch)
}

// example is the next point of a noisy plane whose slope in direction i is i−8
// and whose height is 3.
func (s *state) example() (x [features]float64, y float64) {
	y = 3 + 0.1*(s.uniform()-0.5)
	for i := range x {
		x[i] = 2*s.uniform() - 1
		y += float64(i-8) * x[i]
	}
	return x, y
}

// uniform is the next number of SplitMix64, in [0, 1).
func (s *state) uniform() float64 {
	s.Random += 0x9e3779b97f4a7c15
	z := s.Random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return float64((z^z>>31)>>11) / (1 << 53)
}

// fingerprint tells runs apart that differ in a single bit.
func (s *state) fingerprint() string {
	h := sha256.New()
	for _, v := range append(append(s.Weights[:], s.Bias), s.Velocity...) {
		h.Write(binary.LittleEndian.AppendUint64(nil, math.Float64bits(v)))
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
