package keras

import (
	"context"
	"fmt"
	"iter"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// Variable is a tensor that steps read and assign: keras.Variable and
// tf.Variable, which look the same in a checkpoint. Its value is replaced and
// never changed, so a save holds it at no cost while training goes on.
//
// A Variable is not safe for concurrent use; what a save holds of it is.
type Variable struct {
	ckpt.Node
	name      string
	path      string
	trainable bool
	unfit     error // why it must not be saved: an optimizer's iterations without its moments
	value     *engine.Value
	restored  bool // from a checkpoint, and not assigned by the program since
}

// VariableOptions are the options of NewVariable; nil means the zero value.
type VariableOptions struct {
	// Name is the variable's full name, "Variable" if empty, as for tf.Variable.
	Name string
	// NotTrainable keeps the variable out of TrainableVariables.
	NotTrainable bool
}

// NewVariable makes a variable with a value, which is copied. It panics if the
// tensor is one that cannot be computed with: strings, complex numbers, the
// small floats, and shapes with a dimension of 0.
func NewVariable(initial *tensor.Tensor, o *VariableOptions) *Variable {
	if o == nil {
		o = new(VariableOptions)
	}
	name := o.Name
	if name == "" {
		name = "Variable"
	}
	value, err := engine.NewValue(initial.DType(), initial.Shape(), initial.Bytes())
	if err != nil {
		panic(fmt.Errorf("keras: variable %q: %w", name, err))
	}
	return &Variable{name: name, path: name, trainable: !o.NotTrainable, value: value}
}

// NewInt64 makes a scalar int64 variable named "Variable", such as a step
// counter: tf.Variable(value, dtype=tf.int64).
func NewInt64(value int64) *Variable {
	t, err := tensor.Of(nil, []int64{value})
	if err != nil {
		panic(err) // one element always fits a scalar
	}
	return NewVariable(t, &VariableOptions{NotTrainable: true})
}

// Name is the full name stored in checkpoints, such as sequential/dense/kernel.
// It need not be unique.
func (v *Variable) Name() string { return v.name }

// Path is Keras's path, made of the names of all layers on the way.
func (v *Variable) Path() string { return v.path }

// DType is the type of the elements.
func (v *Variable) DType() tensor.DType { return v.value.DType() }

// Shape is the dimensions; not to be changed.
func (v *Variable) Shape() tensor.Shape { return v.value.Shape() }

// Trainable tells whether an optimizer should change it.
func (v *Variable) Trainable() bool { return v.trainable }

// Value is a copy of the variable's value.
func (v *Variable) Value() *tensor.Tensor { return copyOut(v.value) }

// Int64 is the first element as an integer: the value of a scalar int64
// variable. It panics on another dtype.
func (v *Variable) Int64() int64 {
	values, err := tensor.Values[int64](v.Value())
	if err != nil {
		panic(fmt.Errorf("keras: variable %q: %w", v.name, err))
	}
	return values[0]
}

// Assign gives the variable another value, which is copied. Dtype and shape
// must be the variable's.
func (v *Variable) Assign(t *tensor.Tensor) error {
	if t.DType() != v.DType() || !t.Shape().Equal(v.Shape()) {
		return fmt.Errorf("keras: assigning %v to variable %q, which is %v %v", t, v.path, v.DType(), v.Shape())
	}
	fresh, err := engine.NewValue(t.DType(), t.Shape(), t.Bytes())
	if err != nil {
		return err
	}
	v.set(fresh)
	v.restored, v.unfit = false, nil
	return nil
}

// AssignAdd adds to a scalar int64 variable: assign_add. It panics on another
// dtype.
func (v *Variable) AssignAdd(delta int64) {
	t, err := tensor.Of(v.Shape(), []int64{v.Int64() + delta})
	if err == nil {
		err = v.Assign(t)
	}
	if err != nil {
		panic(fmt.Errorf("keras: variable %q: %w", v.name, err))
	}
}

// set takes over a value.
func (v *Variable) set(fresh *engine.Value) {
	old := v.value
	v.value = fresh
	old.Release()
}

func copyOut(v *engine.Value) *tensor.Tensor {
	t, err := tensor.New(v.DType(), v.Shape().Clone(), append([]byte(nil), v.Bytes()...))
	if err != nil {
		panic(err) // the engine's values always fit their shape
	}
	return t
}

// Values is the variable's one tensor, for ckpt.
func (v *Variable) Values() []ckpt.Value { return []ckpt.Value{v} }

// Spec describes the tensor, for ckpt.
func (v *Variable) Spec() ckpt.Spec {
	return ckpt.Spec{Attribute: ckpt.VariableValue, DType: v.DType(), Shape: v.Shape(), FullName: v.name}
}

// Snapshot holds the value as it is, for ckpt. Nothing is copied.
func (v *Variable) Snapshot(context.Context) (ckpt.Snapshot, error) {
	if v.unfit != nil {
		return nil, v.unfit
	}
	return held{v.value.Retain()}, nil
}

// Stage reads a value, for ckpt.
func (v *Variable) Stage(ctx context.Context, src ckpt.Source) (ckpt.Staged, error) {
	fresh, err := engine.FillValue(v.DType(), v.Shape(), func(memory []byte) error { return src.ReadInto(ctx, memory) })
	if err != nil {
		return nil, err
	}
	return &staged{v, fresh}, nil
}

// held is a value that a save holds.
type held struct{ value *engine.Value }

func (h held) Chunks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { yield(h.value.Bytes()) }
}
func (h held) Release() { h.value.Release() }

// Stable says that the value cannot change while it is held.
func (h held) Stable() bool { return true }

type staged struct {
	v     *Variable
	fresh *engine.Value
}

func (s *staged) Commit() {
	s.v.set(s.fresh)
	s.v.restored = true
}

func (s *staged) Discard() { s.fresh.Release() }
