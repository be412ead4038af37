package keras_test

import (
	"bytes"
	"errors"
	"math"
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// bytesOf copies the values of variables.
func bytesOf(variables ...*keras.Variable) [][]byte {
	var list [][]byte
	for _, v := range variables {
		list = append(list, v.Value().Bytes())
	}
	return list
}

// sameBytes refuses any change of variables since bytesOf.
func sameBytes(t *testing.T, variables []*keras.Variable, want [][]byte) {
	t.Helper()
	for i, got := range bytesOf(variables...) {
		if !bytes.Equal(got, want[i]) {
			t.Errorf("%s changed: got %x, want %x", variables[i].Name(), got, want[i])
		}
	}
}

// trainer is a model that learns, and all that its step changes.
type trainer struct {
	model  *keras.Sequential
	adam   *keras.Adam
	count  *keras.Variable
	step   *keras.Step
	inputs [2]*tensor.Tensor // a batch and its labels
}

// newTrainer makes a model of two layers whose loss is looked after.
func newTrainer(t *testing.T, units int) *trainer {
	t.Helper()
	tr := &trainer{
		model: keras.NewSequential(keras.Input(4), keras.Dense(units, keras.ReLU), keras.Dense(3, keras.Softmax)),
		adam:  keras.NewAdam(),
		count: keras.NewInt64(0),
	}
	w := tr.model.TrainableVariables()
	for i, v := range w {
		n, _ := v.Shape().Elements()
		if err := v.Assign(of(t, v.Shape(), pattern(int(n), uint64(i), 0.3)...)); err != nil {
			t.Fatal(err)
		}
	}
	tr.step = keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.SparseCategoricalCrossentropy(in[1], tr.model.Call(in[0]))
		tr.adam.Apply(s, tape.Gradient(loss, w...), w)
		s.AssignAdd(tr.count, keras.Cast(s.Scalar(1), tensor.Int64))
		return []keras.Tensor{keras.CheckNumerics("loss", loss)}
	})
	tr.inputs = [2]*tensor.Tensor{of(t, tensor.Shape{8, 4}, pattern(32, 9, 1)...), of[int64](t, tensor.Shape{8}, 0, 1, 2, 0, 1, 2, 0, 1)}
	return tr
}

// variables are all that a step changes.
func (tr *trainer) variables() []*keras.Variable {
	return append(append(tr.model.Variables(), tr.adam.Variables()...), tr.count)
}

func (tr *trainer) run(t *testing.T) {
	t.Helper()
	if _, err := tr.step.Run(t.Context(), tr.inputs[0], tr.inputs[1]); err != nil {
		t.Fatal(err)
	}
}

// A step that fails when it runs changes nothing, not a bit, and the next good
// one goes on as if it had not been.
func TestFailedStepIsUndone(t *testing.T) {
	inf := float32(math.Inf(1))
	nan := float32(math.NaN())
	for _, test := range []struct {
		name  string
		x     float32 // the first element of the batch
		label int64   // of the first row
		class error
		words []string
	}{
		{"NaN", nan, 0, keras.ErrNotFinite, []string{"loss", "undone"}},
		{"infinite", inf, 0, keras.ErrNotFinite, []string{"loss", "undone"}},
		{"label above", 0, 3, nil, []string{"1 of 8", "0 … 2", "undone"}},
		{"label below", 0, -1, nil, []string{"1 of 8", "0 … 2", "undone"}},
		{"label far away", 0, math.MinInt64, nil, []string{"1 of 8", "0 … 2", "undone"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			tr, twin := newTrainer(t, 5), newTrainer(t, 5)
			for range 3 {
				tr.run(t)
				twin.run(t)
			}
			before := bytesOf(tr.variables()...)
			x := pattern(32, 9, 1)
			x[0] = test.x
			bad := of(t, tensor.Shape{8}, test.label, 1, 2, 0, 1, 2, 0, 1)
			_, err := tr.step.Run(t.Context(), of(t, tensor.Shape{8, 4}, x...), bad)
			wantError(t, err, test.words...)
			if test.class != nil && !errors.Is(err, test.class) {
				t.Errorf("got %v, want %v", err, test.class)
			}
			sameBytes(t, tr.variables(), before)
			tr.run(t)
			twin.run(t)
			sameBytes(t, tr.variables(), bytesOf(twin.variables()...))
		})
	}
}

// The very first step may fail, too: variables have appeared, with the values
// they had at first.
func TestFailedFirstStep(t *testing.T) {
	kernel := func(shape tensor.Shape) []float32 { return pattern(6, 1, 1) }
	layer := keras.DenseWith(3, keras.Softmax, &keras.DenseOptions{KernelInitializer: kernel})
	model, adam := keras.NewSequential(layer), keras.NewAdam()
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.SparseCategoricalCrossentropy(in[1], model.Call(in[0]))
		adam.Apply(s, tape.Gradient(loss, model.TrainableVariables()...), model.TrainableVariables())
		return []keras.Tensor{keras.CheckNumerics("loss", loss)}
	})
	y := of[int64](t, tensor.Shape{1}, 0)
	if _, err := step.Run(t.Context(), of(t, tensor.Shape{1, 2}, float32(math.NaN()), 1), y); !errors.Is(err, keras.ErrNotFinite) {
		t.Fatalf("got %v, want %v", err, keras.ErrNotFinite)
	}
	sameBits(t, "kernel", values[float32](t, layer.Kernel().Value()), pattern(6, 1, 1))
	for _, v := range adam.Variables()[2:] {
		n, _ := v.Shape().Elements()
		sameBits(t, v.Name(), values[float32](t, v.Value()), make([]float32, n))
	}
	if got := adam.Iterations().Int64(); got != 0 {
		t.Errorf("iterations are %d, want 0", got)
	}
	if _, err := step.Run(t.Context(), of[float32](t, tensor.Shape{1, 2}, 1, 1), y); err != nil || adam.Iterations().Int64() != 1 {
		t.Errorf("after a good step: %v, iterations are %d, want 1", err, adam.Iterations().Int64())
	}
}

// CheckNumerics tells what was wrong, and lets good numbers pass.
func TestCheckNumerics(t *testing.T) {
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		return []keras.Tensor{keras.CheckNumerics("first", in[0]), keras.CheckNumerics("second", keras.Exp(in[0]))}
	})
	if _, err := step.Run(t.Context(), of[float32](t, tensor.Shape{2}, -1, 88)); err != nil {
		t.Error(err)
	}
	_, err := step.Run(t.Context(), of[float32](t, tensor.Shape{2}, 100, 200)) // only their exponentials are infinite
	wantError(t, err, "second", "2 of its elements")
	_, err = step.Run(t.Context(), of(t, tensor.Shape{2}, float32(math.NaN()), 0))
	wantError(t, err, "first", "second", "1 of its elements")
}
