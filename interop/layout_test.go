package interop_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// layout is the object graph of one of the training programs, built from
// nothing but nodes and variables: what a program with another framework, or
// none, would track to write the same files.
type layout struct {
	objects   ckpt.Objects
	variables map[int]*ckpt.RawVariable // by node id; the save counter is the Checkpoint's
}

// layoutLine is a node as testdata/layouts describes it.
type layoutLine struct {
	children []string // name>id
	variable []string // full name, dtype, shape; nil for other objects
}

func readLayout(t *testing.T, name string) []layoutLine {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("testdata", "layouts", name+".txt"))
	if err != nil {
		t.Fatal(err)
	}
	var lines []layoutLine
	for line := range strings.Lines(string(content)) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		words := strings.Fields(line)
		if words[0] != strconv.Itoa(len(lines)) {
			t.Fatalf("layout %s: line %q, want node %d", name, line, len(lines))
		}
		if len(words) > 2 && words[2] == "=" {
			lines = append(lines, layoutLine{variable: words[3:6]})
		} else {
			lines = append(lines, layoutLine{children: words[2:]})
		}
	}
	return lines
}

// newLayout builds the objects of a layout. Variables hold zeros.
func newLayout(t *testing.T, name string) *layout {
	t.Helper()
	l, _ := buildLayout(t, name, func(int, string) bool { return true })
	return l
}

// buildLayout tracks now the edges that are wanted now; each function of later
// tracks one of the others, in the layout's order.
func buildLayout(t *testing.T, name string, now func(node int, name string) bool) (l *layout, later []func() error) {
	t.Helper()
	lines := readLayout(t, name)
	l = &layout{objects: make(ckpt.Objects), variables: make(map[int]*ckpt.RawVariable)}
	made := make([]ckpt.Trackable, len(lines))
	for id, line := range lines {
		if line.variable == nil {
			made[id] = new(ckpt.Node)
			continue
		}
		l.variables[id] = line.newVariable(t)
		made[id] = l.variables[id]
	}
	for id, line := range lines {
		for _, child := range line.children {
			name, target := splitChild(t, child)
			if id == 0 {
				if name == "save_counter" {
					delete(l.variables, target)
				} else {
					l.objects[name] = made[target]
				}
				continue
			}
			track := func() error { return made[id].(*ckpt.Node).Track(name, made[target]) }
			if !now(id, name) {
				later = append(later, track)
			} else if err := track(); err != nil {
				t.Fatal(err)
			}
		}
	}
	return l, later
}

func (line layoutLine) newVariable(t *testing.T) *ckpt.RawVariable {
	t.Helper()
	dtype, ok := tensor.ParseDType(line.variable[1])
	var shape tensor.Shape
	if err := json.Unmarshal([]byte(line.variable[2]), &shape); err != nil || !ok {
		t.Fatalf("no variable: %v", line.variable)
	}
	return ckpt.NewRawVariable(line.variable[0], dtype, shape, nil)
}

// splitChild splits name>id.
func splitChild(t *testing.T, child string) (name string, node int) {
	t.Helper()
	name, target, _ := strings.Cut(child, ">")
	node, err := strconv.Atoi(target)
	if err != nil {
		t.Fatal(err)
	}
	return name, node
}

// fill copies the values of a checkpoint into the variables, by node id. The
// save counter is left to the saves.
func (l *layout) fill(t *testing.T, prefix string) {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	graph, err := r.Graph(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for id, v := range l.variables {
		if id >= len(graph.Nodes) || len(graph.Nodes[id].Attributes) != 1 {
			t.Fatalf("%s: node %d is no variable", prefix, id)
		}
		value, err := r.Tensor(t.Context(), graph.Nodes[id].Attributes[0].Key)
		if err != nil {
			t.Fatal(err)
		}
		if len(value.Bytes()) != len(v.Bytes()) {
			t.Fatalf("%s: node %d: got %d bytes, want %d", prefix, id, len(value.Bytes()), len(v.Bytes()))
		}
		copy(v.Bytes(), value.Bytes())
	}
}

func (l *layout) hashes(t *testing.T) map[int]string {
	t.Helper()
	all := make(map[int]string, len(l.variables))
	for id, v := range l.variables {
		all[id] = hash(content(t, v))
	}
	return all
}
