package python

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"sync"
	"time"
)

type request struct {
	Call string         `json:"call"`
	Args map[string]any `json:"args,omitempty"`
}

type answer struct {
	Result json.RawMessage `json:"result"`
	Error  string          `json:"error"`
	Trace  string          `json:"trace"`
}

// server is a running server.py.
type server struct {
	command *exec.Cmd
	input   io.WriteCloser
	output  *bufio.Reader
	words   *lastWords
}

func start(interpreter, script string) (*server, error) {
	s := &server{command: exec.Command(interpreter, script), words: new(lastWords)}
	s.command.Stderr = s.words
	input, err := s.command.StdinPipe()
	if err != nil {
		return nil, err
	}
	output, err := s.command.StdoutPipe()
	if err != nil {
		return nil, err
	}
	s.input, s.output = input, bufio.NewReaderSize(output, 1<<20)
	if err := s.command.Start(); err != nil {
		return nil, fmt.Errorf("%s: %w", interpreter, err)
	}
	return s, nil
}

func (s *server) call(r request) (*answer, error) {
	line, err := json.Marshal(r)
	if err != nil {
		return nil, err
	}
	// A killed server closes its output, so neither write nor read can hang on.
	timer := time.AfterFunc(callLimit, func() { s.command.Process.Kill() })
	defer timer.Stop()
	if _, err := s.input.Write(append(line, '\n')); err != nil {
		return nil, s.died(r, err)
	}
	line, err = s.output.ReadBytes('\n')
	if err != nil {
		return nil, s.died(r, err)
	}
	a := new(answer)
	if err := json.Unmarshal(line, a); err != nil {
		return nil, s.died(r, err)
	}
	return a, nil
}

func (s *server) died(r request, err error) error {
	return fmt.Errorf("TensorFlow ended during %s: %w\n%s", r.Call, err, s.words.text())
}

func (s *server) close() error {
	s.input.Close()
	if err := s.command.Wait(); err != nil {
		return fmt.Errorf("TensorFlow: %w\n%s", err, s.words.text())
	}
	return nil
}

func (s *server) kill() {
	s.command.Process.Kill()
	s.command.Wait() // the error says what was just done
}

// lastWords keeps the end of what a process writes.
type lastWords struct {
	mu  sync.Mutex
	end []byte
}

func (w *lastWords) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end = append([]byte(nil), tail(append(w.end, p...))...)
	return len(p), nil
}

func (w *lastWords) text() []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.end
}
