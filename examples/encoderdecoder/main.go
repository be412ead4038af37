// Command encoderdecoder trains two models, each with its own optimizer and its
// own checkpoints. Each resumes by itself: a damaged or missing folder of one
// does not keep the other from going on. So does the same program in Python,
// from the same folders.
package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"math/rand/v2"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// Encoder is a model of one layer.
type Encoder struct {
	*keras.Model
	dense *keras.DenseLayer
}

// NewEncoder makes a model whose variables do not exist yet.
func NewEncoder(units int) *Encoder {
	m := new(Encoder)
	m.Model = keras.NewModel("Encoder", func(x keras.Tensor) keras.Tensor { return m.dense.Call(x) })
	m.dense = keras.Sublayer(m, "dense", keras.Dense(units, keras.ReLU))
	return m
}

// Decoder is a model of one layer.
type Decoder struct {
	*keras.Model
	dense *keras.DenseLayer
}

// NewDecoder makes a model whose variables do not exist yet.
func NewDecoder(units int) *Decoder {
	m := new(Decoder)
	m.Model = keras.NewModel("Decoder", func(x keras.Tensor) keras.Tensor { return m.dense.Call(x) })
	m.dense = keras.Sublayer(m, "dense", keras.Dense(units, keras.ReLU))
	return m
}

func main() {
	log.SetFlags(0)
	if err := run(context.Background()); err != nil {
		log.Fatal(err)
	}
}

func run(ctx context.Context) error {
	encoder, decoder := NewEncoder(64), NewDecoder(64)
	optimizerEnc, optimizerDec := keras.NewAdam(), keras.NewAdam()
	managerEnc, err := resume(ctx, "encoder_checkpoints", ckpt.Objects{"encoder": encoder, "optimizer": optimizerEnc})
	if err != nil {
		return err
	}
	managerDec, err := resume(ctx, "decoder_checkpoints", ckpt.Objects{"decoder": decoder, "optimizer": optimizerDec})
	if err != nil {
		return err
	}

	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tapeEnc, tapeDec := s.Tape(), s.Tape()
		encoded := encoder.Call(in[0])
		decoded := decoder.Call(encoded)
		lossEnc := keras.CheckNumerics("the encoder's loss", keras.Sum(encoded))
		lossDec := keras.CheckNumerics("the decoder's loss", keras.Sum(decoded))
		gradientsEnc := tapeEnc.Gradient(lossEnc, encoder.TrainableVariables()...)
		gradientsDec := tapeDec.Gradient(lossDec, decoder.TrainableVariables()...)
		optimizerEnc.Apply(s, gradientsEnc, encoder.TrainableVariables())
		optimizerDec.Apply(s, gradientsDec, decoder.TrainableVariables())
		return []keras.Tensor{lossEnc, lossDec}
	})
	x := make([]float32, 32*10)
	for i := range x {
		x[i] = float32(rand.NormFloat64())
	}
	inputs, err := tensor.Of(tensor.Shape{32, 10}, x)
	if err != nil {
		return err
	}
	losses, err := step.Run(ctx, inputs)
	if err != nil {
		return err
	}
	fmt.Printf("Encoder loss: %v, Decoder loss: %v\n", keras.Float(losses[0]), keras.Float(losses[1]))

	for _, manager := range []*ckpt.Manager{managerEnc, managerDec} {
		prefix, err := manager.Save(ctx, nil)
		if err != nil {
			return err
		}
		fmt.Println("Saved checkpoint at:", prefix)
	}
	return nil
}

// resume restores the newest good checkpoint of a folder. If there are some and
// all of them are damaged, or miss a file, it says so, and the objects start from
// scratch: the models are not built yet, so nothing was restored in part.
func resume(ctx context.Context, folder string, objects ckpt.Objects) (*ckpt.Manager, error) {
	manager, err := ckpt.NewManager(ckpt.New(objects), folder, &ckpt.ManagerOptions{MaxToKeep: 5})
	if err != nil {
		return nil, err
	}
	resumed, err := manager.Resume(ctx, nil)
	switch {
	case errors.Is(err, ckpt.ErrCorrupt), errors.Is(err, fs.ErrNotExist): // a missing file is no corrupt one
		fmt.Printf("%v\nStarting from scratch with %s all the same; new checkpoints get higher numbers.\n", err, folder)
		return manager, nil
	case err != nil:
		return nil, err
	}
	for _, refused := range resumed.Refused {
		fmt.Println(refused)
	}
	if resumed.Prefix != "" {
		fmt.Println("Restored from checkpoint:", resumed.Prefix)
	} else {
		fmt.Println("No checkpoint found, starting from scratch.")
	}
	return manager, nil
}
