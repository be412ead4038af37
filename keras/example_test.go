package keras_test

import (
	"context"
	"fmt"
	"os"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// A model whose variables appear at the first step resumes before it has any.
func Example() {
	dir, err := os.MkdirTemp("", "keras")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	for range 2 { // the second run goes on from the first one's checkpoint
		if err := train(context.Background(), dir); err != nil {
			panic(err)
		}
	}
	// Output:
	// from scratch
	// learned xor: false
	// resumed after 400 steps
	// learned xor: true
}

func train(ctx context.Context, dir string) error {
	first := keras.DenseWith(16, keras.ReLU, &keras.DenseOptions{KernelInitializer: keras.GlorotUniform(1)})
	second := keras.DenseWith(2, keras.Softmax, &keras.DenseOptions{KernelInitializer: keras.GlorotUniform(2)})
	model, optimizer := keras.NewSequential(first, second), keras.NewAdam()
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.SparseCategoricalCrossentropy(in[1], model.Call(in[0]))
		variables := model.TrainableVariables()
		optimizer.Apply(s, tape.Gradient(loss, variables...), variables)
		return []keras.Tensor{keras.CheckNumerics("loss", loss)}
	})
	manager, err := ckpt.NewManager(ckpt.New(ckpt.Objects{"model": model, "optimizer": optimizer}), dir, nil)
	if err != nil {
		return err
	}
	resumed, err := manager.Resume(ctx, nil)
	if err != nil {
		return err
	}
	if resumed.Prefix == "" {
		fmt.Println("from scratch")
	} else {
		fmt.Println("resumed after", optimizer.Iterations().Int64(), "steps")
	}
	x, errX := tensor.Of(tensor.Shape{4, 2}, []float32{0, 0, 0, 1, 1, 0, 1, 1})
	y, errY := tensor.Of(tensor.Shape{4}, []int64{0, 1, 1, 0})
	if errX != nil || errY != nil {
		return fmt.Errorf("%w, %w", errX, errY)
	}
	var loss []*tensor.Tensor
	for range 400 {
		if loss, err = step.Run(ctx, x, y); err != nil {
			return err
		}
	}
	fmt.Println("learned xor:", keras.Float(loss[0]) < 0.25)
	_, err = manager.Save(ctx, nil)
	return err
}
