package keras

import (
	"fmt"

	"github.com/ckpt-go/ckpt/keras/internal/engine"
	"github.com/ckpt-go/ckpt/tensor"
)

// epsilon is keras.backend.epsilon().
const epsilon = 1e-7

// SparseCategoricalCrossentropy is the mean over the rows of −log p of the right
// class (keras.losses.SparseCategoricalCrossentropy()). labels are integers of
// shape [rows] or [rows, 1], predictions probabilities [rows, classes].
//
// What a Softmax returned is computed from its logits. Other probabilities are
// clipped to [1e-7, 1 − 1e-7] and scaled to a sum of 1. A label outside
// 0 … classes−1 makes the step fail and leaves all variables as they were.
func SparseCategoricalCrossentropy(labels, predictions Tensor) Tensor {
	predictions.floating("cross-entropy with predictions")
	if predictions.logits != nil {
		return SparseCategoricalCrossentropyFromLogits(labels, predictions.with(*predictions.logits))
	}
	s := predictions.scope
	low := engine.Add(engine.Zeros(predictions.node), s.graph.Scalar(predictions.DType(), epsilon))
	high := engine.Add(engine.Zeros(predictions.node), s.graph.Scalar(predictions.DType(), 1-epsilon))
	// Strictly: at a limit itself the gradient passes, as in TensorFlow.
	p := engine.Where(engine.Greater(low, predictions.node), low, predictions.node)
	p = engine.Where(engine.Greater(p, high), high, p)
	return SparseCategoricalCrossentropyFromLogits(labels, predictions.with(engine.Log(p)))
}

// SparseCategoricalCrossentropyFromLogits is SparseCategoricalCrossentropy with
// from_logits=True. Its gradient with respect to the logits is
// (softmax − one-hot label) / rows.
func SparseCategoricalCrossentropyFromLogits(labels, logits Tensor) Tensor {
	logits.floating("cross-entropy with logits")
	labels = checkLabels(labels, logits)
	classes := logits.Shape()[1]
	shifted := engine.Sub(logits.node, engine.Stop(engine.LastMax(engine.Stop(logits.node))))
	exp := engine.Exp(shifted)
	sum := engine.LastSum(exp)
	right := engine.OneHot(labels.node, int(classes), logits.DType())
	// Not a product: a logit of −∞ elsewhere would make it NaN.
	isRight := engine.Greater(right, engine.Zeros(right))
	ofRight := engine.LastSum(engine.Where(isRight, shifted, engine.Zeros(shifted)))
	losses := engine.Reshape(engine.Sub(engine.Log(sum), ofRight), labels.Shape())
	gradient := engine.Sub(engine.Div(exp, sum), right)
	return Mean(logits.with(engine.WithGradient(losses, logits.node, gradient)))
}

// checkLabels refuses labels that fit no row or no class; those of [rows, 1]
// become [rows], all of them int64.
func checkLabels(labels, logits Tensor) Tensor {
	sameStep("cross-entropy", labels, logits)
	ls, zs := labels.Shape(), logits.Shape()
	if len(ls) == 2 && ls[1] == 1 {
		ls = ls[:1]
		labels = labels.with(engine.Reshape(labels.node, ls))
	}
	if len(zs) != 2 || len(ls) != 1 || ls[0] != zs[0] {
		panic(fmt.Errorf("keras: cross-entropy of labels %v and predictions %v, want [rows] and [rows, classes]", labels.Shape(), zs))
	}
	switch labels.DType() {
	case tensor.Int64, tensor.Int32, tensor.Int16, tensor.Int8, tensor.Uint8, tensor.Uint16, tensor.Uint32:
	default:
		panic(fmt.Errorf("keras: labels must be integers, not %v", labels.DType()))
	}
	s := logits.scope
	n := engine.Cast(labels.node, tensor.Int64) // a class need not have a number in the labels' own dtype
	labels = labels.with(n)
	outside := engine.Where(engine.Greater(s.zeros(n), n), s.ones(n),
		engine.Where(engine.Greater(n, engine.Add(s.zeros(n), s.graph.Scalar(tensor.Int64, float64(zs[1]-1)))), s.ones(n), s.zeros(n)))
	s.require(engine.Sum(outside), func(count float64) error {
		if count == 0 {
			return nil
		}
		return fmt.Errorf("keras: labels outside 0 … %d: %.0f of %d; the step was undone", zs[1]-1, count, ls[0])
	})
	return labels
}

// SparseCategoricalAccuracy is the share of rows whose largest prediction is
// that of the label (keras.metrics.SparseCategoricalAccuracy, without state).
func SparseCategoricalAccuracy(labels, predictions Tensor) Tensor {
	labels = checkLabels(labels, predictions)
	return Mean(Equal(Cast(labels, tensor.Int64), ArgMax(predictions)))
}
