package interop_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// randomCheckpoint is what both sides write, in one bundle or in several that
// are merged.
type randomCheckpoint struct {
	shards [][]part
	byKey  bool   // all parts of a tensor are in one shard
	nested bool   // the first two of three or more shards are merged before, which numbers them anew
	stored []part // all parts
	whole  []part // tensors that are complete; a slice of nil
}

// randomName is any bytes but none: it may begin like another name, or be the
// beginning of one, and it may look like the key of a slice without being one.
func randomName(rng *rand.Rand, others []string) string {
	other := ""
	if len(others) > 0 {
		other = others[rng.IntN(len(others))]
	}
	raw := func(n int, alphabet string) string {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.Uint32())
			if alphabet != "" {
				b[i] = alphabet[rng.IntN(len(alphabet))]
			}
		}
		return string(b)
	}
	switch rng.IntN(9) {
	case 0:
		return fmt.Sprintf("layer_with_weights-%d/kernel/.ATTRIBUTES/VARIABLE_VALUE", rng.IntN(50))
	case 1:
		return raw(rng.IntN(12), "")
	case 2:
		return raw(rng.IntN(6), "\x00\x01\xff")
	case 3:
		return other + raw(rng.IntN(4), "\x00\x01/a\xfe\xff")
	case 4:
		return other[:rng.IntN(len(other)+1)]
	case 5:
		runes := []rune("aé漢𝄞\u0301/")
		var name strings.Builder
		for range rng.IntN(8) {
			name.WriteString(string(runes[rng.IntN(len(runes))]))
		}
		return name.String()
	case 6:
		return raw(100+rng.IntN(200), "ab/")
	case 7:
		return "\x00" + raw(rng.IntN(4), "v\x00\x01\x02\x80") + "\x00\x01"
	}
	if rng.IntN(20) == 0 {
		return raw(5000+rng.IntN(2000), "")
	}
	return raw(1+rng.IntN(3), "abc")
}

func uniqueName(rng *rand.Rand, others []string) string {
	for {
		name := randomName(rng, others)
		if _, _, slice := bundle.DecodeSliceKey(name); name != "" && !slice && !slices.Contains(others, name) {
			return name
		}
	}
}

// anyShape has a rank of up to 6, at times dimensions of 0, and at most 500
// elements.
func anyShape(rng *rand.Rand) tensor.Shape {
	shape := make(tensor.Shape, rng.IntN(7))
	n := int64(1)
	for i := range shape {
		shape[i] = 1 + rng.Int64N(min(6, 500/n))
		n *= shape[i]
	}
	if len(shape) > 0 && rng.IntN(8) == 0 {
		shape[rng.IntN(len(shape))] = 0
	}
	return shape
}

// anyCuts is randomCuts for a shape that may have dimensions of 0.
func anyCuts(rng *rand.Rand, shape tensor.Shape) []bundle.Slice {
	cuts := randomCuts(rng, shape, rng.IntN(6))
	for _, s := range cuts {
		for dim, n := range shape {
			if n == 0 {
				s[dim] = bundle.Extent{Full: true} // no other extent has no length
			}
		}
	}
	return cuts
}

func newRandomCheckpoint(t *testing.T, seed uint64) *randomCheckpoint {
	t.Helper()
	rng := rand.New(rand.NewPCG(seed, 6))
	c := &randomCheckpoint{byKey: rng.IntN(2) == 0}
	c.shards = make([][]part, max(1, rng.IntN(6)-1))
	dtypes := everyDType()
	var names []string
	for range 1 + rng.IntN(40) {
		names = append(names, uniqueName(rng, names))
		name, d := names[len(names)-1], dtypes[rng.IntN(len(dtypes))]
		if rng.IntN(8) == 0 {
			d = tensor.String
		}
		shard := rng.IntN(len(c.shards))
		v := randomTensor(t, rng, d, anyShape(rng))
		parts := []part{{name, v.Shape(), nil, v}}
		complete := true
		if len(v.Shape()) > 0 && rng.IntN(3) == 0 {
			parts = nil
			for _, s := range anyCuts(rng, v.Shape()) {
				parts = append(parts, part{name, v.Shape(), s, cutTensor(t, v, s)})
			}
			if len(parts) > 1 && rng.IntN(6) == 0 {
				parts, complete = parts[1:], false
			}
		}
		if complete {
			c.whole = append(c.whole, part{name, v.Shape(), nil, v})
		}
		for _, p := range parts {
			if !c.byKey {
				shard = rng.IntN(len(c.shards))
			}
			c.shards[shard] = append(c.shards[shard], p)
		}
		c.stored = append(c.stored, parts...)
	}
	// SaveV2 takes no empty list.
	c.shards = slices.DeleteFunc(c.shards, func(parts []part) bool { return len(parts) == 0 })
	c.nested = len(c.shards) > 2 && rng.IntN(2) == 0
	for _, parts := range c.shards {
		rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	}
	return c
}

// readable are the parts that RestoreV2 can read: what is stored, and whole
// tensors that are not sliced or of a dtype that it joins.
func (c *randomCheckpoint) readable() []part {
	sliced := make(map[string]bool)
	for _, p := range c.stored {
		sliced[p.name] = sliced[p.name] || p.slice != nil
	}
	parts := slices.Clone(c.stored)
	for _, p := range c.whole {
		if sliced[p.name] && slices.Contains(joinedDTypes, p.value.DType()) {
			parts = append(parts, p)
		}
	}
	return parts
}

// planned says whether a Plan makes the same files as merging.
func (c *randomCheckpoint) planned() bool { return c.byKey && !c.nested && len(c.shards) > 1 }

// write writes the checkpoint as "ours" and, if a Plan can say where its parts
// go, as "planned".
func (c *randomCheckpoint) write(t *testing.T, dir string) {
	t.Helper()
	b := local.Open(dir, nil)
	if len(c.shards) == 1 {
		writeParts(t, b, "ours/m", c.shards[0])
		return
	}
	var inputs []string
	for i, parts := range c.shards {
		inputs = append(inputs, fmt.Sprintf("ours/part-%d", i))
		writeParts(t, b, inputs[i], parts)
	}
	if c.nested {
		if err := bundle.Merge(t.Context(), b, "ours/first", inputs[:2], nil); err != nil {
			t.Fatal(err)
		}
		inputs = append([]string{"ours/first"}, inputs[2:]...)
	}
	if err := bundle.Merge(t.Context(), b, "ours/m", inputs, nil); err != nil {
		t.Fatal(err)
	}
	if c.planned() {
		writePlannedParts(t, dir, "planned/m", c.shards)
	}
}

// rawCase is what TensorFlow does for the checkpoint: write it as "theirs" and
// read ours.
func (c *randomCheckpoint) rawCase(dir string) rawCase {
	theirs := filepath.Join(dir, "theirs", "m")
	run := rawCase{Reads: []rawRead{rawReadOf(filepath.Join(dir, "ours", "m"), c.readable())}}
	if len(c.shards) == 1 {
		run.Saves = []rawSave{rawSaveOf(theirs, c.shards[0])}
		return run
	}
	merge := rawMerge{Output: theirs, DeleteOldDirs: true}
	for i, parts := range c.shards {
		name := filepath.Join(dir, "theirs", "temporary", fmt.Sprintf("part-%d", i))
		merge.Inputs = append(merge.Inputs, name)
		run.Saves = append(run.Saves, rawSaveOf(name, parts))
	}
	if c.nested {
		first := rawMerge{Inputs: merge.Inputs[:2], Output: filepath.Join(dir, "theirs", "temporary", "first")}
		run.Merges = []rawMerge{first}
		merge.Inputs = append([]string{first.Output}, merge.Inputs[2:]...)
	}
	run.Merges = append(run.Merges, merge)
	return run
}

// check compares the files, and reads those of TensorFlow.
func (c *randomCheckpoint) check(t *testing.T, dir string, answer *rawAnswer) {
	t.Helper()
	if answer.Error != "" {
		t.Fatalf("TensorFlow: %s", answer.Error)
	}
	theirs := filepath.Join(dir, "theirs", "m")
	sameFolder(t, filepath.Join(dir, "ours", "m"), theirs)
	if c.planned() {
		sameFolder(t, filepath.Join(dir, "planned", "m"), theirs)
	}
	checkRead(t, answer.Digests[0], c.readable())
	checkParts(t, theirs, c.stored)
	checkParts(t, theirs, c.whole)
}

// environmentNumber is the value of an environment variable, or another.
func environmentNumber(t *testing.T, name string, otherwise uint64) uint64 {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return otherwise
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return n
}

// TestRandomCheckpoints has TensorFlow write the same random checkpoints.
// CKPT_RANDOM_CASES is how many, CKPT_RANDOM_SEED the first seed; the name of a
// case is its seed.
func TestRandomCheckpoints(t *testing.T) {
	tensorflow.Require(t)
	const batch = 20
	first, count := environmentNumber(t, "CKPT_RANDOM_SEED", 0), environmentNumber(t, "CKPT_RANDOM_CASES", 300)
	for done := uint64(0); done < count; done += batch {
		dir := t.TempDir()
		var checkpoints []*randomCheckpoint
		var cases []rawCase
		for i := range min(batch, count-done) {
			folder := filepath.Join(dir, fmt.Sprint(i))
			c := newRandomCheckpoint(t, first+done+i)
			t.Run(fmt.Sprintf("write %d", first+done+i), func(t *testing.T) { c.write(t, folder) })
			checkpoints, cases = append(checkpoints, c), append(cases, c.rawCase(folder))
		}
		for i, answer := range callRaw(t, cases) {
			t.Run(fmt.Sprint(first+done+uint64(i)), func(t *testing.T) {
				checkpoints[i].check(t, filepath.Join(dir, fmt.Sprint(i)), &answer)
			})
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
}
