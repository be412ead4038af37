package ckpt_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// lockedDir tells TestLockedProgram what to lock.
const lockedDir = "CKPT_LOCKED_DIR"

// lockedLater has it wait for a line before the first save.
const lockedLater = "CKPT_LOCKED_LATER"

// TestLockedProgram is no test: it is another process, which saves into a
// directory, and again for each line it reads.
func TestLockedProgram(t *testing.T) {
	dir := os.Getenv(lockedDir)
	if dir == "" {
		t.Skip("TestTwoPrograms runs it")
	}
	k := newKillable()
	m := newManager(t, k.Checkpoint, dir, nil)
	in := bufio.NewReader(os.Stdin)
	if os.Getenv(lockedLater) != "" {
		fmt.Println(os.Getpid())
		in.ReadString('\n')
	}
	for {
		_, err := m.Save(t.Context(), nil)
		if err != nil {
			fmt.Println("refused: " + strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("saved")
		}
		if _, err := in.ReadString('\n'); err != nil {
			os.Exit(0)
		}
	}
}

// lockedProgram is that process.
type lockedProgram struct {
	*exec.Cmd
	in  io.Writer
	out *bufio.Reader
}

// save has it save once more.
func (p *lockedProgram) save(t *testing.T) (line string) {
	t.Helper()
	if _, err := io.WriteString(p.in, "\n"); err != nil {
		t.Fatal(err)
	}
	line, err := p.out.ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

// startLocked starts it and gives its first line.
func startLocked(t *testing.T, dir string) (line string, p *lockedProgram) {
	t.Helper()
	c := exec.Command(os.Args[0], "-test.run=^TestLockedProgram$")
	c.Env = append(os.Environ(), lockedDir+"="+dir)
	in, err := c.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		c.Process.Kill()
		c.Wait()
	})
	p = &lockedProgram{c, in, bufio.NewReader(out)}
	if line, err = p.out.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line), p
}

// TestTwoPrograms has a second program save into a directory: it is refused as
// long as the first one lives, however that ends, and harms nothing.
func TestTwoPrograms(t *testing.T) {
	dir := t.TempDir()
	skipWithoutLocks(t)
	line, first := startLocked(t, dir)
	if line != "saved" {
		t.Fatalf("first program: %s", line)
	}
	files := filesIn(t, dir)
	if line, _ := startLocked(t, dir); !strings.Contains(line, "another program saves into it") {
		t.Errorf("second program: got %q, want a refusal", line)
	}
	k := newKillable()
	m := newManager(t, k.Checkpoint, dir, nil)
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Errorf("reading beside it: %v", err)
	}
	_, err := m.Save(t.Context(), nil)
	if held, ok := errors.AsType[*storage.LockedError](err); !ok || runtime.GOOS == "linux" && held.PID != first.Process.Pid {
		t.Errorf("Save: got %v, want to hear of process %d", err, first.Process.Pid)
	}
	if got := filesIn(t, dir); strings.Join(got, " ") != strings.Join(files, " ") || k.SaveCounter() != 1 {
		t.Errorf("after the refusals: files %q, counter %d, want %q, 1", got, k.SaveCounter(), files)
	}
	first.Process.Kill()
	first.Wait()
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Errorf("after its death: %v", err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if line, _ := startLocked(t, dir); line != "saved" {
		t.Errorf("after Close: %s", line)
	}
}

// TestLockedInProcess has two Managers of one process, by two names of the
// directory, and a program that this process starts.
func TestLockedInProcess(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	p, q := newProgram(), newProgram()
	first, second := newManager(t, p.Checkpoint, dir, nil), newManager(t, q.Checkpoint, dir+"/../a/", nil)
	saveSteps(t, p, first, 1)
	saveSteps(t, q, second, 2)
	if runtime.GOOS == "linux" {
		line, child := startLocked(t, dir)
		if line != "saved" {
			t.Errorf("a program this one started: %s", line)
		}
		child.Process.Kill()
		child.Wait()
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, q, second, 3)
	wantAllWhole(t, local.Open(dir, nil))
}

// TestLockFollowsTheDirectory has another folder take the place of a directory that a
// program saves into, and a second program save there first: now that one has it.
func TestLockFollowsTheDirectory(t *testing.T) {
	skipWithoutLocks(t)
	for how, replace := range replacements {
		t.Run(how, func(t *testing.T) {
			top, dir := replaceable(t, how)
			line, first := startLocked(t, dir)
			if line != "saved" {
				t.Fatalf("first program: %s", line)
			}
			replace(t, top)
			line, second := startLocked(t, dir)
			if line != "saved" {
				t.Fatalf("second program: %s", line)
			}
			files := filesIn(t, dir)
			if line := first.save(t); !strings.Contains(line, "another program saves into it") {
				t.Errorf("first program: got %q, want a refusal", line)
			}
			if got := filesIn(t, dir); strings.Join(got, " ") != strings.Join(files, " ") {
				t.Errorf("after the refusal: got %q, want %q", got, files)
			}
			second.Process.Kill()
			second.Wait()
			if line := first.save(t); line != "saved" {
				t.Errorf("first program, when it is alone: %s", line)
			}
			if line, _ := startLocked(t, dir); !strings.Contains(line, "another program saves into it") {
				t.Errorf("third program: got %q, want a refusal", line)
			}
			wantAllWhole(t, local.Open(dir, nil))
		})
	}
}
