// Package main, as script_test.go beside it.
package main

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt/cmd/ckpt/internal/cli"
)

var update = flag.Bool("update", false, "write the real output into the documentation")

// example is a block of documentation with one command and its output.
var example = regexp.MustCompile("(?m)^```console\n\\$ ckpt (.*)\n((?s:.*?))^```$")

// TestReadme runs the command that README.md shows from the repository's root
// and compares what it shows of the output, which it may cut with "…".
func TestReadme(t *testing.T) {
	t.Chdir("../..")
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	blocks := example.FindAllSubmatch(text, -1)
	if len(blocks) == 0 {
		t.Fatal("no example was found")
	}
	for _, m := range blocks {
		shown, _, _ := strings.Cut(string(m[2]), "…\n")
		if got := string(runExample(t, string(m[1]))); !strings.HasPrefix(got, shown) {
			t.Errorf("ckpt %s prints\n%s\nREADME.md shows\n%s", m[1], got, shown)
		}
	}
}

// TestDocs runs every command that the documentation shows.
func TestDocs(t *testing.T) {
	for _, name := range []string{"json.md", "cli.md"} {
		t.Run(name, func(t *testing.T) {
			file, err := filepath.Abs(filepath.Join("../../docs", name))
			if err != nil {
				t.Fatal(err)
			}
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			makeExamples(t)
			found := 0
			renewed := example.ReplaceAllFunc(text, func(block []byte) []byte {
				found++
				m := example.FindSubmatch(block)
				got := runExample(t, string(m[1]))
				if diff := cmp.Diff(string(m[2]), string(got)); diff != "" && !*update {
					t.Errorf("ckpt %s (-documentation +output; -update writes it):\n%s", m[1], diff)
				}
				return []byte("```console\n$ ckpt " + string(m[1]) + "\n" + string(got) + "```")
			})
			if found == 0 {
				t.Error("no example was found")
			}
			if *update {
				if err := os.WriteFile(file, renewed, 0o666); err != nil {
					t.Fatal(err)
				}
			}
		})
	}
}

// makeExamples enters a folder with what the documentation calls model, damaged,
// flipped, objects and shards.
func makeExamples(t *testing.T) {
	dir := t.TempDir()
	for to, from := range map[string]string{
		"model": "manager/checkpoints", "damaged": "manager/checkpoints", "objects": "objects", "shards": "shards", "strings": "strings",
		"flipped": "manager/checkpoints",
	} {
		if err := copyTree(filepath.Join(dir, to), filepath.Join(goldens, "tensorflow-2.21.0-"+from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := flipByte(filepath.Join(dir, "damaged", "ckpt-7.data-00000-of-00001"), 2); err != nil {
		t.Fatal(err)
	}
	if err := changeByte(filepath.Join(dir, "flipped", "ckpt-7.data-00000-of-00001"), 12, 1<<5); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(filepath.Join(dir, "damaged", "ckpt-6.data-00000-of-00001")); err != nil {
		t.Fatal(err)
	}
	t.Chdir(dir)
}

func runExample(t *testing.T, args string) []byte {
	var stdout, stderr bytes.Buffer
	code := cli.Main(t.Context(), strings.Fields(args), cli.Stdio{Out: &stdout, Err: &stderr})
	if stdout.Len() == 0 {
		t.Errorf("ckpt %s: exit code %d: %s", args, code, stderr.String())
	}
	return stdout.Bytes()
}
