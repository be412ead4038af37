package keras_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// Labels of a small dtype are compared as numbers: a class may have none in it.
func TestSmallLabels(t *testing.T) {
	x := make([]float32, 300)
	x[261] = 3 // 261 is 5 in 8 bits
	logits := of(t, tensor.Shape{1, 300}, x...)
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		return []keras.Tensor{keras.SparseCategoricalCrossentropyFromLogits(in[1], in[0]), keras.SparseCategoricalAccuracy(in[1], in[0])}
	})
	want, err := step.Run(t.Context(), logits, of[int64](t, tensor.Shape{1}, 5))
	if err != nil {
		t.Fatal(err)
	}
	for _, labels := range []*tensor.Tensor{of[uint8](t, tensor.Shape{1}, 5), of[int8](t, tensor.Shape{1}, 5), of[uint32](t, tensor.Shape{1}, 5)} {
		got, err := step.Run(t.Context(), logits, labels)
		if err != nil || keras.Float(got[0]) != keras.Float(want[0]) || keras.Float(got[1]) != 0 {
			t.Errorf("%v: got %v, %v, want %v", labels, got, err, keras.Float(want[0]))
		}
	}
}

// A gradient that is part of a loss has a gradient itself. The numbers are
// TensorFlow's.
func TestGradientOfGradient(t *testing.T) {
	x := keras.NewVariable(of[float32](t, tensor.Shape{1, 3}, 1, 2, 3), nil)
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.SparseCategoricalCrossentropyFromLogits(in[0], s.Read(x))
		penalty := keras.Sum(keras.Square(tape.Gradient(loss, x)[0]))
		return tape.Gradient(keras.Add(loss, penalty), x)
	})
	out, err := step.Run(t.Context(), of[int64](t, tensor.Shape{1}, 1))
	if err != nil {
		t.Fatal(err)
	}
	for i, want := range []float64{.058, -1.255, 1.197} {
		if got := float64(values[float32](t, out[0])[i]); math.Abs(got-want) > 1e-3 {
			t.Errorf("element %d: got %.4f, want %.3f", i, got, want)
		}
	}
}

// oneWeight is one variable with an optimizer, whose step uses a given gradient.
func oneWeight(t *testing.T, o *keras.AdamOptions) (*keras.Variable, *keras.Adam, func(gradient float32) error) {
	w, adam := keras.NewVariable(of[float32](t, tensor.Shape{2}, 1, 2), nil), keras.NewAdamWith(o)
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		adam.Apply(s, []keras.Tensor{in[0]}, []*keras.Variable{w})
		return nil
	})
	return w, adam, func(gradient float32) error {
		_, err := step.Run(t.Context(), of(t, tensor.Shape{2}, gradient, 1))
		return err
	}
}

// What would spoil the variables for good makes the step fail and is undone.
func TestNotFinite(t *testing.T) {
	inf := float32(math.Inf(1))
	for name, test := range map[string]struct {
		options  *keras.AdamOptions
		gradient float32
		rate     float32
		count    int64
	}{
		"infinite gradient":    {nil, inf, 0.1, 0},
		"NaN gradient":         {nil, float32(math.NaN()), 0.1, 0},
		"infinite global norm": {&keras.AdamOptions{GlobalClipNorm: 1}, 1e30, 0.1, 0},
		"NaN rate":             {nil, 1, float32(math.NaN()), 0},
		"infinite rate":        {nil, 1, inf, 0},
		"iterations -1":        {nil, 1, 0.1, -1},
		"iterations -5":        {nil, 1, 0.1, -5},
		"fewest iterations":    {nil, 1, 0.1, math.MinInt64},
	} {
		t.Run(name, func(t *testing.T) {
			w, adam, step := oneWeight(t, test.options)
			if err := errors.Join(adam.LearningRate().Assign(of(t, nil, test.rate)), adam.Iterations().Assign(of(t, nil, test.count))); err != nil {
				t.Fatal(err)
			}
			if err := step(test.gradient); !errors.Is(err, keras.ErrNotFinite) {
				t.Errorf("got %v, want ErrNotFinite", err)
			}
			sameBits(t, "the variable", values[float32](t, w.Value()), []float32{1, 2})
			if got := adam.Iterations().Int64(); got != test.count {
				t.Errorf("%d iterations, want %d", got, test.count)
			}
		})
	}
}

// An optimizer without the moments of its iterations is not saved: the next
// program would take it.
func TestUnfitIsNotSaved(t *testing.T) {
	w, adam, _ := oneWeight(t, nil)
	objects := ckpt.Objects{"w": w, "optimizer": adam}
	if err := adam.Iterations().Assign(of[int64](t, nil, 5)); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	m, err := ckpt.NewManager(ckpt.New(objects), dir, nil)
	if err == nil {
		_, err = m.Save(t.Context(), nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	w, adam, step := oneWeight(t, nil)
	if m, err = ckpt.NewManager(ckpt.New(ckpt.Objects{"w": w, "optimizer": adam}), dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := m.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := step(1); err == nil || !strings.Contains(err.Error(), "Reset") {
			t.Errorf("step: %v", err)
		}
		if _, err := m.Save(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "Reset") {
			t.Errorf("Save: %v", err)
		}
	}
	if err := adam.Reset(); err != nil {
		t.Fatal(err)
	}
	if err := step(1); err != nil {
		t.Error(err)
	}
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Error(err)
	}
}

// A refused order stays refused, and is not saved, however often it is tried;
// also where everything was built before Resume.
func TestReorderedAgain(t *testing.T) {
	dir := savedStack(t)
	p := newStack(t, dir, "b", "a", "c")
	if _, err := p.manager.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := p.run(t); !errors.Is(err, ckpt.ErrMismatch) {
			t.Errorf("got %v, want ErrMismatch", err)
		}
		if _, err := p.manager.Save(t.Context(), nil); err == nil {
			t.Error("it was saved")
		}
	}
	if n := len(p.adam.Variables()); n != 2 {
		t.Errorf("the optimizer has %d variables", n)
	}
	built := newStack(t, dir, "b", "a", "c")
	if err := built.run(t); err != nil {
		t.Fatal(err)
	}
	if _, err := built.manager.Resume(t.Context(), nil); !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("Resume of what is built: %v", err)
	}
}

// A layer that is not tracked stays an error when the step is tried again.
func TestUntrackedAgain(t *testing.T) {
	layer := keras.Dense(2, nil)
	m := keras.NewModel("Forgetful", func(x keras.Tensor) keras.Tensor { return layer.Call(x) })
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor { return []keras.Tensor{m.Call(in[0])} })
	for range 2 {
		if _, err := step.Run(t.Context(), of[float32](t, tensor.Shape{1, 2}, 1, 2)); err == nil || !strings.Contains(err.Error(), "keras.Sublayer") {
			t.Errorf("got %v", err)
		}
	}
	keras.Sublayer(m, "layer", layer)
	if _, err := step.Run(t.Context(), of[float32](t, tensor.Shape{1, 2}, 1, 2)); err != nil {
		t.Error(err)
	}
}
