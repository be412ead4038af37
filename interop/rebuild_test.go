package interop_test

import (
	"bytes"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/tensor"
)

// optimizer is an object with slot variables.
type optimizer struct {
	ckpt.Node
	names []string
	slots map[slotKey]ckpt.Trackable
}

type slotKey struct {
	variable ckpt.Trackable
	name     string
}

func (o *optimizer) SlotNames() []string { return o.names }

func (o *optimizer) Slot(variable ckpt.Trackable, name string) ckpt.Trackable {
	return o.slots[slotKey{variable, name}]
}

func (o *optimizer) add(variable ckpt.Trackable, name string, slot ckpt.Trackable) {
	if len(o.names) == 0 || o.names[len(o.names)-1] != name {
		o.names = append(o.names, name)
	}
	if o.slots == nil {
		o.slots = make(map[slotKey]ckpt.Trackable)
	}
	o.slots[slotKey{variable, name}] = slot
}

// rebuild makes objects of which the checkpoint could be, from its graph alone,
// with zeros for values. why is set where that is not possible.
func rebuild(t *testing.T, r *ckpt.Reader) (c *ckpt.Checkpoint, why string) {
	t.Helper()
	graph, err := r.Graph(t.Context())
	if err != nil {
		return nil, err.Error()
	}
	infos := make(map[string]ckpt.VariableInfo)
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		infos[v.Name] = v
	}
	made := make([]ckpt.Trackable, len(graph.Nodes))
	for id, n := range graph.Nodes {
		if made[id], why = newObject(&n, infos); why != "" {
			return nil, why
		}
	}
	for id, n := range graph.Nodes {
		for _, slot := range n.Slots {
			made[id].(*optimizer).add(made[slot.Original], slot.Name, made[slot.Node])
		}
		if id == 0 {
			continue
		}
		for _, child := range n.Children {
			if err := made[id].(tracker).Track(child.Name, made[child.Node]); err != nil {
				t.Fatal(err)
			}
		}
	}
	return newRoot(t, graph, made)
}

type tracker interface {
	Track(name string, child ckpt.Trackable) error
}

// newObject makes the object of a node, without children.
func newObject(n *objectgraph.Node, infos map[string]ckpt.VariableInfo) (made ckpt.Trackable, why string) {
	switch {
	case n.RegisteredSaver != nil:
		return nil, "registered saver " + n.RegisteredSaver.Name
	case len(n.Attributes) == 0 && len(n.Slots) > 0:
		return new(optimizer), ""
	case len(n.Attributes) == 0:
		return new(ckpt.Node), ""
	case len(n.Attributes) > 1 || len(n.Children) > 0:
		return nil, "object with several tensors or with children besides"
	}
	attribute := n.Attributes[0]
	info, ok := infos[attribute.Key]
	switch {
	case !ok:
		return nil, "no tensor " + attribute.Key
	case attribute.Name == ckpt.PythonStateValue:
		var text []byte
		return ckpt.NewPythonState(
			func() ([]byte, error) { return text, nil },
			func(b []byte) (func(), error) { return func() { text = b }, nil }), ""
	case attribute.Name != ckpt.VariableValue || attribute.FullName == "":
		return nil, "attribute " + attribute.Name + " of full name " + attribute.FullName
	case info.DType == tensor.String:
		return ckpt.NewStringVariable(attribute.FullName, info.Shape, nil), ""
	case !info.DType.Fixed():
		return nil, "dtype " + info.DType.String()
	}
	return ckpt.NewRawVariable(attribute.FullName, info.DType, info.Shape, nil), ""
}

// newRoot hangs the objects below a Checkpoint; its save counter, if any, comes
// with the restore.
func newRoot(t *testing.T, graph *objectgraph.Graph, made []ckpt.Trackable) (c *ckpt.Checkpoint, why string) {
	t.Helper()
	children := graph.Nodes[0].Children
	if n := len(children); n > 0 && children[n-1].Name == "save_counter" {
		children = children[:n-1]
	}
	c = ckpt.New(nil)
	var rest ckpt.Objects
	var own tracker = c
	for _, child := range children {
		switch {
		case child.Name == "save_counter":
			return nil, "objects tracked after the save counter"
		case child.Name == "root" && child.Node == 0:
			rest = make(ckpt.Objects)
		case rest != nil:
			rest[child.Name] = made[child.Node]
		default:
			if graph.Nodes[0].Children[0] == child && rooted(graph) {
				own = made[0].(tracker)
			}
			if err := own.Track(child.Name, made[child.Node]); err != nil {
				t.Fatal(err)
			}
		}
	}
	if rest == nil {
		return c, ""
	}
	c, err := ckpt.NewRooted(made[0], rest)
	if err != nil {
		t.Fatal(err)
	}
	return c, ""
}

func rooted(graph *objectgraph.Graph) bool {
	node, ok := graph.Child(0, "root")
	return ok && node == 0
}

// findPrefixes lists the checkpoints below a folder.
func findPrefixes(t *testing.T, folder string) []string {
	t.Helper()
	var prefixes []string
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if prefix, ok := strings.CutSuffix(path, ".index"); ok {
			prefixes = append(prefixes, prefix)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return prefixes
}

// rewrite restores a checkpoint into objects made from its graph and writes it
// again. It skips where no objects can be made.
func rewrite(t *testing.T, prefix string) (again string) {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Skip(err)
	}
	defer r.Close()
	c, why := rebuild(t, r)
	if why != "" {
		t.Skip(why)
	}
	load := c.Restore
	if graph, err := r.Graph(t.Context()); err != nil {
		t.Fatal(err)
	} else if _, ok := graph.Child(0, "save_counter"); !ok {
		load = c.Read
	}
	status, err := load(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := status.CheckConsumed(); err != nil {
		t.Error(err)
	}
	again, err = c.Write(t.Context(), filepath.Join(t.TempDir(), "again"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return again
}

// sameValues compares all tensors of two checkpoints, and the graphs but for
// has_checkpoint_values, which old ones lack.
func sameValues(t *testing.T, got, want string) {
	t.Helper()
	tensors := func(prefix string) []storedTensor {
		return slices.DeleteFunc(listTensors(t, prefix), func(s storedTensor) bool { return s.Name == objectgraph.Key })
	}
	if diff := cmp.Diff(tensors(got), tensors(want)); diff != "" {
		t.Errorf("tensors: -got +want:\n%s", diff)
	}
	graph := func(prefix string) []byte {
		r, err := ckpt.Open(t.Context(), prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		g, err := r.Graph(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		g.SetHasValues()
		return g.Append(nil)
	}
	if !bytes.Equal(graph(got), graph(want)) {
		t.Errorf("the graph of %s is not that of %s", got, want)
	}
}

// TestRewriteGoldens restores every golden that is made of variables, slot
// variables and state texts, and writes it again: the files must be the same.
func TestRewriteGoldens(t *testing.T) {
	compared := 0
	for _, prefix := range findPrefixes(t, goldens()) {
		t.Run(strings.TrimPrefix(filepath.ToSlash(prefix), "../testdata/"), func(t *testing.T) {
			again := rewrite(t, prefix)
			if strings.Contains(prefix, "-shards") {
				// Checkpoint writes one data file.
				sameValues(t, again, prefix)
				return
			}
			sameFiles(t, again, prefix)
			compared++
		})
	}
	if compared < 25 {
		t.Errorf("only %d goldens could be compared", compared)
	}
}
