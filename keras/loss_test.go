package keras_test

import (
	"math"
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// Cross-entropies are TensorFlow's: the loss within two units in the last place, the gradient to four
// roundings of its largest element.
func TestCrossentropy(t *testing.T) {
	var f struct {
		Cases []struct {
			Name, Kind           string
			X, Y, Mean, Gradient stored
			Yardsticks           yardstick
		}
	}
	readNumbers(t, "crossentropy.json", &f)
	if len(f.Cases) < 16 {
		t.Fatalf("%d cases, want 16", len(f.Cases))
	}
	for _, c := range f.Cases {
		t.Run(c.Name, func(t *testing.T) {
			x := keras.NewVariable(c.X.tensor(t), nil)
			out, err := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
				tape := s.Tape()
				var loss keras.Tensor
				switch c.Kind {
				case "softmax":
					loss = keras.SparseCategoricalCrossentropy(in[0], keras.Softmax(s.Read(x)))
				case "logits":
					loss = keras.SparseCategoricalCrossentropyFromLogits(in[0], s.Read(x))
				default:
					loss = keras.SparseCategoricalCrossentropy(in[0], s.Read(x))
				}
				return []keras.Tensor{loss, tape.Gradient(loss, x)[0]}
			}).Run(t.Context(), c.Y.tensor(t))
			if err != nil {
				t.Fatal(err)
			}
			var loss, gradient difference
			loss.add(t, values[float32](t, out[0]), c.Mean.floats(t))
			gradient.add(t, values[float32](t, out[1]), c.Gradient.floats(t))
			if loss.ulps > 2 {
				t.Errorf("the loss is %v units in the last place off, want 2 at most", loss.ulps)
			}
			gradient.check(t, "gradients", c.Yardsticks.JIT["gradient"].Relative)
			t.Logf("ulps: loss %v, gradient %v; of the largest: %.1e, %.1e", loss.ulps, gradient.ulps, loss.relative, gradient.relative)
		})
	}
}

// Where a probability is just at a limit its gradient passes, just outside it is
// zero: numbers of TensorFlow 2.21.0.
func TestCrossentropyAtLimits(t *testing.T) {
	const low, high = float32(1e-7), float32(1 - 1e-7)
	x := keras.NewVariable(of(t, tensor.Shape{2, 3}, high, low, 0.5,
		math.Nextafter32(high, 2), math.Nextafter32(low, 0), 0.25), nil)
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		loss := keras.SparseCategoricalCrossentropy(in[0], s.Read(x))
		return append(s.Tape().Gradient(loss, x), loss)
	})
	for _, test := range []struct {
		label    int64
		loss     float32
		gradient []float32
	}{
		{0, 0.3143044710159302, []float32{-0.16666673123836517, 0.3333333730697632, 0.3333333134651184, 0, 0, 0.4000000059604645}},
		{1, 16.43239974975586, []float32{0.3333333134651184, -4999999.5, 0.3333333134651184, 0, 0, 0.4000000059604645}},
	} {
		out, err := step.Run(t.Context(), of(t, tensor.Shape{2}, test.label, test.label))
		if err != nil {
			t.Fatal(err)
		}
		for i, got := range values[float32](t, out[0]) {
			if ulps(got, test.gradient[i]) > 4 {
				t.Errorf("label %d: element %d of the gradient is %v, want %v", test.label, i, got, test.gradient[i])
			}
		}
		if got := values[float32](t, out[1])[0]; ulps(got, test.loss) > 2 {
			t.Errorf("label %d: the loss is %v, want %v", test.label, got, test.loss)
		}
	}
}

// The accuracy counts rows whose largest prediction is the label's.
func TestSparseCategoricalAccuracy(t *testing.T) {
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		return []keras.Tensor{keras.SparseCategoricalAccuracy(in[0], in[1])}
	})
	p := of[float32](t, []int64{4, 3}, .1, .8, .1, .5, .2, .3, .2, .2, .6, 1, 0, 0)
	for _, y := range [][]int64{{4}, {4, 1}} {
		out, err := step.Run(t.Context(), of[int64](t, y, 1, 0, 0, 2), p)
		if err != nil {
			t.Fatal(err)
		}
		if got := keras.Float(out[0]); got != 0.5 {
			t.Errorf("labels %v: got %v, want 0.5", y, got)
		}
	}
}
