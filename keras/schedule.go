package keras

import (
	"fmt"
	"math"
	"slices"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// Schedule gives the learning rate of each step:
// keras.optimizers.schedules.LearningRateSchedule. The position is the
// optimizer's count of iterations. In Keras a schedule is no part of a
// checkpoint; here it can be tracked like any object, and then its parameters
// are restored with the rest, as an optimizer's learning rate is.
//
// As in Keras an optimizer with a schedule has no variable for the learning rate,
// so that its checkpoints do not fit one without, and the other way round.
type Schedule interface {
	ckpt.Trackable
	// Rate is the learning rate, a float32 scalar, after so many iterations, an
	// int64 scalar.
	Rate(s *Scope, iterations Tensor) Tensor
}

// decay is what the schedules have in common: parameters in float32 variables.
type decay struct {
	ckpt.Node
	parameters map[string]*Variable
}

func newDecay(class string, names []string, values ...float64) decay {
	d := decay{parameters: make(map[string]*Variable)}
	for i, name := range names {
		v := optimizerVariable(snakeCase(class)+"/"+name, tensor.Float32, nil, values[i])
		d.parameters[name] = v
		if err := d.Track(name, v); err != nil {
			panic(err) // the names differ
		}
	}
	return d
}

// read is a parameter's value in a step.
func (d *decay) read(s *Scope, name string) engine.Node { return s.use(d.parameters[name]).now }

// ExponentialDecay is initial · rate^(iterations / steps)
// (keras.optimizers.schedules.ExponentialDecay).
type ExponentialDecay struct {
	decay
	staircase bool
}

// NewExponentialDecay makes the schedule; a staircase lets the exponent be whole
// only. It tracks initial_learning_rate, decay_steps and decay_rate. Steps are
// iterations. It panics if they are not positive, or a number is not finite.
func NewExponentialDecay(initial, steps, rate float64, staircase bool) *ExponentialDecay {
	checkSchedule(steps, initial, steps, rate)
	return &ExponentialDecay{
		decay:     newDecay("ExponentialDecay", []string{"initial_learning_rate", "decay_steps", "decay_rate"}, initial, steps, rate),
		staircase: staircase,
	}
}

// Rate is the learning rate.
func (d *ExponentialDecay) Rate(s *Scope, iterations Tensor) Tensor {
	p := engine.Div(engine.Cast(iterations.node, tensor.Float32), d.read(s, "decay_steps"))
	if d.staircase {
		p = engine.Floor(p)
	}
	return iterations.with(engine.Mul(d.read(s, "initial_learning_rate"), engine.Pow(d.read(s, "decay_rate"), p)))
}

// CosineDecay goes from initial to alpha · initial along half a wave
// (keras.optimizers.schedules.CosineDecay, without warm-up; Loshchilov and
// Hutter, 2016).
type CosineDecay struct{ decay }

// NewCosineDecay makes the schedule. It tracks initial_learning_rate,
// decay_steps and alpha. Steps are iterations. It panics if
// they are not positive, or a number is not finite.
func NewCosineDecay(initial, steps, alpha float64) *CosineDecay {
	checkSchedule(steps, initial, steps, alpha)
	return &CosineDecay{newDecay("CosineDecay", []string{"initial_learning_rate", "decay_steps", "alpha"}, initial, steps, alpha)}
}

// Rate is the learning rate.
func (d *CosineDecay) Rate(s *Scope, iterations Tensor) Tensor {
	number := func(x float64) engine.Node { return s.graph.Scalar(tensor.Float32, x) }
	steps, alpha := d.read(s, "decay_steps"), d.read(s, "alpha")
	done := engine.Div(engine.Min(engine.Cast(iterations.node, tensor.Float32), steps), steps)
	wave := engine.Mul(number(0.5), engine.Add(number(1), engine.Cos(engine.Mul(number(math.Pi), done))))
	factor := engine.Add(engine.Mul(engine.Sub(number(1), alpha), wave), alpha)
	return iterations.with(engine.Mul(d.read(s, "initial_learning_rate"), factor))
}

// PiecewiseConstantDecay is constant between boundaries
// (keras.optimizers.schedules.PiecewiseConstantDecay).
type PiecewiseConstantDecay struct {
	ckpt.Node
	boundaries, values []*Variable
}

// NewPiecewiseConstantDecay makes the schedule: values[i] holds up to and
// including boundaries[i] iterations, the last value from there on. It tracks
// boundaries and values, two lists. It panics unless there is one value more
// than boundaries, which rise.
func NewPiecewiseConstantDecay(boundaries []int64, values []float64) *PiecewiseConstantDecay {
	if len(values) != len(boundaries)+1 || !slices.IsSorted(boundaries) {
		panic(fmt.Errorf("keras: a piecewise constant schedule of boundaries %v and values %v", boundaries, values))
	}
	for i := range len(boundaries) - 1 {
		if boundaries[i] == boundaries[i+1] {
			panic(fmt.Errorf("keras: a piecewise constant schedule with the boundary %d twice", boundaries[i]))
		}
	}
	checkSchedule(1, values...)
	d := new(PiecewiseConstantDecay)
	bs, vs := new(ckpt.List), new(ckpt.List)
	var edges []child
	add := func(list *ckpt.List, v *Variable) *Variable {
		if err := list.Append(v); err != nil {
			panic(err) // a new list takes a new variable
		}
		return v
	}
	for i, b := range boundaries {
		d.boundaries = append(d.boundaries, add(bs, optimizerVariable(fmt.Sprintf("piecewise_constant_decay/boundary_%d", i), tensor.Int64, nil, float64(b))))
	}
	for i, x := range values {
		d.values = append(d.values, add(vs, optimizerVariable(fmt.Sprintf("piecewise_constant_decay/value_%d", i), tensor.Float32, nil, x)))
	}
	edges = append(edges, child{"boundaries", bs}, child{"values", vs})
	if err := d.TrackAll(children(edges)); err != nil {
		panic(err) // the names differ
	}
	return d
}

// Rate is the learning rate.
func (d *PiecewiseConstantDecay) Rate(s *Scope, iterations Tensor) Tensor {
	rate := s.use(d.values[len(d.boundaries)]).now
	for i := len(d.boundaries) - 1; i >= 0; i-- {
		rate = engine.Where(engine.AtMost(iterations.node, s.use(d.boundaries[i]).now), s.use(d.values[i]).now, rate)
	}
	return iterations.with(rate)
}

// checkSchedule panics on numbers that no schedule can have.
func checkSchedule(steps float64, numbers ...float64) {
	if !(float32(steps) > 0) {
		panic(fmt.Errorf("keras: a schedule over %v steps", steps))
	}
	for _, x := range numbers {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			panic(fmt.Errorf("keras: a schedule with the number %v", x))
		}
	}
}
