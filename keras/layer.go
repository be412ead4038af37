package keras

import (
	"errors"
	"fmt"
	"runtime"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// Layer is a part of a model. Call describes its computation on a tensor inside
// a Step; a layer whose variables depend on the input's shape makes them at the
// first call.
type Layer interface {
	ckpt.Trackable
	Call(x Tensor) Tensor
}

// base is what layers and models have in common.
type base struct {
	ckpt.Node
	name string
}

// Name is the object's name, such as dense_1.
func (b *base) Name() string { return b.name }

// Variables lists the variables of the layer and of what it tracks, its own
// first: Layer.variables. Before the first call there may be none.
func (b *base) Variables() []*Variable { return variablesOf(&b.Node) }

// TrainableVariables lists those of Variables that an optimizer should change.
func (b *base) TrainableVariables() []*Variable {
	var list []*Variable
	for _, v := range b.Variables() {
		if v.trainable {
			list = append(list, v)
		}
	}
	return list
}

// variablesOf lists the variables at and below an object: its own, first those
// that are trained, then those of its children, in the order in which they were
// tracked.
func variablesOf(root ckpt.Trackable) []*Variable {
	var list []*Variable
	seen := make(map[ckpt.Trackable]bool)
	var visit func(object ckpt.Trackable)
	visit = func(object ckpt.Trackable) {
		seen[object] = true
		var trained, others []*Variable
		var below []ckpt.Trackable
		for _, child := range object.Children() {
			v, ok := child.(*Variable)
			switch {
			case !ok:
				below = append(below, child)
			case seen[v]:
			case v.trainable:
				seen[v], trained = true, append(trained, v)
			default:
				seen[v], others = true, append(others, v)
			}
		}
		list = append(append(list, trained...), others...)
		for _, child := range below {
			if !seen[child] {
				visit(child)
			}
		}
	}
	visit(root)
	return list
}

// tracker is what Sublayer tracks in: a *Model, or a type that embeds one.
type tracker interface {
	Track(name string, child ckpt.Trackable) error
}

// Sublayer makes a layer, or anything else that can be tracked, an attribute of
// a model, and returns it: Python's self.dense1 = Dense(…). It panics if the
// model has another attribute of that name.
func Sublayer[L ckpt.Trackable](model tracker, name string, layer L) L {
	if err := track(model, name, layer); err != nil {
		panic(fmt.Errorf("keras: attribute %q: %w", name, err))
	}
	return layer
}

// track is Track, with an error where the embedded *Model is still nil.
func track(model tracker, name string, layer ckpt.Trackable) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case runtime.Error:
			err = errors.New("the model is not made yet: set its Model = keras.NewModel(…) before")
		default:
			panic(p)
		}
	}()
	return model.Track(name, layer)
}

// Build makes the variables of a layer or model as a first call on an input of
// these dimensions, after that of the batch, would: model.build. Restored values
// that wait for them are read now. It is for programs that look at variables or
// save before they compute anything; a call or a step builds by itself.
func Build(layer Layer, dims ...int) error {
	shape := tensor.Shape{1}
	for _, n := range dims {
		shape = append(shape, int64(n))
	}
	s, err := newScope()
	if err != nil {
		return err
	}
	defer s.graph.Discard()
	err = engine.Catch(func() { layer.Call(s.input(tensor.Float32, shape)) })
	s.done = true
	return err
}

// Model is a model whose computation is a function of the program: a subclassed
// keras.Model. Embed the pointer in a type that holds the layers:
//
//	type MyModel struct {
//		*keras.Model
//		dense1, dense2 *keras.DenseLayer
//	}
//
//	func NewMyModel() *MyModel {
//		m := new(MyModel)
//		m.Model = keras.NewModel("MyModel", m.call)
//		m.dense1 = keras.Sublayer(m, "dense1", keras.Dense(128, keras.ReLU))
//		m.dense2 = keras.Sublayer(m, "dense2", keras.Dense(10, keras.Softmax))
//		return m
//	}
//
//	func (m *MyModel) call(x keras.Tensor) keras.Tensor {
//		return m.dense2.Call(m.dense1.Call(x))
//	}
//
// A model with variables of its own tracks them with Sublayer, too, and reads
// them with x.Scope().Read. The layers' variables appear at the first call. A
// Model is not safe for concurrent use.
type Model struct {
	base
	class string
	call  func(x Tensor) Tensor
	built bool
	made  []*Variable // in calls, not yet known to be tracked
}

// NewModel makes a model of a class, which gives it its name, that computes
// call. It panics if one of the two is missing.
func NewModel(class string, call func(x Tensor) Tensor) *Model {
	if class == "" || call == nil {
		panic(errors.New("keras: a model needs a class and a function"))
	}
	return &Model{base: base{name: autoName(class)}, class: class, call: call}
}

// Call computes the model's function: Python's model(x).
func (m *Model) Call(x Tensor) Tensor {
	x.check()
	s := x.scope
	s.enter(m.name, !m.built)
	defer s.leave()
	before := len(s.made)
	y := m.call(x)
	m.made = append(m.made, s.made[before:]...)
	m.checkTracked()
	m.made, m.built = nil, true
	return y
}

// checkTracked refuses variables that would be in no checkpoint.
func (m *Model) checkTracked() {
	if len(m.made) == 0 {
		return
	}
	known := make(map[*Variable]bool)
	for _, v := range m.Variables() {
		known[v] = true
	}
	for _, v := range m.made {
		if !known[v] {
			panic(fmt.Errorf("keras: %s uses variable %q of a layer it does not track, which would be in no checkpoint; "+
				"make the layer an attribute with keras.Sublayer", m.class, v.path))
		}
	}
}
