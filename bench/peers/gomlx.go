package main

import (
	"fmt"

	"github.com/gomlx/gomlx/backends"
	_ "github.com/gomlx/gomlx/backends/simplego" // the "go" backend
	"github.com/gomlx/gomlx/pkg/core/graph"
	"github.com/gomlx/gomlx/pkg/core/tensors"
	"github.com/gomlx/gomlx/pkg/ml/context"
	"github.com/gomlx/gomlx/pkg/ml/layers"
	"github.com/gomlx/gomlx/pkg/ml/layers/activations"
	"github.com/gomlx/gomlx/pkg/ml/train/losses"
	"github.com/gomlx/gomlx/pkg/ml/train/optimizers"
)

// gomlx trains with GoMLX's own layers, losses, Adam and executor.
func gomlx(n network) (func(int) (float64, error), error) {
	backend, err := backends.NewWithConfig("go:ops_sequential")
	if err != nil {
		return nil, err
	}
	ctx := context.New().Checked(false)
	in := n.features
	for i, units := range n.layers {
		dense := layerScope(ctx, i).In("dense")
		w := n.weights()
		dense.VariableWithValue("weights", tensors.FromFlatDataAndDimensions(w[2*i], in, units))
		dense.VariableWithValue("biases", tensors.FromFlatDataAndDimensions(w[2*i+1], units))
		in = units
	}
	exec, err := context.NewExec(backend, ctx, n.gomlxStep())
	if err != nil {
		return nil, err
	}
	var inputs [][]any
	for i := range batches {
		x, y := n.batch(i)
		inputs = append(inputs, []any{tensors.FromFlatDataAndDimensions(x, n.rows, n.features), tensors.FromFlatDataAndDimensions(y, n.rows, 1)})
	}
	return func(i int) (float64, error) {
		outputs, err := exec.Exec(inputs[i]...)
		if err != nil {
			return 0, err
		}
		loss := float64(tensors.ToScalar[float32](outputs[0]))
		for _, t := range outputs {
			t.MustFinalizeAll()
		}
		return loss, nil
	}, nil
}

func layerScope(ctx *context.Context, i int) *context.Context {
	return ctx.In(fmt.Sprintf("layer_%d", i))
}

// gomlxStep is the computation of a step, which gives the loss.
func (n network) gomlxStep() func(ctx *context.Context, x, y *graph.Node) *graph.Node {
	dense := func(ctx *context.Context, i int, x *graph.Node) *graph.Node {
		return layers.DenseWithBias(layerScope(ctx, i), x, n.layers[i])
	}
	if n.loss == "halves" {
		encoder := optimizers.Adam().LearningRate(0.001).Scope("encoder_adam").Done()
		decoder := optimizers.Adam().LearningRate(0.001).Scope("decoder_adam").Done()
		return func(ctx *context.Context, x, _ *graph.Node) *graph.Node {
			encoded := activations.Relu(dense(ctx, 0, x))
			decoded := activations.Relu(dense(ctx, 1, encoded))
			// GoMLX's optimizers train whatever is trainable at the moment.
			setTrainable(ctx, 0, true)
			setTrainable(ctx, 1, false)
			encoder.UpdateGraph(ctx, x.Graph(), graph.ReduceAllSum(encoded))
			setTrainable(ctx, 0, false)
			setTrainable(ctx, 1, true)
			loss := graph.ReduceAllSum(decoded)
			decoder.UpdateGraph(ctx, x.Graph(), loss)
			return loss
		}
	}
	adam := optimizers.Adam().LearningRate(0.001).Done()
	return func(ctx *context.Context, x, y *graph.Node) *graph.Node {
		logits := dense(ctx, 1, activations.Relu(dense(ctx, 0, x)))
		var loss *graph.Node
		if n.loss == "sum" {
			loss = graph.ReduceAllSum(graph.Softmax(logits))
		} else {
			loss = losses.SparseCategoricalCrossEntropyLogits([]*graph.Node{y}, []*graph.Node{logits})
		}
		adam.UpdateGraph(ctx, x.Graph(), loss)
		return loss
	}
}

func setTrainable(ctx *context.Context, layer int, trainable bool) {
	dense := layerScope(ctx, layer).In("dense")
	for _, name := range []string{"weights", "biases"} {
		ctx.GetVariableByScopeAndName(dense.Scope(), name).SetTrainable(trainable)
	}
}
