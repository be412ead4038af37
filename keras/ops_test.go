package keras_test

import (
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// Operations repeat dimensions of 1 and missing ones in front, and so do their
// derivatives, which are sums over what was repeated.
func TestOperationsRepeat(t *testing.T) {
	for _, test := range []struct {
		name   string
		shape  tensor.Shape // of the left side, 1, 2, 3, …
		right  tensor.Shape // of the right side, 10, 20, 30, …
		sum    []float32    // of both
		column []float32    // derivative of the sum of the products, by the right side
	}{
		{"the same", tensor.Shape{2}, tensor.Shape{2}, []float32{11, 22}, []float32{1, 2}},
		{"a scalar", tensor.Shape{2, 2}, nil, []float32{11, 12, 13, 14}, []float32{10}},
		{"a row", tensor.Shape{2, 3}, tensor.Shape{3}, []float32{11, 22, 33, 14, 25, 36}, []float32{5, 7, 9}},
		{"a column", tensor.Shape{2, 3}, tensor.Shape{2, 1}, []float32{11, 12, 13, 24, 25, 26}, []float32{6, 15}},
		{"both", tensor.Shape{2, 1}, tensor.Shape{1, 2}, []float32{11, 21, 12, 22}, []float32{3, 3}},
		{"more dimensions", tensor.Shape{2}, tensor.Shape{2, 1, 2}, []float32{11, 22, 31, 42}, []float32{1, 2, 1, 2}},
	} {
		t.Run(test.name, func(t *testing.T) {
			fill := func(s tensor.Shape, scale float32) *keras.Variable {
				n, _ := s.Elements()
				list := make([]float32, n)
				for i := range list {
					list[i] = scale * float32(i+1)
				}
				return keras.NewVariable(of(t, s, list...), nil)
			}
			left, right := fill(test.shape, 1), fill(test.right, 10)
			out, err := runStep(t, func(s *keras.Scope, _ []keras.Tensor) []keras.Tensor {
				product := keras.Multiply(s.Read(left), s.Read(right))
				return append(s.Tape().Gradient(product, right), keras.Add(s.Read(left), s.Read(right)))
			})
			if err != nil {
				t.Fatal(err)
			}
			sameBits(t, "sum", values[float32](t, out[1]), test.sum)
			sameBits(t, "derivative", values[float32](t, out[0]), test.column)
			if !out[0].Shape().Equal(test.right) {
				t.Errorf("the derivative has shape %v, want %v", out[0].Shape(), test.right)
			}
		})
	}
}

// Operations compute what their names say.
func TestOperations(t *testing.T) {
	x := of[float32](t, tensor.Shape{2, 2}, 1, -2, 4, 0.5)
	for _, test := range []struct {
		name string
		fn   func(x keras.Tensor) keras.Tensor
		want []float32
	}{
		{"Subtract", func(x keras.Tensor) keras.Tensor { return keras.Subtract(x, keras.Square(x)) }, []float32{0, -6, -12, 0.25}},
		{"Divide", func(x keras.Tensor) keras.Tensor { return keras.Divide(keras.Square(x), x) }, []float32{1, -2, 4, 0.5}},
		{"Equal", func(x keras.Tensor) keras.Tensor { return keras.Equal(x, keras.ReLU(x)) }, []float32{1, 0, 1, 1}},
		{"Negative", keras.Negative, []float32{-1, 2, -4, -0.5}},
		{"ReLU", keras.ReLU, []float32{1, 0, 4, 0.5}},
		{"Exp of Log", func(x keras.Tensor) keras.Tensor { return keras.Exp(keras.Log(keras.Equal(x, x))) }, []float32{1, 1, 1, 1}},
		{"Sum", keras.Sum, []float32{3.5}},
		{"Mean", keras.Mean, []float32{0.875}},
		{"MatMul", func(x keras.Tensor) keras.Tensor { return keras.MatMul(x, x) }, []float32{-7, -3, 6, -7.75}},
		{"ArgMax", func(x keras.Tensor) keras.Tensor { return keras.Cast(keras.ArgMax(x), tensor.Float32) }, []float32{0, 0}},
		{"Softmax of equals", func(x keras.Tensor) keras.Tensor { return keras.Softmax(keras.Subtract(x, x)) }, []float32{0.5, 0.5, 0.5, 0.5}},
	} {
		t.Run(test.name, func(t *testing.T) {
			out, err := runStep(t, func(_ *keras.Scope, in []keras.Tensor) []keras.Tensor {
				return []keras.Tensor{test.fn(in[0])}
			}, x)
			if err != nil {
				t.Fatal(err)
			}
			for i, got := range values[float32](t, out[0]) {
				if got != test.want[i] {
					t.Errorf("got %v, want %v", values[float32](t, out[0]), test.want)
					break
				}
			}
		})
	}
}

// A dense layer takes inputs of more dimensions, row by row.
func TestDenseOfMoreDimensions(t *testing.T) {
	layer := keras.DenseWith(2, nil, &keras.DenseOptions{
		KernelInitializer: func(tensor.Shape) []float32 { return []float32{1, 2, 3, 4} },
		BiasInitializer:   func(tensor.Shape) []float32 { return []float32{10, 20} },
	})
	out, err := runStep(t, func(_ *keras.Scope, in []keras.Tensor) []keras.Tensor {
		return []keras.Tensor{layer.Call(in[0])}
	}, of[float32](t, tensor.Shape{2, 1, 2}, 1, 0, 0, 1))
	if err != nil {
		t.Fatal(err)
	}
	if want := (tensor.Shape{2, 1, 2}); !out[0].Shape().Equal(want) {
		t.Errorf("got shape %v, want %v", out[0].Shape(), want)
	}
	sameBits(t, "output", values[float32](t, out[0]), []float32{11, 22, 13, 24})
}
