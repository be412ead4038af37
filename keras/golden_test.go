package keras_test

import (
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// of makes a tensor of values that fit its shape.
func of[T tensor.Element](t testing.TB, shape tensor.Shape, values ...T) *tensor.Tensor {
	t.Helper()
	x, err := tensor.Of(shape, values)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func values[T tensor.Element](t testing.TB, x *tensor.Tensor) []T {
	t.Helper()
	v, err := tensor.Values[T](x)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestGoldenG2(t *testing.T) {
	keras.ClearSession()
	model := keras.NewSequential(keras.Input(2), keras.Dense(3, keras.Softmax))
	w := model.Variables()
	if err := w[0].Assign(of[float32](t, tensor.Shape{2, 3}, .1, -.2, .3, .4, .5, -.6)); err != nil {
		t.Fatal(err)
	}
	adam := keras.NewAdam()
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.SparseCategoricalCrossentropy(in[1], model.Call(in[0]))
		g := tape.Gradient(loss, model.TrainableVariables()...)
		adam.Apply(s, g, model.TrainableVariables())
		return append([]keras.Tensor{loss}, g...)
	})
	x, y := of[float32](t, tensor.Shape{2, 2}, 1, 2, -1, .5), of[int64](t, tensor.Shape{2}, 2, 0)
	for range 3 {
		out, err := step.Run(t.Context(), x, y)
		if err != nil {
			t.Fatal(err)
		}
		t.Log(keras.Float(out[0]), values[float32](t, out[1]), values[float32](t, out[2]), values[float32](t, w[0].Value()), values[float32](t, w[1].Value()), w[0].Name())
	}
}
