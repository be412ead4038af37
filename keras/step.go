package keras

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// Step is a function from tensors to tensors that may read and assign variables,
// compiled once for each set of input shapes: tf.function. The variables of
// layers that were not called before appear while it is compiled, and take the
// restored values that wait for them before it runs.
//
// A Step is not safe for concurrent use, nor beside a use of its variables.
type Step struct {
	fn    func(s *Scope, in []Tensor) []Tensor
	cache map[string]*program
}

// program is a compiled step for inputs of certain shapes.
type program struct {
	graph   *engine.Graph
	reads   []*Variable // inputs behind those of the call
	assigns []*Variable // outputs behind those of the call
	checks  []check     // outputs behind the assigned variables
	results int
}

// check is a number that must be right for the step to count.
type check struct {
	node engine.Node
	test func(value float64) error
}

// NewStep makes a step of a function, which runs when Run meets new shapes: it
// describes the computation and must not depend on anything that changes.
// The function and what it calls may panic with an error, which Run returns.
func NewStep(fn func(s *Scope, in []Tensor) []Tensor) *Step {
	if fn == nil {
		panic(errors.New("keras: a step without a function"))
	}
	return &Step{fn: fn, cache: make(map[string]*program)}
}

// Run computes the step. The inputs are copied and the results are the
// caller's. When it fails it has changed no variable, though variables may have
// appeared and taken restored values.
func (st *Step) Run(ctx context.Context, in ...*tensor.Tensor) ([]*tensor.Tensor, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var key strings.Builder
	for _, t := range in {
		if t == nil {
			return nil, errors.New("keras: an input of a step is nil")
		}
		fmt.Fprintf(&key, "%v %v;", t.DType(), t.Shape())
	}
	p := st.cache[key.String()]
	if p == nil {
		var err error
		if p, err = st.compile(in); err != nil {
			return nil, err
		}
		st.cache[key.String()] = p
	}
	return p.run(in)
}

// compile traces the function.
func (st *Step) compile(in []*tensor.Tensor) (*program, error) {
	s, err := newScope()
	if err != nil {
		return nil, err
	}
	p := &program{graph: s.graph}
	var outputs []engine.Node
	err = engine.Catch(func() {
		inputs := make([]Tensor, len(in))
		for i, t := range in {
			inputs[i] = s.input(t.DType(), t.Shape())
		}
		for i, t := range st.fn(s, inputs) {
			if !t.Valid() || t.scope != s {
				panic(fmt.Errorf("keras: result %d of a step is no value of this step", i))
			}
			outputs = append(outputs, engine.Identity(t.node))
		}
		p.results = len(outputs)
		p.reads = s.reads
		for _, v := range s.reads {
			if use := s.uses[v]; use.assigned {
				p.assigns = append(p.assigns, v)
				outputs = append(outputs, engine.Identity(use.now))
			}
		}
		p.checks = s.checks
		for _, c := range s.checks {
			outputs = append(outputs, engine.Identity(engine.Cast(c.node, tensor.Float64)))
		}
		if len(outputs) == 0 {
			panic(errors.New("keras: a step must return something or assign a variable"))
		}
	})
	s.done = true
	if err == nil {
		err = p.graph.Compile(outputs)
	}
	if err != nil {
		p.graph.Discard()
		return nil, err
	}
	return p, nil
}

func (p *program) run(in []*tensor.Tensor) ([]*tensor.Tensor, error) {
	inputs := make([]*engine.Value, 0, len(in)+len(p.reads))
	defer func() {
		for _, v := range inputs {
			v.Release()
		}
	}()
	for _, t := range in {
		v, err := engine.NewValue(t.DType(), t.Shape(), t.Bytes())
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, v)
	}
	for _, v := range p.reads {
		inputs = append(inputs, v.value.Retain())
	}
	outputs, err := p.graph.Run(inputs)
	if err != nil {
		return nil, err
	}
	results, assigned, checks := outputs[:p.results], outputs[p.results:p.results+len(p.assigns)], outputs[p.results+len(p.assigns):]
	for i, v := range checks {
		values, e := tensor.Values[float64](copyOut(v))
		if e == nil {
			e = p.checks[i].test(values[0])
		}
		err = errors.Join(err, e)
		v.Release()
	}
	for i, v := range assigned {
		if err != nil {
			v.Release()
			continue
		}
		p.assigns[i].set(v)
	}
	list := make([]*tensor.Tensor, len(results))
	for i, v := range results {
		list[i] = copyOut(v)
		v.Release()
	}
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Float is the first element of a result as a number, for scalars such as a
// loss. It panics on an empty tensor and
// on other dtypes than float32, float64, int32 and int64.
func Float(t *tensor.Tensor) float64 {
	switch t.DType() {
	case tensor.Float32:
		return float64(first[float32](t))
	case tensor.Float64:
		return first[float64](t)
	case tensor.Int64:
		return float64(first[int64](t))
	case tensor.Int32:
		return float64(first[int32](t))
	}
	panic(fmt.Errorf("keras: Float of a %v tensor", t.DType()))
}

func first[T tensor.Element](t *tensor.Tensor) T {
	values, err := tensor.Values[T](t)
	if err != nil {
		panic(err) // the caller looked at the dtype
	}
	return values[0]
}
