// Package programtest runs the example programs for their tests: as processes,
// which can be killed.
package programtest

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
)

// Build compiles the program in the current folder once for a test.
func Build(t *testing.T) string {
	t.Helper()
	return BuildOf(t, ".")
}

// BuildOf compiles the program in another folder, such as ../sequential.
func BuildOf(t *testing.T, folder string) string {
	t.Helper()
	binary := filepath.Join(t.TempDir(), "program.exe")
	if out, err := exec.Command("go", "build", "-o", binary, folder).CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

// Output runs a program in a folder to its end, "" is the current one, and gives
// what it printed.
func Output(t *testing.T, folder, binary string, args ...string) string {
	t.Helper()
	cmd := exec.Command(binary, args...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// LastLine is the last line of an output.
func LastLine(s string) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return lines[len(lines)-1]
}

// Kill starts a program again and again and kills it after a random time of at
// most limit, so many times. It fails the test if a run ends by itself or
// refuses a checkpoint, and counts those that restored one.
func Kill(t *testing.T, kills int, limit time.Duration, command ...string) (restored int) {
	t.Helper()
	scratch := 0
	for run := range kills {
		cmd := exec.Command(command[0], command[1:]...)
		var out bytes.Buffer
		cmd.Stdout, cmd.Stderr = &out, &out
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(time.Duration(rand.Int64N(int64(limit))), func() { cmd.Process.Kill() })
		err := cmd.Wait()
		timer.Stop()
		var exit *exec.ExitError
		if !errors.As(err, &exit) || exit.ExitCode() != -1 {
			t.Fatalf("run %d failed by itself: %v\n%s", run, err, out.String())
		}
		switch {
		case strings.Contains(out.String(), "Restored from checkpoint: "):
			restored++
		case strings.Contains(out.String(), "starting from scratch"):
			scratch++
		}
		if strings.Contains(out.String(), "refused") {
			t.Errorf("run %d refused a checkpoint: a kill must not damage one\n%s", run, out.String())
		}
	}
	t.Logf("%d kills: %d runs restored, %d began from scratch, the others died before they said so", kills, restored, scratch)
	if restored == 0 {
		t.Error("no run got as far as restoring")
	}
	return restored
}

// SavedStep reads a step from the newest checkpoint of a folder.
func SavedStep(t *testing.T, dir, key string) int64 {
	t.Helper()
	r, err := ckpt.Open(t.Context(), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	step, err := ckpt.Read[int64](t.Context(), r, key+"/.ATTRIBUTES/VARIABLE_VALUE")
	if err != nil {
		t.Fatal(err)
	}
	return step[0]
}
