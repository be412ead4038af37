// Package main, because the scripts run main as the command ckpt.
package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"ckpt": main})
}

// goldens is the repository's testdata, from here.
const goldens = "../../testdata"

func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Values[snapshotKey{}] = new(string)
			return nil
		},
		Condition: func(name string) (bool, error) {
			switch name {
			case "devfull":
				_, err := os.Stat("/dev/full")
				return err == nil, nil
			case "permissions":
				return runtime.GOOS != "windows" && os.Geteuid() != 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", name)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"golden":    golden,
			"flip":      flip,
			"flipbit":   flipBit,
			"truncate":  truncate,
			"write":     write,
			"snapshot":  snapshot,
			"unchanged": unchanged,
			"code":      code,
		},
	})
}

// golden WHAT DIR copies the files of testdata/tensorflow-2.21.0-WHAT, or of
// testdata/tensorflow-WHAT where that begins with another version.
func golden(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: golden WHAT DIR")
	}
	from := filepath.Join(goldens, "tensorflow-"+args[0])
	if _, err := os.Stat(from); err != nil {
		from = filepath.Join(goldens, "tensorflow-2.21.0-"+args[0])
	}
	ts.Check(copyTree(ts.MkAbs(args[1]), from))
}

func copyTree(to, from string) error {
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		if d.IsDir() {
			return os.MkdirAll(filepath.Join(to, name), 0o777)
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(to, name), data, 0o666)
	})
}

// flip FILE OFFSET changes all bits of one byte.
func flip(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	offset, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(flipByte(ts.MkAbs(args[0]), offset))
}

func flipByte(name string, offset int) error { return changeByte(name, offset, 0xff) }

// flipbit FILE OFFSET BIT changes one bit.
func flipBit(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: flipbit FILE OFFSET BIT")
	}
	offset, err := strconv.Atoi(args[1])
	ts.Check(err)
	bit, err := strconv.ParseUint(args[2], 10, 3)
	ts.Check(err)
	ts.Check(changeByte(ts.MkAbs(args[0]), offset, 1<<bit))
}

func changeByte(name string, offset int, mask byte) error {
	data, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	if offset >= len(data) {
		return fmt.Errorf("%s has %d bytes", name, len(data))
	}
	data[offset] ^= mask
	return os.WriteFile(name, data, 0o666)
}

// truncate FILE SIZE
func truncate(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: truncate FILE SIZE")
	}
	size, err := strconv.ParseInt(args[1], 10, 64)
	ts.Check(err)
	ts.Check(os.Truncate(ts.MkAbs(args[0]), size))
}

// write FILE TEXT makes a file of a text with the escapes of Go.
func write(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: write FILE TEXT")
	}
	text, err := strconv.Unquote(`"` + strings.ReplaceAll(args[1], `"`, `\"`) + `"`)
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(text), 0o666))
}

type snapshotKey struct{}

// snapshot remembers every file below the current directory.
func snapshot(ts *testscript.TestScript, _ bool, args []string) {
	text, err := contents(ts.MkAbs("."))
	ts.Check(err)
	*ts.Value(snapshotKey{}).(*string) = text
}

// unchanged compares with the last snapshot: no file came, went or differs.
func unchanged(ts *testscript.TestScript, _ bool, args []string) {
	before := *ts.Value(snapshotKey{}).(*string)
	if before == "" {
		ts.Fatalf("no snapshot was taken")
	}
	now, err := contents(ts.MkAbs("."))
	ts.Check(err)
	if now != before {
		ts.Fatalf("files changed:\n%s\nbefore:\n%s", now, before)
	}
}

func contents(dir string) (string, error) {
	var b bytes.Buffer
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		info, infoErr := d.Info()
		if infoErr == nil {
			fmt.Fprintf(&b, "%s %s %x %x\n", path, info.ModTime(), len(data), sha256.Sum256(data))
		}
		return err
	})
	return b.String(), err
}

// code N COMMAND… runs a command, as exec does, and wants this exit code.
func code(ts *testscript.TestScript, _ bool, args []string) {
	if len(args) < 2 {
		ts.Fatalf("usage: code N COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	got := 0
	if exit, ok := err.(interface{ ExitCode() int }); ok {
		got = exit.ExitCode()
	} else if err != nil {
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("%s: exit code %d, want %d", strings.Join(args[1:], " "), got, want)
	}
}
