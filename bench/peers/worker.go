package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"time"
)

// request asks a worker to train a network for so long. Before its first
// training a network takes checkSteps steps that are not measured.
type request struct {
	Network string
	Seconds float64
}

// answer is what a worker says.
type answer struct {
	Steps   int
	Seconds float64
	First   float64 // loss of the first step
	Last    float64 // loss of step checkSteps
	Error   string
}

// contestant prepares a network. A step trains on batch i mod batches.
type contestant func(n network) (step func(i int) (loss float64, err error), err error)

// trainer is a prepared network.
type trainer struct {
	step        func(i int) (float64, error)
	done        int
	first, last float64
}

// prepare takes the first steps.
func (t *trainer) prepare() (err error) {
	for ; t.done < checkSteps && err == nil; t.done++ {
		t.last, err = t.step(t.done % batches)
		if t.done == 0 {
			t.first = t.last
		}
	}
	return err
}

// run takes steps for so long.
func (t *trainer) run(seconds float64) (answer, error) {
	limit := time.Duration(seconds * float64(time.Second))
	begin := time.Now()
	for steps := 1; ; steps++ {
		if _, err := t.step(t.done % batches); err != nil {
			return answer{}, err
		}
		t.done++
		if d := time.Since(begin); d >= limit {
			return answer{Steps: steps, Seconds: d.Seconds(), First: t.first, Last: t.last}, nil
		}
	}
}

// serve answers requests until there are no more.
func serve(make contestant, in io.Reader, out io.Writer) error {
	trainers := map[string]*trainer{}
	encoder := json.NewEncoder(out)
	for decoder := json.NewDecoder(in); ; {
		var r request
		if err := decoder.Decode(&r); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		a, err := serveOne(make, trainers, r)
		if err != nil {
			a.Error = err.Error()
		}
		if err := encoder.Encode(a); err != nil {
			return err
		}
	}
}

func serveOne(make contestant, trainers map[string]*trainer, r request) (answer, error) {
	t := trainers[r.Network]
	if t == nil {
		n, err := findNetwork(r.Network)
		if err != nil {
			return answer{}, err
		}
		step, err := make(n)
		if err != nil {
			return answer{}, err
		}
		t = &trainer{step: step}
		if err := t.prepare(); err != nil {
			return answer{}, err
		}
		trainers[r.Network] = t
	}
	return t.run(r.Seconds)
}

// worker is a process that trains.
type worker struct {
	name    string
	cmd     *exec.Cmd
	in      io.WriteCloser
	encoder *json.Encoder
	decoder *json.Decoder
	said    *bytes.Buffer // on standard error
}

func startWorker(name, program string, args ...string) (*worker, error) {
	cmd := exec.Command(program, args...)
	said := new(bytes.Buffer)
	cmd.Stderr = said
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return &worker{name, cmd, in, json.NewEncoder(in), json.NewDecoder(out), said}, nil
}

func (w *worker) ask(n network, seconds float64) (answer, error) {
	var a answer
	err := w.encoder.Encode(request{n.name, seconds})
	if err == nil {
		err = w.decoder.Decode(&a)
	}
	if err == nil && a.Error != "" {
		err = errors.New(a.Error)
	}
	if err != nil {
		return a, fmt.Errorf("%s, %s: %w", w.name, n.name, err)
	}
	return a, nil
}

// stop ends the process, which does so by itself when its input ends.
func (w *worker) stop() error {
	err := w.in.Close()
	if e := w.cmd.Wait(); e != nil {
		err = fmt.Errorf("%s: %w\n%s", w.name, e, w.said)
	}
	return err
}
