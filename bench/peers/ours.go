package main

import (
	"context"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// ours trains with the keras package.
func ours(n network) (func(int) (float64, error), error) {
	last := keras.Softmax
	if n.loss == "halves" {
		last = keras.ReLU
	}
	first := keras.NewSequential(keras.Input(n.features), keras.Dense(n.layers[0], keras.ReLU))
	second := keras.NewSequential(keras.Input(n.layers[0]), keras.Dense(n.layers[1], last))
	variables := append(first.Variables(), second.Variables()...)
	for i, values := range n.weights() {
		t, err := tensor.Of(variables[i].Shape(), values)
		if err == nil {
			err = variables[i].Assign(t)
		}
		if err != nil {
			return nil, err
		}
	}
	var inputs [][]*tensor.Tensor
	for i := range batches {
		x, y := n.batch(i)
		xs, err := tensor.Of(tensor.Shape{int64(n.rows), int64(n.features)}, x)
		if err != nil {
			return nil, err
		}
		ys, err := tensor.Of(tensor.Shape{int64(n.rows)}, y)
		if err != nil {
			return nil, err
		}
		inputs = append(inputs, []*tensor.Tensor{xs, ys})
	}
	step := keras.NewStep(n.ourStep(first, second))
	return func(i int) (float64, error) {
		out, err := step.Run(context.Background(), inputs[i]...)
		if err != nil {
			return 0, err
		}
		return keras.Float(out[0]), nil
	}, nil
}

// ourStep is the computation of a step, which gives the loss.
func (n network) ourStep(first, second *keras.Sequential) func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
	if n.loss == "halves" {
		encoder, decoder := keras.NewAdam(), keras.NewAdam()
		return func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
			tapeEnc, tapeDec := s.Tape(), s.Tape()
			encoded := first.Call(in[0])
			decoded := second.Call(encoded)
			loss := keras.Sum(decoded)
			gradientsEnc := tapeEnc.Gradient(keras.Sum(encoded), first.TrainableVariables()...)
			gradientsDec := tapeDec.Gradient(loss, second.TrainableVariables()...)
			encoder.Apply(s, gradientsEnc, first.TrainableVariables())
			decoder.Apply(s, gradientsDec, second.TrainableVariables())
			return []keras.Tensor{loss}
		}
	}
	adam := keras.NewAdam()
	variables := append(first.TrainableVariables(), second.TrainableVariables()...)
	return func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := second.Call(first.Call(in[0]))
		if n.loss == "sum" {
			loss = keras.Sum(loss)
		} else {
			loss = keras.SparseCategoricalCrossentropy(in[1], loss)
		}
		adam.Apply(s, tape.Gradient(loss, variables...), variables)
		return []keras.Tensor{loss}
	}
}
