package ckpt_test

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// prSetChildSubreaper has a process adopt the orphans among its descendants.
const prSetChildSubreaper = 36

// byShell runs TestLockedProgram, which waits for a line on descriptor 3, and then
// waits itself until its input ends.
const byShell = `"$0" '-test.run=^TestLockedProgram$' <&3 & read line`

// TestLockAndDescendants has this process hold the lock, and a program that a shell
// started: it is let through as long as the shell lives. When that ends this process
// adopts the orphan, as PID 1 does, and what it did not start is not its own.
func TestLockAndDescendants(t *testing.T) {
	skipWithoutLocks(t)
	if _, _, errno := syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 1, 0); errno != 0 {
		t.Skip(errno)
	}
	defer syscall.RawSyscall(syscall.SYS_PRCTL, prSetChildSubreaper, 0, 0)
	for _, test := range []struct {
		name   string
		orphan bool
		want   string
	}{{"child of a child", false, "saved"}, {"orphan", true, "another program saves into it"}} {
		t.Run(test.name, func(t *testing.T) {
			dir := t.TempDir()
			p := newProgram()
			m := newManager(t, p.Checkpoint, dir, nil)
			saveSteps(t, p, m, 1)
			var ends [3][2]*os.File // of the shell's input, the program's and the output
			for i := range ends {
				r, w, err := os.Pipe()
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				defer w.Close()
				ends[i] = [2]*os.File{r, w}
			}
			shell := exec.Command("sh", "-c", byShell, os.Args[0])
			shell.Env = append(os.Environ(), lockedDir+"="+dir, lockedLater+"=1")
			shell.Stdin, shell.Stdout, shell.ExtraFiles = ends[0][0], ends[2][1], []*os.File{ends[1][0]}
			if err := shell.Start(); err != nil {
				t.Fatal(err)
			}
			ends[2][1].Close()
			out := bufio.NewReader(ends[2][0])
			line, err := out.ReadString('\n')
			if err != nil {
				t.Fatal(err)
			}
			pid, err := strconv.Atoi(strings.TrimSpace(line))
			if err != nil {
				t.Fatal(err)
			}
			end := func() {
				ends[0][1].Close()
				shell.Wait()
			}
			if test.orphan {
				end()
			}
			io.WriteString(ends[1][1], "\n")
			if line, err := out.ReadString('\n'); err != nil || !strings.Contains(line, test.want) {
				t.Errorf("got %q, %v, want %s", line, err, test.want)
			}
			ends[1][0].Close()
			ends[1][1].Close()
			if !test.orphan {
				end()
			}
			syscall.Wait4(pid, nil, 0, nil) // it is this process's now
			if err := m.Close(); err != nil {
				t.Fatal(err)
			}
		})
	}
}

const lockedInit = "CKPT_LOCKED_INIT"

// TestLockedInit is no test: it is PID 1 of a container, which holds the lock, and
// starts a program itself and one by a shell.
func TestLockedInit(t *testing.T) {
	dir := os.Getenv(lockedInit)
	if dir == "" {
		t.Skip("TestLockOfInit runs it")
	}
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	saveSteps(t, p, m, 1)
	program := os.Args[0]
	for _, c := range []*exec.Cmd{
		exec.Command(program, "-test.run=^TestLockedProgram$"),
		exec.Command("sh", "-c", `"$0" '-test.run=^TestLockedProgram$'; true`, program),
	} {
		c.Env = append(os.Environ(), lockedDir+"="+dir)
		out, err := c.Output()
		fmt.Println(os.Getpid(), err, strings.TrimSpace(string(out)))
	}
	os.Exit(0)
}

// TestLockOfInit has PID 1 hold the lock: what it started itself is let through. What
// only hangs below it need not be its own.
func TestLockOfInit(t *testing.T) {
	skipWithoutLocks(t)
	c := exec.Command("sh", "-c", `mount --make-rprivate / && mount -t proc proc /proc && exec "$0" '-test.run=^TestLockedInit$'`, os.Args[0])
	c.Env = append(os.Environ(), lockedInit+"="+t.TempDir())
	c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWPID | syscall.CLONE_NEWNS}
	out, err := c.CombinedOutput()
	if err != nil {
		t.Skipf("this machine lets the test make no container: %v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %q, want two lines", lines)
	}
	if want := "1 <nil> saved"; lines[0] != want {
		t.Errorf("its own: got %q, want %q", lines[0], want)
	}
	if want := "1 <nil> refused"; !strings.HasPrefix(lines[1], want) {
		t.Errorf("by a shell: got %q, want %q", lines[1], want)
	}
}
