package objectgraph_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/table"
)

// goldens are object graphs that TensorFlow 2.15.1 to 2.21.0 write alike.
var goldens = []struct{ name, graph string }{
	// tf.train.Checkpoint().save(p)
	{"A only a counter", "" +
		"0a160a100801120c736176655f636f756e7465722a0208010a4d12470a0e5641524941424c455f56414c5545120c7361" +
		"76655f636f756e7465721a27736176655f636f756e7465722f2e415454524942555445532f5641524941424c455f5641" +
		"4c55452a020801"},
	// tf.train.Checkpoint(step=…, v=…).save(p)
	{"B two variables", "" +
		"0a270a0808011204737465700a0508021201760a100803120c736176655f636f756e7465722a0208010a3d12370a0e56" +
		"41524941424c455f56414c55451204737465701a1f737465702f2e415454524942555445532f5641524941424c455f56" +
		"414c55452a0208010a3712310a0e5641524941424c455f56414c55451201761a1c762f2e415454524942555445532f56" +
		"41524941424c455f56414c55452a0208010a4d12470a0e5641524941424c455f56414c5545120c736176655f636f756e" +
		"7465721a27736176655f636f756e7465722f2e415454524942555445532f5641524941424c455f56414c55452a020801"},
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// checkReencode decodes a graph of TensorFlow and checks that encoding gives
// its bytes, also when HasValues is worked out again.
func checkReencode(t *testing.T, b []byte) *objectgraph.Graph {
	t.Helper()
	g, err := objectgraph.Decode(b)
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Append(nil); !bytes.Equal(got, b) {
		t.Errorf("encoded again: %d bytes, want the same %d", len(got), len(b))
	}
	if g.Nodes[0].HasValues != objectgraph.ValuesMissing {
		g.SetHasValues()
		if got := g.Append(nil); !bytes.Equal(got, b) {
			t.Errorf("with HasValues worked out: %d bytes, want the same %d", len(got), len(b))
		}
	}
	return g
}

func TestGoldenReencode(t *testing.T) {
	for _, golden := range goldens {
		t.Run(golden.name, func(t *testing.T) {
			g := checkReencode(t, unhex(t, golden.graph))
			counter, ok := g.Child(0, "save_counter")
			if !ok || len(g.Nodes[counter].Attributes) != 1 {
				t.Fatalf("no save_counter in %+v", g)
			}
			want := objectgraph.Attribute{
				Name:     "VARIABLE_VALUE",
				FullName: "save_counter",
				Key:      "save_counter/.ATTRIBUTES/VARIABLE_VALUE",
			}
			if got := g.Nodes[counter].Attributes[0]; got != want {
				t.Errorf("attribute %+v, want %+v", got, want)
			}
			if got := g.Nodes[0].MayHaveValues(); !got {
				t.Error("the root may not have values")
			}
		})
	}
}

// TestWildReencode takes the graphs out of checkpoints found in public
// repositories, which are kept beside the repository and not in it.
func TestWildReencode(t *testing.T) {
	root := filepath.Join("..", "..", "shared", "wild")
	if _, err := os.Stat(root); err != nil {
		t.Skip("no files from the wild beside the repository")
	}
	graphs, slots := 0, 0
	for _, pattern := range []string{"*/*.index", "*/*/*.index"} {
		names, err := filepath.Glob(filepath.Join(root, filepath.FromSlash(pattern)))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b := graphOf(t, name)
			if b == nil {
				continue
			}
			graphs++
			t.Run(name, func(t *testing.T) {
				g := checkReencode(t, b)
				for i, path := range g.Names() {
					if got := g.Path(i); got != path || strings.HasPrefix(path, "node ") {
						t.Errorf("node %d is %q and %q", i, path, got)
					}
				}
				for i := range g.Nodes {
					slots += len(g.Nodes[i].Slots)
				}
			})
		}
	}
	if graphs < 8 || slots < 40 {
		t.Errorf("%d graphs with %d slots, want at least 8 with 40", graphs, slots)
	}
}

// graphOf returns the encoded object graph of the checkpoint with the given
// index file, nil if it has none.
func graphOf(t testing.TB, index string) []byte {
	t.Helper()
	file, err := os.ReadFile(index)
	if err != nil {
		t.Fatal(err)
	}
	r, err := table.NewReader(bytes.NewReader(file), int64(len(file)), nil)
	if err != nil {
		return nil // a Git LFS pointer
	}
	header, _, err := r.Get(nil)
	if err != nil {
		t.Fatal(err)
	}
	entry, ok, err := r.Get([]byte(objectgraph.Key))
	if err != nil {
		t.Fatal(err)
	}
	if !ok {
		return nil
	}
	shards, e := varints(header)[1], varints(entry)
	data, err := os.ReadFile(fmt.Sprintf("%s.data-%05d-of-%05d", strings.TrimSuffix(index, ".index"), e[3], shards))
	if err != nil {
		t.Fatal(err)
	}
	// One string: its length, a checksum, its bytes.
	stored := data[e[4] : e[4]+e[5]]
	size, n := binary.Uvarint(stored)
	if want := uint64(len(stored) - n - 4); size != want {
		t.Fatalf("%s: graph of %d bytes, want %d", index, size, want)
	}
	return stored[n+4:]
}

// varints returns the varint fields of a message by number.
func varints(b []byte) map[int]uint64 {
	m := map[int]uint64{}
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		field, typ := d.Tag()
		if typ == wire.Varint {
			m[field] = d.Uvarint()
		} else {
			d.Skip(typ)
		}
	}
	return m
}
