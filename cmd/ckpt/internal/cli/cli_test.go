package cli_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/cmd/ckpt/internal/cli"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// run is one run of the command in this process.
func run(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, err bytes.Buffer
	code = cli.Main(t.Context(), args, cli.Stdio{Out: &out, Err: &err})
	return code, out.String(), err.String()
}

// write makes a checkpoint of scalars under the given names, and a graph if it is not
// nil, and returns its prefix.
func write(t *testing.T, g *objectgraph.Graph, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	w, err := bundle.Create(t.Context(), local.Open(dir, nil), "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if g != nil {
		graph := slices.Values([][]byte{g.Append(nil)})
		if err := w.AddStrings(t.Context(), objectgraph.Key, nil, graph); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range names {
		if err := w.Add(t.Context(), name, tensor.Int8, nil, slices.Values([][]byte{{1}})); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	return filepath.Join(dir, "p")
}

func TestExitCodes(t *testing.T) {
	corrupt := &ckpt.CorruptError{Kind: ckpt.KindChecksum}
	for _, test := range []struct {
		name string
		err  error
		want int
	}{
		{"fine", nil, 0},
		{"other", errors.New("other"), 1},
		{"interrupted", context.Canceled, 1},
		{"interrupted while reading", fmt.Errorf("x: %w", errors.Join(corrupt, context.Canceled)), 1},
		{"permission", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrPermission}, 1},
		{"unsupported", &ckpt.CorruptError{Kind: ckpt.KindUnsupported, Err: errors.ErrUnsupported}, 1},
		{"corrupt", fmt.Errorf("x: %w", corrupt), 3},
		{"mismatch", &ckpt.MismatchError{}, 3},
		{"missing data file", &ckpt.CorruptError{Kind: ckpt.KindMissing, Err: fs.ErrNotExist}, 3},
		{"no checkpoint", fmt.Errorf("x: %w", ckpt.ErrNoCheckpoint), 4},
		{"no file", &fs.PathError{Op: "open", Path: "x", Err: fs.ErrNotExist}, 4},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := cli.ExitCode(test.err); got != test.want {
				t.Errorf("got %d, want %d", got, test.want)
			}
		})
	}
}

// Names come from files: none may reach a terminal as it is, and all reach JSON
// as they are.
func TestHostileNames(t *testing.T) {
	hostile := []string{"a\x1b[31mb", "line\nbreak", "no\xffutf8", "ünï", " "}
	g := &objectgraph.Graph{Nodes: make([]objectgraph.Node, 1+len(hostile))}
	for i, name := range hostile {
		g.Nodes[0].Children = append(g.Nodes[0].Children, objectgraph.Edge{Name: name, Node: i + 1})
		g.Nodes[i+1].Attributes = []objectgraph.Attribute{{Name: objectgraph.VariableValue, Key: name}}
	}
	prefix := write(t, g, hostile...)

	for _, args := range [][]string{{"ls", prefix}, {"ls", "-l", prefix}, {"tree", prefix}, {"hash", prefix}, {"verify", prefix}, {"show", prefix, hostile[0]}} {
		code, stdout, stderr := run(t, args...)
		if code != 0 {
			t.Errorf("%v: exit code %d: %s", args, code, stderr)
		}
		if strings.ContainsRune(stdout+stderr, '\x1b') || !utf8.ValidString(stdout+stderr) {
			t.Errorf("%v prints raw bytes: %q", args, stdout)
		}
		if args[0] == "ls" && !strings.Contains(stdout, `"a\x1b[31mb"`) {
			t.Errorf("%v: the quoted name is missing in %q", args, stdout)
		}
	}
	if _, _, stderr := run(t, "show", prefix, "line\nbreaks"); strings.Count(stderr, "\n") != 1 {
		t.Errorf("the error has not one line: %q", stderr)
	}

	type named struct {
		Name    *string `json:"name"`
		NameB64 []byte  `json:"name_b64"`
	}
	var ls struct {
		Tensors []named `json:"tensors"`
	}
	var tree struct {
		Nodes []struct {
			Children []named `json:"children"`
		} `json:"nodes"`
	}
	decode(t, &ls, "ls", "--json", prefix)
	decode(t, &tree, "tree", "--json", prefix)
	names := func(list []named) (names []string) {
		for _, n := range list {
			if n.Name != nil && n.NameB64 == nil {
				names = append(names, *n.Name)
			} else {
				names = append(names, string(n.NameB64))
			}
		}
		return names
	}
	if diff := cmp.Diff(names(tree.Nodes[0].Children), hostile); diff != "" {
		t.Errorf("tree (-got +want):\n%s", diff)
	}
	want := append([]string{objectgraph.Key}, hostile...)
	slices.Sort(want)
	if diff := cmp.Diff(names(ls.Tensors), want); diff != "" {
		t.Errorf("ls (-got +want):\n%s", diff)
	}
}

func decode(t *testing.T, v any, args ...string) {
	t.Helper()
	code, stdout, stderr := run(t, args...)
	if code != 0 {
		t.Fatalf("%v: exit code %d: %s", args, code, stderr)
	}
	if err := json.Unmarshal([]byte(stdout), v); err != nil {
		t.Fatalf("%v: %v in %s", args, err, stdout)
	}
}

// A long chain of objects is neither recursed into nor indented without end, and a
// ring ends.
func TestTreeDeep(t *testing.T) {
	const n = 100_000
	g := &objectgraph.Graph{Nodes: make([]objectgraph.Node, n)}
	for i := range n {
		g.Nodes[i].Children = []objectgraph.Edge{{Name: "next", Node: (i + 1) % n}}
	}
	code, stdout, stderr := run(t, "tree", write(t, g))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, stderr)
	}
	if got, most := len(stdout), n*200; got > most {
		t.Errorf("%d bytes were printed, %d are much already", got, most)
	}
	if got, want := strings.Count(stdout, "\n"), n+1; got != want {
		t.Errorf("got %d lines, want %d", got, want)
	}
	if !strings.HasSuffix(stdout, "[depth 100000] next  (see node 0)\n") {
		t.Errorf("the ring does not end where it began: %q", stdout[len(stdout)-200:])
	}
}

func TestTreeUnreached(t *testing.T) {
	g := &objectgraph.Graph{Nodes: make([]objectgraph.Node, 3)}
	g.Nodes[1].Children = []objectgraph.Edge{{Name: "w", Node: 2}}
	g.Nodes[2].Attributes = []objectgraph.Attribute{{Name: objectgraph.VariableValue, Key: "w"}, {Name: "other", Key: "gone"}}
	g.Nodes[2].RegisteredSaver = &objectgraph.RegisteredSaver{Name: "Saver"}
	_, got, _ := run(t, "tree", write(t, g, "w"))
	want := `(root)
(node 1, which nothing above refers to)
  w  int8 []  (saved by Saver)
    <other>  (no tensor gone)
`
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
}

// One long name pushes its own line only.
func TestLsLongName(t *testing.T) {
	prefix := write(t, nil, "a", "b"+strings.Repeat("x", 5000))
	_, stdout, _ := run(t, "ls", prefix)
	if got, _, _ := strings.Cut(stdout, "\n"); got != "a  int8  []  1" {
		t.Errorf("got %q", got)
	}
}

func TestInterrupted(t *testing.T) {
	prefix := write(t, nil, "a")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, verb := range []string{"ls", "hash", "verify"} {
		var stdout, stderr bytes.Buffer
		code := cli.Main(ctx, []string{verb, prefix}, cli.Stdio{Out: &stdout, Err: &stderr})
		if code != 1 || stderr.String() != "ckpt: interrupted\n" || stdout.Len() > 0 {
			t.Errorf("%s: exit code %d, %q, %q", verb, code, stdout.String(), stderr.String())
		}
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

func TestOutputFails(t *testing.T) {
	prefix := write(t, nil, "a")
	for _, test := range []struct {
		name, want string
		err        error
	}{
		{"full disk", "ckpt: no space left on device\n", syscall.ENOSPC},
		{"broken pipe", "", &fs.PathError{Op: "write", Path: "|1", Err: syscall.EPIPE}},
	} {
		t.Run(test.name, func(t *testing.T) {
			for _, args := range [][]string{{"ls", prefix}, {"hash", "--json", prefix}, {"verify", prefix}, {"show", prefix, "a"}, {"--help"}} {
				var stderr bytes.Buffer
				code := cli.Main(t.Context(), args, cli.Stdio{Out: failing{test.err}, Err: &stderr})
				if code != 1 || stderr.String() != test.want {
					t.Errorf("%v: got exit code %d and %q, want 1 and %q", args, code, stderr.String(), test.want)
				}
			}
		})
	}
}
