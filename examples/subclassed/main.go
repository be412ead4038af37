// Command subclassed is a custom training loop. The model's variables and the
// optimizer's state appear at the first step only, and take the restored values
// that wait for them. Run it again and it counts on; so does the same program
// in Python, from the same folder.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"math/rand/v2"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

const (
	batch    = 32
	features = 10
	classes  = 10
)

// MyModel is a model of two layers.
type MyModel struct {
	*keras.Model
	dense1, dense2 *keras.DenseLayer
}

// NewMyModel makes a model whose variables do not exist yet.
func NewMyModel(units, numClasses int) *MyModel {
	m := new(MyModel)
	m.Model = keras.NewModel("MyModel", m.call)
	m.dense1 = keras.Sublayer(m, "dense1", keras.Dense(units, keras.ReLU))
	m.dense2 = keras.Sublayer(m, "dense2", keras.Dense(numClasses, keras.Softmax))
	return m
}

func (m *MyModel) call(x keras.Tensor) keras.Tensor {
	return m.dense2.Call(m.dense1.Call(x))
}

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	model := NewMyModel(128, classes)
	optimizer := keras.NewAdam()
	globalStep := keras.NewInt64(0)

	checkpoint := ckpt.New(ckpt.Objects{"model": model, "optimizer": optimizer, "step": globalStep})
	manager, err := ckpt.NewManager(checkpoint, "custom_training_checkpoints", &ckpt.ManagerOptions{MaxToKeep: 5})
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

	trainStep := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		x, labels := in[0], in[1]
		tape := s.Tape()
		loss := keras.CheckNumerics("loss", keras.SparseCategoricalCrossentropy(labels, model.Call(x)))
		variables := model.TrainableVariables()
		optimizer.Apply(s, tape.Gradient(loss, variables...), variables)
		return []keras.Tensor{loss}
	})
	for range 10 {
		x, labels, err := mockData()
		if err != nil {
			return err
		}
		results, err := trainStep.Run(ctx, x, labels)
		if err != nil {
			return err
		}
		globalStep.AssignAdd(1)
		fmt.Printf("Step: %d, Loss: %v\n", globalStep.Int64(), keras.Float(results[0]))
		if globalStep.Int64()%3 == 0 {
			prefix, err := manager.Save(ctx, nil)
			if err != nil {
				return err
			}
			fmt.Println("Saved checkpoint at:", prefix)
		}
	}
	return nil
}

// mockData draws inputs from a normal distribution and labels at random.
func mockData() (x, labels *tensor.Tensor, err error) {
	values := make([]float32, batch*features)
	for i := range values {
		values[i] = float32(rand.NormFloat64())
	}
	right := make([]int64, batch)
	for i := range right {
		right[i] = rand.Int64N(classes)
	}
	x, errX := tensor.Of(tensor.Shape{batch, features}, values)
	labels, errLabels := tensor.Of(tensor.Shape{batch}, right)
	return x, labels, errors.Join(errX, errLabels)
}
