package ckpt_test

import (
	"bytes"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

var explain = &ckpt.VerifyOptions{Explain: true}

// footer is the length of the end of an index, which no checksum covers.
const footer = 48

// explainFlips flips each step-th bit of a file of a checkpoint, and wants each
// problem of a checksum to name that bit and no other. It returns how many
// flips were explained, of how many.
func explainFlips(t *testing.T, prefix, file string, step int) (explained, flips int) {
	t.Helper()
	name := filepath.Join(filepath.Dir(prefix), file)
	good := readFile(t, name)
	for bit := 0; bit < 8*len(good); bit += step {
		bad := bytes.Clone(good)
		bad[bit/8] ^= 1 << (bit % 8)
		writeFile(t, name, bad)
		flips++
		v, err := ckpt.Verify(t.Context(), prefix, explain)
		if err != nil || v.OK() {
			t.Fatalf("%s bit %d: got %+v, %v", file, bit, v, err)
		}
		for _, p := range v.Problems {
			e := p.Explanation
			if e == nil || len(e.Flips) == 0 {
				if p.Kind == ckpt.KindChecksum && (strings.Contains(file, ".data-") || bit < 8*(len(good)-footer)) {
					t.Errorf("%s bit %d: no explanation of %v", file, bit, p)
				}
				continue
			}
			explained++
			got := e.Flips[0]
			if len(e.Flips) != 1 || got.File != file || got.Offset != int64(bit/8) || got.Bit != bit%8 {
				t.Errorf("%s bit %d: got %+v", file, bit, e.Flips)
			}
		}
	}
	writeFile(t, name, good)
	return explained, flips
}

// TestVerifyExplainsEachBit flips the bits of checkpoints that TensorFlow wrote:
// with one data file, in slices over four, and of V1.
func TestVerifyExplainsEachBit(t *testing.T) {
	for _, c := range []struct {
		golden, prefix string
		step           int
	}{
		{"tensorflow-2.21.0-manager/checkpoints", "ckpt-7", 3},
		{"tensorflow-2.21.0-shards", "cut", 7},
		{"tensorflow-2.21.0-strings", "strings", 487},
		{"tensorflow-2.21.0-names", "saver-5", 17},
		{"tensorflow-2.21.0-dtypes", "dtypes", 53},
	} {
		t.Run(c.golden, func(t *testing.T) {
			if raceDetector {
				c.step *= 41
			}
			dir := t.TempDir()
			files, err := filepath.Glob(filepath.Join("testdata", c.golden, c.prefix+".data-*"))
			if err != nil || len(files) == 0 {
				t.Fatalf("got %d data files, %v", len(files), err)
			}
			for _, f := range append(files, filepath.Join("testdata", c.golden, c.prefix+".index")) {
				writeFile(t, filepath.Join(dir, filepath.Base(f)), readFile(t, f))
			}
			for _, f := range files {
				if explained, flips := explainFlips(t, filepath.Join(dir, c.prefix), filepath.Base(f), c.step); explained != flips {
					t.Errorf("%s: %d of %d flips are explained", filepath.Base(f), explained, flips)
				}
			}
			// The footer has no checksum, and nothing can be told of it.
			index := c.prefix + ".index"
			size := len(readFile(t, filepath.Join(dir, index)))
			explained, flips := explainFlips(t, filepath.Join(dir, c.prefix), index, c.step)
			if want := flips * (size - footer) / size; explained < want-1 {
				t.Errorf("%s: %d of %d flips are explained, want %d", index, explained, flips, want)
			}
		})
	}
}

// offsetOf is where a tensor begins in its data file.
func offsetOf(t *testing.T, prefix, key string) int {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for v := range r.Variables() {
		if v.Name == key {
			return int(v.Offset)
		}
	}
	t.Fatalf("%s is not there", key)
	return 0
}

// TestVerifyExplainsOneBitOnly damages more than one bit, and what has no checksum.
func TestVerifyExplainsOneBitOnly(t *testing.T) {
	for _, c := range []struct {
		name string
		bits []int // of the weights, 12 bytes
	}{{"two bits", []int{0, 1}}, {"two bits far apart", []int{3, 90}}, {"three bits", []int{5, 40, 77}}, {"a byte", []int{8, 9, 10, 11, 12, 13, 14, 15}}} {
		t.Run(c.name, func(t *testing.T) {
			prefix := filepath.Join(savedDir(t, 1), "ckpt-1")
			offset := offsetOf(t, prefix, "weights/.ATTRIBUTES/VARIABLE_VALUE")
			for _, bit := range c.bits {
				flipBit(t, dataOf(prefix), offset+bit/8, uint(bit%8))
			}
			v, err := ckpt.Verify(t.Context(), prefix, explain)
			if err != nil || len(v.Problems) != 1 || v.Problems[0].Explanation == nil || len(v.Problems[0].Explanation.Flips) != 0 {
				t.Fatalf("got %+v, %v", v.Problems, err)
			}
			if got, want := v.Problems[0].Explanation.String(), "no single flipped bit of these bytes explains it"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
			if v, err := ckpt.Verify(t.Context(), prefix, nil); err != nil || v.Problems[0].Explanation != nil {
				t.Errorf("not asked for: got %+v, %v", v.Problems[0].Explanation, err)
			}
		})
	}
	t.Run("no checksum", func(t *testing.T) {
		prefix := filepath.Join(savedDir(t, 1), "ckpt-1")
		removeFile(t, dataOf(prefix))
		v, err := ckpt.Verify(t.Context(), prefix, explain)
		if err != nil || v.OK() || v.Problems[0].Explanation != nil {
			t.Errorf("got %+v, %v", v.Problems, err)
		}
	})
}

// TestVerifyExplainsLarge flips one bit of a tensor of 1 MiB, in the middle of a chunk.
func TestVerifyExplainsLarge(t *testing.T) {
	dir := t.TempDir()
	prefix := filepath.Join(dir, "large")
	x := ckpt.NewVariable[float32]("x", tensor.Shape{1 << 18}, nil)
	for i := range x.Data() {
		x.Data()[i] = float32(i)
	}
	if _, err := ckpt.New(ckpt.Objects{"x": x}).Write(t.Context(), prefix, nil); err != nil {
		t.Fatal(err)
	}
	flipBit(t, dataOf(prefix), 777_777, 6)
	v, err := ckpt.Verify(t.Context(), prefix, explain)
	if err != nil || len(v.Problems) != 1 || v.Problems[0].Explanation == nil {
		t.Fatalf("got %+v, %v", v, err)
	}
	want := "one flipped bit explains it: bit 6 of the byte at offset 777777; at most 0.4 % of other damage looks like that"
	if got := v.Problems[0].Explanation.String(); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestExplanationText(t *testing.T) {
	flip := ckpt.Flip{File: "f", Offset: 5, Bit: 1}
	for _, c := range []struct {
		e    ckpt.Explanation
		want string
	}{
		{ckpt.Explanation{Chance: 0.5}, "no single flipped bit of these bytes explains it"},
		{ckpt.Explanation{Flips: []ckpt.Flip{flip}, Chance: 1e-9}, "one flipped bit explains it: bit 1 of the byte at offset 5; at most 0.001 % of other damage looks like that"},
		{ckpt.Explanation{Flips: []ckpt.Flip{{Offset: 9, Checksum: true}}, Chance: 0.25}, "one flipped bit explains it: bit 0 of the byte at offset 9, in the checksum itself; at most 25 % of other damage looks like that"},
		{ckpt.Explanation{Flips: []ckpt.Flip{{Offset: -1, Bit: 31, Checksum: true}}, Chance: 0.02}, "one flipped bit explains it: bit 31 of the checksum in the index; at most 2 % of other damage looks like that"},
		{ckpt.Explanation{Flips: slices.Repeat([]ckpt.Flip{flip}, 5), Chance: 1}, "one flipped bit explains it: bit 1 of the byte at offset 5, or bit 1 of the byte at offset 5, or bit 1 of the byte at offset 5, or 2 more; so it does for any damage of an odd number of bits, and proves nothing"},
	} {
		if got := c.e.String(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// TestVerifyExplainChangesNothing keeps the files as they are.
func TestVerifyExplainChangesNothing(t *testing.T) {
	dir := savedDir(t, 1)
	prefix := filepath.Join(dir, "ckpt-1")
	flipBit(t, dataOf(prefix), 3, 3)
	before := fmt.Sprint(filesIn(t, dir), readFile(t, dataOf(prefix)))
	if _, err := ckpt.Verify(t.Context(), prefix, explain); err != nil {
		t.Fatal(err)
	}
	if after := fmt.Sprint(filesIn(t, dir), readFile(t, dataOf(prefix))); after != before {
		t.Errorf("got %s, want %s", after, before)
	}
}
