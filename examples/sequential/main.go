// Command sequential finds the latest checkpoint of a simple model, trains it
// for one step and saves it. Run it again and it goes on from there; so does
// the same program in Python, from the same folder.
package main

import (
	"context"
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	model := keras.NewSequential(
		keras.Input(10),
		keras.Dense(128, keras.ReLU),
		keras.Dense(10, keras.Softmax),
	)
	optimizer := keras.NewAdam()

	checkpoint := ckpt.New(ckpt.Objects{"model": model, "optimizer": optimizer})
	manager, err := ckpt.NewManager(checkpoint, "training_checkpoints", &ckpt.ManagerOptions{MaxToKeep: 5})
	if err != nil {
		return err
	}
	resumed, err := manager.Resume(ctx, nil)
	if err != nil {
		return err
	}
	for _, refused := range resumed.Refused {
		fmt.Println(refused)
	}
	if resumed.Prefix != "" {
		fmt.Println("Restored from checkpoint:", resumed.Prefix)
	} else {
		fmt.Println("No checkpoint found, starting from scratch.")
	}

	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		predictions := model.Call(in[0])
		loss := keras.CheckNumerics("loss", keras.Sum(predictions)) // a dummy loss
		variables := model.TrainableVariables()
		optimizer.Apply(s, tape.Gradient(loss, variables...), variables)
		return []keras.Tensor{loss}
	})
	x := make([]float32, 10)
	for i := range x {
		x[i] = float32(rand.NormFloat64())
	}
	inputs, err := tensor.Of(tensor.Shape{1, 10}, x)
	if err != nil {
		return err
	}
	if _, err := step.Run(ctx, inputs); err != nil {
		return err
	}

	prefix, err := manager.Save(ctx, nil)
	if err != nil {
		return err
	}
	fmt.Println("Saved checkpoint at:", prefix)
	return nil
}
