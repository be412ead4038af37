//go:build unix

package ckpt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// preempted is a Preemption to which the signal SIGUSR1 came.
func preempted(t *testing.T, m *ckpt.Manager, o ckpt.PreemptionOptions) *ckpt.Preemption {
	t.Helper()
	o.Signals = []os.Signal{syscall.SIGUSR1}
	p := ckpt.NewPreemption(m, &o)
	t.Cleanup(p.Stop)
	raise(t)
	<-p.Preempted()
	return p
}

func raise(t *testing.T) {
	t.Helper()
	if err := syscall.Kill(os.Getpid(), syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
}

func TestPreemption(t *testing.T) {
	p := newProgram()
	m := newManager(t, p.Checkpoint, t.TempDir(), nil)
	saveSteps(t, p, m, 1)
	idle := ckpt.NewPreemption(m, nil)
	if prefix, leave, err := idle.SaveIfPreempted(t.Context(), nil); prefix != "" || leave || err != nil {
		t.Errorf("without a signal: got %q, %v, %v", prefix, leave, err)
	}
	idle.Stop()
	idle.Stop()

	asked := preempted(t, m, ckpt.PreemptionOptions{})
	asked.Stop() // the signal stays known
	p.setStep(2)
	for range 2 { // the second call saves nothing
		prefix, leave, err := asked.SaveIfPreempted(t.Context(), nil)
		if filepath.Base(prefix) != "ckpt-2" || !leave || err != nil || prefix != m.Latest() {
			t.Errorf("got %q, %v, %v, want ckpt-2", prefix, leave, err)
		}
	}
}

// TestPreemptionSecondSignal leaves at once.
func TestPreemptionSecondSignal(t *testing.T) {
	codes := make(chan int)
	m := newManager(t, newProgram().Checkpoint, t.TempDir(), nil)
	preempted(t, m, ckpt.PreemptionOptions{Exit: func(code int) { codes <- code }})
	for range 2 {
		raise(t)
		if got, want := <-codes, 128+int(syscall.SIGUSR1); got != want {
			t.Errorf("exit code: got %d, want %d", got, want)
		}
	}
}

// TestPreemptionWaits has a background save under way, which fails or does not:
// the last checkpoint is saved after it.
func TestPreemptionWaits(t *testing.T) {
	for _, fail := range []error{nil, errors.New("a full disk")} {
		p := newProgram()
		m := newManager(t, p.Checkpoint, t.TempDir(), nil)
		asked := preempted(t, m, ckpt.PreemptionOptions{})
		p.setStep(1)
		hold := make(chan struct{})
		if _, err := m.Save(t.Context(), &ckpt.SaveOptions{Background: true, AfterWrite: []func(string) error{func(string) error { <-hold; return fail }}}); err != nil {
			t.Fatal(err)
		}
		p.setStep(2)
		go close(hold)
		prefix, leave, err := asked.SaveIfPreempted(t.Context(), &ckpt.SaveOptions{Background: true})
		if filepath.Base(prefix) != "ckpt-2" || !leave || !errors.Is(err, fail) || prefix != m.Latest() {
			t.Errorf("got %q, %v, %v, want ckpt-2 and %v", prefix, leave, err, fail)
		}
		if prefix, leave, err = asked.SaveIfPreempted(t.Context(), nil); filepath.Base(prefix) != "ckpt-2" || !leave || err != nil {
			t.Errorf("again: got %q, %v, %v", prefix, leave, err)
		}
		asked.Stop()
	}
}

// TestPreemptionGracePeriod gives no time to save: nothing half is left, and
// the next call tries again.
func TestPreemptionGracePeriod(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	saveSteps(t, p, m, 1)
	late := preempted(t, m, ckpt.PreemptionOptions{GracePeriod: 1})
	for range 2 {
		if prefix, leave, err := late.SaveIfPreempted(t.Context(), nil); prefix != "" || !leave || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %q, %v, %v, want context.DeadlineExceeded", prefix, leave, err)
		}
	}
	late.Stop()
	wantFiles(t, dir, filesOf("ckpt-1")...)
	early := preempted(t, m, ckpt.PreemptionOptions{GracePeriod: 1 << 62})
	if prefix, leave, err := early.SaveIfPreempted(t.Context(), nil); prefix == "" || !leave || err != nil {
		t.Errorf("with time enough: got %q, %v, %v", prefix, leave, err)
	}
}

// TestPreemptionSavedAlready does not save a step twice, unless what has the step
// is on another branch.
func TestPreemptionSavedAlready(t *testing.T) {
	dir := savedDir(t, 3)
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Step: p.step.Value})
	if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "2"}); err != nil {
		t.Fatal(err)
	}
	asked := preempted(t, m, ckpt.PreemptionOptions{})
	if prefix, _, err := asked.SaveIfPreempted(t.Context(), nil); filepath.Base(prefix) != "ckpt-4" || err != nil {
		t.Errorf("after going back: got %q, %v, want ckpt-4", prefix, err)
	}
	asked.Stop()
	saveSteps(t, p, m, 7)
	asked = preempted(t, m, ckpt.PreemptionOptions{})
	if prefix, _, err := asked.SaveIfPreempted(t.Context(), nil); filepath.Base(prefix) != "ckpt-5" || err != nil {
		t.Errorf("after a save: got %q, %v, want ckpt-5", prefix, err)
	}
}

// TestPreemptionChild is the program that TestPreemptionProcess runs.
func TestPreemptionChild(t *testing.T) {
	dir := os.Getenv("CKPT_TEST_PREEMPTION")
	if dir == "" {
		t.Skip("run by TestPreemptionProcess")
	}
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Step: p.step.Value, Interval: 7})
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	asked := ckpt.NewPreemption(m, nil)
	defer asked.Stop()
	fmt.Println("resumed at", p.step.Value())
	for {
		p.setStep(p.step.Value() + 1)
		prefix, leave, err := asked.SaveIfPreempted(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if leave {
			fmt.Println("left at", p.step.Value(), filepath.Base(prefix))
			if os.Getenv("CKPT_TEST_STUCK") != "" {
				select {}
			}
			return
		}
		if _, err := m.SaveIfDue(t.Context(), &ckpt.SaveOptions{Background: true}); err != nil {
			t.Fatal(err)
		}
	}
}

// child starts TestPreemptionChild and reads up to its first line.
func child(t *testing.T, dir string, env ...string) (cmd *exec.Cmd, out *bufio.Reader, resumed int64) {
	t.Helper()
	cmd = exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPreemptionChild$")
	cmd.Env = append(append(os.Environ(), "CKPT_TEST_PREEMPTION="+dir), env...)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	out = bufio.NewReader(pipe)
	if _, err := fmt.Fscanf(out, "resumed at %d\n", &resumed); err != nil {
		t.Fatal(err)
	}
	return cmd, out, resumed
}

// TestPreemptionProcess stops a program again and again: it leaves with the
// step it was at on the disk.
func TestPreemptionProcess(t *testing.T) {
	dir := t.TempDir()
	want := int64(0)
	for _, s := range []os.Signal{syscall.SIGTERM, os.Interrupt, syscall.SIGTERM} {
		cmd, out, resumed := child(t, dir)
		if resumed != want {
			t.Errorf("resumed at %d, want %d", resumed, want)
		}
		if err := cmd.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
		var name string
		if _, err := fmt.Fscanf(out, "left at %d %s\n", &want, &name); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, out); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil || want <= resumed {
			t.Errorf("%v: exit %v at step %d, resumed at %d", s, err, want, resumed)
		}
		if latest, err := ckpt.Latest(t.Context(), dir, nil); err != nil || filepath.Base(latest) != name {
			t.Errorf("Latest: got %q, %v, want %s", latest, err, name)
		}
		for _, file := range filesIn(t, dir) {
			if file != "checkpoint" && !strings.HasPrefix(file, "ckpt-") {
				t.Errorf("%s is left", file)
			}
		}
	}
}

// TestPreemptionProcessStuck sends a second signal to a program that does not
// leave: os.Exit ends it.
func TestPreemptionProcessStuck(t *testing.T) {
	cmd, out, _ := child(t, t.TempDir(), "CKPT_TEST_STUCK=1")
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if line, err := out.ReadString('\n'); err != nil || !strings.HasPrefix(line, "left at ") {
		t.Fatalf("got %q, %v", line, err)
	}
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 128+int(syscall.SIGTERM) {
		t.Errorf("exit: got %v, want %d", err, 128+int(syscall.SIGTERM))
	}
}
