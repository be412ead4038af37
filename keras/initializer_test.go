package keras_test

import (
	"math"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// GlorotUniform fills its interval, which depends on the shape as in Keras.
func TestGlorotUniform(t *testing.T) {
	for _, test := range []struct {
		shape tensor.Shape
		limit float64
	}{
		{tensor.Shape{2, 1}, math.Sqrt(6.0 / 3)},
		{tensor.Shape{3}, math.Sqrt(6.0 / 6)},
		{tensor.Shape{2, 3, 4, 1}, math.Sqrt(6.0 / 30)}, // a convolution of 2 × 3, from 4 channels to 1
	} {
		var list []float32
		sum := 0.0
		for seed := range uint64(3000) {
			list = append(list, keras.GlorotUniform(seed)(test.shape)...)
		}
		for _, x := range list {
			sum += float64(x)
		}
		if n, _ := test.shape.Elements(); len(list) != 3000*int(n) {
			t.Fatalf("%v: %d numbers, want %d", test.shape, len(list), 3000*n)
		}
		low, high := float64(slices.Min(list)), float64(slices.Max(list))
		if low < -test.limit || high > test.limit || low > -0.99*test.limit || high < 0.99*test.limit {
			t.Errorf("%v: numbers from %v to %v, want them to fill ±%v", test.shape, low, high, test.limit)
		}
		if mean := sum / float64(len(list)); math.Abs(mean) > 0.05*test.limit {
			t.Errorf("%v: the mean is %v, want about 0", test.shape, mean)
		}
	}
}

// The same seed and shape give the same numbers; layers without a seed differ.
func TestGlorotUniformSeeds(t *testing.T) {
	shape := tensor.Shape{4, 3}
	initializer := keras.GlorotUniform(1)
	one, again, other := initializer(shape), initializer(shape), keras.GlorotUniform(2)(shape)
	sameBits(t, "the same seed", again, one)
	if slices.Equal(one, other) {
		t.Errorf("two seeds give %v", one)
	}
	w := keras.NewSequential(keras.Input(4), dense(4), dense(4)).Variables()
	if slices.Equal(values[float32](t, w[0].Value()), values[float32](t, w[2].Value())) {
		t.Error("two layers begin with the same kernel")
	}
	sameBits(t, "bias", values[float32](t, w[1].Value()), make([]float32, 4))
}
