package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// A tree is a description of objects that server.py and this file build alike:
// see server.py for the JSON.
type (
	tree     []treeEdge
	treeEdge struct {
		name string
		node *treeNode
	}
	treeNode struct {
		ID       string        `json:"id,omitempty"`
		Ref      string        `json:"ref,omitempty"`
		Variable *treeVariable `json:"variable,omitempty"`
		Module   *tree         `json:"module,omitempty"`
		List     *[]*treeNode  `json:"list,omitempty"`
		Dict     *tree         `json:"dict,omitempty"`
	}
	treeVariable struct {
		value
		Name string `json:"name,omitempty"`
	}
)

func (e treeEdge) MarshalJSON() ([]byte, error) { return json.Marshal([]any{e.name, e.node}) }

func (e *treeEdge) UnmarshalJSON(b []byte) error {
	return json.Unmarshal(b, &[]any{&e.name, &e.node})
}

// objects are the Go objects of a tree.
type objects struct {
	top       ckpt.Objects
	root      ckpt.Trackable // the first one
	named     map[string]ckpt.Trackable
	variables map[string]ckpt.Saveable // path → variable, first path wins
}

// build makes the objects; blank ones hold zeros and empty strings.
func (tr tree) build(t *testing.T, blank bool) *objects {
	t.Helper()
	o := &objects{top: make(ckpt.Objects), named: make(map[string]ckpt.Trackable), variables: make(map[string]ckpt.Saveable)}
	for i, e := range tr {
		o.top[e.name] = o.node(t, e.node, e.name, blank)
		if i == 0 {
			o.root = o.top[e.name]
		}
	}
	return o
}

func (o *objects) node(t *testing.T, n *treeNode, path string, blank bool) ckpt.Trackable {
	t.Helper()
	name := func(made ckpt.Trackable) {
		if n.ID != "" {
			o.named[n.ID] = made
		}
	}
	switch {
	case n.Ref != "":
		return o.named[n.Ref]
	case n.Variable != nil:
		v := newVariable(t, n.Variable, blank)
		o.variables[path] = v
		name(v)
		return v
	case n.List != nil:
		l := ckpt.NewList()
		name(l)
		for i, child := range *n.List {
			if err := l.Append(o.node(t, child, fmt.Sprintf("%s/%d", path, i), blank)); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	edges := n.Module
	if edges == nil {
		edges = n.Dict
	}
	made := new(ckpt.Node)
	name(made)
	for _, e := range *edges {
		if err := made.Track(e.name, o.node(t, e.node, path+"/"+e.name, blank)); err != nil {
			t.Fatal(err)
		}
	}
	return made
}

func newVariable(t *testing.T, v *treeVariable, blank bool) ckpt.Saveable {
	t.Helper()
	content := v.tensor(t)
	if content.DType() == tensor.String {
		if blank {
			return ckpt.NewStringVariable(v.Name, content.Shape(), nil)
		}
		return ckpt.NewStringVariable(v.Name, content.Shape(), content.Strings())
	}
	if blank {
		return ckpt.NewRawVariable(v.Name, content.DType(), content.Shape(), nil)
	}
	return ckpt.NewRawVariable(v.Name, content.DType(), content.Shape(), content.Bytes())
}

// content is the live value of a variable.
func content(t *testing.T, v ckpt.Saveable) *tensor.Tensor {
	t.Helper()
	spec := v.Values()[0].Spec()
	var made *tensor.Tensor
	var err error
	switch v := v.(type) {
	case *ckpt.RawVariable:
		made, err = tensor.New(spec.DType, spec.Shape, v.Bytes())
	case *ckpt.StringVariable:
		made, err = tensor.NewStrings(spec.Shape, v.Elements())
	default:
		t.Fatalf("a variable of type %T", v)
	}
	if err != nil {
		t.Fatal(err)
	}
	return made
}

// hashes are the hashes of all variables by path.
func (o *objects) hashes(t *testing.T) map[string]string {
	t.Helper()
	all := make(map[string]string, len(o.variables))
	for path, v := range o.variables {
		all[path] = hash(content(t, v))
	}
	return all
}

// treeMaker makes random trees.
type treeMaker struct {
	r   *rand.Rand
	ids []string
}

// The dtypes that tf.Variable can be made of from NumPy.
var variableTypes = []tensor.DType{tensor.Float32, tensor.Float64, tensor.Int32, tensor.Uint8, tensor.Int16, tensor.Int8, tensor.Complex64,
	tensor.Int64, tensor.Bool, tensor.BFloat16, tensor.Uint16, tensor.Complex128, tensor.Float16, tensor.Uint32, tensor.Uint64,
	tensor.Float8E5M2, tensor.Float8E4M3FN, tensor.String}

func (m *treeMaker) tree() tree {
	var tr tree
	for i := range 1 + m.r.IntN(4) {
		tr = append(tr, treeEdge{string(rune('e'-i)) + "_top", m.node(0)})
	}
	return tr
}

func (m *treeMaker) node(depth int) *treeNode {
	if len(m.ids) > 0 && depth > 0 && m.r.IntN(6) == 0 {
		return &treeNode{Ref: m.ids[m.r.IntN(len(m.ids))]}
	}
	n := new(treeNode)
	kind := m.r.IntN(4)
	if depth > 3 {
		kind = 0
	}
	switch kind {
	case 0:
		n.Variable = m.variable()
	case 1:
		n.Module = m.edges(depth)
	case 2:
		n.Dict = m.edges(depth)
	case 3:
		elements := make([]*treeNode, m.r.IntN(4))
		for i := range elements {
			elements[i] = m.node(depth + 1)
		}
		n.List = &elements
	}
	// Named once its children are made: a reference never leads upwards, because
	// TensorFlow's wrappers of lists and dicts exist only when they are filled.
	if m.r.IntN(3) == 0 {
		n.ID = fmt.Sprintf("id%d", len(m.ids))
		m.ids = append(m.ids, n.ID)
	}
	return n
}

func (m *treeMaker) edges(depth int) *tree {
	names := []string{"a", "b.c", "d/e", ".S", "ünï", "kernel", "x_1", "..", "-", "Zz", "0", " "}
	m.r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	edges := make(tree, m.r.IntN(5))
	for i := range edges {
		edges[i] = treeEdge{names[i], m.node(depth + 1)}
	}
	return &edges
}

func (m *treeMaker) variable() *treeVariable {
	v := new(treeVariable)
	dtype := variableTypes[m.r.IntN(len(variableTypes))]
	v.DType = dtype.String()
	v.Shape = make([]int64, m.r.IntN(4))
	n := 1
	for i := range v.Shape {
		v.Shape[i] = int64(m.r.IntN(4))
		n *= int(v.Shape[i])
	}
	if m.r.IntN(2) == 0 {
		v.Name = []string{"kernel", "a_b", "scope/w", "w:0", "A.9-"}[m.r.IntN(5)]
	}
	if dtype == tensor.String {
		v.Strings = make([]string, n)
		for i := range v.Strings {
			v.Strings[i] = base64.StdEncoding.EncodeToString(m.bytes(m.r.IntN(200)))
		}
		return v
	}
	data := m.bytes(n * dtype.Size())
	if dtype == tensor.Bool {
		for i := range data {
			data[i] &= 1
		}
	}
	v.Data = base64.StdEncoding.EncodeToString(data)
	return v
}

func (m *treeMaker) bytes(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(m.r.Uint32())
	}
	return b
}

// describe shows a tree in an error.
func (tr tree) describe() string {
	b, err := json.Marshal(tr)
	if err != nil {
		return err.Error()
	}
	return strings.ToValidUTF8(string(b), "?")
}
