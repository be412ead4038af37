package ckpt_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// A line of strace -f -y: a process, a call, its arguments, its result.
var (
	systemCall = regexp.MustCompile(`^\d+ +(\w+)\((.*)\) += (\d+)`)
	quotedName = regexp.MustCompile(`"([^"]*)"`)
	tempID     = regexp.MustCompile(`\.[0-9a-f]{16}\.ckpt-tmp`)
)

// TestSaveSystemCalls compares the system calls of one save, in their order, with
// the protocol in docs/durability.md.
func TestSaveSystemCalls(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		t.Skip("strace is not installed")
	}
	dir := filepath.Join(t.TempDir(), "checkpoints")
	k := newKillable()
	m := newManager(t, k.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 3})
	for range 3 {
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	log := filepath.Join(t.TempDir(), "log")
	c := exec.Command(strace, "-f", "-y", "-s", "0", "-o", log,
		"-e", "trace=openat,open,creat,mkdir,mkdirat,rename,renameat,renameat2,link,linkat,unlink,unlinkat,fsync,fdatasync,write,pwrite64,writev,ftruncate,fallocate",
		os.Args[0], "-test.run=^TestKilledProgram$")
	c.Env = append(os.Environ(), killsDir+"="+dir, killsMode+"=each step", killsLast+"=yes")
	out, err := c.CombinedOutput()
	if err != nil || strings.Contains(string(out), "failed") {
		t.Skipf("strace does not work here: %v: %s", err, out)
	}
	var got []string
	for _, line := range wholeLines(string(readFile(t, log))) {
		if call := changeIn(line, dir); call != "" {
			got = append(got, call)
		}
	}
	want := protocol(t)
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Fatalf("step %d is %q, documented is %q; all:\n%s", i+1, g, w, strings.Join(got, "\n"))
		}
	}
}

// resumed is the second half of a call that another thread's came in between of.
var resumed = regexp.MustCompile(`^(\d+) +<\.\.\. \w+ resumed>(.*)$`)

// wholeLines joins the halves of such calls, in the order in which they ended.
func wholeLines(log string) (lines []string) {
	begun := make(map[string]string)
	for line := range strings.Lines(log) {
		line = strings.TrimSpace(line)
		pid, _, _ := strings.Cut(line, " ")
		if half, ok := strings.CutSuffix(line, "<unfinished ...>"); ok {
			begun[pid] = strings.TrimSpace(half)
			continue
		}
		if m := resumed.FindStringSubmatch(line); m != nil {
			line = begun[m[1]] + m[2]
		}
		lines = append(lines, line)
	}
	return lines
}

// changeIn is what a system call does to the folder, in the words of the
// document; "" if nothing.
func changeIn(line, dir string) string {
	m := systemCall.FindStringSubmatch(line)
	if m == nil || !strings.Contains(m[2], dir) {
		return ""
	}
	call, args := m[1], m[2]
	names := quotedName.FindAllStringSubmatch(args, -1)
	last := ""
	if len(names) > 0 {
		last = names[len(names)-1][1]
	}
	open := "" // the file of a descriptor, "3</folder/file>"
	if _, rest, ok := strings.Cut(args, "<"); ok {
		open, _, _ = strings.Cut(rest, ">")
	}
	switch call {
	case "openat", "open", "creat":
		if call != "creat" && !strings.Contains(args, "O_CREAT") {
			return ""
		}
		call = "create"
	case "rename", "renameat", "renameat2":
		call = "rename"
	case "link", "linkat":
		call = "link"
	case "unlink", "unlinkat":
		call = "unlink"
	case "fsync", "fdatasync":
		call, last = "sync", strings.TrimPrefix(open, dir+"/")
		if open == dir {
			last = "folder"
		}
	case "write", "pwrite64", "writev":
		call, last = "write", strings.TrimPrefix(open, dir+"/")
	}
	return fmt.Sprint(call, " ", tempID.ReplaceAllString(last, ".?.ckpt-tmp"))
}

// TestWholeLines is the reading of a log in which two threads speak at once.
func TestWholeLines(t *testing.T) {
	got := wholeLines("1 fsync(3</a/b> <unfinished ...>\n2  write(4</a/c>, \"\", 1) = 1\n1 <... fsync resumed>) = 0\n")
	want := []string{`2  write(4</a/c>, "", 1) = 1`, "1 fsync(3</a/b>) = 0"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	if got := changeIn(got[1], "/a"); got != "sync b" {
		t.Errorf("got %q, want sync b", got)
	}
}

// protocol is the first block of the document without numbers and remarks.
func protocol(t *testing.T) (steps []string) {
	t.Helper()
	_, block, _ := strings.Cut(string(readFile(t, "docs/durability.md")), "```\n")
	block, _, _ = strings.Cut(block, "```")
	for line := range strings.Lines(block) {
		fields := strings.Fields(line)
		if len(fields) < 3 || fields[0] != fmt.Sprint(len(steps)+1) {
			t.Fatalf("docs/durability.md: %q is no step %d", line, len(steps)+1)
		}
		steps = append(steps, fields[1]+" "+fields[2])
	}
	return steps
}
