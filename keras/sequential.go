package keras

import (
	"errors"
	"fmt"
	"slices"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// InputLayer tells the shape of a model's input: keras.layers.InputLayer.
type InputLayer struct {
	base
	shape tensor.Shape
}

// Input says that a model's input has these dimensions after that of the batch,
// so that the model's variables exist from the start: keras.Input. It panics on
// dimensions below 1.
func Input(dims ...int) *InputLayer {
	l := &InputLayer{base: base{name: autoName("InputLayer")}}
	for _, n := range dims {
		if n < 1 {
			panic(fmt.Errorf("keras: an input with dimensions %v", dims))
		}
		l.shape = append(l.shape, int64(n))
	}
	return l
}

// Call gives x back.
func (l *InputLayer) Call(x Tensor) Tensor { return x }

// Sequential is a model of layers that follow one another: keras.Sequential.
// Its layers' variables exist from the start if the first layer is an Input,
// else they appear at the first call. It is not safe for concurrent use.
type Sequential struct {
	base
	layers []Layer
	built  bool
}

// NewSequential makes a model of layers. It panics if there is none, if one is
// nil or of the name of another one, if an Input is not the first, and if a
// layer cannot take what the one before gives.
func NewSequential(layers ...Layer) *Sequential {
	m := &Sequential{base: base{name: autoName("Sequential")}, layers: slices.Clone(layers)}
	names := make(map[string]bool)
	for i, l := range layers {
		if l == nil {
			panic(fmt.Errorf("keras: layer %d of %s is nil", i, m.name))
		}
		if _, ok := l.(*InputLayer); ok && i > 0 {
			panic(fmt.Errorf("keras: layer %d of %s is an Input, which can only be the first", i, m.name))
		}
		if n, ok := l.(interface{ Name() string }); ok {
			if names[n.Name()] {
				panic(fmt.Errorf("keras: two layers of %s are called %q", m.name, n.Name()))
			}
			names[n.Name()] = true
		}
	}
	if len(layers) == 0 {
		panic(errors.New("keras: a model without layers"))
	}
	if input, ok := layers[0].(*InputLayer); ok {
		dims := make([]int, len(input.shape))
		for i, n := range input.shape {
			dims[i] = int(n)
		}
		if err := Build(m, dims...); err != nil {
			panic(err)
		}
	}
	return m
}

// Layers lists the layers, without the input. The slice is the caller's.
func (m *Sequential) Layers() []Layer {
	if _, ok := m.layers[0].(*InputLayer); ok {
		return slices.Clone(m.layers[1:])
	}
	return slices.Clone(m.layers)
}

// Call computes the layers one after another.
func (m *Sequential) Call(x Tensor) Tensor {
	x.check()
	x.scope.enter(m.name, false)
	defer x.scope.leave()
	if input, ok := m.layers[0].(*InputLayer); ok {
		if shape := x.Shape(); len(shape) < 1 || !shape[1:].Equal(input.shape) {
			panic(fmt.Errorf("keras: the input of %s has shape %v, want %v behind the batch", m.name, shape, input.shape))
		}
	}
	for _, l := range m.Layers() {
		x = l.Call(x)
	}
	if !m.built {
		if err := m.attach(); err != nil {
			panic(err)
		}
		m.built = true
	}
	return x
}

// attach hangs the layers below the model where Keras has them: in the list of
// operations of an inner functional model, whose other containers are empty.
// Restored values that wait are read now, all at once.
func (m *Sequential) attach() error {
	operations := new(ckpt.List)
	layers := m.layers
	if _, ok := layers[0].(*InputLayer); !ok {
		layers = append([]Layer{&InputLayer{base: base{name: autoName("InputLayer")}}}, layers...)
	}
	for _, l := range layers {
		if err := operations.Append(l); err != nil {
			return err
		}
	}
	autoName("Functional")
	functional := new(ckpt.Node)
	for _, name := range []string{"_tracked", "_inbound_nodes", "_outbound_nodes", "_losses", "_losses_override", "call_signature_parameters", "_call_has_context_arg"} {
		if err := functional.Track(name, new(ckpt.Node)); err != nil {
			return err
		}
	}
	if err := functional.Track("_operations", operations); err != nil {
		return err
	}
	return m.Track("_functional", functional)
}
