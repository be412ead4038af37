package keras

import (
	"fmt"

	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// Add is a + b (keras.ops.add). As for all operations on two tensors, dimensions
// of 1, and missing ones in front, are repeated; the dtypes must be equal.
func Add(a, b Tensor) Tensor { return combine("Add", a, b, engine.Add) }

// Subtract is a − b (keras.ops.subtract).
func Subtract(a, b Tensor) Tensor { return combine("Subtract", a, b, engine.Sub) }

// Multiply is a · b, element by element (keras.ops.multiply).
func Multiply(a, b Tensor) Tensor { return combine("Multiply", a, b, engine.Mul) }

// Divide is a / b, element by element (keras.ops.divide).
func Divide(a, b Tensor) Tensor {
	a.floating("Divide")
	return combine("Divide", a, b, engine.Div)
}

// Maximum is the larger of a and b, element by element (keras.ops.maximum).
func Maximum(a, b Tensor) Tensor { return combine("Maximum", a, b, engine.Max) }

// Minimum is the smaller of a and b, element by element (keras.ops.minimum).
func Minimum(a, b Tensor) Tensor { return combine("Minimum", a, b, engine.Min) }

// Sqrt is the square root of each element (keras.ops.sqrt). Its gradient at 0 is
// infinite.
func Sqrt(a Tensor) Tensor {
	a.floating("Sqrt")
	return unary(a, engine.Sqrt)
}

// Equal is 1 where a and b are equal and 0 elsewhere, as float32.
func Equal(a, b Tensor) Tensor {
	return combine("Equal", a, b, func(a, b engine.Node) engine.Node {
		return engine.Cast(engine.Equal(a, b), tensor.Float32)
	})
}

// Negative is −a (keras.ops.negative).
func Negative(a Tensor) Tensor { return unary(a, engine.Neg) }

// Exp is e to the power of each element (keras.ops.exp).
func Exp(a Tensor) Tensor {
	a.floating("Exp")
	return unary(a, engine.Exp)
}

// Log is the natural logarithm of each element (keras.ops.log).
func Log(a Tensor) Tensor {
	a.floating("Log")
	return unary(a, engine.Log)
}

// Square is each element times itself (keras.ops.square).
func Square(a Tensor) Tensor {
	return unary(a, func(n engine.Node) engine.Node { return engine.Mul(n, n) })
}

// Sum adds up all elements, to a scalar (keras.ops.sum).
func Sum(a Tensor) Tensor { return unary(a, func(n engine.Node) engine.Node { return engine.Sum(n) }) }

// Mean is the mean of all elements, a scalar (keras.ops.mean).
func Mean(a Tensor) Tensor {
	a.floating("Mean")
	n, _ := a.Shape().Elements()
	return unary(a, func(x engine.Node) engine.Node {
		return engine.Div(engine.Sum(x), a.scope.graph.Scalar(a.DType(), float64(n)))
	})
}

// MatMul is the product of matrices [n, k] and [k, m] (keras.ops.matmul).
func MatMul(a, b Tensor) Tensor {
	sameStep("MatMul", a, b)
	as, bs := a.Shape(), b.Shape()
	if len(as) != 2 || len(bs) != 2 || as[1] != bs[0] || a.DType() != b.DType() {
		panic(fmt.Errorf("keras: MatMul of %v %v and %v %v, want [n, k] and [k, m] of one dtype", a.DType(), as, b.DType(), bs))
	}
	return a.with(engine.MatMul(a.node, b.node))
}

// ArgMax is the index of the largest element along the last axis, as int64
// (keras.ops.argmax).
func ArgMax(a Tensor) Tensor {
	if len(a.Shape()) == 0 {
		panic(fmt.Errorf("keras: ArgMax of a scalar"))
	}
	return unary(a, engine.ArgMax)
}

// Cast converts to another dtype (keras.ops.cast).
func Cast(a Tensor, d tensor.DType) Tensor {
	return unary(a, func(n engine.Node) engine.Node { return engine.Cast(n, d) })
}

// StopGradient is a, as if it were a constant (keras.ops.stop_gradient).
func StopGradient(a Tensor) Tensor { return unary(a, engine.Stop) }

// CheckNumerics makes the step fail, with all variables left as they were before
// it, when an element is infinite or NaN (tf.debugging.check_numerics). It
// returns a.
func CheckNumerics(what string, a Tensor) Tensor {
	a.floating("CheckNumerics")
	bad := engine.Where(engine.Finite(a.node), engine.Zeros(a.node), a.scope.ones(a.node))
	a.scope.require(engine.Sum(bad), func(n float64) error {
		if n == 0 {
			return nil
		}
		return fmt.Errorf("keras: %s: %w (%.0f of its elements are infinite or not a number); the step was undone", what, ErrNotFinite, n)
	})
	return a
}
