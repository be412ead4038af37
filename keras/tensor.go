package keras

import (
	"errors"
	"fmt"

	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// Tensor is a value inside a Step: it has a dtype and a shape, and a number
// only when the step runs. The zero Tensor is no value: Python's None, which is
// what Tape.Gradient gives where nothing depends on a variable.
//
// Operations panic with an error when dtypes or shapes do not fit; Step.Run
// returns it.
type Tensor struct {
	scope  *Scope
	node   engine.Node
	logits *engine.Node // what a softmax was made of
}

// Valid tells whether the tensor is a value.
func (t Tensor) Valid() bool { return t.scope != nil }

// Scope is the step the tensor belongs to: where a layer or model of the program
// reads its own variables.
func (t Tensor) Scope() *Scope {
	t.check()
	return t.scope
}

// DType is the type of the elements.
func (t Tensor) DType() tensor.DType {
	t.check()
	return t.node.DType()
}

// Shape is the dimensions, those of the batch included.
func (t Tensor) Shape() tensor.Shape {
	t.check()
	return t.node.Shape()
}

var errNoTensor = errors.New("keras: a Tensor that is no value, such as the gradient of something the loss does not depend on")

func (t Tensor) check() {
	if t.scope == nil {
		panic(errNoTensor)
	}
	if t.scope.done {
		panic(errors.New("keras: a Tensor belongs to the call of the step that made it and cannot be used later"))
	}
}

// sameStep refuses tensors of two steps.
func sameStep(name string, a, b Tensor) {
	a.check()
	b.check()
	if a.scope != b.scope {
		panic(fmt.Errorf("keras: %s of tensors of two different steps", name))
	}
}

// floating refuses tensors that are no floating-point numbers.
func (t Tensor) floating(what string) {
	if d := t.DType(); d != tensor.Float32 && d != tensor.Float64 {
		panic(fmt.Errorf("keras: %s of a %v tensor of shape %v, want float32 or float64", what, d, t.Shape()))
	}
}

// with is another tensor of the same step.
func (t Tensor) with(n engine.Node) Tensor { return Tensor{scope: t.scope, node: n} }

// combine applies an operation to two tensors of one step, of which one may have
// dimensions of 1, or fewer dimensions, that are repeated.
func combine(name string, a, b Tensor, op func(a, b engine.Node) engine.Node) Tensor {
	sameStep(name, a, b)
	if a.DType() != b.DType() {
		panic(fmt.Errorf("keras: %s of a %v and a %v tensor; use Cast", name, a.DType(), b.DType()))
	}
	x, y, err := align(a, b)
	if err != nil {
		panic(fmt.Errorf("keras: %s: %w", name, err))
	}
	return a.with(op(x, y))
}

// align puts dimensions of 1 in front of the tensor with fewer of them.
func align(a, b Tensor) (x, y engine.Node, err error) {
	as, bs := a.Shape(), b.Shape()
	x, y = a.node, b.node
	if len(as) == 0 || len(bs) == 0 {
		return x, y, nil
	}
	for i := 1; i <= min(len(as), len(bs)); i++ {
		if n, m := as[len(as)-i], bs[len(bs)-i]; n != m && n != 1 && m != 1 {
			return x, y, fmt.Errorf("shapes %v and %v do not fit", as, bs)
		}
	}
	if d := len(as) - len(bs); d > 0 {
		y = engine.Reshape(y, append(ones(d), bs...))
	} else if d < 0 {
		x = engine.Reshape(x, append(ones(-d), as...))
	}
	return x, y, nil
}

func ones(n int) tensor.Shape {
	s := make(tensor.Shape, n)
	for i := range s {
		s[i] = 1
	}
	return s
}

func unary(a Tensor, op func(engine.Node) engine.Node) Tensor {
	a.check()
	return a.with(op(a.node))
}
