package interop_test

import (
	"encoding/base64"
	"encoding/binary"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// The types of rawops.py. Names are in base64.
type (
	rawSave struct {
		Prefix  string   `json:"prefix"`
		Names   []string `json:"names"`
		Specs   []string `json:"specs"`
		Tensors []value  `json:"tensors"`
	}
	rawMerge struct {
		Inputs        []string `json:"inputs"`
		Output        string   `json:"output"`
		DeleteOldDirs bool     `json:"delete_old_dirs"`
	}
	rawRead struct {
		Prefix string   `json:"prefix"`
		Names  []string `json:"names"`
		Specs  []string `json:"specs"`
		DTypes []string `json:"dtypes"`
	}
	// rawCase is what TensorFlow does in one go, in this order.
	rawCase struct {
		Saves  []rawSave  `json:"saves"`
		Merges []rawMerge `json:"merges"`
		Reads  []rawRead  `json:"reads"`
	}
	// rawAnswer has the digests of each read.
	rawAnswer struct {
		Digests [][]string `json:"digests"`
		Error   string     `json:"error"`
	}
)

// everyDType lists what SaveV2 takes and a program can make: all but resources,
// which are no values, and variants, which are written otherwise.
func everyDType() []tensor.DType {
	var all []tensor.DType
	for d := tensor.Float32; d.Known(); d++ {
		if d.Fixed() || d == tensor.String {
			all = append(all, d)
		}
	}
	return all
}

// joinedDTypes are those whose slices RestoreV2 makes one tensor again. The
// others it gives back only as they are stored.
var joinedDTypes = []tensor.DType{
	tensor.Float32, tensor.Float64, tensor.BFloat16, tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64, tensor.Uint8, tensor.Bool,
	tensor.Complex64, tensor.Complex128, tensor.QInt8, tensor.QInt32, tensor.QUint8, tensor.Int4, tensor.Uint4,
}

// validBits are the bits of a byte that an element of a narrow dtype has.
func validBits(d tensor.DType) byte {
	switch d {
	case tensor.Bool:
		return 1
	case tensor.Int2, tensor.Uint2:
		return 3
	case tensor.Int4, tensor.Uint4, tensor.Float4E2M1FN:
		return 15
	}
	return 255
}

func rawSaveOf(prefix string, parts []part) rawSave {
	s := rawSave{Prefix: prefix}
	for _, p := range parts {
		s.Names = append(s.Names, base64.StdEncoding.EncodeToString([]byte(p.name)))
		s.Specs = append(s.Specs, p.spec())
		s.Tensors = append(s.Tensors, jsonOf(p.value))
	}
	return s
}

func rawReadOf(prefix string, parts []part) rawRead {
	r := rawRead{Prefix: prefix}
	for _, p := range parts {
		r.Names = append(r.Names, base64.StdEncoding.EncodeToString([]byte(p.name)))
		r.Specs = append(r.Specs, p.spec())
		r.DTypes = append(r.DTypes, p.value.DType().String())
	}
	return r
}

// digest is what rawops.py says of a tensor.
func digest(v *tensor.Tensor) string {
	return hash(v) + " " + v.DType().String() + " " + v.Shape().String()
}

func callRaw(t *testing.T, cases []rawCase) []rawAnswer {
	t.Helper()
	var answers []rawAnswer
	tensorflow.Call(t, "raw_cases", map[string]any{"cases": cases}, &answers)
	if len(answers) != len(cases) {
		t.Fatalf("got %d answers to %d cases", len(answers), len(cases))
	}
	return answers
}

// checkRead compares what TensorFlow read with the parts it was asked for.
func checkRead(t *testing.T, digests []string, parts []part) {
	t.Helper()
	if len(digests) != len(parts) {
		t.Errorf("TensorFlow reads %d tensors, want %d", len(digests), len(parts))
		return
	}
	for i, p := range parts {
		if want := digest(p.value); digests[i] != want {
			t.Errorf("TensorFlow reads %s of %q %s, want %s", digests[i], clip(p.name), p.spec(), want)
		}
	}
}

// clip keeps a very long name out of messages.
func clip(name string) string {
	if len(name) > 64 {
		return name[:64] + "…"
	}
	return name
}

// checkParts reads parts with ckpt.
func checkParts(t *testing.T, prefix string, parts []part) {
	t.Helper()
	r, err := bundle.Open(t.Context(), local.Open(filepath.Dir(prefix), nil), filepath.Base(prefix), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, p := range parts {
		var got *tensor.Tensor
		var err error
		if p.slice == nil {
			got, err = r.Tensor(t.Context(), p.name)
		} else {
			got, err = r.Slice(t.Context(), p.name, p.slice)
		}
		if err != nil {
			t.Errorf("%q %s: %v", clip(p.name), p.spec(), err)
		} else if got, want := digest(got), digest(p.value); got != want {
			t.Errorf("%q %s: got %s, want %s", clip(p.name), p.spec(), got, want)
		}
	}
}

// identical writes parts on both sides into one checkpoint each. The files must
// be the same, and each side must read what the other wrote, TensorFlow at least
// a thousand of it.
func identical(t *testing.T, parts []part) (prefix string) {
	t.Helper()
	var asked []part
	for i := 0; i < len(parts); i += max(1, len(parts)/1000) {
		asked = append(asked, parts[i])
	}
	dir := t.TempDir()
	ours, theirs := filepath.Join(dir, "ours"), filepath.Join(dir, "theirs")
	writeParts(t, local.Open(dir, nil), "ours", parts)
	answer := callRaw(t, []rawCase{{Saves: []rawSave{rawSaveOf(theirs, parts)}, Reads: []rawRead{rawReadOf(ours, asked)}}})[0]
	if answer.Error != "" {
		t.Fatal(answer.Error)
	}
	sameFolder(t, ours, theirs)
	checkRead(t, answer.Digests[0], asked)
	checkParts(t, theirs, parts)
	return ours
}

// writePlannedParts writes parts in the shards that a Plan with a group for each
// of them gives them.
func writePlannedParts(t *testing.T, dir, prefix string, groups [][]part) {
	t.Helper()
	group := make(map[string]string)
	var planned []bundle.Planned
	for i, parts := range groups {
		for _, p := range parts {
			group[p.name] = string(rune('a' + i))
			one := bundle.Planned{Key: p.name, DType: p.value.DType(), Shape: p.full, Slice: p.slice}
			for _, e := range p.value.Strings() {
				one.Bytes += int64(len(e))
				one.Longest = max(one.Longest, int64(len(e)))
			}
			planned = append(planned, one)
		}
	}
	plan, err := bundle.NewPlan(slices.Values(planned), &bundle.ShardPolicy{Group: func(key string) string { return group[key] }})
	if err != nil {
		t.Fatal(err)
	}
	w, err := bundle.Create(t.Context(), local.Open(dir, nil), prefix, &bundle.WriterOptions{Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	addParts(t, w, slices.Concat(groups...))
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// indexBlocks counts the data blocks of an index: its own index block stands
// before the footer, with one restart for each.
func indexBlocks(t *testing.T, prefix string) int {
	t.Helper()
	content, err := os.ReadFile(prefix + ".index")
	if err != nil {
		t.Fatal(err)
	}
	const footer, trailer = 48, 5
	at := len(content) - footer - trailer - 4
	if at < 0 {
		t.Fatalf("an index of %d bytes", len(content))
	}
	return int(binary.LittleEndian.Uint32(content[at:]))
}
