package keras

import (
	"errors"
	"fmt"
	"iter"
	"math"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// AdamOptions are the options of NewAdamWith; nil means the zero value. A zero
// number means Keras's default.
type AdamOptions struct {
	Name         string   // adam, adam_1, … if empty
	LearningRate float64  // learning_rate; 0 means 0.001
	Schedule     Schedule // learning_rate, as a schedule; gives the learning rate of each step instead, if not nil
	Beta1        float64  // beta_1: decay of the first moment, below 1; 0 means 0.9
	Beta2        float64  // beta_2: decay of the second moment, below 1; 0 means 0.999
	Epsilon      float64  // epsilon; 0 means 1e-7
	AMSGrad      bool     // amsgrad: divide by the largest second moment so far
	WeightDecay  float64  // weight_decay; 0 means none
	// At most one of the three may be set; 0 means none.
	ClipNorm       float64 // clipnorm: largest norm of a gradient
	ClipValue      float64 // clipvalue: largest absolute value of an element
	GlobalClipNorm float64 // global_clipnorm: largest norm of all gradients together
}

// Adam is the optimizer of Kingma and Ba (2014) as keras.optimizers.Adam updates
// variables: epsilon is added to the root of a second moment without bias
// correction. Its moments appear at the first Apply. It is not safe for
// concurrent use.
type Adam struct {
	ckpt.Node
	name         string
	o            AdamOptions
	iterations   *Variable
	learningRate *Variable  // nil with a schedule
	variables    *ckpt.List // all of the optimizer's own
	trainable    *ckpt.List
	slots        map[*Variable]*moments // nil before it is built
	pending      *pending               // being built
	reset        bool                   // moments that appear are zero, whatever was restored
	whole        bool                   // built, with moments that belong to the iterations
}

// NewAdam makes an optimizer with Keras's defaults.
func NewAdam() *Adam { return NewAdamWith(nil) }

// NewAdamWith is NewAdam with options. It panics on numbers out of their range.
func NewAdamWith(o *AdamOptions) *Adam {
	if o == nil {
		o = new(AdamOptions)
	}
	a := &Adam{o: *o}
	if err := a.o.defaults(); err != nil {
		panic(err)
	}
	a.name = named(o.Name, "Adam")
	a.iterations = optimizerVariable(a.name+"/iteration", tensor.Int64, nil, 0)
	a.variables = ckpt.NewList(a.iterations)
	a.trainable = new(ckpt.List)
	edges := []child{{"_variables", a.variables}, {"_trainable_variables", a.trainable}, {"_trainable_variables_indices", new(ckpt.Node)}, {"_iterations", a.iterations}}
	if a.o.Schedule == nil {
		a.learningRate = optimizerVariable(a.name+"/learning_rate", tensor.Float32, nil, a.o.LearningRate)
		edges = append(edges, child{"_learning_rate", a.learningRate})
		if err := a.variables.Append(a.learningRate); err != nil {
			panic(err) // a new list takes a new variable
		}
	}
	if err := a.TrackAll(children(edges)); err != nil {
		panic(err) // a new node takes new objects
	}
	return a
}

// defaults fills in Keras's defaults.
func (o *AdamOptions) defaults() error {
	for _, f := range []struct {
		name  string
		value *float64
		zero  float64
		below float64
	}{
		{"LearningRate", &o.LearningRate, 0.001, 0},
		{"Beta1", &o.Beta1, 0.9, 1},
		{"Beta2", &o.Beta2, 0.999, 1},
		{"Epsilon", &o.Epsilon, epsilon, 0},
		{"WeightDecay", &o.WeightDecay, 0, 0},
		{"ClipNorm", &o.ClipNorm, 0, 0},
		{"ClipValue", &o.ClipValue, 0, 0},
		{"GlobalClipNorm", &o.GlobalClipNorm, 0, 0},
	} {
		if !(*f.value >= 0) || math.IsInf(*f.value, 1) || f.below > 0 && *f.value >= f.below {
			return fmt.Errorf("keras: AdamOptions.%s is %v", f.name, *f.value)
		}
		if *f.value == 0 {
			*f.value = f.zero
		}
	}
	clips := 0
	for _, c := range []float64{o.ClipNorm, o.ClipValue, o.GlobalClipNorm} {
		if c > 0 {
			clips++
		}
	}
	if clips > 1 {
		return errors.New("keras: only one of AdamOptions.ClipNorm, ClipValue and GlobalClipNorm may be set")
	}
	return nil
}

// child is an edge to be tracked.
type child struct {
	name   string
	object ckpt.Trackable
}

func children(list []child) iter.Seq2[string, ckpt.Trackable] {
	return func(yield func(string, ckpt.Trackable) bool) {
		for _, c := range list {
			if !yield(c.name, c.object) {
				return
			}
		}
	}
}

// optimizerVariable is a variable that is not trained, filled with a number.
func optimizerVariable(name string, d tensor.DType, shape tensor.Shape, x float64) *Variable {
	n, _ := shape.Elements()
	var t *tensor.Tensor
	var err error
	if d == tensor.Int64 {
		t, err = tensor.Of(shape, []int64{int64(x)})
	} else {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(x)
		}
		t, err = tensor.Of(shape, values)
	}
	if err != nil {
		panic(err) // as many values as the shape has elements
	}
	return NewVariable(t, &VariableOptions{Name: name, NotTrainable: true})
}

// Name is the optimizer's name, such as adam_1.
func (a *Adam) Name() string { return a.name }

// Iterations is the number of times the optimizer was applied, an int64 scalar.
func (a *Adam) Iterations() *Variable { return a.iterations }

// LearningRate is the learning rate, a float32 scalar that may be assigned; nil
// with a schedule.
func (a *Adam) LearningRate() *Variable { return a.learningRate }

// Variables lists the optimizer's own variables: the iterations, the learning
// rate, then the moments of each variable of the model.
func (a *Adam) Variables() []*Variable { return variablesOf(a.variables) }

// Apply changes variables by one step along their gradients: apply_gradients.
// Variables without a gradient, the zero Tensor, stay; it is an error if none
// has one. The variables must be those of the first call, or some of them.
func (a *Adam) Apply(s *Scope, gradients []Tensor, variables []*Variable) {
	if len(variables) == 0 {
		panic(fmt.Errorf("keras: %s: no variables to change: a model has none before its first call", a.name))
	}
	if len(gradients) != len(variables) {
		panic(fmt.Errorf("keras: %s: %d gradients for %d variables", a.name, len(gradients), len(variables)))
	}
	if err := a.Build(variables); err != nil {
		panic(err)
	}
	var pairs []pair
	for i, g := range gradients {
		if g.Valid() {
			s.owns(g)
			if !g.Shape().Equal(variables[i].Shape()) || g.DType() != variables[i].DType() {
				panic(fmt.Errorf("keras: %s: a gradient of %v %v for variable %q of %v %v", a.name, g.DType(), g.Shape(), variables[i].path, variables[i].DType(), variables[i].Shape()))
			}
			pairs = append(pairs, pair{g.node, variables[i]})
		}
	}
	if len(pairs) == 0 {
		panic(fmt.Errorf("keras: %s: no gradient for any variable: the loss depends on none of them", a.name))
	}
	a.clip(s, pairs)
	a.checkFinite(s, pairs)
	a.update(s, pairs)
	one := s.graph.Scalar(tensor.Int64, 1)
	s.assign(a.iterations, engine.Add(s.use(a.iterations).now, one))
}

// pair is a gradient and its variable.
type pair struct {
	gradient engine.Node
	variable *Variable
}

// clip limits the gradients.
func (a *Adam) clip(s *Scope, pairs []pair) {
	number := func(x float64) engine.Node { return s.graph.Scalar(tensor.Float32, x) }
	square := func(g engine.Node) engine.Node { return engine.Sum(engine.Mul(g, g)) }
	switch {
	case a.o.ClipNorm > 0:
		for i, p := range pairs {
			c := number(a.o.ClipNorm)
			norm := engine.Sqrt(square(p.gradient))
			pairs[i].gradient = engine.Div(engine.Mul(p.gradient, c), engine.Max(norm, c))
		}
	case a.o.ClipValue > 0:
		for i, p := range pairs {
			pairs[i].gradient = engine.Max(engine.Min(p.gradient, number(a.o.ClipValue)), number(-a.o.ClipValue))
		}
	case a.o.GlobalClipNorm > 0:
		sum := number(0)
		for _, p := range pairs {
			sum = engine.Add(sum, square(p.gradient))
		}
		norm, one := engine.Sqrt(sum), number(1)
		scale := engine.Mul(number(a.o.GlobalClipNorm), engine.Min(engine.Div(one, norm), engine.Div(one, number(a.o.GlobalClipNorm))))
		scale = engine.Add(scale, engine.Sub(norm, norm)) // a norm that is not finite spoils all gradients
		for i, p := range pairs {
			pairs[i].gradient = engine.Mul(p.gradient, scale)
		}
	}
}

// checkFinite makes the step fail when a gradient is infinite or NaN: the moments
// would never recover, and every later checkpoint would hold them.
func (a *Adam) checkFinite(s *Scope, pairs []pair) {
	zero := s.graph.Scalar(tensor.Float32, 0)
	sum := zero
	for _, p := range pairs {
		sum = engine.Add(sum, engine.Sum(engine.Mul(p.gradient, zero)))
	}
	a.requireZero(s, sum, "a gradient")
}

// requireZero makes the step fail unless a number times zero is zero.
func (a *Adam) requireZero(s *Scope, product engine.Node, what string) {
	s.require(product, func(x float64) error {
		if x == 0 {
			return nil
		}
		return fmt.Errorf("keras: %s: %s: %w; the step was undone", a.name, what, ErrNotFinite)
	})
}

// update is Keras's update_step, in the order of its roundings.
func (a *Adam) update(s *Scope, pairs []pair) {
	number := func(x float64) engine.Node { return s.graph.Scalar(tensor.Float32, x) }
	rate := a.rate(s)
	t := engine.Add(engine.Cast(s.use(a.iterations).now, tensor.Float32), number(1))
	power := func(beta float64) engine.Node {
		return engine.Sub(number(1), engine.Pow(number(beta), t))
	}
	alpha := engine.Div(engine.Mul(rate, engine.Sqrt(power(a.o.Beta2))), power(a.o.Beta1))
	a.requireZero(s, engine.Mul(alpha, number(0)), "the step size, which follows from learning rate and iterations")
	for _, p := range pairs {
		w := s.use(p.variable).now
		if a.o.WeightDecay > 0 {
			w = engine.Sub(w, engine.Mul(engine.Mul(w, number(a.o.WeightDecay)), rate))
		}
		slot := a.slots[p.variable]
		g, m, v := p.gradient, s.use(slot.m).now, s.use(slot.v).now
		m = engine.Add(m, engine.Mul(engine.Sub(g, m), number(1-a.o.Beta1)))
		v = engine.Add(v, engine.Mul(engine.Sub(engine.Mul(g, g), v), number(1-a.o.Beta2)))
		s.assign(slot.m, m)
		s.assign(slot.v, v)
		if slot.vHat != nil {
			v = engine.Max(s.use(slot.vHat).now, v)
			s.assign(slot.vHat, v)
		}
		s.assign(p.variable, engine.Sub(w, engine.Div(engine.Mul(m, alpha), engine.Add(engine.Sqrt(v), number(a.o.Epsilon)))))
	}
}

// rate is the learning rate of this step.
func (a *Adam) rate(s *Scope) engine.Node {
	if a.o.Schedule == nil {
		return s.use(a.learningRate).now
	}
	rate := a.o.Schedule.Rate(s, s.Read(a.iterations))
	if len(rate.Shape()) != 0 || rate.DType() != tensor.Float32 {
		panic(fmt.Errorf("keras: a schedule gave a learning rate of %v %v, want a float32 scalar", rate.DType(), rate.Shape()))
	}
	return rate.node
}
