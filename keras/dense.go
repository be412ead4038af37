package keras

import (
	"fmt"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// DenseOptions are the options of DenseWith; nil means the zero value.
type DenseOptions struct {
	// Name is the layer's name; dense, dense_1, … if empty.
	Name string
	// NoBias leaves the bias out (use_bias=False).
	NoBias bool
	// KernelInitializer draws the kernel's first values. Nil is GlorotUniform
	// with a seed drawn anew in each run; give one to repeat a run.
	KernelInitializer Initializer
	// BiasInitializer gives the bias's first values. Nil is Zeros.
	BiasInitializer Initializer
}

// DenseLayer is a layer in which every unit sees the whole input:
// activation(x · kernel + bias), keras.layers.Dense. The input is float32
// [batch, …, features], the output has units in place of features; the kernel
// is [features, units], the bias [units].
type DenseLayer struct {
	base
	units        int
	activation   Activation
	options      DenseOptions
	kernel, bias *Variable // nil before the first call
}

// Dense makes a dense layer; a nil activation is the identity. It panics if
// there are no units.
func Dense(units int, activation Activation) *DenseLayer {
	return DenseWith(units, activation, nil)
}

// DenseWith is Dense with options.
func DenseWith(units int, activation Activation, o *DenseOptions) *DenseLayer {
	if units < 1 {
		panic(fmt.Errorf("keras: a dense layer of %d units", units))
	}
	if o == nil {
		o = new(DenseOptions)
	}
	d := &DenseLayer{units: units, activation: activation, options: *o}
	d.name = named(o.Name, "Dense")
	if d.options.KernelInitializer == nil {
		d.options.KernelInitializer = GlorotUniform(freshSeed())
	}
	if d.options.BiasInitializer == nil {
		d.options.BiasInitializer = Zeros()
	}
	return d
}

// Kernel is the matrix of weights [features, units], nil before the first call.
func (d *DenseLayer) Kernel() *Variable { return d.kernel }

// Bias is the vector added to the product, nil before the first call and where
// there is none.
func (d *DenseLayer) Bias() *Variable { return d.bias }

// Call computes the layer.
func (d *DenseLayer) Call(x Tensor) Tensor {
	x.check()
	s := x.scope
	s.enter(d.name, false)
	defer s.leave()
	shape := x.Shape()
	if len(shape) < 2 || x.DType() != tensor.Float32 {
		panic(fmt.Errorf("keras: the input of layer %q is %v %v, want float32 [batch, …, features]", d.name, x.DType(), shape))
	}
	features := shape[len(shape)-1]
	d.build(s, features)
	if want := d.kernel.Shape()[0]; features != want {
		panic(fmt.Errorf("keras: the input of layer %q has %d features in its shape %v, want %d", d.name, features, shape, want))
	}
	rows := int64(1)
	for _, n := range shape[:len(shape)-1] {
		rows *= n
	}
	y := engine.MatMul(engine.Reshape(x.node, tensor.Shape{rows, features}), s.use(d.kernel).now)
	if d.bias != nil {
		y = engine.AddRow(y, s.use(d.bias).now)
	}
	out := append(shape[:len(shape)-1:len(shape)-1], int64(d.units))
	t := x.with(engine.Reshape(y, out))
	if d.activation != nil {
		t = d.activation(t)
	}
	return t
}

// build makes the variables at the first call. Restored values that wait for
// them are read now.
func (d *DenseLayer) build(s *Scope, features int64) {
	if d.kernel != nil {
		return
	}
	units := int64(d.units)
	kernel, err := s.newVariable("kernel", tensor.Shape{features, units}, d.options.KernelInitializer)
	if err != nil {
		panic(err)
	}
	var bias *Variable
	if !d.options.NoBias {
		if bias, err = s.newVariable("bias", tensor.Shape{units}, d.options.BiasInitializer); err != nil {
			panic(err)
		}
	}
	err = d.TrackAll(func(yield func(string, ckpt.Trackable) bool) {
		if yield("_kernel", kernel) && bias != nil {
			yield("bias", bias)
		}
	})
	if err != nil {
		panic(err)
	}
	d.kernel, d.bias = kernel, bias
}
