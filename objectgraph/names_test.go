package objectgraph_test

import (
	"testing"

	"github.com/ckpt-go/ckpt/objectgraph"
)

func TestOG2VariableNameEscaping(t *testing.T) {
	for _, tc := range []struct{ name, want string }{
		{"a/b/c", "a.Sb.Sc"},
		{"b", "b"},
		{"c/", "c.S"},
		{"d/.S", "d.S..S"},
		{"d/.ATTRIBUTES/f", "d.S..ATTRIBUTES.Sf"},
		{"a.b", "a..b"},
		{".S", "..S"},
		{"a..b", "a....b"},
		{"/", ".S"},
		{"", ""},
		{"ünï", "ünï"},
		{"..", "...."},
		{"\xff", "\xff"},
	} {
		if got := objectgraph.Escape(tc.name); got != tc.want {
			t.Errorf("Escape(%q) = %q, want %q", tc.name, got, tc.want)
		}
		if got, err := objectgraph.Unescape(tc.want); got != tc.name || err != nil {
			t.Errorf("Unescape(%q) = %q, %v, want %q", tc.want, got, err, tc.name)
		}
		key := objectgraph.AttributeKey(objectgraph.JoinPath("", tc.name), objectgraph.VariableValue)
		if want := tc.want + "/.ATTRIBUTES/VARIABLE_VALUE"; key != want {
			t.Errorf("key of %q = %q, want %q", tc.name, key, want)
		}
	}
	for _, s := range []string{".", "a.", "a.b", "...", "a/b", ".s"} {
		if got, err := objectgraph.Unescape(s); err == nil {
			t.Errorf("Unescape(%q) = %q, want an error", s, got)
		}
	}
}

func TestOG3NumberedPath(t *testing.T) {
	leaf := objectgraph.JoinPath("", "leaf")
	got := objectgraph.AttributeKey(objectgraph.JoinPath(leaf, "v"), objectgraph.VariableValue)
	if want := "leaf/v/.ATTRIBUTES/VARIABLE_VALUE"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestKeys(t *testing.T) {
	for _, tc := range []struct{ name, got, want string }{
		{"root", objectgraph.AttributeKey("", "v1"), "/.ATTRIBUTES/v1"},
		{"attribute escaped twice", objectgraph.AttributeKey("o", "a.b"), "o/.ATTRIBUTES/a....b"},
		{"attribute with a slash", objectgraph.AttributeKey("o", "y/z"), "o/.ATTRIBUTES/y..Sz"},
		{"empty name", objectgraph.AttributeKey(objectgraph.JoinPath("m", ""), "V"), "m//.ATTRIBUTES/V"},
		{"path of nothing", objectgraph.ObjectPath(), ""},
		{"path", objectgraph.ObjectPath("m", "a.b", "c/d"), "m/a..b/c.Sd"},
		{"path through an empty name", objectgraph.ObjectPath("", "x"), "/x"},
		{"slot", objectgraph.SlotPath("model/dense/kernel", "optimizer", "m"), "model/dense/kernel/.OPTIMIZER_SLOT/optimizer/m"},
		{"slot escaped", objectgraph.SlotPath("v", "o/base", "a.b"), "v/.OPTIMIZER_SLOT/o/base/a..b"},
	} {
		if tc.got != tc.want {
			t.Errorf("%s: got %q, want %q", tc.name, tc.got, tc.want)
		}
	}
}

func TestNames(t *testing.T) {
	g := &objectgraph.Graph{Nodes: []node{
		{Children: []edge{{Name: "a", Node: 1}, {Name: "o", Node: 2}, {Name: "self", Node: 0}, {Name: "again", Node: 1}}},
		{Children: []edge{{Name: "b.c", Node: 3}, {Name: "", Node: 4}}},
		{
			Children: []edge{{Name: "long", Node: 3}},
			Slots:    []slot{{Name: "momentum", Original: 1, Node: 5}, {Name: "m", Original: 6, Node: 7}},
		},
		{}, {}, {}, {}, {},
	}}
	want := []string{
		"(root)", "(root).a", "(root).o", "(root).a.b.c", "(root).a.",
		"(root).o's state 'momentum' for (root).a",
		"node 6", // nothing leads to it
		"(root).o's state 'm' for node 6",
	}
	got := g.Names()
	if len(got) != len(want) {
		t.Fatalf("got %q, want %q", got, want)
	}
	for i := range want {
		if path := g.Path(i); got[i] != want[i] || path != want[i] {
			t.Errorf("node %d: Names %q, Path %q, want %q", i, got[i], path, want[i])
		}
	}
	if got := g.Path(99); got != "node 99" {
		t.Errorf("a node that does not exist is %q", got)
	}
}
