// Package keras trains small models in Go whose checkpoints are those of Keras 3
// on TensorFlow, byte for byte: the same edges, names, order and state of the
// optimizer. Python goes on from what Go saved, and the other way round.
//
// A Variable is a tensor that training changes. A Layer, a Sequential or a Model
// computes with Variables; those whose shape depends on the input appear at the
// first call. A Step is a function on Tensors, which are values to come, that is
// compiled once for each set of input shapes: tf.function. Inside, a Tape gives
// gradients and Adam applies them. A Schedule is a learning rate that changes, a
// Generator random numbers and Batches a position in the data that are part of a
// checkpoint. The inputs and results of a Step are tensors of package tensor.
//
// A program that goes on where it was stopped:
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//
//		"github.com/ckpt-go/ckpt"
//		"github.com/ckpt-go/ckpt/keras"
//		"github.com/ckpt-go/ckpt/tensor"
//	)
//
//	func main() {
//		ctx := context.Background()
//		model := keras.NewSequential(keras.Dense(16, keras.ReLU), keras.Dense(2, keras.Softmax))
//		optimizer := keras.NewAdam()
//		step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
//			tape := s.Tape()
//			loss := keras.SparseCategoricalCrossentropy(in[1], model.Call(in[0]))
//			variables := model.TrainableVariables()
//			optimizer.Apply(s, tape.Gradient(loss, variables...), variables)
//			return []keras.Tensor{keras.CheckNumerics("loss", loss)}
//		})
//		checkpoint := ckpt.New(ckpt.Objects{"model": model, "optimizer": optimizer})
//		manager, err := ckpt.NewManager(checkpoint, "training_checkpoints", nil)
//		if err != nil {
//			log.Fatal(err)
//		}
//		if _, err := manager.Resume(ctx, nil); err != nil { // before the model has variables
//			log.Fatal(err)
//		}
//		x, errX := tensor.Of(tensor.Shape{4, 2}, []float32{0, 0, 0, 1, 1, 0, 1, 1})
//		y, errY := tensor.Of(tensor.Shape{4}, []int64{0, 1, 1, 0})
//		if errX != nil || errY != nil {
//			log.Fatal(errX, errY)
//		}
//		for range 500 {
//			loss, err := step.Run(ctx, x, y)
//			if err != nil {
//				log.Fatal(err)
//			}
//			fmt.Println(keras.Float(loss[0]))
//		}
//		if _, err := manager.Save(ctx, nil); err != nil {
//			log.Fatal(err)
//		}
//	}
//
// # Changing a model
//
// Resume takes only checkpoints that fit the program. To go on with the weights of
// a model that was changed since, by a layer more, another name or another
// optimizer, resume with ckpt.ResumeOptions.AllowPartial, Build the model, call
// the optimizer's Reset, and save what the checkpoint has no place for any more
// with ckpt.SaveOptions.DropWaiting. Layers are matched by the names under which
// they are tracked; a renamed one starts from scratch until the optimizer, which
// stores the same variables, is built.
//
// # Errors
//
// Constructors panic on mistakes in the program. What goes wrong while a Step is
// described, such as shapes that do not fit, is a panic with an error that
// Step.Run returns. Restored values that do not fit a variable that appears are
// an error of the Run in which it does. A Run that fails changes no
// variable.
//
// # Concurrency
//
// One goroutine at a time uses a model with its optimizer, its variables and its
// steps. What a save holds of them may be written beside the training: values
// are replaced, never changed.
//
// # Numbers
//
// Computations are done in float32 by GoMLX's pure Go backend, in the order in
// which Keras does them where that matters: the update of Adam is Keras's to the
// bit, sums and matrix products differ from TensorFlow's in the last places.
// The same program gives the same bits on one processor and on several. Initial
// weights follow Keras's distributions, but not its random numbers.
//
// # Deviations from Keras
//
//   - A model that is restored before its first call takes the restored values
//     at that call. Keras 3 leaves the first kernel random and shifts the
//     optimizer's variables by one.
//   - A layer that a model calls but does not track is an error; in Keras it is
//     missing from the checkpoint.
//   - An optimizer whose iterations were restored and whose moments find no values
//     is an error at its first step; Keras goes on with moments of zero.
//   - A step that fails changes nothing; labels outside the classes, and gradients
//     or a step size that are infinite or NaN, make it fail.
//   - A tape gives gradients of whatever was computed in the step, before it was
//     opened, too, and for variables that are not trainable.
//   - Schedules can be tracked, and are then part of the checkpoint.
package keras
