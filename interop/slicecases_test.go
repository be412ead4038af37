package interop_test

import (
	"encoding/base64"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/tensor"
)

// sliceDTypes are the dtypes of random tensors. TensorFlow joins slices of the
// joined ones, and gives back those of the others only as they are stored.
var sliceDTypes = []struct {
	dtype  tensor.DType
	joined bool
}{
	{tensor.Float32, true}, {tensor.Float64, true}, {tensor.Int32, true}, {tensor.Int8, true}, {tensor.Int64, true}, {tensor.Bool, true},
	{tensor.BFloat16, true}, {tensor.Complex64, true}, {tensor.Int4, true}, {tensor.Float16, false}, {tensor.Uint16, false}, {tensor.Uint32, false},
	{tensor.Uint64, false}, {tensor.String, false},
}

// part is a tensor, or a slice of it, under the name it is stored under.
type part struct {
	name  string
	full  tensor.Shape
	slice bundle.Slice
	value *tensor.Tensor // of the slice
}

// spec is what SaveV2 and RestoreV2 want to know of a part.
func (p *part) spec() string {
	var b strings.Builder
	if p.slice == nil {
		return ""
	}
	for _, n := range p.full {
		fmt.Fprintf(&b, "%d ", n)
	}
	return b.String() + p.slice.String()
}

// jsonOf is a tensor as server.py wants it.
func jsonOf(v *tensor.Tensor) value {
	j := value{DType: v.DType().String(), Shape: append([]int64{}, v.Shape()...)}
	if v.DType() != tensor.String {
		j.Data = base64.StdEncoding.EncodeToString(v.Bytes())
		return j
	}
	for _, e := range v.Strings() {
		j.Strings = append(j.Strings, base64.StdEncoding.EncodeToString(e))
	}
	return j
}

func randomShape(rng *rand.Rand, ranks int) tensor.Shape {
	shape := make(tensor.Shape, rng.IntN(ranks+1))
	for i := range shape {
		shape[i] = 1 + rng.Int64N(6)
	}
	return shape
}

func randomTensor(t *testing.T, rng *rand.Rand, d tensor.DType, shape tensor.Shape) *tensor.Tensor {
	t.Helper()
	n, _ := shape.Elements()
	var v *tensor.Tensor
	var err error
	if d == tensor.String {
		elements := make([][]byte, n)
		for i := range elements {
			elements[i] = make([]byte, rng.IntN(5)*rng.IntN(60))
			for j := range elements[i] {
				elements[i][j] = byte(rng.Uint32())
			}
		}
		v, err = tensor.NewStrings(shape, elements)
	} else {
		data := make([]byte, n*int64(d.Size()))
		for i := range data {
			data[i] = byte(rng.Uint32()) & validBits(d)
		}
		v, err = tensor.New(d, shape, data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// cutTensor returns the part of a row-major tensor that a slice is, element by
// element.
func cutTensor(t *testing.T, v *tensor.Tensor, s bundle.Slice) *tensor.Tensor {
	t.Helper()
	full := v.Shape()
	shape, err := s.Shape(full)
	if err != nil {
		t.Fatal(err)
	}
	total, _ := full.Elements()
	var data []byte
	elements := [][]byte{}
next:
	for i := range total {
		rest := i
		for dim := len(full) - 1; dim >= 0; dim-- {
			at := rest % full[dim]
			rest /= full[dim]
			if e := s[dim]; !e.Full && (at < e.Start || at >= e.Start+e.Length) {
				continue next
			}
		}
		if v.DType() == tensor.String {
			elements = append(elements, v.Strings()[i])
			continue
		}
		size := int64(v.DType().Size())
		data = append(data, v.Bytes()[i*size:(i+1)*size]...)
	}
	var cut *tensor.Tensor
	if v.DType() == tensor.String {
		cut, err = tensor.NewStrings(shape, elements)
	} else {
		cut, err = tensor.New(v.DType(), shape, data)
	}
	if err != nil {
		t.Fatal(err)
	}
	return cut
}

// randomCuts cuts a tensor into boxes, some dimensions spelled "-".
func randomCuts(rng *rand.Rand, shape tensor.Shape, times int) []bundle.Slice {
	whole := make(bundle.Slice, len(shape))
	for i, n := range shape {
		whole[i].Length = n
	}
	boxes := []bundle.Slice{whole}
	for range times {
		i, dim := rng.IntN(len(boxes)), 0
		if len(shape) > 0 {
			dim = rng.IntN(len(shape))
		}
		if len(shape) == 0 || boxes[i][dim].Length < 2 {
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

// randomSlice is any box of a tensor.
func randomSlice(rng *rand.Rand, shape tensor.Shape) bundle.Slice {
	s := make(bundle.Slice, len(shape))
	for i, n := range shape {
		s[i].Start = rng.Int64N(n)
		s[i].Length = 1 + rng.Int64N(n-s[i].Start)
	}
	return s
}

// randomParts makes tensors, most of them cut, in any order.
func randomParts(t *testing.T, rng *rand.Rand, tag string) (whole map[string]*tensor.Tensor, parts []part) {
	whole = make(map[string]*tensor.Tensor)
	for i := range 1 + rng.IntN(5) {
		d := sliceDTypes[rng.IntN(len(sliceDTypes))]
		name := fmt.Sprintf("%s%c/%d", tag, 'a'+rng.IntN(26), i)
		v := randomTensor(t, rng, d.dtype, randomShape(rng, 4))
		whole[name] = v
		if rng.IntN(4) == 0 {
			parts = append(parts, part{name, v.Shape(), nil, v})
			continue
		}
		if len(v.Shape()) == 0 {
			parts = append(parts, part{name, v.Shape(), nil, v})
			continue
		}
		for _, s := range randomCuts(rng, v.Shape(), rng.IntN(6)) {
			parts = append(parts, part{name, v.Shape(), s, cutTensor(t, v, s)})
		}
	}
	rng.Shuffle(len(parts), func(i, j int) { parts[i], parts[j] = parts[j], parts[i] })
	return whole, parts
}
