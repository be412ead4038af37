package keras_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// stack is a model of layers of one shape, which only their names tell apart,
// with an optimizer and checkpoints.
type stack struct {
	*keras.Model
	adam    *keras.Adam
	step    *keras.Step
	manager *ckpt.Manager
}

func newStack(t *testing.T, dir string, names ...string) *stack {
	t.Helper()
	p, layers := &stack{adam: keras.NewAdam()}, make([]*keras.DenseLayer, len(names))
	p.Model = keras.NewModel("Stack", func(x keras.Tensor) keras.Tensor {
		for _, l := range layers {
			x = l.Call(x)
		}
		return x
	})
	for i, name := range names {
		layers[i] = keras.Sublayer(p, name, keras.Dense(3, nil))
	}
	p.step = keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.Mean(keras.Square(p.Call(in[0])))
		v := p.TrainableVariables()
		p.adam.Apply(s, tape.Gradient(loss, v...), v)
		return []keras.Tensor{loss}
	})
	var err error
	if p.manager, err = ckpt.NewManager(ckpt.New(ckpt.Objects{"model": p, "optimizer": p.adam}), dir, nil); err != nil {
		t.Fatal(err)
	}
	return p
}

func (p *stack) run(t *testing.T) error {
	_, err := p.step.Run(t.Context(), of[float32](t, tensor.Shape{1, 3}, 1, 2, 3))
	return err
}

// savedStack is a folder with a checkpoint of layers a, b and c after some steps.
func savedStack(t *testing.T) string {
	t.Helper()
	p := newStack(t, t.TempDir(), "a", "b", "c")
	for range 4 {
		if err := p.run(t); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.manager.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return p.manager.Directory()
}

// Layers of one shape in another order would get each other's moments: Resume
// takes no such checkpoint.
func TestReordered(t *testing.T) {
	dir := savedStack(t)
	p := newStack(t, dir, "c", "b", "a")
	if _, err := p.manager.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	err := p.run(t)
	if !errors.Is(err, ckpt.ErrMismatch) || !strings.Contains(err.Error(), "reordered") {
		t.Errorf("got %v, want an error about the order", err)
	}
	p = newStack(t, dir, "c", "b", "a")
	if _, err := p.manager.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true}); err != nil {
		t.Fatal(err)
	}
	if err := p.run(t); err != nil {
		t.Errorf("AllowPartial: %v", err)
	}
}

// A model with a layer more goes on with AllowPartial and Reset: the layers it
// had keep their weights, the optimizer starts over.
func TestResetAfterChange(t *testing.T) {
	dir := savedStack(t)
	for _, when := range []string{"before the optimizer is built", "after"} {
		p := newStack(t, dir, "a", "x", "b", "c")
		if _, err := p.manager.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true}); err != nil {
			t.Fatal(err)
		}
		if err := keras.Build(p, 3); err != nil {
			t.Fatal(err)
		}
		if when == "after" {
			err := p.adam.Build(p.TrainableVariables())
			if err == nil || !strings.Contains(err.Error(), "Reset") {
				t.Errorf("Build of a changed model: %v", err)
			}
		}
		weights := p.Variables()[0].Value()
		if err := p.adam.Reset(); err != nil {
			t.Fatal(err)
		}
		if err := p.adam.Build(p.TrainableVariables()); err != nil {
			t.Fatal(err)
		}
		for _, v := range p.adam.Variables() {
			if v != p.adam.LearningRate() && strings.Trim(string(v.Value().Bytes()), "\x00") != "" {
				t.Errorf("%s: %s is not zero", when, v.Name())
			}
		}
		sameBits(t, "a's kernel", values[float32](t, p.Variables()[0].Value()), values[float32](t, weights))
		if err := p.run(t); err != nil {
			t.Error(err)
		}
		if got := p.adam.Iterations().Int64(); got != 1 {
			t.Errorf("%s: %d iterations after one step", when, got)
		}
	}
}

// Build makes a model's variables without a step, and restores them.
func TestBuild(t *testing.T) {
	dir := savedStack(t)
	p := newStack(t, dir, "a", "b", "c")
	if _, err := p.manager.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Variables()); n != 0 {
		t.Errorf("%d variables before Build", n)
	}
	if err := keras.Build(p, 3); err != nil {
		t.Fatal(err)
	}
	if err := p.adam.Build(p.TrainableVariables()); err != nil {
		t.Fatal(err)
	}
	if n := len(p.Variables()); n != 6 {
		t.Errorf("%d variables after Build, want 6", n)
	}
	if _, err := p.manager.Save(t.Context(), nil); err != nil {
		t.Errorf("Save without a step: %v", err)
	}
	if err := keras.Build(p, 4); err == nil || !strings.Contains(err.Error(), "4 features") {
		t.Errorf("Build for another input: %v", err)
	}
}

// A model reads its own variables through the tensor it is called with.
func TestOwnVariable(t *testing.T) {
	scale := keras.NewVariable(of[float32](t, nil, 2), nil)
	m := keras.NewModel("Scaled", func(x keras.Tensor) keras.Tensor { return keras.Multiply(x, x.Scope().Read(scale)) })
	keras.Sublayer(m, "scale", scale)
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		y := m.Call(in[0])
		return []keras.Tensor{y, tape.Gradient(y, m.TrainableVariables()...)[0]}
	})
	out, err := step.Run(t.Context(), of[float32](t, tensor.Shape{2}, 3, 4))
	if err != nil {
		t.Fatal(err)
	}
	sameBits(t, "result", values[float32](t, out[0]), []float32{6, 8})
	sameBits(t, "gradient", values[float32](t, out[1]), []float32{7})
}

// What a newcomer forgets is said in words.
func TestForgotten(t *testing.T) {
	x := of[float32](t, tensor.Shape{1, 3}, 1, 2, 3)
	for _, test := range []struct{ name, want string }{
		{"variables taken before the first call", "no variables to change: a model has none before its first call"},
		{"mean of integers", "Mean of a int64 tensor"},
		{"attribute before the model", "set its Model = keras.NewModel(…) before"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newStack(t, t.TempDir(), "a")
			early := p.TrainableVariables()
			_, err := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
				loss := keras.Sum(p.Call(in[0]))
				switch test.name {
				case "mean of integers":
					loss = keras.Mean(keras.Cast(loss, tensor.Int64))
				case "attribute before the model":
					keras.Sublayer(new(stack), "a", keras.Dense(1, nil))
				default:
					p.adam.Apply(s, s.Tape().Gradient(loss, early...), early)
				}
				return []keras.Tensor{loss}
			}).Run(t.Context(), x)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want %s", err, test.want)
			}
		})
	}
}
