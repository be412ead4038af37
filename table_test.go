package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage/mem"
)

func TestTable(t *testing.T) {
	table := ckpt.NewTable[int64, [2]float32]()
	for i := range int64(5) {
		table.Insert(10*i, [2]float32{float32(i), 0})
	}
	table.Insert(20, [2]float32{7, 8})
	table.Remove(0)  // the last entry takes its place
	table.Remove(30) // now the last
	table.Remove(99)
	type entry struct {
		K int64
		V [2]float32
	}
	entries := func(table *ckpt.Table[int64, [2]float32]) (list []entry) {
		for k, v := range table.All() {
			list = append(list, entry{k, v})
		}
		return list
	}
	want := []entry{{40, [2]float32{4, 0}}, {10, [2]float32{1, 0}}, {20, [2]float32{7, 8}}}
	if diff := cmp.Diff(entries(table), want); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	s := write(t, ckpt.New(ckpt.Objects{"t": table}))
	g := s.graph(t)
	if diff := cmp.Diff(g.Nodes[1].Attributes, []objectgraph.Attribute{{Name: "table", Key: "t/.ATTRIBUTES/table"}}, cmp.AllowUnexported(objectgraph.Attribute{})); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	wantKeys(t, s, "t/.ATTRIBUTES/table-keys", "t/.ATTRIBUTES/table-values")
	for _, inPlace := range []bool{false, true} {
		other := ckpt.NewTable[int64, [2]float32]()
		other.Insert(1, [2]float32{})
		_, err := ckpt.New(ckpt.Objects{"t": other}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, InPlace: inPlace})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(entries(other), want); diff != "" {
			t.Errorf("-got +want:\n%s", diff)
		}
		if v, ok := other.Lookup(20); !ok || v != [2]float32{7, 8} || other.Len() != 3 {
			t.Errorf("got %v, %v, %d entries", v, ok, other.Len())
		}
		if _, ok := other.Lookup(1); ok {
			t.Error("an entry from before the restore is there")
		}
	}
	for name, c := range map[string]ckpt.Objects{"keys": {"t": ckpt.NewTable[int32, [2]float32]()}, "values": {"t": ckpt.NewTable[int64, float32]()}} {
		_, err := ckpt.New(c).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
		if !errors.Is(err, ckpt.ErrMismatch) {
			t.Errorf("other %s: got %v, want a mismatch", name, err)
		}
	}
}

// badTable writes the two tensors of a table by hand.
type badTable struct {
	ckpt.Node
	keys   *ckpt.Variable[int64]
	values *ckpt.Variable[float32]
}

func (b *badTable) Values() []ckpt.Value {
	return []ckpt.Value{&tableColumn{b.keys, b.keys.Spec(), "-keys"}, &tableColumn{b.values, b.values.Spec(), "-values"}}
}

type tableColumn struct {
	ckpt.Value
	spec   ckpt.Spec
	suffix string
}

func (c *tableColumn) Spec() ckpt.Spec {
	c.spec.Attribute, c.spec.Suffix, c.spec.FullName = "table", c.suffix, ""
	return c.spec
}

func TestBadTables(t *testing.T) {
	for _, test := range []struct {
		name   string
		keys   []int64
		values []float32
		want   error
		text   string
	}{
		{"a key twice", []int64{1, 2, 1}, []float32{1, 2, 3}, ckpt.ErrMismatch, "1 twice, in rows 0 and 2"},
		{"lengths", []int64{1, 2}, []float32{1}, ckpt.ErrCorrupt, "2 keys and 1 values"},
	} {
		bad := &badTable{keys: ckpt.NewVariable("", []int64{int64(len(test.keys))}, test.keys), values: vector(test.values...)}
		s := write(t, ckpt.New(ckpt.Objects{"t": bad}))
		for _, inPlace := range []bool{false, true} {
			table := ckpt.NewTable[int64, float32]()
			table.Insert(5, 6)
			_, err := ckpt.New(ckpt.Objects{"t": table}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket, InPlace: inPlace})
			wantError(t, test.name, err, test.text)
			if !errors.Is(err, test.want) {
				t.Errorf("%s: got %v, want class %v", test.name, err, test.want)
			}
			if v, _ := table.Lookup(5); v != 6 || table.Len() != 1 {
				t.Errorf("%s: the table was changed", test.name)
			}
		}
	}
}

func TestTableTypes(t *testing.T) {
	for name, make := range map[string]func(){
		"float keys":  func() { ckpt.NewTable[float32, int64]() },
		"array keys":  func() { ckpt.NewTable[[2]int64, int64]() },
		"map values":  func() { ckpt.NewTable[string, map[string]int]() },
		"list values": func() { ckpt.NewTable[string, []float32]() },
	} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("%s: got no panic", name)
				}
			}()
			make()
		}()
	}
}

// A table takes keys and values of other dtypes with Cast.
func TestTableCast(t *testing.T) {
	from := ckpt.NewTable[int32, float64]()
	from.Insert(-3, 1.5)
	s := write(t, ckpt.New(ckpt.Objects{"t": from}))
	to := ckpt.NewTable[int64, float32]()
	if _, err := s.options(t, ckpt.New(ckpt.Objects{"t": to}), ckpt.RestoreOptions{Cast: true}); err != nil {
		t.Fatal(err)
	}
	if v, ok := to.Lookup(-3); !ok || v != 1.5 || to.Len() != 1 {
		t.Errorf("got %v, %v, %d entries", v, ok, to.Len())
	}
}

func ExampleTable() {
	words := ckpt.NewTable[string, int64]()
	words.Insert("one", 1)
	words.Insert("two", 2)
	checkpoint := ckpt.New(ckpt.Objects{"words": words})
	options := &ckpt.SaveOptions{Bucket: mem.New()}
	prefix, err := checkpoint.Write(context.Background(), "table", options)
	if err != nil {
		log.Fatal(err)
	}
	words.Remove("one")
	if _, err := checkpoint.Read(context.Background(), prefix, &ckpt.RestoreOptions{Bucket: options.Bucket}); err != nil {
		log.Fatal(err)
	}
	for word, number := range words.All() {
		fmt.Println(word, number)
	}
	// Output:
	// one 1
	// two 2
}
