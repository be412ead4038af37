// Command serve answers HTTP requests with the newest good checkpoint of a
// directory, while another process trains into it: it swaps to each new one
// without failing a request, reads past damaged ones, and does not mind that old
// ones are removed under its feet. With examples/plain, in two terminals:
//
//	go run ./examples/plain -steps 100000000
//	go run ./examples/serve -dir plain_checkpoints -port 8080
//	curl 'http://127.0.0.1:8080/predict?x=1,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0.5'
//
// It waits for the first checkpoint before it listens. Ctrl-C ends it after the
// requests that are being answered.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/ckpt-go/ckpt"
)

func main() {
	dir := flag.String("dir", "plain_checkpoints", "`folder` that somebody trains into")
	port := flag.Int("port", 8080, "listen on this `port` of 127.0.0.1; 0 takes a free one")
	poll := flag.Duration("poll", time.Second, "look for a new checkpoint this often")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second Ctrl-C ends the program at once
	if flag.NArg() > 0 {
		fmt.Fprintf(os.Stderr, "serve: %q is no flag; did you mean -dir %[1]s?\n", flag.Arg(0))
		os.Exit(2)
	}
	if err := run(ctx, *dir, *port, *poll, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// grace is how long requests may take that are being answered at the end.
const grace = 10 * time.Second

// run serves until the context ends.
func run(ctx context.Context, dir string, port int, poll time.Duration, out io.Writer) error {
	s := &server{out: out, ready: make(chan struct{})}
	fmt.Fprintf(out, "Waiting for a checkpoint in %s\n", dir)
	ctx, cancel := context.WithCancel(ctx)
	watched := make(chan error, 1)
	go func() { watched <- s.watch(ctx, dir, poll) }()
	defer func() { // nobody writes to out any more when run returns
		cancel()
		<-watched
	}()
	select {
	case <-s.ready:
	case err := <-watched:
		watched <- nil
		return ignoreCanceled(err)
	}
	listener, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(port)))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "Listening on http://%s\n", listener.Addr())
	httpServer := &http.Server{Handler: s, ReadHeaderTimeout: grace}
	served := make(chan error, 1)
	go func() { served <- httpServer.Serve(listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	return httpServer.Shutdown(last)
}

func ignoreCanceled(err error) error {
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// server answers with one model at a time. Requests that began with the one
// before end with it.
type server struct {
	model atomic.Pointer[model]
	ready chan struct{} // closed once there is one
	out   io.Writer
}

// watch swaps to each new good checkpoint until the context ends. What cannot
// be used is told of, and the model before stays.
func (s *server) watch(ctx context.Context, dir string, poll time.Duration) error {
	o := &ckpt.IterateOptions{
		Notify:  true,
		Poll:    poll,
		Verify:  true, // a damaged one is passed over
		Problem: func(err error) { fmt.Fprintln(s.out, err) },
	}
	for prefix, err := range ckpt.Iterate(ctx, dir, o) {
		if err != nil {
			return err
		}
		m, err := load(ctx, prefix)
		if err != nil { // such as one that the training program has just removed
			fmt.Fprintf(s.out, "Passing over %s: %v\n", prefix, err)
			continue
		}
		fmt.Fprintf(s.out, "Serving %s (step %d)\n", prefix, m.step)
		if s.model.Swap(m) == nil {
			close(s.ready)
		}
	}
	return nil
}

// model is what examples/plain trains, as far as an answer needs it. It is
// never changed.
type model struct {
	name    string // of the checkpoint
	step    int64
	weights []float64
	bias    float64
}

func load(ctx context.Context, prefix string) (*model, error) {
	r, err := ckpt.Open(ctx, prefix, nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	m := &model{name: filepath.Base(prefix)}
	step, err := ckpt.Read[int64](ctx, r, key("step"))
	if err != nil {
		return nil, err
	}
	bias, err := ckpt.Read[float64](ctx, r, key("bias"))
	if err != nil {
		return nil, err
	}
	if m.weights, err = ckpt.Read[float64](ctx, r, key("weights")); err != nil {
		return nil, err
	}
	if len(step) != 1 || len(bias) != 1 {
		return nil, fmt.Errorf("serve: %s: %d steps and %d biases, want one of each", prefix, len(step), len(bias))
	}
	m.step, m.bias = step[0], bias[0]
	return m, nil
}

// key is that of a field of the training program's state. `ckpt ls` prints them.
func key(field string) string { return "state/" + field + "/.ATTRIBUTES/VARIABLE_VALUE" }

// answer is what a request gets.
type answer struct {
	Y          float64 `json:"y"`
	Step       int64   `json:"step"`
	Checkpoint string  `json:"checkpoint"`
}

// ServeHTTP answers GET /predict?x=1,2,…
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path != "/predict" {
		http.Error(w, "ask for /predict?x=1,2,…", http.StatusNotFound)
		return
	}
	m := s.model.Load() // once: all of the answer comes from one checkpoint
	y, err := m.predict(strings.Split(r.URL.Query().Get("x"), ","))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(answer{y, m.step, m.name})
}

func (m *model) predict(inputs []string) (float64, error) {
	if len(inputs) != len(m.weights) {
		return 0, fmt.Errorf("x has %d numbers, the model takes %d", len(inputs), len(m.weights))
	}
	y := m.bias
	for i, input := range inputs {
		x, err := strconv.ParseFloat(strings.TrimSpace(input), 64)
		if err != nil {
			return 0, fmt.Errorf("x: %q is no number", input)
		}
		y += m.weights[i] * x
	}
	if math.IsNaN(y) || math.IsInf(y, 0) {
		return 0, fmt.Errorf("the answer is %v", y)
	}
	return y, nil
}
