package interop_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// TestByteIdentity compares index and data files with those of SaveV2 and
// MergeV2Checkpoints, kind by kind. Random ones of all kinds together are in
// TestRandomCheckpoints and TestMaxShardSize, those of tf.train.Checkpoint in
// TestCopyBundle and TestShards.
func TestByteIdentity(t *testing.T) {
	tensorflow.Require(t)
	for _, kind := range []struct {
		name string
		test func(*testing.T)
	}{
		{"dtypes", identicalDTypes},
		{"variants", identicalVariants},
		{"nothing", identicalNothing},
		{"30000 variables", identicalMany},
		{"30000 variables of tf.train.Checkpoint", identicalManyObjects},
		{"names like keys of slices", identicalKeyNames},
		{"names of 5 KB", identicalLongNames},
		{"names of 600 KB", identicalHugeNames},
		{"oversize rule", identicalOversize},
		{"strings", identicalStrings},
		{"slices", identicalSlices},
		{"16000 slices", identicalManySlices},
		{"shards", identicalShards},
		{"merges", identicalMerges},
	} {
		t.Run(kind.name, kind.test)
	}
}

// ranks are shapes of rank 0 to 253, the highest of TensorFlow. NumPy ends at 64.
func ranks() []tensor.Shape {
	shapes := []tensor.Shape{
		{}, {1}, {7}, {300}, {0}, {3, 0, 2}, {0, 0}, {2, 3}, {2, 3, 1, 2}, {1, 1, 2, 1, 3, 1},
		{1, 2, 1, 2, 1, 2, 1, 2}, {2, 1, 1, 1, 1, 1, 1, 1, 3},
	}
	for _, rank := range []int{64, 65, 128, 253} {
		shapes = append(shapes, append(tensor.Shape{2}, slices.Repeat(tensor.Shape{1}, rank-1)...))
	}
	return shapes
}

// identicalDTypes writes each dtype in all shapes, then all of them together.
func identicalDTypes(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 7))
	var all []part
	for _, d := range everyDType() {
		t.Run(d.String(), func(t *testing.T) {
			var parts []part
			for _, shape := range ranks() {
				name := fmt.Sprintf("%s of rank %d, %d", d, len(shape), len(parts))
				parts = append(parts, part{name, shape, nil, randomTensor(t, rng, d, shape)})
			}
			identical(t, parts)
			all = append(all, parts...)
		})
	}
	rng.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	t.Run("all", func(t *testing.T) { identical(t, all) })
}

// identicalVariants writes the elements of TensorFlow's variants again.
func identicalVariants(t *testing.T) {
	dir := t.TempDir()
	theirs := filepath.Join(dir, "theirs")
	lists := [][]float32{{}, {1, 2, 3}, slices.Repeat([]float32{0.5}, 200)}
	names := []string{"none", "three", "many"}
	tensorflow.Call(t, "save_lists", map[string]any{"prefix": theirs, "names": names, "lists": lists}, nil)
	r, err := bundle.Open(t.Context(), local.Open(dir, nil), "theirs", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	w, err := bundle.Create(t.Context(), local.Open(dir, nil), "ours", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, name := range append(names, "pair") {
		v, err := r.Tensor(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if err := w.AddVariants(t.Context(), name, v.Shape(), slices.Values(v.Strings())); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	sameFolder(t, filepath.Join(dir, "ours"), theirs)
}

// identicalNothing is what SaveV2 cannot write, and TensorFlow reads.
func identicalNothing(t *testing.T) {
	dir := t.TempDir()
	writeParts(t, local.Open(dir, nil), "ours", nil)
	var count int
	tensorflow.Call(t, "count_tensors", map[string]any{"prefix": filepath.Join(dir, "ours")}, &count)
	if count != 0 {
		t.Errorf("TensorFlow finds %d tensors in a checkpoint without any", count)
	}
}

// identicalKeyNames has tensors whose names are the keys of slices, of others
// and of none.
func identicalKeyNames(t *testing.T) {
	rng := rand.New(rand.NewPCG(12, 7))
	v := randomTensor(t, rng, tensor.Int32, tensor.Shape{4})
	var parts []part
	for _, s := range []bundle.Slice{{{Length: 2}}, {{Start: 2, Length: 1}}} {
		parts = append(parts, part{"v", v.Shape(), s, cutTensor(t, v, s)})
	}
	for _, key := range []string{
		bundle.EncodeSliceKey("v", bundle.Slice{{Start: 3, Length: 1}}), bundle.EncodeSliceKey("w", bundle.Slice{{Length: 2}}),
		bundle.EncodeSliceKey("", nil), bundle.EncodeSliceKey("a\x00\xff", bundle.Slice{{Full: true}}),
	} {
		parts = append(parts, part{key, v.Shape(), nil, v})
	}
	identical(t, parts)
}

// identicalLongNames has names of 5 KB that differ early, late, or in length.
func identicalLongNames(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 7))
	var parts []part
	base := randomBytes(rng, 5000)
	for i := range 240 {
		name := base
		switch i % 4 {
		case 0:
			name = randomBytes(rng, 5000+rng.IntN(300))
		case 1:
			at := rng.IntN(len(base))
			name = base[:at] + randomBytes(rng, 5000-at)
		case 2:
			name = base + fmt.Sprint(i)
		case 3:
			name = base[:5000-i]
		}
		v := randomTensor(t, rng, tensor.Float32, tensor.Shape{4})
		if i%3 > 0 {
			parts = append(parts, part{name, v.Shape(), nil, v})
			continue
		}
		for _, s := range []bundle.Slice{{{Start: 1, Length: 3}}, {{Length: 1}}} {
			parts = append(parts, part{name, v.Shape(), s, cutTensor(t, v, s)})
		}
	}
	prefix := identical(t, parts)
	if n := indexBlocks(t, prefix); n < 3 {
		t.Errorf("the index has %d blocks", n)
	}
}

func randomBytes(rng *rand.Rand, n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return string(b)
}

// identicalHugeNames has one name of 600 KB that sorts first, in the middle or
// last, two that differ at the end, and one of slices.
func identicalHugeNames(t *testing.T) {
	rng := rand.New(rand.NewPCG(4, 7))
	const size = 600 << 10
	long := randomBytes(rng, size-1)
	for name, huge := range map[string][]string{
		"first": {"\x00" + long}, "middle": {"m" + long}, "last": {"\xff" + long}, "two": {"m" + long, "m" + long[:size-2]},
		"only high bytes": {strings.Repeat("\xff", size)}, "only zeros": {strings.Repeat("\x00", size)},
	} {
		t.Run(name, func(t *testing.T) {
			identical(t, withNames(t, rng, huge))
		})
	}
	t.Run("alone", func(t *testing.T) {
		identical(t, withNames(t, rng, []string{long})[:1])
	})
	t.Run("slices", func(t *testing.T) {
		v := randomTensor(t, rng, tensor.Int32, tensor.Shape{5, 2})
		parts := withNames(t, rng, nil)
		for _, s := range []bundle.Slice{{{Start: 3, Length: 2}, {Full: true}}, {{Length: 3}, {Full: true}}} {
			parts = append(parts, part{long, v.Shape(), s, cutTensor(t, v, s)})
		}
		identical(t, parts)
	})
}

// withNames is one small tensor for each name and a hundred others.
func withNames(t *testing.T, rng *rand.Rand, names []string) []part {
	t.Helper()
	names = slices.Clone(names)
	for i := range 100 {
		names = append(names, fmt.Sprintf("%c/%d", 'a'+i%26, i))
	}
	var parts []part
	for _, name := range names {
		v := randomTensor(t, rng, tensor.Int16, tensor.Shape{3})
		parts = append(parts, part{name, v.Shape(), nil, v})
	}
	return parts
}

// identicalOversize has an entry of one byte less than what closes the block
// before it, of exactly that, and of one more.
func identicalOversize(t *testing.T) {
	const limit = 2 * 262144
	rng := rand.New(rand.NewPCG(5, 7))
	for _, first := range []string{"\x00", "m", "\xff"} {
		for _, delta := range []int{-1, 0, 1} {
			t.Run(fmt.Sprintf("%x%+d", first, delta), func(t *testing.T) {
				// The value does not depend on the key.
				value := bundle.EncodeEntry(nil, &bundle.Entry{DType: tensor.Int16, Shape: tensor.Shape{3}, Size: 6, CRC: 1})
				name := first + randomBytes(rng, limit+delta-len(value)-1)
				prefix := identical(t, withNames(t, rng, []string{name}))
				want := map[string]int{"\x00": 2, "m": 2, "\xff": 1}[first] // the header, or nothing, stands before; what follows is a block
				if delta >= 0 {
					want++
				}
				if got := indexBlocks(t, prefix); got != want {
					t.Errorf("got %d blocks, want %d", got, want)
				}
			})
		}
	}
}

// identicalStrings has lengths on either side of where a varint grows.
func identicalStrings(t *testing.T) {
	rng := rand.New(rand.NewPCG(6, 7))
	var elements [][]byte
	for _, n := range []int{0, 1, 2, 127, 128, 129, 0, 16383, 16384, 65535, 65536, 65537, 100000, 2097151, 2097152, 0} {
		elements = append(elements, []byte(randomBytes(rng, n)))
	}
	many := make([][]byte, 10000)
	for i := range many {
		many[i] = []byte(randomBytes(rng, rng.IntN(40)*rng.IntN(2)*rng.IntN(5)))
	}
	var parts []part
	for _, s := range []struct {
		name     string
		shape    tensor.Shape
		elements [][]byte
	}{
		{"borders", tensor.Shape{int64(len(elements))}, elements},
		{"10000", tensor.Shape{10000}, many},
		{"10000 in three dimensions", tensor.Shape{25, 20, 20}, many},
		{"10000 empty", tensor.Shape{10000}, make([][]byte, 10000)},
		{"empty scalar", tensor.Shape{}, [][]byte{nil}},
		{"scalar that ends in zeros", tensor.Shape{}, [][]byte{[]byte("a\x00\x00")}},
		{"no element", tensor.Shape{0}, nil},
		{"no element of rank 3", tensor.Shape{2, 0, 5}, nil},
		{"zeros", tensor.Shape{3}, [][]byte{{0}, {0, 0}, []byte("a\x00")}},
		{"text", tensor.Shape{2, 1}, [][]byte{[]byte("Grüße, 漢字"), []byte("\xff\xfe\x80")}},
	} {
		v, err := tensor.NewStrings(s.shape, s.elements)
		if err != nil {
			t.Fatal(err)
		}
		parts = append(parts, part{s.name, s.shape, nil, v})
	}
	// Slices of 10,000 elements, one of them of a few.
	v := parts[1].value
	for _, s := range []bundle.Slice{{{Start: 5000, Length: 4997}}, {{Start: 9997, Length: 3}}, {{Length: 5000}}} {
		parts = append(parts, part{"cut", v.Shape(), s, cutTensor(t, v, s)})
	}
	identical(t, parts)
	for i, p := range parts[:10] {
		t.Run(p.name, func(t *testing.T) { identical(t, parts[i:i+1]) })
	}
}
