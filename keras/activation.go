package keras

import (
	"errors"

	"github.com/ckpt-go/ckpt/keras/internal/engine"
)

// ErrNotFinite says that a number that CheckNumerics looks after is infinite or
// NaN.
var ErrNotFinite = errors.New("not finite")

// Activation is a function that a layer applies to its output; nil is the
// identity (keras.activations).
type Activation func(Tensor) Tensor

// ReLU is max(x, 0), with a gradient of 0 at 0 (keras.activations.relu).
func ReLU(x Tensor) Tensor {
	x.check()
	zeros := engine.Zeros(x.node)
	return x.with(engine.Where(engine.AtMost(x.node, zeros), zeros, x.node))
}

// Softmax makes probabilities of logits, along the last axis
// (keras.activations.softmax). The tensor remembers the logits: a
// cross-entropy of it is computed from them, as in Keras.
func Softmax(x Tensor) Tensor {
	x.floating("Softmax")
	if len(x.Shape()) == 0 {
		panic(errors.New("keras: Softmax of a scalar"))
	}
	shifted := engine.Exp(engine.Sub(x.node, engine.Stop(engine.LastMax(x.node))))
	t := x.with(engine.Div(shifted, engine.LastSum(shifted)))
	logits := x.node
	t.logits = &logits
	return t
}
