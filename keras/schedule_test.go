package keras_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// scheduleArguments are Python's keyword arguments.
type scheduleArguments struct {
	Class     string
	Arguments struct {
		Initial     float64 `json:"initial_learning_rate"`
		DecaySteps  float64 `json:"decay_steps"`
		DecayRate   float64 `json:"decay_rate"`
		Staircase   bool
		Alpha       float64
		WarmupSteps float64 `json:"warmup_steps"`
		Boundaries  []int64
		Values      []float64
	}
}

// schedule makes the schedule, nil if there is none of that kind.
func (s *scheduleArguments) schedule() keras.Schedule {
	a := &s.Arguments
	switch {
	case s.Class == "ExponentialDecay":
		return keras.NewExponentialDecay(a.Initial, a.DecaySteps, a.DecayRate, a.Staircase)
	case s.Class == "CosineDecay" && a.WarmupSteps == 0:
		return keras.NewCosineDecay(a.Initial, a.DecaySteps, a.Alpha)
	case s.Class == "PiecewiseConstantDecay":
		return keras.NewPiecewiseConstantDecay(a.Boundaries, a.Values)
	}
	return nil
}

// rates are a schedule's values after so many steps.
func rates(t *testing.T, s keras.Schedule, steps []int64) []float32 {
	t.Helper()
	step := keras.NewStep(func(scope *keras.Scope, in []keras.Tensor) []keras.Tensor {
		return []keras.Tensor{s.Rate(scope, in[0])}
	})
	var list []float32
	for _, n := range steps {
		out, err := step.Run(t.Context(), of(t, nil, n))
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, values[float32](t, out[0])...)
	}
	return list
}

// Schedules give the rates an optimizer of Keras uses, bit for bit.
func TestSchedules(t *testing.T) {
	var f struct {
		Steps     []int64
		Schedules []struct {
			scheduleArguments
			Values stored
		}
	}
	readNumbers(t, "schedules.json", &f)
	compared := 0
	for _, c := range f.Schedules {
		s := c.schedule()
		if s == nil {
			continue // a kind that package keras does not have
		}
		compared++
		sameBits(t, fmt.Sprintf("%s %+v", c.Class, c.Arguments), rates(t, s, f.Steps), c.Values.floats(t))
	}
	if compared != 7 {
		t.Errorf("%d schedules were compared, want 7", compared)
	}
}

// A schedule that is tracked is restored: the checkpoint's parameters win over
// the program's.
func TestScheduleRestored(t *testing.T) {
	at := []int64{0, 1, 2, 3, 10, 100}
	for _, test := range []struct {
		name        string
		saved, made keras.Schedule
	}{
		{"exponential", keras.NewExponentialDecay(0.1, 2, 0.5, false), keras.NewExponentialDecay(0.3, 7, 0.9, false)},
		{"cosine", keras.NewCosineDecay(0.1, 10, 0.01), keras.NewCosineDecay(0.7, 20, 0)},
		{"piecewise", keras.NewPiecewiseConstantDecay([]int64{1, 9}, []float64{1, .5, .25}), keras.NewPiecewiseConstantDecay([]int64{4, 50}, []float64{3, 2, 1})},
	} {
		t.Run(test.name, func(t *testing.T) {
			want := rates(t, test.saved, at)
			prefix, err := ckpt.New(ckpt.Objects{"schedule": test.saved}).Write(t.Context(), filepath.Join(t.TempDir(), "s"), nil)
			if err != nil {
				t.Fatal(err)
			}
			status, err := ckpt.New(ckpt.Objects{"schedule": test.made}).Read(t.Context(), prefix, nil)
			if err == nil {
				err = status.CheckConsumed()
			}
			if err != nil {
				t.Fatal(err)
			}
			sameBits(t, test.name, rates(t, test.made, at), want)
		})
	}
}

// A compiled step uses the parameters as they are, not as they were.
func TestScheduleRestoredIntoCompiledStep(t *testing.T) {
	saved, made := keras.NewExponentialDecay(4, 1, 1, false), keras.NewExponentialDecay(1, 1, 1, false)
	prefix, err := ckpt.New(ckpt.Objects{"schedule": saved}).Write(t.Context(), filepath.Join(t.TempDir(), "s"), nil)
	if err != nil {
		t.Fatal(err)
	}
	adam := keras.NewAdamWith(&keras.AdamOptions{Schedule: made})
	w := keras.NewVariable(of[float32](t, tensor.Shape{1}, 0), nil)
	step := applyStep(adam, []*keras.Variable{w})
	g := of[float32](t, tensor.Shape{1}, 1)
	var went []float32
	for n := range 2 {
		if n == 1 {
			if _, err := ckpt.New(ckpt.Objects{"schedule": made}).Read(t.Context(), prefix, nil); err != nil {
				t.Fatal(err)
			}
		}
		before := values[float32](t, w.Value())[0]
		if _, err := step.Run(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		went = append(went, before-values[float32](t, w.Value())[0])
	}
	if adam.LearningRate() != nil || went[0] < 0.99 || went[0] > 1.01 || went[1] < 3.99 || went[1] > 4.01 {
		t.Errorf("the variable went by %v, want about [1 4]", went)
	}
}
