// Package python runs real TensorFlow for tests. A TensorFlow is one
// interpreter with one long-lived server process (server.py), because importing
// TensorFlow costs seconds; calls that need a new process start one.
//
// The interpreter is CKPT_INTEROP_PYTHON if that is set, else the one of the
// virtual environment interop/.venv. Without either, tests are skipped and say
// so; with CKPT_INTEROP=require the environment is made, and whatever fails
// then fails the test.
package python

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"
)

const (
	modeVariable        = "CKPT_INTEROP"
	interpreterVariable = "CKPT_INTEROP_PYTHON"
	howToEnable         = "real TensorFlow was not found: set " + modeVariable + "=require to install it into interop/.venv, or " +
		interpreterVariable + " to a Python that has it"
)

// callLimit bounds one call: a server that hangs is killed and the test fails.
const callLimit = 5 * time.Minute

// errAbsent says that there is no interpreter and nobody asked for one.
var errAbsent = errors.New(howToEnable)

// TensorFlow runs calls in one server process, which the first call starts. The
// zero value is ready. It is safe for concurrent use; calls run one after the
// other.
type TensorFlow struct {
	mu          sync.Mutex
	folder      string // the interop folder
	interpreter string
	server      *server
	err         error // of the first start: the others need not try again
}

// Require skips the test, or fails it, where there is no TensorFlow.
func (p *TensorFlow) Require(t testing.TB) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.require(t)
}

func (p *TensorFlow) require(t testing.TB) {
	t.Helper()
	if p.interpreter == "" && p.err == nil {
		p.folder, p.interpreter, p.err = find()
	}
	if errors.Is(p.err, errAbsent) {
		t.Skip(p.err)
	}
	if p.err != nil {
		t.Fatal(p.err)
	}
}

// Call runs a function of server.py with args, a JSON object of its parameters,
// and stores what it returns in result unless that is nil. An exception in
// Python fails the test.
func (p *TensorFlow) Call(t testing.TB, name string, args map[string]any, result any) {
	t.Helper()
	if err := p.Try(t, name, args, result); err != nil {
		t.Fatalf("TensorFlow, %s: %v", name, err)
	}
}

// Try is Call for a test that expects an exception: it comes back as an error
// whose text begins with the class of the exception.
func (p *TensorFlow) Try(t testing.TB, name string, args map[string]any, result any) error {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.require(t)
	if p.server == nil {
		p.server, p.err = start(p.interpreter, filepath.Join(p.folder, "python", "server.py"))
		if p.err != nil {
			t.Fatal(p.err)
		}
	}
	answer, err := p.server.call(request{Call: name, Args: args})
	if err != nil {
		// What the server would answer to the next call is not known.
		p.server.kill()
		p.server, p.err = nil, err
		t.Fatal(err)
	}
	if answer.Error != "" {
		return fmt.Errorf("%s\n%s", answer.Error, answer.Trace)
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(answer.Result, result); err != nil {
		t.Fatalf("answer of %s: %v", name, err)
	}
	return nil
}

// Script runs a script of the interop folder, such as programs/sequential.py,
// in a new process in the directory dir and gives what it printed.
func (p *TensorFlow) Script(t testing.TB, dir, script string, args ...string) string {
	t.Helper()
	p.Require(t)
	command := exec.CommandContext(t.Context(), p.interpreter, append([]string{filepath.Join(p.folder, script)}, args...)...)
	command.Dir = dir
	var words bytes.Buffer
	command.Stderr = &words
	output, err := command.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s", script, err, tail(words.Bytes()))
	}
	return string(output)
}

// Close ends the server. It belongs at the end of TestMain.
func (p *TensorFlow) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.server == nil {
		return nil
	}
	s := p.server
	p.server = nil
	return s.close()
}

// find gives the interop folder and an interpreter with TensorFlow.
func find() (folder, interpreter string, err error) {
	folder, err = interopFolder()
	if err != nil {
		return "", "", err
	}
	if interpreter = os.Getenv(interpreterVariable); interpreter != "" {
		return folder, interpreter, nil
	}
	environment := filepath.Join(folder, ".venv")
	interpreter = filepath.Join(environment, "bin", "python")
	if runtime.GOOS == "windows" {
		interpreter = filepath.Join(environment, "Scripts", "python.exe")
	}
	requirements := filepath.Join(folder, "requirements.txt")
	if upToDate(environment, requirements) {
		return folder, interpreter, nil
	}
	if os.Getenv(modeVariable) != "require" {
		return "", "", errAbsent
	}
	return folder, interpreter, install(environment, interpreter, requirements)
}

// interopFolder looks for the folder from the working directory upwards; tests
// run in the folder of their package.
func interopFolder() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		for _, candidate := range []string{dir, filepath.Join(dir, "interop")} {
			if _, err := os.Stat(filepath.Join(candidate, "python", "server.py")); err == nil {
				return candidate, nil
			}
		}
		parent := filepath.Dir(dir)
		if parent == dir {
			return "", errors.New("the folder interop was not found above the working directory")
		}
		dir = parent
	}
}

// findPython gives a Python that can make the environment.
func findPython() (string, error) {
	path, err := exec.LookPath("python3")
	if err != nil {
		path, err = exec.LookPath("python") // its name on Windows
	}
	return path, err
}

// stamp is the copy of the requirements that an environment was made from; it
// is written last.
func stamp(environment string) string { return filepath.Join(environment, "installed.txt") }

func upToDate(environment, requirements string) bool {
	want, err := os.ReadFile(requirements)
	if err != nil {
		return false
	}
	got, err := os.ReadFile(stamp(environment))
	return err == nil && bytes.Equal(got, want)
}

// install makes the virtual environment. Test packages run side by side: one
// installs, the others wait.
func install(environment, interpreter, requirements string) error {
	if err := os.MkdirAll(environment, 0o777); err != nil {
		return err
	}
	unlock, err := lock(filepath.Join(environment, "lock"))
	if err != nil {
		return err
	}
	defer unlock()
	if upToDate(environment, requirements) {
		return nil
	}
	base, err := findPython()
	if err != nil {
		return err
	}
	for _, command := range [][]string{
		{base, "-m", "venv", environment},
		{interpreter, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", requirements},
	} {
		if output, err := exec.Command(command[0], command[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(command, " "), err, tail(output))
		}
	}
	content, err := os.ReadFile(requirements)
	if err != nil {
		return err
	}
	return os.WriteFile(stamp(environment), content, 0o666)
}

// tail is the end of what a process said, enough for a traceback.
func tail(b []byte) []byte {
	const shown = 8 << 10
	if len(b) > shown {
		return b[len(b)-shown:]
	}
	return b
}
