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

// Golden vector G2: Dense(3, softmax), class loss, three steps of Adam, as the
// specification prints them. The same run of adam.json has the moments, too.
func TestGoldenG2(t *testing.T) {
	var f adamFile
	readNumbers(t, "adam.json", &f)
	want := []struct{ loss, gW, gB, w, b []float32 }{{
		[]float32{1.79885411},
		[]float32{0.570041835, -0.0248079598, -0.545233905, 0.318804055, 0.558767378, -0.877571523},
		[]float32{-0.0869818479, 0.461898685, -0.374916852},
		[]float32{0.0990000144, -0.199000135, 0.300999999, 0.399000019, 0.499000013, -0.599000037},
		[]float32{0.00099995709, -0.000999986543, 0.00099998503},
	}, {
		[]float32{1.79503679},
		[]float32{0.569562674, -0.0244547427, -0.545107961, 0.31875366, 0.55832839, -0.87708199},
		[]float32{-0.0867346972, 0.46133554, -0.374600857},
		[]float32{0.0980000496, -0.19800064, 0.301999986, 0.398000032, 0.498000056, -0.59800005},
		[]float32{0.00199984619, -0.00199993979, 0.00199994724},
	}, {
		[]float32{1.79122245},
		[]float32{0.569082856, -0.024102211, -0.544980645, 0.318702102, 0.55788821, -0.876590371},
		[]float32{-0.0864880234, 0.460771888, -0.37428391},
		[]float32{0.0970001146, -0.197001785, 0.302999973, 0.397000045, 0.497000128, -0.597000122},
		[]float32{0.00299962098, -0.00299984682, 0.00299987989},
	}}
	model := keras.NewSequential(keras.Input(2), keras.Dense(3, keras.Softmax))
	w := model.Variables()
	if err := w[0].Assign(of[float32](t, tensor.Shape{2, 3}, .1, -.2, .3, .4, .5, -.6)); err != nil {
		t.Fatal(err)
	}
	adam := keras.NewAdam()
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.SparseCategoricalCrossentropy(in[1], model.Call(in[0]))
		g := tape.Gradient(loss, w...)
		adam.Apply(s, g, w)
		return append([]keras.Tensor{loss}, g...)
	})
	x, y := of[float32](t, tensor.Shape{2, 2}, 1, 2, -1, .5), of[int64](t, tensor.Shape{2}, 2, 0)
	var all difference
	for n, want := range want {
		out, err := step.Run(t.Context(), x, y)
		if err != nil {
			t.Fatal(err)
		}
		m, v := adam.Variables()[2], adam.Variables()[3]
		for _, pair := range [][2][]float32{
			{values[float32](t, out[0]), want.loss},
			{values[float32](t, out[1]), want.gW},
			{values[float32](t, out[2]), want.gB},
			{values[float32](t, w[0].Value()), want.w},
			{values[float32](t, w[1].Value()), want.b},
			{values[float32](t, m.Value()), f.Dense.States[n].M[0].floats(t)},
			{values[float32](t, v.Value()), f.Dense.States[n].V[0].floats(t)},
		} {
			var d difference
			d.add(t, pair[0], pair[1])
			d.check(t, "numbers", 0)
			all.ulps, all.relative = max(all.ulps, d.ulps), max(all.relative, d.relative)
		}
	}
	t.Logf("ulps %v; of the largest %.1e", all.ulps, all.relative)
}
