package interop_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// manyNames are different names of 3 to about 250 bytes that share prefixes as
// layers of layers do.
func manyNames(rng *rand.Rand, n int) []string {
	words := []string{"kernel", "bias", "encoder", "decoder", "block", "attention", "m", "v", "gamma", "moving_mean", "x"}
	seen := make(map[string]bool)
	var names []string
	path := []string{"root"}
	for len(names) < n {
		if len(path) > 14 || len(path) > 1 && rng.IntN(3) == 0 {
			path = path[:1+rng.IntN(len(path)-1)]
		}
		path = append(path, fmt.Sprintf("%s_%d", words[rng.IntN(len(words))], rng.IntN(500)))
		var name strings.Builder
		for _, step := range path {
			name.WriteString(step + "/")
		}
		if !seen[name.String()] {
			seen[name.String()] = true
			names = append(names, name.String())
		}
	}
	return names
}

func manyParts(t *testing.T, rng *rand.Rand, n int) []part {
	t.Helper()
	dtypes := everyDType()
	var parts []part
	for _, name := range manyNames(rng, n) {
		v := randomTensor(t, rng, dtypes[rng.IntN(len(dtypes))], randomShape(rng, 2))
		parts = append(parts, part{name, v.Shape(), nil, v})
	}
	return parts
}

// identicalMany has 30,000 tensors in one bundle, and 15,000 in three that
// are merged.
func identicalMany(t *testing.T) {
	parts := manyParts(t, rand.New(rand.NewPCG(2, 7)), 30000)
	prefix := identical(t, parts)
	if n := indexBlocks(t, prefix); n < 4 {
		t.Errorf("the index has %d blocks", n)
	}
	t.Run("merged", func(t *testing.T) {
		shards := make([][]part, 3)
		for i, p := range parts[:15000] {
			shards[i%3] = append(shards[i%3], p)
		}
		if n := indexBlocks(t, identicalInShards(t, shards, true)); n < 3 {
			t.Errorf("the merged index has %d blocks", n)
		}
	})
}

// identicalManyObjects is the same through objects: 12,000 variables below one
// root, which TensorFlow takes seconds for. Their index has several blocks too.
func identicalManyObjects(t *testing.T) {
	const count = 12000
	dir := t.TempDir()
	rng := rand.New(rand.NewPCG(8, 7))
	objects := make(ckpt.Objects)
	var tree [][2]any
	for i := range count {
		// Names of 10 to 90 bytes.
		name := fmt.Sprintf("variable_%d_%s", i, fmt.Sprintf("%0*d", rng.IntN(80), i))
		v := treeVariable{value: jsonOf(randomTensor(t, rng, tensor.Float32, tensor.Shape{1 + rng.Int64N(3)}))}
		objects[name] = newVariable(t, &v, false)
		tree = append(tree, [2]any{name, map[string]any{"variable": v}})
	}
	theirs, ours := filepath.Join(dir, "theirs"), filepath.Join(dir, "ours")
	tensorflow.Call(t, "save", map[string]any{"prefix": theirs, "tree": tree, "method": "write"}, nil)
	if _, err := ckpt.New(objects).Write(t.Context(), ours, nil); err != nil {
		t.Fatal(err)
	}
	sameFolder(t, ours, theirs)
	if n := indexBlocks(t, ours); n < 3 {
		t.Errorf("the index has %d blocks", n)
	}
}

// identicalSlices cuts each dtype, in ranks of 1 to 8, and dimensions of 0.
func identicalSlices(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 7))
	for _, d := range everyDType() {
		t.Run(d.String(), func(t *testing.T) {
			var parts, joined []part
			for i, shape := range []tensor.Shape{{7}, {300}, {4, 5}, {3, 2, 4}, {2, 3, 2, 3}, {2, 1, 2, 1, 2, 1, 2, 2}, {0, 4}, {6, 0, 2}} {
				name := fmt.Sprintf("%d", i)
				v := randomTensor(t, rng, d, shape)
				for _, s := range anyCuts(rng, shape) {
					parts = append(parts, part{name, shape, s, cutTensor(t, v, s)})
				}
				joined = append(joined, part{name, shape, nil, v})
			}
			rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
			prefix := identical(t, parts)
			checkParts(t, prefix, joined)
		})
	}
}

// identicalManySlices is a tensor whose entry, the list of its slices, is too
// large for a block.
func identicalManySlices(t *testing.T) {
	const count = 16000
	rng := rand.New(rand.NewPCG(10, 7))
	dir := t.TempDir()
	full := tensor.Shape{1 << 15, 1 << 15, 1 << 15, 1 << 15}
	parts := withNames(t, rng, nil)
	for i := range int64(count) {
		var s bundle.Slice
		for _, digit := range []int64{i / 8000, i / 400 % 20, i / 20 % 20, i % 20} {
			s = append(s, bundle.Extent{Start: 1<<14 + digit, Length: 1}) // three bytes of varint
		}
		parts = append(parts, part{"m", full, s, randomTensor(t, rng, tensor.Uint8, tensor.Shape{1, 1, 1, 1})})
	}
	writeParts(t, local.Open(dir, nil), "ours", parts)
	theirs := filepath.Join(dir, "theirs")
	if answer := callRaw(t, []rawCase{{Saves: []rawSave{rawSaveOf(theirs, parts)}}})[0]; answer.Error != "" {
		t.Fatal(answer.Error)
	}
	sameFolder(t, filepath.Join(dir, "ours"), theirs)
	r, err := bundle.Open(t.Context(), local.Open(dir, nil), "theirs", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	e, err := r.Entry("m")
	if err != nil {
		t.Fatal(err)
	}
	if size := len(bundle.EncodeEntry(nil, &e)); size < 2*262144 {
		t.Errorf("the entry has %d bytes, too few for the rule of oversize", size)
	}
}

// identicalInShards writes each shard with SaveV2 under the name that
// ShardedFilename gives it and merges them; the same with Merge, and with a Plan
// if every tensor is in one shard.
func identicalInShards(t *testing.T, shards [][]part, planned bool) (prefix string) {
	t.Helper()
	dir := t.TempDir()
	var names []string
	tensorflow.Call(t, "sharded_filenames", map[string]any{"basename": "temporary/part", "shards": len(shards)}, &names)
	theirs, ours := filepath.Join(dir, "theirs", "m"), filepath.Join(dir, "ours", "m")
	merge := rawMerge{Output: theirs, DeleteOldDirs: true}
	var run rawCase
	for i, name := range names {
		writeParts(t, local.Open(filepath.Join(dir, "ours"), nil), name, shards[i])
		merge.Inputs = append(merge.Inputs, filepath.Join(dir, "theirs", name))
		run.Saves = append(run.Saves, rawSaveOf(merge.Inputs[i], shards[i]))
	}
	run.Merges = []rawMerge{merge}
	if err := bundle.Merge(t.Context(), local.Open(filepath.Join(dir, "ours"), nil), "m", names, nil); err != nil {
		t.Fatal(err)
	}
	parts := slices.Concat(shards...)
	run.Reads = []rawRead{rawReadOf(ours, parts)}
	answer := callRaw(t, []rawCase{run})[0]
	if answer.Error != "" {
		t.Fatal(answer.Error)
	}
	sameFolder(t, ours, theirs)
	checkRead(t, answer.Digests[0], parts)
	checkParts(t, theirs, parts)
	if planned {
		writePlannedParts(t, dir, "planned/m", shards)
		sameFolder(t, filepath.Join(dir, "planned", "m"), theirs)
	}
	return ours
}

// identicalShards deals tensors, then slices, to two to nine shards.
func identicalShards(t *testing.T) {
	for n := 2; n <= 9; n++ {
		t.Run(fmt.Sprint(n), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(n), 8))
			shards := make([][]part, n)
			for i, p := range manyParts(t, rng, 60) {
				at := (i + rng.IntN(2)) % n
				shards[at] = append(shards[at], p)
			}
			identicalInShards(t, shards, true)
		})
		t.Run(fmt.Sprintf("%d with slices", n), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(uint64(n), 9))
			identicalInShards(t, slicesInShards(t, rng, n), false)
		})
	}
}

// slicesInShards deals the slices of tensors of every dtype to shards.
func slicesInShards(t *testing.T, rng *rand.Rand, n int) [][]part {
	t.Helper()
	shards := make([][]part, n)
	at := 0
	for i, d := range everyDType() {
		v := randomTensor(t, rng, d, tensor.Shape{6, 5})
		for _, s := range randomCuts(rng, v.Shape(), 1+rng.IntN(8)) {
			shards[at%n] = append(shards[at%n], part{fmt.Sprint("v", i), v.Shape(), s, cutTensor(t, v, s)})
			at++
		}
	}
	return shards
}

// identicalMerges merges eight bundles, which share the slices of their tensors,
// along trees: by twos, one after the other, and as one deep and lopsided tree.
func identicalMerges(t *testing.T) {
	for name, steps := range map[string][][]string{
		"at once":  {{"out", "0", "1", "2", "3", "4", "5", "6", "7"}},
		"by twos":  {{"a", "0", "1"}, {"b", "2", "3"}, {"c", "4", "5"}, {"d", "6", "7"}, {"ab", "a", "b"}, {"cd", "c", "d"}, {"out", "ab", "cd"}},
		"chain":    {{"a", "7", "6"}, {"b", "a", "5"}, {"c", "4", "b"}, {"d", "c", "3"}, {"e", "2", "d"}, {"f", "e", "1"}, {"out", "0", "f"}},
		"lopsided": {{"a", "3"}, {"b", "1", "a", "6"}, {"c", "5", "0"}, {"d", "b", "7", "c"}, {"e", "d"}, {"out", "2", "e", "4"}},
	} {
		t.Run(name, func(t *testing.T) {
			rng := rand.New(rand.NewPCG(11, 7))
			shards := slicesInShards(t, rng, 8)
			for i, p := range manyParts(t, rng, 100) {
				shards[i%8] = append(shards[i%8], p)
			}
			shards[3] = append(shards[3], part{randomBytes(rng, 600<<10), tensor.Shape{2}, nil, randomTensor(t, rng, tensor.Int8, tensor.Shape{2})})
			ours, theirs := t.TempDir(), t.TempDir()
			for i, parts := range shards {
				writeParts(t, local.Open(ours, nil), fmt.Sprintf("%d/m", i), parts)
				save := rawSaveOf(filepath.Join(theirs, fmt.Sprint(i), "m"), parts)
				if answer := callRaw(t, []rawCase{{Saves: []rawSave{save}}})[0]; answer.Error != "" {
					t.Fatal(answer.Error)
				}
			}
			for _, step := range steps {
				var inputs []string
				for _, input := range step[1:] {
					inputs = append(inputs, input+"/m")
				}
				mergeBoth(t, ours, theirs, step[0]+"/m", inputs, false)
			}
			parts := slices.Concat(shards...)
			answer := callRaw(t, []rawCase{{Reads: []rawRead{rawReadOf(filepath.Join(ours, "out", "m"), parts)}}})[0]
			if answer.Error != "" {
				t.Fatal(answer.Error)
			}
			checkRead(t, answer.Digests[0], parts)
			checkParts(t, filepath.Join(theirs, "out", "m"), parts)
		})
	}
}
