package programtest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Short is a program that ends by itself after a few lines.
type Short struct {
	Binary  string
	Folder  string   // where it runs
	Saves   []string // the folders of its checkpoints there, in the order it opens them
	Lines   int      // what it prints, at least
	Longest time.Duration
}

// Kill runs the program again and again until so many runs were killed: each
// after a line, picked at random, and a random time of at most Longest. A run
// that ended by itself before must have ended well. What a run said it had saved
// the next one must find: Kill fails the test if it restores an older checkpoint,
// begins from scratch or refuses one.
func (p *Short) Kill(t *testing.T, kills int) {
	t.Helper()
	saved := make(map[string]int) // the number that was saved last, by folder
	killed, finished, restored := 0, 0, 0
	for runs := 0; killed < kills; runs++ {
		if runs == 50*kills {
			t.Fatalf("%d of %d runs were killed, want %d: the program ends too soon", killed, runs, kills)
		}
		out, alive := p.killOne(t)
		if alive {
			finished++
		} else {
			killed++
		}
		restored += p.check(t, out, saved)
	}
	t.Logf("%d runs killed, %d had ended by then; %d times a folder was restored; saved last: %v", killed, finished, restored, saved)
	if restored == 0 || len(saved) < len(p.Saves) {
		t.Error("no run got as far as saving and restoring")
	}
}

// killOne gives what a run printed, and whether it ended by itself.
func (p *Short) killOne(t *testing.T) (out string, finished bool) {
	t.Helper()
	cmd := exec.Command(p.Binary)
	cmd.Dir = p.Folder
	var words bytes.Buffer
	cmd.Stderr = &words
	pipe, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var printed strings.Builder
	reader := bufio.NewReader(io.TeeReader(pipe, &printed))
	for range rand.IntN(p.Lines + 1) {
		reader.ReadString('\n')
	}
	timer := time.AfterFunc(rand.N(p.Longest), func() { cmd.Process.Kill() })
	io.Copy(io.Discard, reader)
	err = cmd.Wait()
	timer.Stop()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() != -1) {
		t.Fatalf("the program failed by itself: %v\n%s%s", err, printed.String(), words.String())
	}
	return printed.String(), err == nil
}

// check compares what a run restored with what those before it saved, notes
// what it saved itself, and gives how many folders it restored.
func (p *Short) check(t *testing.T, out string, saved map[string]int) (restored int) {
	t.Helper()
	opened := 0
	for line := range strings.Lines(out) {
		line, whole := strings.CutSuffix(line, "\n")
		switch {
		case !whole: // cut short by the kill
		case strings.Contains(line, "refused"):
			t.Errorf("a kill must not damage a checkpoint: %s", line)
		case strings.HasPrefix(line, "No checkpoint found"):
			if n := saved[p.Saves[opened]]; n > 0 {
				t.Errorf("%s begins from scratch, %d was saved", p.Saves[opened], n)
			}
			opened++
		case strings.HasPrefix(line, "Restored from checkpoint: "):
			folder, n := split(t, line)
			if folder != p.Saves[opened] || n < saved[folder] {
				t.Errorf("%s: want %s, number %d at least", line, p.Saves[opened], saved[folder])
			}
			opened, restored = opened+1, restored+1
		case strings.HasPrefix(line, "Saved checkpoint at: "):
			folder, n := split(t, line)
			if n <= saved[folder] {
				t.Errorf("%s: %d was saved before", line, saved[folder])
			}
			saved[folder] = n
		}
	}
	return restored
}

// split gives folder and number of the prefix at the end of a line.
func split(t *testing.T, line string) (folder string, number int) {
	t.Helper()
	_, prefix, _ := strings.Cut(line, ": ")
	name, isCheckpoint := strings.CutPrefix(filepath.Base(prefix), "ckpt-")
	number, err := strconv.Atoi(name)
	if err != nil || !isCheckpoint {
		t.Fatalf("%q ends in no prefix", line)
	}
	return filepath.Dir(prefix), number
}

// Fails runs a program that must end with exit code 1, and gives what it
// printed.
func Fails(t *testing.T, folder string, command ...string) string {
	t.Helper()
	cmd := exec.Command(command[0], command[1:]...)
	cmd.Dir = folder
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Fatalf("got %v, want exit code 1\n%s", err, out)
	}
	return string(out)
}

// WantLines compares an output line by line. A line of want that ends in … is
// the beginning of one.
func WantLines(t *testing.T, got string, want ...string) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	same := len(lines) == len(want)
	for i := 0; same && i < len(want); i++ {
		if beginning, open := strings.CutSuffix(want[i], "…"); open {
			same = strings.HasPrefix(lines[i], beginning)
		} else {
			same = lines[i] == want[i]
		}
	}
	if !same {
		t.Errorf("got\n%s\nwant\n%s", got, strings.Join(want, "\n"))
	}
}

// WantWords is a text that has all of some parts.
func WantWords(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("lacks %q:\n%s", part, text)
		}
	}
}

// Prefix is what a program prints of a checkpoint.
func Prefix(folder string, number int) string {
	return filepath.Join(folder, fmt.Sprintf("ckpt-%d", number))
}
