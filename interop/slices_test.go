package interop_test

import (
	"bytes"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// writeParts writes with ckpt what write_slices writes with TensorFlow.
func writeParts(t *testing.T, b storage.Bucket, prefix string, parts []part) {
	t.Helper()
	w, err := bundle.Create(t.Context(), b, prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	addParts(t, w, parts)
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// addParts adds tensors and slices in their order.
func addParts(t *testing.T, w *bundle.Writer, parts []part) {
	t.Helper()
	for _, p := range parts {
		var err error
		switch v := p.value; {
		case p.slice == nil && v.DType() == tensor.String:
			err = w.AddStrings(t.Context(), p.name, p.full, slices.Values(v.Strings()))
		case p.slice == nil:
			err = w.Add(t.Context(), p.name, v.DType(), p.full, slices.Values([][]byte{v.Bytes()}))
		case v.DType() == tensor.String:
			err = w.AddStringsSlice(t.Context(), p.name, p.full, p.slice, slices.Values(v.Strings()))
		default:
			err = w.AddSlice(t.Context(), p.name, v.DType(), p.full, p.slice, slices.Values([][]byte{v.Bytes()}))
		}
		if err != nil {
			t.Fatalf("%q %s: %v", clip(p.name), p.spec(), err)
		}
	}
}

func callWrite(t *testing.T, prefix string, parts []part) {
	t.Helper()
	var names, specs []string
	var values []value
	for _, p := range parts {
		names, specs, values = append(names, p.name), append(specs, p.spec()), append(values, jsonOf(p.value))
	}
	tensorflow.Call(t, "write_slices", map[string]any{"prefix": prefix, "names": names, "specs": specs, "tensors": values}, nil)
}

// sameFolder compares all files that begin with a prefix.
func sameFolder(t *testing.T, got, want string) {
	t.Helper()
	ours, err := filepath.Glob(got + "*")
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := filepath.Glob(want + "*")
	if err != nil {
		t.Fatal(err)
	}
	for i := range ours {
		ours[i] = strings.TrimPrefix(ours[i], got)
	}
	for i := range theirs {
		theirs[i] = strings.TrimPrefix(theirs[i], want)
	}
	if len(ours) < 2 || !slices.Equal(ours, theirs) {
		t.Errorf("got files %q, want %q", ours, theirs)
		return
	}
	for _, suffix := range ours {
		a, err := os.ReadFile(got + suffix)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(want + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from TensorFlow's:\n%s", suffix, firstDifference(a, b))
		}
	}
}

// TestSlices writes random slices on both sides and reads random slices of what
// the other wrote.
func TestSlices(t *testing.T) {
	tensorflow.Require(t)
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 1))
			dir := t.TempDir()
			whole, parts := randomParts(t, rng, "")
			callWrite(t, filepath.Join(dir, "theirs"), parts)
			writeParts(t, local.Open(dir, nil), "ours", parts)
			sameFolder(t, filepath.Join(dir, "ours"), filepath.Join(dir, "theirs"))
			readSlices(t, rng, dir, "ours", whole, parts)
		})
	}
}

// readSlices reads whole tensors, stored slices and any others on both sides.
func readSlices(t *testing.T, rng *rand.Rand, dir, prefix string, whole map[string]*tensor.Tensor, parts []part) {
	t.Helper()
	r, err := bundle.Open(t.Context(), local.Open(dir, nil), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	joined := make(map[tensor.DType]bool)
	for _, d := range sliceDTypes {
		joined[d.dtype] = d.joined
	}
	asked := slices.Clone(parts)
	for name, v := range whole {
		for range 3 {
			s := randomSlice(rng, v.Shape())
			asked = append(asked, part{name, v.Shape(), s, cutTensor(t, v, s)})
		}
		asked = append(asked, part{name, v.Shape(), nil, v})
	}
	var names, specs, dtypes []string
	var want []string
	for i, p := range asked {
		var got *tensor.Tensor
		var err error
		if p.slice != nil {
			got, err = r.Slice(t.Context(), p.name, p.slice)
			checkInto(t, r, &p)
		} else {
			got, err = r.Tensor(t.Context(), p.name)
		}
		if err != nil {
			t.Errorf("%s %s: %v", p.name, p.spec(), err)
		} else if hash(got) != hash(p.value) || !got.Shape().Equal(p.value.Shape()) {
			t.Errorf("%s %s: got another value", p.name, p.spec())
		}
		if i >= len(parts) && !joined[p.value.DType()] || p.slice != nil && len(p.full) == 0 {
			continue // TensorFlow cannot
		}
		names, specs, dtypes = append(names, p.name), append(specs, p.spec()), append(dtypes, p.value.DType().String())
		want = append(want, hash(p.value))
	}
	var theirs []storedTensor
	tensorflow.Call(t, "read_slices", map[string]any{"prefix": filepath.Join(dir, prefix), "names": names, "specs": specs, "dtypes": dtypes}, &theirs)
	for i := range theirs {
		if theirs[i].SHA256 != want[i] {
			t.Errorf("TensorFlow reads another value of %s %s", names[i], specs[i])
		}
	}
}

// checkInto reads a slice into memory of the caller.
func checkInto(t *testing.T, r *bundle.Reader, p *part) {
	t.Helper()
	if p.value.DType() == tensor.String {
		return
	}
	for name, read := range map[string]func([]byte) error{
		"ReadSlice":   func(dst []byte) error { return r.ReadSlice(t.Context(), p.name, p.slice, dst) },
		"VerifySlice": func(dst []byte) error { return r.VerifySlice(t.Context(), p.name, p.slice, dst) },
	} {
		dst := make([]byte, len(p.value.Bytes()))
		if err := read(dst); err != nil || !bytes.Equal(dst, p.value.Bytes()) {
			t.Errorf("%s of %s %s: another value, %v", name, p.name, p.spec(), err)
		}
	}
}

// TestMerge merges random inputs on both sides, some of them merged before.
func TestMerge(t *testing.T) {
	tensorflow.Require(t)
	for seed := range uint64(15) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 2))
			ours, theirs := t.TempDir(), t.TempDir()
			b := local.Open(ours, nil)
			whole, parts := randomParts(t, rng, "")
			more, moreParts := randomParts(t, rng, "z")
			maps.Copy(whole, more)
			parts = append(parts, moreParts...)
			n := min(1+rng.IntN(4), len(parts))
			inputs := make([][]part, n)
			for i, p := range parts {
				at := rng.IntN(n)
				if i < n {
					at = i // no input is empty
				}
				inputs[at] = append(inputs[at], p)
			}
			var names []string
			for i, input := range inputs {
				names = append(names, fmt.Sprintf("in%d/part", i))
				writeParts(t, b, names[i], input)
				writeParts(t, local.Open(theirs, nil), names[i], input)
			}
			if n > 2 {
				mergeBoth(t, ours, theirs, "first/m", names[:2], false)
				names = append([]string{"first/m"}, names[2:]...)
				rng.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
			}
			mergeBoth(t, ours, theirs, "out", names, rng.IntN(2) == 0)
			readSlices(t, rng, ours, "out", whole, parts)
		})
	}
}

func mergeBoth(t *testing.T, ours, theirs, out string, inputs []string, deleteFolders bool) {
	t.Helper()
	var prefixes []string
	for _, name := range inputs {
		prefixes = append(prefixes, filepath.Join(theirs, name))
	}
	var left [][]string
	tensorflow.Call(t, "merge", map[string]any{"prefixes": prefixes, "destination": filepath.Join(theirs, out), "delete_old_dirs": deleteFolders}, &left)
	if err := bundle.Merge(t.Context(), local.Open(ours, nil), out, inputs, nil); err != nil {
		t.Fatal(err)
	}
	sameFolder(t, filepath.Join(ours, out), filepath.Join(theirs, out))
	for i, name := range inputs {
		entries, err := os.ReadDir(filepath.Dir(filepath.Join(ours, name)))
		if err != nil || len(entries) != len(left[i]) {
			t.Errorf("%s: got %d files left, %v, TensorFlow leaves %q", name, len(entries), err, left[i])
		}
	}
}

// TestMaxShardSize writes random checkpoints in shards of limited size on both
// sides, where TensorFlow's policy returns.
func TestMaxShardSize(t *testing.T) {
	tensorflow.Require(t)
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 3))
			dir := t.TempDir()
			limit := int64(1)
			tensors := make(map[string]value)
			for i := range 1 + rng.IntN(6) {
				d := sliceDTypes[rng.IntN(len(sliceDTypes))].dtype
				shape := randomShape(rng, 3)
				if d == tensor.String {
					shape = shape[:min(1, len(shape))] // what TensorFlow can measure
				}
				if d == tensor.Int4 {
					d = tensor.Int8 // no variable in a file has it
				}
				v := randomTensor(t, rng, d, shape)
				tensors[fmt.Sprintf("v%d", i)] = jsonOf(v)
				limit = max(limit, smallestCut(v))
			}
			limit += rng.Int64N(2 * limit)
			theirs := filepath.Join(dir, "theirs")
			tensorflow.Call(t, "write_sharded", map[string]any{"prefix": theirs, "tensors": tensors, "max_shard_size": limit}, nil)
			writePlanned(t, theirs, dir, "ours", limit)
			sameFolder(t, filepath.Join(dir, "ours"), theirs)
		})
	}
}

// smallestCut is the least limit with which TensorFlow's policy ends.
func smallestCut(v *tensor.Tensor) int64 {
	if len(v.Shape()) == 0 {
		return 1
	}
	size := int64(v.DType().Size())
	for _, e := range v.Strings() {
		size = max(size, int64(len(e)))
	}
	n, _ := v.Shape().Elements()
	return n / slices.Max(v.Shape()) * size
}

// writePlanned writes the tensors of a checkpoint again, the object graph last.
func writePlanned(t *testing.T, from, dir, name string, limit int64) {
	t.Helper()
	r, err := ckpt.Open(t.Context(), from, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var planned []bundle.Planned
	values := make(map[string]*tensor.Tensor)
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		value, err := r.Tensor(t.Context(), v.Name)
		if err != nil {
			t.Fatal(err)
		}
		values[v.Name] = value
		p := bundle.Planned{Key: v.Name, DType: v.DType, Shape: v.Shape}
		for _, e := range value.Strings() {
			p.Bytes += int64(len(e))
			p.Longest = max(p.Longest, int64(len(e)))
		}
		planned = append(planned, p)
	}
	// The object graph's key sorts first, and TensorFlow writes it last.
	planned = append(planned[1:], bundle.Planned{Key: planned[0].Key, DType: tensor.String})
	plan, err := bundle.NewPlan(slices.Values(planned), &bundle.ShardPolicy{MaxSize: limit})
	if err != nil {
		t.Fatal(err)
	}
	w, err := bundle.Create(t.Context(), local.Open(dir, nil), name, &bundle.WriterOptions{Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, p := range planned {
		v := values[p.Key]
		if p.DType == tensor.String {
			err = w.AddStrings(t.Context(), p.Key, p.Shape, slices.Values(v.Strings()))
		} else {
			err = w.Add(t.Context(), p.Key, p.DType, p.Shape, slices.Values([][]byte{v.Bytes()}))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}
