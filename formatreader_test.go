package ckpt_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// TestFormatReader runs the page's appendix on all checkpoints of testdata, and
// on those of strangers where they are, and compares what it prints with what this package reads.
func TestFormatReader(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		t.Skipf("no Python to run the reader of %s: %v", formatPage, err)
	}
	_, fences := formatText(t)
	dir := t.TempDir()
	for _, f := range fences {
		if len(f.info) == 2 && f.info[0] == "python" {
			if len(f.lines) >= 120 {
				t.Errorf("%s has %d lines", f.info[1], len(f.lines))
			}
			if err := os.WriteFile(filepath.Join(dir, f.info[1]), []byte(strings.Join(f.lines, "\n")), 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
	prefixes := readerPrefixes(t)
	command := exec.CommandContext(t.Context(), python, append([]string{filepath.Join(dir, "read.py")}, prefixes...)...)
	command.Env, command.Stderr = append(os.Environ(), "PYTHONUTF8=1"), os.Stderr
	out, err := command.Output()
	if err != nil {
		t.Fatalf("python3: %v", err)
	}
	got, want := strings.Split(strings.TrimSpace(string(out)), "\n"), []string(nil)
	for _, prefix := range prefixes {
		want = append(want, readLines(t, prefix)...)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("lines of the reader (-want +got):\n%s", diff)
	}
	if len(prefixes) < 40 || len(want) < 6600 {
		t.Errorf("only %d lines of %d checkpoints compared", len(want), len(prefixes))
	}
}

// wildPrefix finds the checkpoints in a truth.json that TensorFlow opens.
var wildPrefix = regexp.MustCompile(`"prefix": "([^"]*)",\s*"opens": true`)

// readerPrefixes lists the checkpoints that the appendix must read.
func readerPrefixes(t *testing.T) []string {
	t.Helper()
	prefixes := []string{"testdata/tensorflow-2.21.0-manager/checkpoints", "testdata/tensorflow-2.21.0-vectors/h",
		"testdata/tensorflow-2.21.0-names/v1", "testdata/tensorflow-2.21.0-names/v1-sharded-?????-of-00001"}
	err := filepath.WalkDir("testdata", func(name string, _ fs.DirEntry, err error) error {
		if prefix, ok := strings.CutSuffix(name, ".index"); ok {
			prefixes = append(prefixes, filepath.ToSlash(prefix))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	wild, _ := filepath.Glob("../shared/wild/*/truth.json") // published by others, not part of the project
	if len(wild) == 0 {
		t.Log("no checkpoints in ../shared/wild")
	}
	for _, name := range wild {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range wildPrefix.FindAllSubmatch(text, -1) {
			prefixes = append(prefixes, path.Join(filepath.ToSlash(filepath.Dir(name)), string(m[1])))
		}
	}
	return prefixes
}

// readLines returns what the appendix prints for a checkpoint.
func readLines(t *testing.T, prefix string) (lines []string) {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	lines = append(lines, "prefix "+r.Prefix())
	for v, err := range r.Variables() {
		sum, err1 := r.Hash(t.Context(), v.Name)
		if err := errors.Join(err, err1); err != nil {
			t.Fatal(err)
		}
		lines = append(lines, fmt.Sprintf("%x %d %v %s", sum, v.DType, v.Shape, v.Name))
		if v.Name != objectgraph.Key {
			continue
		}
		g, err := r.Graph(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i, name := range g.Names() {
			for _, a := range g.Nodes[i].Attributes {
				lines = append(lines, fmt.Sprintf("object %s %s %s", name, a.Name, a.Key))
			}
		}
	}
	return lines
}
