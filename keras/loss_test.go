package keras_test

import (
	"testing"

	"github.com/ckpt-go/ckpt/keras"
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
