// Package main, because the tests run the program itself.
package main

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/examples/internal/programtest"
)

// endless is more steps than a test waits for.
const endless = 1 << 40

// TestHundredKills kills the program a hundred times at random moments, lets it
// finish, and compares its weights with those of a run that was never stopped.
func TestHundredKills(t *testing.T) {
	const kills = 100
	binary := programtest.Build(t)
	dir := filepath.Join(t.TempDir(), "killed")
	args := func(dir string, steps int64) []string {
		return []string{"-dir", dir, "-steps", strconv.FormatInt(steps, 10), "-save-every", "150"}
	}
	programtest.Kill(t, kills, 45*time.Millisecond, append([]string{binary}, args(dir, endless)...)...)
	reached := programtest.SavedStep(t, dir, "state/step") + 1000
	got := programtest.LastLine(programtest.Output(t, "", binary, args(dir, reached)...))
	want := programtest.LastLine(programtest.Output(t, "", binary, args(filepath.Join(t.TempDir(), "straight"), reached)...))
	if got != want {
		t.Errorf("after %d kills: %s\nwant as without: %s", kills, got, want)
	}
	report, err := ckpt.VerifyDirectory(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range report {
		if !v.OK() {
			t.Errorf("%s: %v", v.Prefix, v.Problems)
		}
	}
	if len(report) != 5 {
		t.Errorf("%d checkpoints are left, want the newest 5", len(report))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if strings.HasPrefix(e.Name(), ".") {
			t.Errorf("left behind: %s", e.Name())
		}
	}
}

// TestInterrupt stops the program as Ctrl-C does: it saves, says so, and goes on
// from that step.
func TestInterrupt(t *testing.T) {
	binary := programtest.Build(t)
	args := []string{"-dir", filepath.Join(t.TempDir(), "c"), "-steps", strconv.Itoa(endless), "-save-every", "20000"}
	cmd := exec.Command(binary, args...)
	var out bytes.Buffer
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make([]byte, 1)
	if _, err := pipe.Read(first); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if _, err := out.ReadFrom(pipe); err != nil {
		t.Fatal(err)
	}
	err = cmd.Wait()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("exit %v, want 130", err)
	}
	if !strings.Contains(out.String(), "Interrupted; run the same command again") {
		t.Errorf("output:\n%s", out.String())
	}
	if !strings.Contains(programtest.LastLine(programtest.Output(t, "", binary, "-dir", args[1], "-steps", "1")), "Done at step") {
		t.Error("the next run did not go on from the saved step")
	}
}

// TestDamagedNewest flips a byte of the newest checkpoint: the next run refuses
// it by file, tensor and offset and goes on from the one before, to the same
// end.
func TestDamagedNewest(t *testing.T) {
	binary := programtest.Build(t)
	dir := filepath.Join(t.TempDir(), "c")
	want := programtest.LastLine(programtest.Output(t, "", binary, "-dir", filepath.Join(t.TempDir(), "straight"), "-steps", "4000", "-save-every", "500"))
	programtest.Output(t, "", binary, "-dir", dir, "-steps", "3500", "-save-every", "500")
	data := filepath.Join(dir, "ckpt-7.data-00000-of-00001")
	b, err := os.ReadFile(data)
	if err != nil {
		t.Fatal(err)
	}
	b[20] ^= 1
	if err := os.WriteFile(data, b, 0o666); err != nil {
		t.Fatal(err)
	}
	out := programtest.Output(t, "", binary, "-dir", dir, "-steps", "4000", "-save-every", "500")
	for _, text := range []string{
		"refused " + filepath.Join(dir, "ckpt-7") + ": ckpt-7.data-00000-of-00001: tensor ", "offset ",
		"Restored from checkpoint: " + filepath.Join(dir, "ckpt-6") + " (step 3000)",
		"Saved checkpoint at: " + filepath.Join(dir, "ckpt-8"),
	} {
		if !strings.Contains(out, text) {
			t.Errorf("output lacks %q:\n%s", text, out)
		}
	}
	if got := programtest.LastLine(out); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
