package keras

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// Scope is one tracing of a Step: what its function reads and assigns.
type Scope struct {
	graph  *engine.Graph
	uses   map[*Variable]*use
	reads  []*Variable // in the order of their parameters
	checks []check
	made   []*Variable // variables that appeared
	open   []openName  // names of the layers that are being called
	done   bool
}

// use is what a step does with a variable.
type use struct {
	now      engine.Node
	versions []engine.Node // every value it had
	assigned bool
}

// openName is a layer that is being called.
type openName struct {
	name string
	// deferred: Keras makes the variables of a model without a build method at
	// the end of its first call, when the names of its layers are closed again.
	deferred bool
}

func newScope() (*Scope, error) {
	g, err := engine.NewGraph("step")
	if err != nil {
		return nil, err
	}
	return &Scope{graph: g, uses: make(map[*Variable]*use)}, nil
}

// input is the next input of the computation.
func (s *Scope) input(d tensor.DType, shape tensor.Shape) Tensor {
	return Tensor{scope: s, node: s.graph.Parameter(d, shape)}
}

// check refuses a scope whose step is described already.
func (s *Scope) check() {
	if s.done {
		panic(errors.New("keras: a Scope cannot be used after its step was compiled"))
	}
}

// owns refuses tensors of other steps.
func (s *Scope) owns(t Tensor) {
	t.check()
	if t.scope != s {
		panic(errors.New("keras: a Tensor of one step is used in another one"))
	}
}

// Scalar is a constant of dtype float32.
func (s *Scope) Scalar(x float64) Tensor {
	s.check()
	return Tensor{scope: s, node: s.graph.Scalar(tensor.Float32, x)}
}

// Read is a variable's value at this point of the step.
func (s *Scope) Read(v *Variable) Tensor {
	return Tensor{scope: s, node: s.use(v).now}
}

func (s *Scope) use(v *Variable) *use {
	s.check()
	u := s.uses[v]
	if u == nil {
		node := s.graph.Parameter(v.DType(), v.Shape())
		u = &use{now: node, versions: []engine.Node{node}}
		s.uses[v] = u
		s.reads = append(s.reads, v)
	}
	return u
}

// Assign gives a variable another value from this point of the step on; it is
// stored when the step succeeds. Dtype and shape must be the variable's.
func (s *Scope) Assign(v *Variable, t Tensor) {
	s.owns(t)
	if t.DType() != v.DType() || !t.Shape().Equal(v.Shape()) {
		panic(fmt.Errorf("keras: assigning %v %v to variable %q of %v %v", t.DType(), t.Shape(), v.Path(), v.DType(), v.Shape()))
	}
	s.assign(v, t.node)
}

func (s *Scope) assign(v *Variable, n engine.Node) {
	u := s.use(v)
	u.now = engine.Identity(engine.Stop(n)) // gradients do not pass through assignments
	u.versions = append(u.versions, u.now)
	u.assigned = true
}

// AssignAdd adds to a variable (assign_add).
func (s *Scope) AssignAdd(v *Variable, t Tensor) { s.Assign(v, Add(s.Read(v), t)) }

// require makes the step fail unless a scalar passes a test.
func (s *Scope) require(n engine.Node, test func(value float64) error) {
	s.checks = append(s.checks, check{engine.Stop(n), test})
}

func (s *Scope) zeros(like engine.Node) engine.Node { return engine.Zeros(like) }

func (s *Scope) ones(like engine.Node) engine.Node {
	return engine.Add(engine.Zeros(like), s.graph.Scalar(like.DType(), 1))
}

func (s *Scope) enter(name string, deferred bool) { s.open = append(s.open, openName{name, deferred}) }

func (s *Scope) leave() { s.open = s.open[:len(s.open)-1] }

// newVariable makes a variable of the layer that is being called.
func (s *Scope) newVariable(name string, shape tensor.Shape, init Initializer) (*Variable, error) {
	values := init(shape)
	t, err := tensor.Of(shape, values)
	if err != nil {
		return nil, fmt.Errorf("keras: initial value of %s: %w", name, err)
	}
	value, err := engine.NewValue(t.DType(), t.Shape(), t.Bytes())
	if err != nil {
		return nil, err
	}
	var path, full []string
	deferred := false
	for _, o := range s.open {
		path = append(path, o.name)
		if !deferred {
			full = append(full, o.name)
		}
		deferred = deferred || o.deferred
	}
	v := &Variable{
		name:      strings.Join(append(full, name), "/"),
		path:      strings.Join(append(path, name), "/"),
		trainable: true,
		value:     value,
	}
	s.made = append(s.made, v)
	return v, nil
}

// Tape is tf.GradientTape: gradients of losses with respect to variables.
// Several may be open at once, and each can be asked any number of times.
type Tape struct{ scope *Scope }

// Tape opens a tape.
func (s *Scope) Tape() *Tape { return &Tape{s} }

// Gradient gives the derivative of a loss with respect to each variable: to
// every value the variable had in this step before. A loss that is no scalar is
// summed up first. Where the loss does not depend on a variable the zero Tensor
// stands, as TensorFlow's None.
func (t *Tape) Gradient(loss Tensor, variables ...*Variable) []Tensor {
	loss = Sum(loss)
	if loss.scope != t.scope {
		panic(errors.New("keras: the loss is of another step than the tape"))
	}
	if loss.DType() != tensor.Float32 && loss.DType() != tensor.Float64 {
		panic(fmt.Errorf("keras: gradient of a loss of dtype %v", loss.DType()))
	}
	var nodes []engine.Node
	for _, v := range variables {
		if u := t.scope.uses[v]; u != nil {
			nodes = append(nodes, u.versions...)
		}
	}
	found := make(map[int]engine.Node)
	var wanted []engine.Node
	var at []int
	for i, depends := range engine.Depends(loss.node, nodes) {
		if depends {
			wanted, at = append(wanted, nodes[i]), append(at, i)
		}
	}
	if len(wanted) > 0 {
		for k, n := range engine.Gradients(loss.node, wanted) {
			found[at[k]] = n
		}
	}
	gradients := make([]Tensor, len(variables))
	i := 0
	for k, v := range variables {
		u := t.scope.uses[v]
		if u == nil {
			continue
		}
		for range u.versions {
			if n, ok := found[i]; ok {
				if gradients[k].Valid() {
					n = engine.Add(gradients[k].node, n)
				}
				gradients[k] = loss.with(n)
			}
			i++
		}
	}
	return gradients
}
