package keras_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// runStep runs a function once.
func runStep(t *testing.T, fn func(s *keras.Scope, in []keras.Tensor) []keras.Tensor, in ...*tensor.Tensor) ([]*tensor.Tensor, error) {
	t.Helper()
	return keras.NewStep(fn).Run(t.Context(), in...)
}

// wantError refuses the lack of an error and one that does not say all of the
// words.
func wantError(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error, want one with %q", words)
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("got %q, want %q in it", err, w)
		}
	}
}

func scalar(t *testing.T, x float32) *keras.Variable {
	t.Helper()
	return keras.NewVariable(of(t, nil, x), &keras.VariableOptions{Name: "w"})
}

// A function is called once for each set of shapes and dtypes.
func TestStepCompilesOncePerShape(t *testing.T) {
	calls := 0
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		calls++
		return []keras.Tensor{keras.Sum(in[0])}
	})
	one, two := of[float32](t, tensor.Shape{2}, 1, 2), of[float32](t, tensor.Shape{1, 3}, 3, 4, 5)
	for _, test := range []struct {
		in    *tensor.Tensor
		sum   float64
		calls int
	}{
		{one, 3, 1}, {one, 3, 1}, {two, 12, 2}, {one, 3, 2},
		{of[float32](t, tensor.Shape{2}, 8, 8), 16, 2},
		{of[int64](t, tensor.Shape{2}, 5, 6), 11, 3},
		{of[float32](t, tensor.Shape{3, 1}, 1, 1, 1), 3, 4},
		{two, 12, 4},
	} {
		out, err := step.Run(t.Context(), test.in)
		if err != nil {
			t.Fatal(err)
		}
		if got := keras.Float(out[0]); got != test.sum || calls != test.calls {
			t.Errorf("%v: got %v after %d calls, want %v after %d", test.in, got, calls, test.sum, test.calls)
		}
	}
}

// Results belong to the caller, inputs are not kept.
func TestStepCopies(t *testing.T) {
	v := keras.NewVariable(of[float32](t, tensor.Shape{2}, 0, 0), nil)
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		s.Assign(v, in[0])
		return []keras.Tensor{in[0], s.Read(v)}
	})
	x := of[float32](t, tensor.Shape{2}, 1, 2)
	first, err := step.Run(t.Context(), x)
	if err != nil {
		t.Fatal(err)
	}
	clear(x.Bytes())
	sameBits(t, "the variable", values[float32](t, v.Value()), []float32{1, 2})
	sameBits(t, "the result", values[float32](t, first[0]), []float32{1, 2})
	clear(first[1].Bytes())
	sameBits(t, "the variable", values[float32](t, v.Value()), []float32{1, 2})
	if _, err = step.Run(t.Context(), of[float32](t, tensor.Shape{2}, 3, 4)); err != nil {
		t.Fatal(err)
	}
	sameBits(t, "the result of before", values[float32](t, first[0]), []float32{1, 2})
	sameBits(t, "the variable", values[float32](t, v.Value()), []float32{3, 4})
}

// What the function panics with is Run's error, a run-time error with the stack,
// and nothing has changed.
func TestStepPanics(t *testing.T) {
	cause := errors.New("cause")
	var none []int
	for _, test := range []struct {
		name  string
		fn    func()
		words []string
	}{
		{"error", func() { panic(cause) }, []string{"cause"}},
		{"text", func() { panic("text") }, []string{"text"}},
		{"run-time error", func() { none[len(none)]++ }, []string{"index out of range", "step_test.go"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			v, fail := scalar(t, 1), true
			step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
				s.AssignAdd(v, s.Scalar(1))
				if fail {
					test.fn()
				}
				return nil
			})
			_, err := step.Run(t.Context())
			wantError(t, err, test.words...)
			if test.name == "error" && !errors.Is(err, cause) {
				t.Errorf("got %v, want the error itself", err)
			}
			if got := keras.Float(v.Value()); got != 1 {
				t.Errorf("the variable is %v, want 1", got)
			}
			fail = false // a function that failed is called again
			if _, err := step.Run(t.Context()); err != nil || keras.Float(v.Value()) != 2 {
				t.Errorf("got %v, %v, want 2", keras.Float(v.Value()), err)
			}
		})
	}
}

func TestStepCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	v := scalar(t, 1)
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		s.AssignAdd(v, s.Scalar(1))
		return nil
	})
	if _, err := step.Run(ctx); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := step.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want %v", err, context.Canceled)
	}
	if got := keras.Float(v.Value()); got != 2 {
		t.Errorf("the variable is %v, want 2", got)
	}
}

// A step that cannot be described is an error that says why.
func TestStepMistakes(t *testing.T) {
	type tensors = []keras.Tensor
	matrix, row := of[float32](t, tensor.Shape{2, 3}, 1, 2, 3, 4, 5, 6), of[float32](t, tensor.Shape{2}, 1, 2)
	whole := of[int64](t, tensor.Shape{2}, 1, 2)
	layer := keras.DenseWith(2, nil, &keras.DenseOptions{Name: "layer"})
	callWith(t, layer, matrix)
	w := keras.NewVariable(row, &keras.VariableOptions{Name: "weight"})
	model := keras.NewSequential(keras.Input(3), dense(1))
	for _, test := range []struct {
		name  string
		in    []*tensor.Tensor
		fn    func(s *keras.Scope, in tensors) tensors
		words []string
	}{
		{"nil input", []*tensor.Tensor{nil}, func(s *keras.Scope, in tensors) tensors { return in }, []string{"nil"}},
		{"zero-size input", []*tensor.Tensor{of[float32](t, tensor.Shape{0, 3})}, func(s *keras.Scope, in tensors) tensors { return in }, []string{"[0,3]", "at least 1"}},
		{"nothing", nil, func(*keras.Scope, tensors) tensors { return nil }, []string{"return something"}},
		{"no value", nil, func(*keras.Scope, tensors) tensors { return tensors{{}} }, []string{"result 0"}},
		{"operation on no value", []*tensor.Tensor{row}, func(s *keras.Scope, in tensors) tensors { return tensors{keras.Add(in[0], keras.Tensor{})} }, []string{"no value"}},
		{"two dtypes", []*tensor.Tensor{row, whole}, func(s *keras.Scope, in tensors) tensors { return tensors{keras.Multiply(in[0], in[1])} }, []string{"Multiply", "float32", "int64", "Cast"}},
		{"shapes that do not fit", []*tensor.Tensor{row, matrix}, func(s *keras.Scope, in tensors) tensors { return tensors{keras.Add(in[0], in[1])} }, []string{"Add", "[2]", "[2,3]"}},
		{"matrices that do not fit", []*tensor.Tensor{matrix, matrix}, func(s *keras.Scope, in tensors) tensors { return tensors{keras.MatMul(in[0], in[1])} }, []string{"MatMul", "[2,3]", "[n, k]"}},
		{"a layer's dtype", []*tensor.Tensor{of[int64](t, tensor.Shape{1, 3}, 1, 2, 3)}, func(s *keras.Scope, in tensors) tensors { return tensors{layer.Call(in[0])} }, []string{`"layer"`, "int64", "[1,3]", "float32"}},
		{"a layer's rank", []*tensor.Tensor{row}, func(s *keras.Scope, in tensors) tensors { return tensors{layer.Call(in[0])} }, []string{`"layer"`, "[2]"}},
		{"a layer's features", []*tensor.Tensor{of[float32](t, tensor.Shape{1, 2}, 1, 2)}, func(s *keras.Scope, in tensors) tensors { return tensors{layer.Call(in[0])} }, []string{`"layer"`, "[1,2]", "want 3"}},
		{"a model's input", []*tensor.Tensor{row}, func(s *keras.Scope, in tensors) tensors { return tensors{model.Call(in[0])} }, []string{model.Name(), "[2]", "[3]"}},
		{"labels that are no integers", []*tensor.Tensor{row, matrix}, func(s *keras.Scope, in tensors) tensors {
			return tensors{keras.SparseCategoricalCrossentropy(in[0], in[1])}
		}, []string{"integers", "float32"}},
		{"labels of other rows", []*tensor.Tensor{of[int64](t, tensor.Shape{3}, 1, 1, 1), matrix}, func(s *keras.Scope, in tensors) tensors {
			return tensors{keras.SparseCategoricalCrossentropyFromLogits(in[0], in[1])}
		}, []string{"[3]", "[2,3]"}},
		{"predictions that are integers", []*tensor.Tensor{whole, of[int64](t, tensor.Shape{2, 2}, 1, 0, 0, 1)}, func(s *keras.Scope, in tensors) tensors {
			return tensors{keras.SparseCategoricalCrossentropy(in[0], in[1])}
		}, []string{"predictions", "int64"}},
		{"softmax of integers", []*tensor.Tensor{whole}, func(s *keras.Scope, in tensors) tensors { return tensors{keras.Softmax(in[0])} }, []string{"Softmax", "int64"}},
		{"logarithm of integers", []*tensor.Tensor{whole}, func(s *keras.Scope, in tensors) tensors { return tensors{keras.Log(in[0])} }, []string{"Log", "int64"}},
		{"check of integers", []*tensor.Tensor{whole}, func(s *keras.Scope, in tensors) tensors { return tensors{keras.CheckNumerics("count", in[0])} }, []string{"CheckNumerics", "int64"}},
		{"softmax of a scalar", nil, func(s *keras.Scope, in tensors) tensors { return tensors{keras.Softmax(s.Scalar(1))} }, []string{"Softmax", "scalar"}},
		{"assigning another shape", []*tensor.Tensor{matrix}, func(s *keras.Scope, in tensors) tensors { s.Assign(w, in[0]); return nil }, []string{`"weight"`, "[2,3]", "[2]"}},
		{"assigning another dtype", []*tensor.Tensor{whole}, func(s *keras.Scope, in tensors) tensors { s.Assign(w, in[0]); return nil }, []string{`"weight"`, "int64", "float32"}},
		{"conversion to strings", []*tensor.Tensor{row}, func(s *keras.Scope, in tensors) tensors { return tensors{keras.Cast(in[0], tensor.String)} }, []string{"string"}},
		{"gradient of integers", []*tensor.Tensor{whole}, func(s *keras.Scope, in tensors) tensors { return s.Tape().Gradient(in[0], w) }, []string{"int64"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := runStep(t, test.fn, test.in...)
			wantError(t, err, test.words...)
			if strings.Contains(err.Error(), "goroutine") {
				t.Errorf("got a stack: %v", err)
			}
		})
	}
}

// A Tensor is good for the call of the function that made it.
func TestTensorUsedLater(t *testing.T) {
	type tensors = []keras.Tensor
	var kept keras.Tensor
	var scope *keras.Scope
	v := scalar(t, 1)
	if _, err := runStep(t, func(s *keras.Scope, in tensors) tensors {
		kept, scope = s.Read(v), s
		return tensors{kept}
	}); err != nil {
		t.Fatal(err)
	}
	const ofTensor, ofScope = "belongs to the call of the step", "Scope cannot be used after"
	for _, test := range []struct {
		name, want string
		fn         func(s *keras.Scope) keras.Tensor
	}{
		{"result", "no value of this step", func(*keras.Scope) keras.Tensor { return kept }},
		{"operation", ofTensor, func(s *keras.Scope) keras.Tensor { return keras.Add(s.Scalar(1), kept) }},
		{"assignment", ofTensor, func(s *keras.Scope) keras.Tensor { s.Assign(v, kept); return s.Read(v) }},
		{"loss", ofTensor, func(s *keras.Scope) keras.Tensor { return s.Tape().Gradient(kept, v)[0] }},
		{"variable", ofScope, func(*keras.Scope) keras.Tensor { return scope.Read(v) }},
		{"constant", ofScope, func(*keras.Scope) keras.Tensor { return scope.Scalar(1) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := runStep(t, func(s *keras.Scope, in tensors) tensors { return tensors{test.fn(s)} })
			wantError(t, err, test.want)
		})
	}
}

// Two functions that run at once do not mix their tensors.
func TestTensorsOfTwoSteps(t *testing.T) {
	type tensors = []keras.Tensor
	v := scalar(t, 1)
	adam := keras.NewAdam()
	matrix, labels := of[float32](t, tensor.Shape{1, 1}, 1), of[int64](t, tensor.Shape{1}, 0)
	for _, test := range []struct {
		name, want string
		fn         func(s *keras.Scope, inner, outer tensors) keras.Tensor
	}{
		{"result", "no value of this step", func(_ *keras.Scope, _, outer tensors) keras.Tensor { return outer[0] }},
		{"sum", "Add of tensors of two different steps", func(_ *keras.Scope, inner, outer tensors) keras.Tensor {
			return keras.Add(inner[0], outer[0])
		}},
		{"product", "MatMul of tensors of two different steps", func(_ *keras.Scope, inner, outer tensors) keras.Tensor {
			return keras.MatMul(inner[0], outer[0])
		}},
		{"cross-entropy", "cross-entropy of tensors of two different steps", func(_ *keras.Scope, inner, outer tensors) keras.Tensor {
			return keras.SparseCategoricalCrossentropy(outer[1], inner[0])
		}},
		{"assignment", "used in another one", func(s *keras.Scope, _, outer tensors) keras.Tensor {
			s.Assign(v, keras.Sum(outer[0]))
			return s.Read(v)
		}},
		{"gradient", "another step than the tape", func(s *keras.Scope, _, outer tensors) keras.Tensor {
			return s.Tape().Gradient(outer[0], v)[0]
		}},
		{"update", "used in another one", func(s *keras.Scope, _, outer tensors) keras.Tensor {
			adam.Apply(s, tensors{keras.Sum(outer[0])}, []*keras.Variable{v})
			return s.Read(v)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			_, err := runStep(t, func(_ *keras.Scope, outer tensors) tensors {
				_, err := runStep(t, func(s *keras.Scope, inner tensors) tensors { return tensors{test.fn(s, inner, outer)} }, matrix, labels)
				wantError(t, err, test.want)
				return outer
			}, matrix, labels)
			if err != nil {
				t.Error(err)
			}
		})
	}
}
