package objectgraph_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/objectgraph"
)

type (
	node = objectgraph.Node
	edge = objectgraph.Edge
	slot = objectgraph.SlotVariable
)

// value is an attribute of a variable.
var value = []objectgraph.Attribute{{Name: "VARIABLE_VALUE", FullName: "v", Key: "v/.ATTRIBUTES/VARIABLE_VALUE"}}

// field encodes a length-prefixed field.
func field(number int, parts ...string) string {
	return string(wire.AppendBytesField(nil, number, strings.Join(parts, "")))
}

func varint(number int, v int64) string {
	return string(wire.AppendVarintField(nil, number, uint64(v)))
}

func TestOG10HasValues(t *testing.T) {
	// 0 → branch 1 → 2 without values; 0 → 3 → 4 with one; 5 optimizer with a
	// slot 6 for 4; 7 with a saver; 8 ⇄ 9 a cycle without values.
	g := &objectgraph.Graph{Nodes: []node{
		{Children: []edge{{Name: "a", Node: 1}, {Name: "b", Node: 3}, {Name: "o", Node: 5}, {Name: "s", Node: 7}, {Name: "c", Node: 8}}},
		{Children: []edge{{Name: "x", Node: 2}}},
		{},
		{Children: []edge{{Name: "x", Node: 4}, {Name: "up", Node: 0}}},
		{Attributes: value},
		{Slots: []slot{{Name: "m", Original: 4, Node: 6}}},
		{Attributes: value},
		{RegisteredSaver: &objectgraph.RegisteredSaver{Name: "saver", Object: "s"}},
		{Children: []edge{{Name: "y", Node: 9}}, HasValues: objectgraph.ValuesTrue},
		{Children: []edge{{Name: "x", Node: 8}}},
	}}
	g.SetHasValues()
	want := []bool{true, false, false, true, true, true, true, true, false, false}
	encoded := g.Append(nil)
	d := wire.NewDecoder(encoded)
	for i, has := range want {
		d.Tag()
		b := d.LenBytes()
		end := "\x2a\x00"
		if has {
			end = "\x2a\x02\x08\x01"
		}
		if !bytes.HasSuffix(b, []byte(end)) || g.Nodes[i].MayHaveValues() != has {
			t.Errorf("node %d: %x, MayHaveValues %v, want the end %x", i, b, g.Nodes[i].MayHaveValues(), end)
		}
	}
	if d.Len() != 0 {
		t.Errorf("%d bytes more than %d nodes", d.Len(), len(want))
	}
}

func TestMayHaveValuesMissing(t *testing.T) {
	for _, tc := range []struct {
		name string
		node node
		want bool
	}{
		{"nothing", node{}, false},
		{"child", node{Children: []edge{{Node: 1}}}, true},
		{"attribute", node{Attributes: value}, true},
		{"slot", node{Slots: []slot{{}}}, true},
		{"saver", node{RegisteredSaver: new(objectgraph.RegisteredSaver)}, true},
		{"field says no", node{Attributes: value, HasValues: objectgraph.ValuesFalse}, false},
		{"field says yes", node{HasValues: objectgraph.ValuesTrue}, true},
	} {
		if got := tc.node.MayHaveValues(); got != tc.want {
			t.Errorf("%s: got %v, want %v", tc.name, got, tc.want)
		}
	}
}

func TestAppendBytes(t *testing.T) {
	g := &objectgraph.Graph{Nodes: []node{
		{
			Children:        []edge{{Name: "root", Node: 0}, {Name: "", Node: 1}},
			Slots:           []slot{{Name: "m", Original: 0, Node: 1}},
			RegisteredSaver: &objectgraph.RegisteredSaver{Name: "n", Object: "o"},
			HasValues:       objectgraph.ValuesTrue,
		},
		{Attributes: []objectgraph.Attribute{{Name: "a"}}, RegisteredSaver: new(objectgraph.RegisteredSaver)},
	}}
	want := field(1,
		field(1, field(2, "root")), // node_id 0 is left out
		field(1, varint(1, 1)),
		field(3, field(2, "m"), varint(3, 1)),
		field(4, field(1, "n"), field(2, "o")),
		field(5, varint(1, 1)),
	) + field(1, field(2, field(1, "a")), field(4))
	if got := g.Append([]byte("before")); string(got) != "before"+want {
		t.Errorf("got  %x\nwant %x", got, want)
	}
	back, err := objectgraph.Decode([]byte(want))
	if err != nil || !reflect.DeepEqual(back, g) {
		t.Errorf("decoded: %+v, %v, want %+v", back, err, g)
	}
}

func TestUnknownFieldsAreKept(t *testing.T) {
	more := func(number int) string { // one of each kind
		return varint(number, 77) + field(number+1, "text") +
			string(wire.AppendFixed32Field(nil, number+2, 5)) +
			string(append(wire.AppendTag(nil, number+3, wire.Fixed64Type), "12345678"...))
	}
	in := field(1,
		field(1, varint(1, 1), field(2, "e"), more(3)),
		field(2, field(1, "a"), field(3, "k"), varint(4, 1), more(5)), // 4 is optional_restore
		field(3, varint(1, 1), more(10)),
		field(4, field(1, "s"), more(10)),
		field(5, varint(1, 1), more(10)),
		more(6),
	) + field(1, field(5)) + more(2)
	g, err := objectgraph.Decode([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Append(nil); string(got) != in {
		t.Errorf("got  %x\nwant %x", got, in)
	}

	t.Run("in front", func(t *testing.T) {
		in := more(2) + field(1, more(6), field(1, more(3), field(2, "e")))
		want := field(1, field(1, field(2, "e"), more(3)), more(6)) + more(2)
		g, err := objectgraph.Decode([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if got := g.Append(nil); string(got) != want {
			t.Errorf("got  %x\nwant %x", got, want)
		}
	})
	t.Run("wrong wire type", func(t *testing.T) {
		// Fields of a known number but another type are unknown, too.
		in := field(1, varint(1, 5), field(2, varint(1, 5))) + varint(1, 9)
		g, err := objectgraph.Decode([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		want := field(1, field(2, varint(1, 5)), varint(1, 5)) + varint(1, 9)
		if got := g.Append(nil); string(got) != want || len(g.Nodes) != 1 {
			t.Errorf("got  %x\nwant %x", got, want)
		}
	})
}

func TestDecodeMerges(t *testing.T) {
	in := field(1,
		field(4, field(1, "a")), field(4, field(2, "o"), varint(9, 1)), field(4, varint(9, 2)),
		field(5, varint(1, 1), varint(7, 3)), field(5, varint(7, 4)), // no value in the second: the first stays
	)
	g, err := objectgraph.Decode([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	want := field(1, field(4, field(1, "a"), field(2, "o"), varint(9, 1), varint(9, 2)),
		field(5, varint(1, 1), varint(7, 3), varint(7, 4)))
	if got := g.Append(nil); string(got) != want {
		t.Errorf("got  %x\nwant %x", got, want)
	}
}

func TestDecodeExplicitFalse(t *testing.T) {
	g, err := objectgraph.Decode([]byte(field(1, field(5, varint(1, 0)))))
	if err != nil || g.Nodes[0].HasValues != objectgraph.ValuesFalse {
		t.Fatalf("got %+v, %v, want ValuesFalse", g, err)
	}
	if got, want := string(g.Append(nil)), field(1, field(5)); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestDecodeErrors(t *testing.T) {
	second := field(1)
	for _, tc := range []struct{ name, in, want string }{
		{"empty", "", "object graph has no nodes"},
		{"only unknown fields", varint(7, 1), "object graph has no nodes"},
		{"text", "hello", "does not parse"},
		{"cut", field(1, field(1, field(2, "name")))[:6], "does not parse"},
		{"inner length", "\x0a\x02\x0a\x7f", "does not parse"},
		{"group", field(1, "\x0b"), "does not parse"},
		{"child beyond", field(1, field(1, varint(1, 1))), `child "" is node 1`},
		{"child negative", field(1, field(1, varint(1, -1), field(2, "c"))), `child "c" is node -1`},
		{"child beyond 32 bits", field(1, field(1, varint(1, 1<<32))), "node id exceeds 32 bits"},
		{"slot beyond", field(1, field(3, field(2, "m"), varint(3, 2))) + second, `slot "m" for node 0 is node 2`},
		{"slot negative", field(1, field(3, varint(3, math.MinInt32))) + second, "is node -2147483648"},
		{"original beyond", field(1, field(3, varint(1, 2), varint(3, 1))) + second, "for node 2 is node 1"},
		{"original negative", field(1, field(3, varint(1, -5), varint(3, 1))) + second, "for node -5 is node 1"},
		{"slot beyond 32 bits", field(1, field(3, varint(3, math.MaxInt64))) + second, "node id exceeds 32 bits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			g, err := objectgraph.Decode([]byte(tc.in))
			var c *objectgraph.CorruptError
			if g != nil || !errors.As(err, &c) || !errors.Is(err, objectgraph.ErrCorrupt) {
				t.Fatalf("got %v, %v, want a *CorruptError", g, err)
			}
			if c.Kind != fault.KindGraph || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %s %q, want %q", c.Kind, err, tc.want)
			}
		})
	}
}

func TestEveryCut(t *testing.T) {
	b := unhex(t, goldens[1].graph)
	for n := range b {
		g, err := objectgraph.Decode(b[:n])
		if err == nil && !bytes.Equal(g.Append(nil), b[:n]) {
			t.Errorf("cut to %d bytes: decodes to something else", n)
		}
	}
}

func TestChildLastWins(t *testing.T) {
	g := &objectgraph.Graph{Nodes: []node{
		{Children: []edge{{Name: "a", Node: 1}, {Name: "b", Node: 2}, {Name: "a", Node: 3}}}, {}, {}, {},
	}}
	for name, want := range map[string]int{"a": 3, "b": 2} {
		if got, ok := g.Child(0, name); got != want || !ok || g.ChildMap(0)[name] != want {
			t.Errorf("Child(%q) = %d, %v, ChildMap %d, want %d", name, got, ok, g.ChildMap(0)[name], want)
		}
	}
	if _, ok := g.Child(0, "c"); ok || len(g.ChildMap(0)) != 2 || len(g.ChildMap(1)) != 0 {
		t.Errorf("a child called c was found")
	}
}

// TestSlotOfSlot names slot variables that have slots: by the path that leads
// there, from both Path and Names.
func TestSlotOfSlot(t *testing.T) {
	g := &objectgraph.Graph{Nodes: []node{
		{Children: []edge{{Name: "o", Node: 1}, {Name: "v", Node: 2}}},
		{Slots: []objectgraph.SlotVariable{{Name: "m", Original: 2, Node: 3}}},
		{},
		{Slots: []objectgraph.SlotVariable{{Name: "n", Original: 3, Node: 4}, {Name: "r", Original: 4, Node: 0}}},
		{},
	}}
	want := []string{"node 3's state 'r' for node 4", "(root).o", "(root).v", "(root).o's state 'm' for (root).v", "node 3's state 'n' for node 3"}
	if got := g.Names(); !slices.Equal(got, want) {
		t.Errorf("Names: got %q, want %q", got, want)
	}
	for i := range g.Nodes {
		if got := g.Path(i); got != want[i] {
			t.Errorf("Path(%d): got %q, want %q", i, got, want[i])
		}
	}
}

func TestDescendants(t *testing.T) {
	g := &objectgraph.Graph{Nodes: []node{
		{Children: []edge{{Name: "late", Node: 3}, {Name: "self", Node: 0}, {Name: "early", Node: 1}}},
		{Children: []edge{{Name: "back", Node: 0}}},
		{}, // nothing leads here
		{Children: []edge{{Name: "x", Node: 1}, {Name: "y", Node: 4}}},
		{},
	}}
	if got, want := g.Descendants(), []int{0, 3, 1, 4}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if got := new(objectgraph.Graph).Descendants(); len(got) != 0 {
		t.Errorf("a graph without nodes: %v", got)
	}
}

// allocated returns how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// TestMemory measures the bound that Decode promises.
func TestMemory(t *testing.T) {
	const n = 20000
	var chain []byte
	for i := range n {
		chain = append(chain, field(1, field(1, varint(1, int64(min(i+1, n-1))), field(2, "x")))...)
	}
	for _, tc := range []struct {
		name string
		in   string
		most uint64 // times the length of in
	}{
		{"empty nodes", strings.Repeat(field(1), n), 64},
		{"empty children", field(1, strings.Repeat(field(1), n)), 64},
		{"empty attributes", field(1, strings.Repeat(field(2), n)), 64},
		{"empty slots", field(1, strings.Repeat(field(3), n)), 64},
		{"one child each", strings.Repeat(field(1, field(1)), n), 64},
		{"one attribute each", strings.Repeat(field(1, field(2)), n), 64},
		{"one saver each", strings.Repeat(field(1, field(4)), n), 64},
		{"savers of one node", field(1, strings.Repeat(field(4, varint(9, 1)), n)), 64},
		{"unknown in each", strings.Repeat(field(1, varint(9, 1)), n), 64},
		{"unknown fields", field(1) + strings.Repeat(varint(9, 1), n), 64},
		{"values", field(1, strings.Repeat(field(5, varint(9, 1)), n)), 64},
		{"claim", string(binary.AppendUvarint([]byte{0x0a}, 1<<62)) + strings.Repeat("x", 100), 64},
		{"chain", string(chain), 64},
		{"A", string(parseGraph(t, aStepped).Append(nil)), 5},
	} {
		t.Run(tc.name, func(t *testing.T) {
			in := []byte(tc.in)
			used := allocated(func() { objectgraph.Decode(in) })
			t.Logf("%d bytes allocate %d, %.1f times", len(in), used, float64(used)/float64(len(in)))
			if limit := tc.most*uint64(len(in)) + 8<<10; used > limit {
				t.Errorf("%d bytes allocate %d, want at most %d", len(in), used, limit)
			}
		})
	}
	t.Run("names of a chain", func(t *testing.T) {
		g, err := objectgraph.Decode(chain)
		if err != nil {
			t.Fatal(err)
		}
		// All names in full would take n²: 400 MB.
		if used := allocated(func() { g.Names() }); used > 32<<20 {
			t.Errorf("the names of %d nodes allocate %d bytes", n, used)
		}
		if got, want := len(g.Path(n-1)), len("(root)")+2*(n-1); got != want {
			t.Errorf("the last path has %d bytes, want %d", got, want)
		}
	})
}
