// Package main, because the tests run the program itself.
package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/examples/internal/programtest"
)

// small is a training that begins at once.
func small(dir string, steps int64) []string {
	return []string{"-dir", dir, "-steps", fmt.Sprint(steps), "-pictures", "640", "-save-every", "25ms"}
}

const endless = 1 << 40

// TestThirtyKills kills the program thirty times at random moments, lets it
// finish, and compares its weights with those of a run that was never stopped;
// on all processors and on a single one.
func TestThirtyKills(t *testing.T) {
	const kills = 30
	binary := programtest.Build(t)
	for name, prefix := range map[string][]string{"all processors": nil, "one processor": {"taskset", "-c", "0"}} {
		t.Run(name, func(t *testing.T) {
			if prefix != nil {
				if _, err := exec.LookPath(prefix[0]); err != nil {
					t.Skipf("no %s here", prefix[0])
				}
			}
			dir := filepath.Join(t.TempDir(), "killed")
			programtest.Kill(t, kills, 200*time.Millisecond, append(append(prefix, binary), small(dir, endless)...)...)
			reached := programtest.SavedStep(t, dir, "step") + 10
			killed := append(append(prefix, binary), small(dir, reached)...)
			got := programtest.LastLine(programtest.Output(t, "", killed[0], killed[1:]...))
			want := programtest.LastLine(programtest.Output(t, "", binary, small(filepath.Join(t.TempDir(), "straight"), reached)...))
			if got != want || !strings.HasPrefix(got, "Weights: ") {
				t.Errorf("after %d kills: %s\nwant as without: %s", kills, got, want)
			}
			t.Logf("%d steps", reached)
			wantClean(t, dir)
		})
	}
}

// wantClean is five good checkpoints and nothing else.
func wantClean(t *testing.T, dir string) {
	t.Helper()
	report, err := ckpt.VerifyDirectory(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report {
		if !v.OK() {
			t.Errorf("%s: %v", v.Prefix, v.Problems)
		}
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(report) != 5 || len(entries) != 11 {
		t.Errorf("%d checkpoints in %d files are left, want the newest 5 in 10 and the state file", len(report), len(entries))
	}
}

// TestInterrupt stops the program as Ctrl-C does: it saves, says so, and goes on
// from that step.
func TestInterrupt(t *testing.T) {
	binary, dir := programtest.Build(t), filepath.Join(t.TempDir(), "c")
	cmd := exec.Command(binary, small(dir, endless)...)
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := pipe.Read(make([]byte, 1)); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if _, err := out.ReadFrom(pipe); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 || !strings.Contains(out.String(), "run the same command again to go on") {
		t.Errorf("exit %v, want 130, output:\n%s", err, out.String())
	}
	step := programtest.SavedStep(t, dir, "step")
	if again := programtest.Output(t, "", binary, small(dir, step+1)...); !strings.Contains(again, fmt.Sprintf("(step %d)", step)) {
		t.Errorf("the next run did not go on from step %d:\n%s", step, again)
	}
}

// TestRefused damages the newest checkpoint: the next run says which one it
// refused, and why, and goes on from the one before to the same end.
func TestRefused(t *testing.T) {
	binary, dir := programtest.Build(t), filepath.Join(t.TempDir(), "c")
	want := programtest.LastLine(programtest.Output(t, "", binary, small(filepath.Join(t.TempDir(), "straight"), 60)...))
	programtest.Output(t, "", binary, small(dir, 50)...)
	newest, err := ckpt.Latest(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	data := newest + ".data-00000-of-00001"
	b, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 1
	if err := os.WriteFile(data, b, 0o666); err != nil {
		t.Fatal(err)
	}
	out := programtest.Output(t, "", binary, small(dir, 60)...)
	for _, text := range []string{"refused " + newest + ": " + filepath.Base(data) + ": tensor ", "Restored from checkpoint: "} {
		if !strings.Contains(out, text) {
			t.Errorf("output lacks %q:\n%s", text, out)
		}
	}
	if got := programtest.LastLine(out); got != want {
		t.Errorf("%s, want %s", got, want)
	}
	if got := programtest.LastLine(programtest.Output(t, "", binary, small(dir, 60)...)); got != want {
		t.Errorf("started once more when it was done: %s, want %s", got, want)
	}
}

// TestOtherConfiguration resumes with other flags than the checkpoint was made
// with: the program says so and leaves everything as it is.
func TestOtherConfiguration(t *testing.T) {
	binary, dir := programtest.Build(t), filepath.Join(t.TempDir(), "c")
	programtest.Output(t, "", binary, small(dir, 5)...)
	out, err := exec.Command(binary, "-dir", dir, "-steps", "6", "-pictures", "1280", "-seed", "3").CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 || !strings.Contains(string(out), "made with -pictures 640 -seed 1: give the same, or another -dir") {
		t.Errorf("%v, output:\n%s", err, out)
	}
	programtest.Output(t, "", binary, small(dir, 6)...)
}
