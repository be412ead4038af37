// Package main, because the tests run the server itself.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/examples/internal/programtest"
)

// trained is what the training program has of its state; all values tell its
// step, so that an answer from two checkpoints shows.
type trained struct {
	Step    int64       `ckpt:"step"`
	Weights [16]float64 `ckpt:"weights"`
	Bias    float64     `ckpt:"bias"`
}

type trainer struct {
	state   trained
	manager *ckpt.Manager
}

func newTrainer(t *testing.T, dir string) *trainer {
	t.Helper()
	tr := new(trainer)
	var err error
	tr.manager, err = ckpt.NewManager(ckpt.New(ckpt.Objects{"state": ckpt.Track(&tr.state)}), dir, &ckpt.ManagerOptions{MaxToKeep: 2})
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

func (tr *trainer) save(t *testing.T, o *ckpt.SaveOptions) string {
	t.Helper()
	tr.state.Step++
	for i := range tr.state.Weights {
		tr.state.Weights[i] = float64(tr.state.Step)
	}
	tr.state.Bias = float64(tr.state.Step)
	prefix, err := tr.manager.Save(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return prefix
}

// serving is a server that runs in the test.
type serving struct {
	url   string
	lines chan string // what it prints after its address
	end   func() error

	mu    sync.Mutex
	moved *sync.Cond
	step  int64 // of the model that answers
	swaps int
}

// swapped notes a new model.
func (s *serving) swapped(step int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.step = step
	s.swaps++
	s.moved.Broadcast()
}

// wait returns when a step answers, or a later one, and gives how many models
// answered so far.
func (s *serving) wait(step int64) (swaps int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.step < step {
		s.moved.Wait()
	}
	return s.swaps
}

// serve runs the server until the test ends it.
func serve(t *testing.T, dir string) *serving {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	r, w := io.Pipe()
	ended := make(chan error, 1)
	go func() {
		err := run(ctx, dir, 0, time.Millisecond, w)
		w.Close()
		ended <- err
	}()
	s := &serving{lines: make(chan string, 1000), end: func() error {
		cancel()
		return <-ended
	}}
	s.moved = sync.NewCond(&s.mu)
	listening := make(chan string, 1)
	go func() {
		defer close(s.lines)
		defer s.swapped(math.MaxInt64) // nobody waits for a server that ended
		for lines := bufio.NewScanner(r); lines.Scan(); {
			line := lines.Text()
			if url, ok := strings.CutPrefix(line, "Listening on "); ok {
				listening <- url
				continue
			}
			var prefix string
			var step int64
			if n, _ := fmt.Sscanf(line, "Serving %s (step %d)", &prefix, &step); n == 2 {
				s.swapped(step)
			}
			select {
			case s.lines <- line:
			default: // nobody reads so many
			}
		}
	}()
	select {
	case s.url = <-listening:
	case err := <-ended:
		t.Fatalf("the server ended: %v", err)
	}
	return s
}

// next is the next line with a text in it.
func (s *serving) next(t *testing.T, text string) {
	t.Helper()
	for line := range s.lines {
		if strings.Contains(line, text) {
			return
		}
		if !strings.HasPrefix(line, "Waiting") && !strings.HasPrefix(line, "Serving") {
			t.Errorf("it says %q, want %q", line, text)
		}
	}
	t.Fatalf("it ended without saying %q", text)
}

// ones asks for the sum of all weights and the bias.
var ones = "/predict?x=" + strings.Repeat("1,", 15) + "1"

// ask makes one request. The answer must be that of one checkpoint.
func ask(url string) (answer, error) {
	var a answer
	response, err := http.Get(url + ones)
	if err != nil {
		return a, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return a, errors.New(response.Status)
	}
	if err := json.NewDecoder(response.Body).Decode(&a); err != nil {
		return a, err
	}
	if a.Y != float64(17*a.Step) || a.Checkpoint != fmt.Sprint("ckpt-", a.Step) {
		return a, fmt.Errorf("a mixture: %+v", a)
	}
	return a, nil
}

// TestThousandSwaps asks all the time while a training program saves and removes
// as fast as it can.
func TestThousandSwaps(t *testing.T) {
	const swaps = 1000
	dir := inMemory(t)
	tr := newTrainer(t, dir)
	tr.save(t, nil)
	s := serve(t, dir)
	var asked atomic.Int64
	done := make(chan struct{})
	var clients sync.WaitGroup
	for range 2 {
		clients.Go(func() {
			for last := int64(0); ; {
				select {
				case <-done:
					return
				default:
				}
				a, err := ask(s.url)
				if err == nil && a.Step < last {
					err = fmt.Errorf("step %d after %d", a.Step, last)
				}
				if err != nil {
					t.Error(err)
					return
				}
				last = a.Step
				asked.Add(1)
			}
		})
	}
	const ahead = 2 // saves, so that the server finds some of them gone
	saves := 1
	for s.wait(int64(saves)-ahead) < swaps && saves < 10*swaps && !t.Failed() {
		tr.save(t, nil)
		saves++
	}
	close(done)
	clients.Wait()
	if err := s.end(); err != nil {
		t.Error(err)
	}
	if n := s.wait(0); n < swaps {
		t.Errorf("%d swaps in %d saves", n, saves)
	}
	t.Logf("%d saves, %d swaps, %d requests", saves, s.wait(0), asked.Load())
	tr.save(t, nil)
	programtest.WantCheckpoints(t, dir, saves, saves+1)
}

// inMemory is a folder whose disk is memory, where the system has one: a thousand
// checkpoints that are synced take a minute elsewhere.
func inMemory(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "serve")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// TestDamagedNewest has the newest checkpoint damaged before the state file names
// it: the one before goes on answering, until the next good one.
func TestDamagedNewest(t *testing.T) {
	dir := t.TempDir()
	tr := newTrainer(t, dir)
	tr.save(t, nil)
	s := serve(t, dir)
	damage := func(prefix string) error {
		programtest.Damage(t, programtest.Data(prefix))
		return nil
	}
	tr.save(t, &ckpt.SaveOptions{AfterWrite: []func(string) error{damage}})
	s.next(t, "refused "+filepath.Join(dir, "ckpt-2"))
	if a, err := ask(s.url); err != nil || a.Step != 1 {
		t.Errorf("got %+v, %v, want step 1", a, err)
	}
	tr.save(t, nil)
	s.next(t, "ckpt-3 (step 3)")
	if a, err := ask(s.url); err != nil || a.Step != 3 {
		t.Errorf("got %+v, %v, want step 3", a, err)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// TestMisfit has a checkpoint of another program as the newest.
func TestMisfit(t *testing.T) {
	dir := t.TempDir()
	tr := newTrainer(t, dir)
	tr.save(t, nil)
	s := serve(t, dir)
	other, err := ckpt.NewManager(ckpt.New(ckpt.Objects{"other": ckpt.NewScalar("v", 1.0)}), dir, nil)
	if err == nil {
		_, err = other.Save(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	s.next(t, "Passing over "+filepath.Join(dir, "ckpt-2"))
	if a, err := ask(s.url); err != nil || a.Step != 1 {
		t.Errorf("got %+v, %v, want step 1", a, err)
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

func TestRequests(t *testing.T) {
	dir := t.TempDir()
	newTrainer(t, dir).save(t, nil)
	s := serve(t, dir)
	for path, want := range map[string]int{
		ones:                       200,
		"/":                        404,
		"/predict":                 400,
		"/predict?x=1,2":           400,
		ones + "x":                 400,
		ones + "e999":              400,
		ones[:len(ones)-1] + "inf": 400,
	} {
		response, err := http.Get(s.url + path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%s: got %d %s, want %d", path, response.StatusCode, body, want)
		}
	}
	if err := s.end(); err != nil {
		t.Error(err)
	}
}

// TestNoCheckpoint ends a server that still waits.
func TestNoCheckpoint(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := run(ctx, filepath.Join(t.TempDir(), "missing"), 0, time.Millisecond, io.Discard); err != nil {
		t.Error(err)
	}
}

// TestProcesses runs the training program and the server as two processes, and
// ends the server as Ctrl-C does.
func TestProcesses(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("processes cannot be sent a Ctrl-C there")
	}
	dir := filepath.Join(t.TempDir(), "c")
	training := exec.Command(programtest.BuildOf(t, "../plain"), "-dir", dir, "-steps", fmt.Sprint(int64(1)<<40), "-save-every", "100")
	server := exec.Command(programtest.Build(t), "-dir", dir, "-port", "0", "-poll", "1ms")
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	for _, cmd := range []*exec.Cmd{server, training} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer cmd.Wait()
		defer cmd.Process.Kill()
	}
	swaps, url := 0, ""
	for lines := bufio.NewScanner(out); lines.Scan(); {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "Listening on "):
			url = strings.TrimPrefix(line, "Listening on ")
		case strings.HasPrefix(line, "Serving "):
			swaps++
		case strings.HasPrefix(line, "refused "):
			t.Error(line)
		}
		if url == "" {
			continue
		}
		response, err := http.Get(url + ones)
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
		}
		if err != nil || response.StatusCode != http.StatusOK {
			t.Fatal(response, err)
		}
		if swaps == 50 {
			break
		}
	}
	if err := server.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	go io.Copy(io.Discard, out)
	if err := server.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v", err)
	}
	if swaps < 50 {
		t.Errorf("%d swaps", swaps)
	}
}
