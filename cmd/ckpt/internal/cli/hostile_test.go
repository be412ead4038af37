package cli_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/cmd/ckpt/internal/cli"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

// writeEntries makes a checkpoint of one data file with any entries.
func writeEntries(t *testing.T, data []byte, keys []string, entry func(i int) bundle.Entry) string {
	t.Helper()
	var index bytes.Buffer
	w := table.NewWriter(&index, nil)
	if err := w.Add(nil, bundle.EncodeHeader(nil, &bundle.Header{NumShards: 1, Producer: 1})); err != nil {
		t.Fatal(err)
	}
	for i, key := range keys {
		e := entry(i)
		if err := w.Add([]byte(key), bundle.EncodeEntry(nil, &e)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	prefix := filepath.Join(t.TempDir(), "p-1")
	for name, b := range map[string][]byte{prefix + ".index": index.Bytes(), prefix + ".data-00000-of-00001": data} {
		if err := os.WriteFile(name, b, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return prefix
}

// A prefix comes from a file: it can hold what changes a terminal, or a newline
// that makes two lines of one.
func TestPlainPrefixes(t *testing.T) {
	for _, name := range []string{"a\nb", "a\x1b[31m", "a\x7f", "a\u009b1m"} {
		prefix := write(t, nil, "x")
		dir := filepath.Dir(prefix)
		for _, suffix := range []string{".index", ".data-00000-of-00001"} {
			if err := os.Rename(prefix+suffix, filepath.Join(dir, name+suffix)); err != nil {
				t.Skip(err)
			}
		}
		state := fmt.Sprintf("model_checkpoint_path: %q\n", name)
		if err := os.WriteFile(filepath.Join(dir, "checkpoint"), []byte(state), 0o666); err != nil {
			t.Fatal(err)
		}
		for _, verb := range []string{"latest", "resume"} {
			code, stdout, stderr := run(t, verb, dir)
			if code != 1 || stdout != "" || !strings.Contains(stderr, "--json") || strings.Contains(stderr, name) {
				t.Errorf("%s with %q: exit %d, %q, %q", verb, name, code, stdout, stderr)
			}
			code, stdout, _ = run(t, verb, "--json", dir)
			var doc struct{ Prefix string }
			if err := json.Unmarshal([]byte(stdout), &doc); code != 0 || err != nil || doc.Prefix != dir+"/"+name {
				t.Errorf("%s --json with %q: exit %d, %q, %v", verb, name, code, stdout, err)
			}
			if strings.Contains(stdout, name) {
				t.Errorf("%s --json with %q prints it as it is", verb, name)
			}
		}
	}
}

// An error that quotes a name of a megabyte still says where and why.
func TestLongError(t *testing.T) {
	prefix := writeEntries(t, nil, []string{strings.Repeat("\x1b", 1<<20)}, func(int) bundle.Entry {
		return bundle.Entry{DType: tensor.Int8, Shape: tensor.Shape{1}, Size: 2}
	})
	code, _, stderr := run(t, "hash", prefix)
	if code != 3 || len(stderr) > 10<<10 || !strings.HasPrefix(stderr, "ckpt: "+prefix) || !strings.HasSuffix(stderr, "expected size 1\n") {
		t.Errorf("exit %d, %d bytes: %.200q", code, len(stderr), stderr)
	}
}

// A checkpoint that is refused for thousands of reasons.
func TestManyProblems(t *testing.T) {
	var keys []string
	for i := range 2000 {
		keys = append(keys, fmt.Sprintf("k%04d", i))
	}
	prefix := writeEntries(t, []byte{1}, keys, func(int) bundle.Entry {
		return bundle.Entry{DType: tensor.Int8, Shape: tensor.Shape{1}, Size: 1}
	})
	code, _, stderr := run(t, "resume", filepath.Dir(prefix))
	if n := strings.Count(stderr, "\n"); code == 0 || n > 20 || !strings.Contains(stderr, "and 1990 more problems") {
		t.Errorf("exit %d, %d lines: %s", code, n, stderr)
	}
	code, stdout, _ := run(t, "verify", prefix)
	if n := strings.Count(stdout, "\n"); code != 3 || n != 2000 {
		t.Errorf("verify: exit %d, %d lines, want all", code, n)
	}
}

// Tensors that share bytes let a small file ask for any amount of work.
func TestHashOverlap(t *testing.T) {
	for name, test := range map[string]struct {
		second bundle.Entry
		want   int
	}{
		"side by side": {bundle.Entry{Offset: 4, Size: 4}, 0},
		"half":         {bundle.Entry{Offset: 2, Size: 4}, 3},
		"same":         {bundle.Entry{Offset: 0, Size: 4}, 3},
		"empty":        {bundle.Entry{Offset: 2, Size: 0}, 0},
	} {
		prefix := writeEntries(t, make([]byte, 8), []string{"a", "b"}, func(i int) bundle.Entry {
			e := bundle.Entry{Size: 4}
			if i == 1 {
				e = test.second
			}
			e.DType, e.Shape = tensor.Int8, tensor.Shape{e.Size}
			e.CRC = map[int64]uint32{0: 0, 4: 0x48674bc7}[e.Size] // of zeros
			return e
		})
		code, _, stderr := run(t, "hash", prefix)
		if code != test.want || code != 0 && !strings.Contains(stderr, "the bytes of tensor b are also those of tensor a") {
			t.Errorf("%s: exit %d, want %d: %s", name, code, test.want, stderr)
		}
	}
}

// A shape that no tensor can have is not printed for each object that refers to
// it, and a graph of very many nodes is printed node by node.
func TestLargeTrees(t *testing.T) {
	const nodes = 20_000
	g := &objectgraph.Graph{Nodes: make([]objectgraph.Node, nodes)}
	for i := range nodes - 1 {
		g.Nodes[0].Children = append(g.Nodes[0].Children, objectgraph.Edge{Name: "x", Node: i + 1})
		g.Nodes[i+1].Attributes = []objectgraph.Attribute{{Name: objectgraph.VariableValue, Key: "s"}}
	}
	encoded := g.Append(nil)
	prefix := write(t, g)
	data, err := os.ReadFile(prefix + ".data-00000-of-00001")
	if err != nil {
		t.Fatal(err)
	}
	r, err := os.ReadFile(prefix + ".index")
	if err != nil {
		t.Fatal(err)
	}
	index, err := table.NewReader(bytes.NewReader(r), int64(len(r)), nil)
	if err != nil {
		t.Fatal(err)
	}
	value, _, err := index.Get([]byte(objectgraph.Key))
	if err != nil {
		t.Fatal(err)
	}
	entry, err := bundle.DecodeEntry(value)
	if err != nil {
		t.Fatal(err)
	}
	prefix = writeEntries(t, data, []string{objectgraph.Key, "s"}, func(i int) bundle.Entry {
		if i == 0 {
			return entry
		}
		return bundle.Entry{DType: tensor.Int8, Shape: make(tensor.Shape, 100_000)}
	})
	code, stdout, stderr := run(t, "tree", prefix)
	if limit := 40 * len(encoded); code != 0 || len(stdout) > limit || !strings.Contains(stdout, "int8 (rank 100000)") {
		t.Errorf("exit %d, %d bytes for a graph of %d: %s", code, len(stdout), len(encoded), stderr)
	}

	var out counter
	code = cli.Main(t.Context(), []string{"tree", "--json", prefix}, cli.Stdio{Out: &out, Err: new(bytes.Buffer)})
	if code != 0 || out.largest > 1<<20 {
		t.Errorf("exit %d, %d bytes printed at once of %d", code, out.largest, out.n)
	}
}

// counter is told what is printed.
type counter struct{ n, largest int }

func (c *counter) Write(p []byte) (int, error) {
	c.n += len(p)
	c.largest = max(c.largest, len(p))
	return len(p), nil
}
