// Internal: what happens to a server that dies is not reachable from outside.
package python

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
)

func TestServerThatDies(t *testing.T) {
	python, err := findPython()
	if err != nil {
		t.Skip(err)
	}
	script := filepath.Join(t.TempDir(), "dies.py")
	if err := os.WriteFile(script, []byte("import sys\nsys.stdin.readline()\nsys.exit('its last words')\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	s, err := start(python, script)
	if err != nil {
		t.Fatal(err)
	}
	if _, err = s.call(request{Call: "anything"}); err == nil || !strings.Contains(err.Error(), "ended during anything") {
		t.Errorf("got %v, want that it ended during the call", err)
	}
	if err := s.close(); err == nil || !strings.Contains(err.Error(), "its last words") {
		t.Errorf("got %v, want its last words", err)
	}
}

func TestLastWordsAreBounded(t *testing.T) {
	w := new(lastWords)
	for range 100 {
		w.Write([]byte(strings.Repeat("a", 999) + "\n"))
	}
	w.Write([]byte("end"))
	if got := w.text(); len(got) != 8<<10 || !strings.HasSuffix(string(got), "a\nend") {
		t.Errorf("got %d bytes that end in %q, want 8192 with the last line", len(got), got[len(got)-5:])
	}
}

func TestStampTellsOldEnvironments(t *testing.T) {
	environment := t.TempDir()
	requirements := filepath.Join(t.TempDir(), "requirements.txt")
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(name, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	write(requirements, "a==1\n")
	if upToDate(environment, requirements) {
		t.Error("an environment without a stamp counts as up to date")
	}
	write(stamp(environment), "a==1\n")
	if !upToDate(environment, requirements) {
		t.Error("an environment made from the same requirements does not count as up to date")
	}
	write(requirements, "a==2\n")
	if upToDate(environment, requirements) {
		t.Error("an environment made from other requirements counts as up to date")
	}
}

func TestLockExcludes(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("there is no lock on this system")
	}
	name := filepath.Join(t.TempDir(), "lock")
	unlock, err := lock(name)
	if err != nil {
		t.Fatal(err)
	}
	var released atomic.Bool
	waiting, done := make(chan struct{}), make(chan error)
	go func() {
		close(waiting)
		second, err := lock(name)
		if err == nil && !released.Load() {
			err = errors.New("two hold the lock")
		}
		if second != nil {
			second()
		}
		done <- err
	}()
	<-waiting
	for range 1000 { // time for the other to be let in wrongly
		runtime.Gosched()
		os.Stat(name)
	}
	released.Store(true)
	unlock()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
