package keras_test

import (
	"math"
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// gradients runs a step that returns gradients and gives them as numbers.
func gradients(t *testing.T, fn func(s *keras.Scope) []keras.Tensor) []float64 {
	t.Helper()
	out, err := runStep(t, func(s *keras.Scope, _ []keras.Tensor) []keras.Tensor { return fn(s) })
	if err != nil {
		t.Fatal(err)
	}
	var list []float64
	for _, o := range out {
		list = append(list, keras.Float(o))
	}
	return list
}

// tapeCases are derivatives at v = 3 and w = 5.
var tapeCases = []struct {
	name string
	fn   func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor
	want []float64
}{
	{"of a product", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		return s.Tape().Gradient(keras.Multiply(s.Read(v), s.Read(w)), v, w)
	}, []float64{5, 3}},
	{"two tapes", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		one, two := s.Tape(), s.Tape()
		product, square := keras.Multiply(s.Read(v), s.Read(w)), keras.Square(s.Read(v))
		return append(one.Gradient(product, v, w), two.Gradient(square, v)...)
	}, []float64{5, 3, 6}},
	{"a tape asked twice", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		tape := s.Tape()
		loss := keras.Square(s.Read(v))
		return append(tape.Gradient(loss, v), tape.Gradient(keras.Add(loss, s.Read(w)), v, w)...)
	}, []float64{6, 6, 1}},
	{"of a variable named twice", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		return s.Tape().Gradient(keras.Square(s.Read(v)), v, v)
	}, []float64{6, 6}},
	{"of a loss that is no scalar", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		return s.Tape().Gradient(keras.Divide(keras.MatMul(rows(s, v, w), column(s, v)), s.Scalar(2)), v, w)
	}, []float64{5.5, 1.5}}, // (v·v + w·v) / 2
	{"not through an assignment", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		s.Assign(v, keras.Multiply(s.Read(w), s.Scalar(2)))
		return s.Tape().Gradient(keras.Multiply(s.Read(v), s.Scalar(3)), v)
	}, []float64{3}},
	{"before and after an assignment", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		before := s.Read(v)
		s.Assign(v, s.Scalar(7))
		return s.Tape().Gradient(keras.Add(before, keras.Square(s.Read(v))), v)
	}, []float64{15}}, // 1 + 2·7
	{"beside a stopped part", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		return s.Tape().Gradient(keras.Multiply(s.Read(v), keras.StopGradient(s.Read(v))), v)
	}, []float64{3}},
	{"of zero at the corner", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		return s.Tape().Gradient(keras.ReLU(keras.Subtract(s.Read(v), s.Scalar(3))), v)
	}, []float64{0}},
	{"of zero for a unit that is off", func(s *keras.Scope, v, w *keras.Variable) []keras.Tensor {
		return s.Tape().Gradient(keras.ReLU(keras.Negative(s.Read(v))), v)
	}, []float64{0}},
}

// Derivatives are those of TensorFlow's GradientTape.
func TestTape(t *testing.T) {
	for _, test := range tapeCases {
		t.Run(test.name, func(t *testing.T) {
			v, w := scalar(t, 3), scalar(t, 5)
			got := gradients(t, func(s *keras.Scope) []keras.Tensor { return test.fn(s, v, w) })
			if len(got) != len(test.want) {
				t.Fatalf("got %v, want %v", got, test.want)
			}
			for i := range got {
				if math.Abs(got[i]-test.want[i]) > 1e-6 {
					t.Errorf("got %v, want %v", got, test.want)
				}
			}
		})
	}
}

// rows is the matrix [[v], [w]] and column the matrix [[v]].
func rows(s *keras.Scope, v, w *keras.Variable) keras.Tensor {
	first := keras.NewVariable(tensorOf(tensor.Shape{2, 1}, 1, 0), nil)
	second := keras.NewVariable(tensorOf(tensor.Shape{2, 1}, 0, 1), nil)
	return keras.Add(keras.Multiply(s.Read(first), s.Read(v)), keras.Multiply(s.Read(second), s.Read(w)))
}

func column(s *keras.Scope, v *keras.Variable) keras.Tensor {
	one := keras.NewVariable(tensorOf(tensor.Shape{1, 1}, 1), nil)
	return keras.Multiply(s.Read(one), s.Read(v))
}

func tensorOf(shape tensor.Shape, list ...float32) *tensor.Tensor {
	x, err := tensor.Of(shape, list)
	if err != nil {
		panic(err)
	}
	return x
}

// Where nothing depends on a variable there is no gradient: TensorFlow's None,
// which an optimizer skips, and not a zero, which it would apply.
func TestTapeNone(t *testing.T) {
	v, w, unused := scalar(t, 3), scalar(t, 5), scalar(t, 7)
	for name, loss := range map[string]func(s *keras.Scope) keras.Tensor{
		"never read":            func(s *keras.Scope) keras.Tensor { return s.Read(w) },
		"read, but not for it":  func(s *keras.Scope) keras.Tensor { s.Read(v); return s.Read(w) },
		"stopped":               func(s *keras.Scope) keras.Tensor { return keras.Multiply(s.Read(w), keras.StopGradient(s.Read(v))) },
		"through an assignment": func(s *keras.Scope) keras.Tensor { s.Assign(w, s.Read(v)); return keras.Square(s.Read(w)) },
		"through a comparison":  func(s *keras.Scope) keras.Tensor { return keras.Add(s.Read(w), keras.Equal(s.Read(v), s.Read(w))) },
		"through integers": func(s *keras.Scope) keras.Tensor {
			return keras.Add(s.Read(w), keras.Cast(keras.Cast(s.Read(v), tensor.Int64), tensor.Float32))
		},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := runStep(t, func(s *keras.Scope, _ []keras.Tensor) []keras.Tensor {
				g := s.Tape().Gradient(loss(s), v, w, unused)
				if g[0].Valid() || !g[1].Valid() || g[2].Valid() {
					t.Errorf("got gradients %v %v %v, want one for the second variable only", g[0].Valid(), g[1].Valid(), g[2].Valid())
				}
				return g[1:2]
			}); err != nil {
				t.Error(err)
			}
		})
	}
}

// What an optimizer cannot apply is an error, and it changes nothing.
func TestApplyMistakes(t *testing.T) {
	type tensors = []keras.Tensor
	v, w, other := scalar(t, 3), scalar(t, 5), keras.NewVariable(of[float32](t, nil, 7), &keras.VariableOptions{Name: "other"})
	whole := keras.NewInt64(1)
	built := keras.NewAdam()
	if err := built.Build([]*keras.Variable{v, w}); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		name  string
		adam  *keras.Adam
		fn    func(s *keras.Scope, adam *keras.Adam)
		words []string
	}{
		{"no gradient at all", keras.NewAdam(), func(s *keras.Scope, adam *keras.Adam) {
			adam.Apply(s, s.Tape().Gradient(s.Read(v), w, other), []*keras.Variable{w, other})
		}, []string{"no gradient for any variable"}},
		{"unknown variable", built, func(s *keras.Scope, adam *keras.Adam) {
			adam.Apply(s, s.Tape().Gradient(s.Read(other), other), []*keras.Variable{other})
		}, []string{`"other"`, "first Apply"}},
		{"fewer gradients", built, func(s *keras.Scope, adam *keras.Adam) {
			adam.Apply(s, s.Tape().Gradient(s.Read(v), v), []*keras.Variable{v, w})
		}, []string{"1 gradients for 2 variables"}},
		{"gradient of another shape", built, func(s *keras.Scope, adam *keras.Adam) {
			adam.Apply(s, tensors{keras.MatMul(column(s, v), column(s, v))}, []*keras.Variable{v})
		}, []string{`"w"`, "[1,1]"}},
		{"gradient of another dtype", built, func(s *keras.Scope, adam *keras.Adam) {
			adam.Apply(s, tensors{keras.Cast(s.Read(v), tensor.Float64)}, []*keras.Variable{v})
		}, []string{`"w"`, "float64"}},
		{"integers", keras.NewAdam(), func(s *keras.Scope, adam *keras.Adam) {
			adam.Apply(s, tensors{s.Read(whole)}, []*keras.Variable{whole})
		}, []string{"int64"}},
		{"a variable twice", keras.NewAdam(), func(s *keras.Scope, adam *keras.Adam) {
			adam.Apply(s, tensors{s.Read(v), s.Read(v)}, []*keras.Variable{v, v})
		}, []string{"twice"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := runStep(t, func(s *keras.Scope, _ tensors) tensors {
				test.fn(s, test.adam)
				return nil
			})
			wantError(t, err, append(test.words, test.adam.Name())...)
			for _, x := range []struct {
				v    *keras.Variable
				want float64
			}{{v, 3}, {w, 5}, {other, 7}, {whole, 1}, {test.adam.Iterations(), 0}} {
				if got := keras.Float(x.v.Value()); got != x.want {
					t.Errorf("%s is %v, want %v", x.v.Name(), got, x.want)
				}
			}
		})
	}
}

// Some of the variables of the first Apply are enough later on.
func TestApplySome(t *testing.T) {
	v, w := scalar(t, 3), scalar(t, 5)
	adam := keras.NewAdam()
	if err := adam.Build([]*keras.Variable{v, w}); err != nil {
		t.Fatal(err)
	}
	if err := adam.Build([]*keras.Variable{w}); err != nil {
		t.Error(err)
	}
	if _, err := applyStep(adam, []*keras.Variable{w}).Run(t.Context(), of[float32](t, nil, 1)); err != nil {
		t.Fatal(err)
	}
	if got := keras.Float(w.Value()); got >= 5 || keras.Float(v.Value()) != 3 || adam.Iterations().Int64() != 1 {
		t.Errorf("got %v, %v after %d steps, want 3, less than 5 after 1", keras.Float(v.Value()), got, adam.Iterations().Int64())
	}
}
