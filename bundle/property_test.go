package bundle_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// property is a random checkpoint: what is in it, and how it is written.
type property struct {
	tensors []named                   // whole
	slices  map[string][]bundle.Slice // of those that are added in slices
	policy  *bundle.ShardPolicy       // nil for a Writer without a Plan
}

// newProperty makes up to 20 tensors whose names are not taken.
func newProperty(t *testing.T, rng *rand.Rand, taken map[string]bool) *property {
	t.Helper()
	p := &property{slices: make(map[string][]bundle.Slice)}
	for range rng.IntN(21) {
		other := ""
		if len(p.tensors) > 0 && rng.IntN(3) == 0 {
			other = p.tensors[rng.IntN(len(p.tensors))].key
		}
		n := named{propertyName(rng, other, taken), propertyTensor(t, rng)}
		taken[n.key] = true
		p.tensors = append(p.tensors, n)
		if len(n.t.Shape()) > 0 && rng.IntN(3) == 0 {
			p.slices[n.key] = propertySlices(rng, n.t.Shape())
		}
	}
	if rng.IntN(3) > 0 {
		p.policy = new(bundle.ShardPolicy)
		if rng.IntN(3) > 0 {
			p.policy.MaxSize = 1 + rng.Int64N(1+rng.Int64N(3000))
		}
		if rng.IntN(2) == 0 {
			p.policy.Group = func(key string) string { return fmt.Sprint(len(key) % 3) }
		}
	}
	return p
}

// propertyName is any name but the empty one and one that is the key of a slice.
func propertyName(rng *rand.Rand, other string, taken map[string]bool) string {
	for {
		name := []byte(other[:rng.IntN(len(other)+1)])
		for range 1 + rng.IntN(10)*rng.IntN(3) + rng.IntN(300)*rng.IntN(2)*rng.IntN(2) {
			c := byte(rng.Uint32())
			if rng.IntN(2) == 0 {
				c = "\x00\x01ab/\xff"[rng.IntN(6)]
			}
			name = append(name, c)
		}
		if _, _, slice := bundle.DecodeSliceKey(string(name)); !slice && !taken[string(name)] {
			return string(name)
		}
	}
}

// propertyTensor has any dtype that can be written, rank 0 to 6, at times a
// dimension of 0, and at most 300 elements.
func propertyTensor(t *testing.T, rng *rand.Rand) *tensor.Tensor {
	t.Helper()
	d := tensor.DType(1 + rng.IntN(int(tensor.Float4E2M1FN)))
	if d == tensor.Resource || rng.IntN(8) == 0 {
		d = tensor.String
	}
	shape := make(tensor.Shape, rng.IntN(7))
	n := int64(1)
	for i := range shape {
		shape[i] = 1 + rng.Int64N(min(7, 300/n))
		n *= shape[i]
	}
	if len(shape) > 0 && rng.IntN(10) == 0 {
		shape[rng.IntN(len(shape))], n = 0, 0
	}
	some := func(size int) []byte {
		b := make([]byte, size)
		for i := range b {
			b[i] = byte(rng.Uint32())
		}
		return b
	}
	elements := make([][]byte, n)
	for i := range elements {
		elements[i] = some(rng.IntN(5) * rng.IntN(60))
	}
	return propertyValue(t, d, shape, some(int(n)*d.Size()), elements)
}

// propertyValue is a tensor of data or of elements, as the dtype wants it.
func propertyValue(t *testing.T, d tensor.DType, shape tensor.Shape, data []byte, elements [][]byte) *tensor.Tensor {
	t.Helper()
	var v *tensor.Tensor
	var err error
	switch d {
	case tensor.String:
		v, err = tensor.NewStrings(shape, elements)
	case tensor.Variant:
		v, err = tensor.NewVariants(shape, elements)
	default:
		v, err = tensor.New(d, shape, data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// propertySlices cuts a shape into boxes that cover it, in any order. A
// dimension that is not cut may be spelled either way; one of 0 only as full.
func propertySlices(rng *rand.Rand, shape tensor.Shape) []bundle.Slice {
	whole := make(bundle.Slice, len(shape))
	for dim, n := range shape {
		whole[dim] = bundle.Extent{Length: n, Full: n == 0}
	}
	boxes := []bundle.Slice{whole}
	for range rng.IntN(6) {
		i, dim := rng.IntN(len(boxes)), rng.IntN(len(shape))
		if boxes[i][dim].Length < 2 {
			continue
		}
		rows := 1 + rng.Int64N(boxes[i][dim].Length-1)
		back := slices.Clone(boxes[i])
		back[dim].Start += rows
		back[dim].Length -= rows
		boxes[i][dim].Length = rows
		boxes = append(boxes, back)
	}
	for _, s := range boxes {
		for dim, n := range shape {
			if s[dim].Length == n && rng.IntN(2) == 0 {
				s[dim] = bundle.Extent{Full: true}
			}
		}
	}
	rng.Shuffle(len(boxes), func(i, j int) { boxes[i], boxes[j] = boxes[j], boxes[i] })
	return boxes
}

// propertyBox is any box of a shape.
func propertyBox(rng *rand.Rand, shape tensor.Shape) bundle.Slice {
	s := make(bundle.Slice, len(shape))
	for dim, n := range shape {
		if n == 0 || rng.IntN(4) == 0 {
			s[dim] = bundle.Extent{Full: true}
			continue
		}
		s[dim].Start = rng.Int64N(n)
		s[dim].Length = 1 + rng.Int64N(n-s[dim].Start)
	}
	return s
}

// cutValue is the slice of a tensor of any dtype.
func cutValue(t *testing.T, v *tensor.Tensor, s bundle.Slice) *tensor.Tensor {
	t.Helper()
	shape, err := s.Shape(v.Shape())
	if err != nil {
		t.Fatal(err)
	}
	if v.DType().Fixed() {
		return propertyValue(t, v.DType(), shape, cut(v.Shape(), s, v.DType().Size(), v.Bytes()), nil)
	}
	var numbers []byte
	for i := range v.Strings() {
		numbers = binary.LittleEndian.AppendUint16(numbers, uint16(i))
	}
	elements := [][]byte{}
	for number := range slices.Chunk(cut(v.Shape(), s, 2, numbers), 2) {
		elements = append(elements, v.Strings()[binary.LittleEndian.Uint16(number)])
	}
	return propertyValue(t, v.DType(), shape, nil, elements)
}

// write writes the checkpoint, its tensors in order and those in slices one
// slice after the other.
func (p *property) write(t *testing.T, b storage.Bucket, prefix string) {
	t.Helper()
	o := new(bundle.WriterOptions)
	if p.policy != nil {
		var planned []bundle.Planned
		for _, n := range p.tensors {
			for _, s := range p.parts(&n) {
				planned = append(planned, propertyPlanned(t, &n, s))
			}
		}
		plan, err := bundle.NewPlan(slices.Values(planned), p.policy)
		if err != nil {
			t.Fatal(err)
		}
		o.Plan = plan
	}
	w, err := bundle.Create(t.Context(), b, prefix, o)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, n := range p.tensors {
		for _, s := range p.parts(&n) {
			if err := addPart(t, w, &n, s); err != nil {
				t.Fatalf("%q %v: %v", n.key, s, err)
			}
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// parts are the slices in which a tensor is added, nil for all of it.
func (p *property) parts(n *named) []bundle.Slice {
	if s := p.slices[n.key]; s != nil {
		return s
	}
	return []bundle.Slice{nil}
}

func propertyPlanned(t *testing.T, n *named, s bundle.Slice) bundle.Planned {
	t.Helper()
	planned := bundle.Planned{Key: n.key, DType: n.t.DType(), Shape: n.t.Shape(), Slice: s}
	if planned.DType != tensor.String {
		return planned
	}
	v := n.t
	if s != nil {
		v = cutValue(t, v, s)
	}
	for _, e := range v.Strings() {
		planned.Bytes += int64(len(e))
		planned.Longest = max(planned.Longest, int64(len(e)))
	}
	return planned
}

func addPart(t *testing.T, w *bundle.Writer, n *named, s bundle.Slice) error {
	t.Helper()
	if s == nil {
		return addAll(t.Context(), w, []named{*n})
	}
	v, full := cutValue(t, n.t, s), n.t.Shape()
	switch v.DType() {
	case tensor.String:
		return w.AddStringsSlice(t.Context(), n.key, full, s, slices.Values(v.Strings()))
	case tensor.Variant:
		return w.AddVariantsSlice(t.Context(), n.key, full, s, slices.Values(v.Strings()))
	}
	return w.AddSlice(t.Context(), n.key, v.DType(), full, s, one(v.Bytes()))
}

// wantValue compares tensors of any dtype.
func wantValue(t *testing.T, what string, got *tensor.Tensor, err error, want *tensor.Tensor) {
	t.Helper()
	switch {
	case err != nil:
		t.Errorf("%s: %v", what, err)
	case got.DType() != want.DType() || !got.Shape().Equal(want.Shape()):
		t.Errorf("%s: got %v %v, want %v %v", what, got.DType(), got.Shape(), want.DType(), want.Shape())
	case !bytes.Equal(got.Bytes(), want.Bytes()) || !slices.EqualFunc(got.Strings(), want.Strings(), bytes.Equal):
		t.Errorf("%s: got another value", what)
	}
}

// wantCheckpoint reads everything in every way.
func wantCheckpoint(t *testing.T, rng *rand.Rand, b storage.Bucket, prefix string, tensors []named) {
	t.Helper()
	r := open(t, b, prefix)
	for found := range r.CheckLayout(t.Context()) {
		t.Errorf("%s: the layout: %v", prefix, found)
	}
	var want []string
	for _, n := range tensors {
		want = append(want, n.key)
	}
	slices.Sort(want)
	if got := keys(t, r); !slices.Equal(got, want) {
		t.Errorf("%s: got keys %q, want %q", prefix, got, want)
	}
	for _, n := range tensors {
		what := fmt.Sprintf("%s: %q", prefix, n.key)
		if err := r.Check(t.Context(), n.key); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		v, err := r.Tensor(t.Context(), n.key)
		wantValue(t, what, v, err, n.t)
		s := propertyBox(rng, n.t.Shape())
		part := cutValue(t, n.t, s)
		v, err = r.Slice(t.Context(), n.key, s)
		wantValue(t, what+" "+s.String(), v, err, part)
		if !n.t.DType().Fixed() {
			continue
		}
		dst := make([]byte, len(n.t.Bytes()))
		if err := r.ReadInto(t.Context(), n.key, dst); err != nil || !bytes.Equal(dst, n.t.Bytes()) {
			t.Errorf("%s: ReadInto: another value, %v", what, err)
		}
		dst = make([]byte, len(part.Bytes()))
		if err := r.ReadSlice(t.Context(), n.key, s, dst); err != nil || !bytes.Equal(dst, part.Bytes()) {
			t.Errorf("%s: ReadSlice %s: another value, %v", what, s, err)
		}
	}
}

// TestProperties writes random tensors with random names, slices and policies
// and reads them, then merges them with others and reads them again. Reported
// seeds are added to the table.
func TestProperties(t *testing.T) {
	seeds := []uint64{1 << 32, 1<<64 - 1}
	for seed := range uint64(100) {
		seeds = append(seeds, seed)
	}
	for _, seed := range seeds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 10))
			b, taken := mem.New(), make(map[string]bool)
			p, q := newProperty(t, rng, taken), newProperty(t, rng, taken)
			p.write(t, b, "p")
			q.write(t, b, "folder/q")
			wantCheckpoint(t, rng, b, "p", p.tensors)
			wantCheckpoint(t, rng, b, "folder/q", q.tensors)
			inputs := []string{"p", "folder/q"}
			if rng.IntN(2) == 0 {
				slices.Reverse(inputs)
			}
			keep := rng.IntN(2) == 0
			if err := bundle.Merge(t.Context(), b, "m", inputs, &bundle.MergeOptions{Keep: keep}); err != nil {
				t.Fatal(err)
			}
			wantCheckpoint(t, rng, b, "m", append(p.tensors, q.tensors...))
			if keep {
				wantCheckpoint(t, rng, b, "p", p.tensors)
			}
		})
	}
}
