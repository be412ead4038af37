// Command peers measures training steps per second with TensorFlow, with GoMLX
// and with the keras package, one beside the other.
package main

import (
	_ "embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"text/tabwriter"
)

//go:embed speed.py
var speed string

func main() {
	python := flag.String("python", "python3", "Python with TensorFlow and Keras; leaves TensorFlow out if empty")
	rounds := flag.Int("rounds", 7, "times that each network is measured")
	seconds := flag.Float64("seconds", 1, "length of a measurement")
	only := flag.String("only", "", "the one network to measure")
	as := flag.String("worker", "", "be the worker of this name")
	flag.Parse()
	var err error
	switch *as {
	case "gomlx":
		err = serve(gomlx, os.Stdin, os.Stdout)
	case "keras":
		err = serve(ours, os.Stdin, os.Stdout)
	default:
		err = compete(os.Stdout, *python, *only, *rounds, *seconds)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "peers:", err)
		os.Exit(1)
	}
}

func compete(out io.Writer, python, only string, rounds int, seconds float64) (err error) {
	if rounds < 1 {
		return errors.New("at least one round is needed")
	}
	workers, err := startWorkers(python)
	defer func() {
		for _, w := range workers {
			err = errors.Join(err, w.stop())
		}
	}()
	if err != nil {
		return err
	}
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprint(table, "steps per second")
	for _, w := range workers {
		fmt.Fprintf(table, "\t%s", w.name)
	}
	for _, w := range workers[1:] {
		fmt.Fprintf(table, "\tkeras : %s", w.name)
	}
	fmt.Fprintln(table)
	for _, n := range networks {
		if only != "" && n.name != only {
			continue
		}
		if err := measure(table, workers, n, rounds, seconds); err != nil {
			return err
		}
	}
	return table.Flush()
}

// startWorkers starts the processes, ours first. Each has a process of its own
// because keras changes GoMLX's gradients for the whole process.
func startWorkers(python string) ([]*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var workers []*worker
	for _, command := range [][]string{
		{"keras", self, "-worker", "keras"},
		{"GoMLX", self, "-worker", "gomlx"},
		{"TensorFlow", python, "-c", speed},
	} {
		if command[1] == "" {
			continue
		}
		w, err := startWorker(command[0], command[1], command[2:]...)
		if err != nil {
			return workers, err
		}
		workers = append(workers, w)
	}
	return workers, nil
}

// measure prints a network's row.
func measure(table io.Writer, workers []*worker, n network, rounds int, seconds float64) error {
	if err := check(workers, n, seconds); err != nil {
		return err
	}
	speeds := make([][]float64, len(workers)) // by worker and round
	for i := range speeds {
		speeds[i] = make([]float64, rounds)
	}
	for round := range rounds {
		for k := range workers {
			i := (round + k) % len(workers)
			a, err := workers[i].ask(n, seconds)
			if err != nil {
				return err
			}
			speeds[i][round] = float64(a.Steps) / a.Seconds
		}
	}
	fmt.Fprint(table, n.name)
	for _, s := range speeds {
		fmt.Fprintf(table, "\t%s", spread(s, "%.0f"))
	}
	for _, s := range speeds[1:] {
		ratios := make([]float64, rounds)
		for i := range ratios {
			ratios[i] = speeds[0][i] / s[i]
		}
		fmt.Fprintf(table, "\t%s", spread(ratios, "%.2f"))
	}
	_, err := fmt.Fprintln(table)
	return err
}

// check lets all train for a while and compares their losses. GoMLX's Adam has
// another epsilon than Keras's, so its later ones may differ.
func check(workers []*worker, n network, seconds float64) error {
	var want answer
	for i, w := range workers {
		got, err := w.ask(n, seconds)
		if err != nil {
			return err
		}
		if i == 0 {
			want = got
		}
		tolerance := 1e-5
		if w.name == "GoMLX" {
			tolerance = 1e-2
		}
		if !near(got.First, want.First, 1e-5) || !near(got.Last, want.Last, tolerance) {
			return fmt.Errorf("%s: the losses of steps 1 and %d are %v and %v with %s, %v and %v with %s",
				n.name, checkSteps, got.First, got.Last, w.name, want.First, want.Last, workers[0].name)
		}
	}
	return nil
}

func near(x, y, tolerance float64) bool { return math.Abs(x-y) <= tolerance*math.Abs(y) }

// spread is the median and the range of numbers.
func spread(numbers []float64, format string) string {
	sorted := slices.Sorted(slices.Values(numbers))
	middle := len(sorted) / 2
	median := (sorted[middle] + sorted[len(sorted)-1-middle]) / 2
	return fmt.Sprintf(format+" ("+format+"–"+format+")", median, sorted[0], sorted[len(sorted)-1])
}
