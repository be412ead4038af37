package keras_test

import (
	"encoding/json"
	"math"
	"os"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/tensor"
)

// stored is an array of the golden numbers.
type stored struct {
	DType string
	Shape tensor.Shape
	Data  []byte // base64 in the file
}

func (a stored) tensor(t testing.TB) *tensor.Tensor {
	t.Helper()
	d := tensor.Float32
	switch a.DType {
	case "float32":
	case "int64":
		d = tensor.Int64
	default:
		t.Fatalf("golden numbers of dtype %q", a.DType)
	}
	x, err := tensor.New(d, a.Shape, a.Data)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func (a stored) floats(t testing.TB) []float32 {
	t.Helper()
	return values[float32](t, a.tensor(t))
}

// state is variables and their moments after a step.
type state struct{ W, M, V, VHat []stored }

// yardstick is how far TensorFlow is from itself when it compiles with XLA.
type yardstick struct {
	JIT map[string]struct{ ULP, Relative float64 }
}

// readNumbers reads a file of testdata/tensorflow-2.21.0-numbers.
func readNumbers(t testing.TB, name string, into any) {
	t.Helper()
	b, err := os.ReadFile("../testdata/tensorflow-2.21.0-numbers/" + name)
	if err == nil {
		err = json.Unmarshal(b, into)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// pattern is the formula of the golden weights and inputs.
func pattern(n int, number uint64, scale float64) []float32 {
	list := make([]float32, n)
	for i := range list {
		h := (uint64(i)*2654435761 + number*40503) % 65536
		list[i] = float32(scale * (float64(h)/32768 - 1))
	}
	return list
}

// difference is the largest of several comparisons.
type difference struct {
	ulps     float64 // in units in the last place, of elements that are no less than a thousandth of the largest
	relative float64 // to the largest absolute value of the array
}

func (d *difference) add(t testing.TB, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d numbers, want %d", len(got), len(want))
	}
	got, want = flushed(got), flushed(want)
	largest, off := 0.0, 0.0
	for i := range want {
		largest = max(largest, math.Abs(float64(want[i])))
		off = max(off, math.Abs(float64(got[i])-float64(want[i])))
		if math.IsNaN(float64(got[i])) != math.IsNaN(float64(want[i])) {
			t.Fatalf("element %d: got %v, want %v", i, got[i], want[i])
		}
	}
	if largest > 0 {
		d.relative = max(d.relative, off/largest)
	} else if off > 0 {
		d.relative = math.Inf(1)
	}
	for i := range want {
		if math.Abs(float64(want[i])) >= largest/1000 {
			d.ulps = max(d.ulps, ulps(got[i], want[i]))
		}
	}
}

// flushed replaces numbers that are too small to be normal by zero, as
// TensorFlow does.
func flushed(list []float32) []float32 {
	list = slices.Clone(list)
	for i, x := range list {
		if math.Abs(float64(x)) < 0x1p-126 {
			list[i] = 0
		}
	}
	return list
}

// check compares with TensorFlow's own distance from itself, at least four
// roundings and never more than 4e-6 of an array's largest element.
func (d *difference) check(t testing.TB, what string, yardstick float64) {
	t.Helper()
	if limit := min(4e-6, 4*max(yardstick, 0x1p-23)); d.relative > limit {
		t.Errorf("%s differ by %.2g of the largest, want %.2g at most", what, d.relative, limit)
	}
}

// ulps is the distance of two numbers in units in the last place.
func ulps(a, b float32) float64 {
	order := func(x float32) int64 {
		if i := int64(int32(math.Float32bits(x))); i >= 0 {
			return i
		} else {
			return math.MinInt32 - i
		}
	}
	return math.Abs(float64(order(a) - order(b)))
}

// sameBits refuses any difference.
func sameBits(t testing.TB, what string, got, want []float32) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Errorf("%s: got %v, want %v (element %d)", what, got, want, i)
			return
		}
	}
}
