package main

import (
	"context"
	"crypto/sha256"
	"fmt"
	"math/rand/v2"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/examples/digits/glyphs"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

const (
	batch     = 64
	tests     = 2000 // pictures to test on, a multiple of testBatch
	testBatch = 500
)

// training is all that a step reads and writes, and the pictures.
type training struct {
	config    config
	model     *keras.Sequential
	optimizer *keras.Adam
	schedule  keras.Schedule
	batches   *keras.Batches   // the position in the pictures
	random    *keras.Generator // moves each picture a little, each time anew
	step      *ckpt.Variable[int64]

	pictures  *glyphs.Set
	trainStep *keras.Step
	testStep  *keras.Step
	inputs    []float32
	labels    []int64
}

func newTraining(c config) *training {
	t := &training{
		config:   c,
		schedule: keras.NewExponentialDecay(0.002, 1000, 0.7, false),
		batches:  keras.NewBatches(c.Pictures, batch, c.Seed),
		random:   keras.NewGenerator(c.Seed),
		step:     ckpt.NewScalar("step", int64(0)),
		inputs:   make([]float32, batch*glyphs.Count),
		labels:   make([]int64, batch),
	}
	t.model = keras.NewSequential(
		keras.Input(glyphs.Count),
		keras.DenseWith(128, keras.ReLU, &keras.DenseOptions{KernelInitializer: keras.GlorotUniform(c.Seed)}),
		keras.DenseWith(10, keras.Softmax, &keras.DenseOptions{KernelInitializer: keras.GlorotUniform(c.Seed + 1)}),
	)
	t.optimizer = keras.NewAdamWith(&keras.AdamOptions{Schedule: t.schedule})
	t.trainStep = keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		x, labels := in[0], in[1]
		tape := s.Tape()
		predictions := t.model.Call(x)
		loss := keras.CheckNumerics("loss", keras.SparseCategoricalCrossentropy(labels, predictions))
		variables := t.model.TrainableVariables()
		t.optimizer.Apply(s, tape.Gradient(loss, variables...), variables)
		return []keras.Tensor{loss, keras.SparseCategoricalAccuracy(labels, predictions)}
	})
	t.testStep = keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		return []keras.Tensor{keras.SparseCategoricalAccuracy(in[1], t.model.Call(in[0]))}
	})
	return t
}

// checkpoint is what has to be the same for the next step to be the same.
func (t *training) checkpoint() *ckpt.Checkpoint {
	return ckpt.New(ckpt.Objects{
		"model":     t.model,
		"optimizer": t.optimizer,
		"schedule":  t.schedule,
		"batches":   t.batches,
		"random":    t.random,
		"step":      t.step,
		"config":    ckpt.NewJSON(&t.config),
	})
}

// draw makes the pictures to learn from, as the configuration says.
func (t *training) draw() (err error) {
	if err := t.config.check(); err != nil {
		return err
	}
	t.pictures, err = glyphs.Training(t.config.Pictures, t.config.Seed)
	return err
}

// train makes one step.
func (t *training) train(ctx context.Context) (loss, accuracy float64, err error) {
	indices, err := t.batches.Next()
	if err != nil {
		return 0, 0, err
	}
	r := rand.New(t.random)
	for i, k := range indices {
		picture := t.pictures.Pixels[k*glyphs.Count : (k+1)*glyphs.Count]
		move(t.inputs[i*glyphs.Count:(i+1)*glyphs.Count], picture, r.IntN(3)-1, r.IntN(3)-1)
		t.labels[i] = t.pictures.Labels[k]
	}
	results, err := classify(ctx, t.trainStep, t.inputs, t.labels)
	if err != nil {
		return 0, 0, err
	}
	t.step.Assign(t.step.Value() + 1)
	return keras.Float(results[0]), keras.Float(results[1]), nil
}

// test is the accuracy on a font that training never saw.
func (t *training) test(ctx context.Context) (float64, error) {
	set, err := glyphs.Test(tests, t.config.Seed+1)
	if err != nil {
		return 0, err
	}
	var sum float64
	for at := 0; at < tests; at += testBatch {
		results, err := classify(ctx, t.testStep, set.Pixels[at*glyphs.Count:(at+testBatch)*glyphs.Count], set.Labels[at:at+testBatch])
		if err != nil {
			return 0, err
		}
		sum += keras.Float(results[0])
	}
	return sum / (tests / testBatch), nil
}

// classify runs a step on pictures and labels.
func classify(ctx context.Context, step *keras.Step, pictures []float32, labels []int64) ([]*tensor.Tensor, error) {
	x, err := tensor.Of(tensor.Shape{int64(len(labels)), glyphs.Count}, pictures)
	if err != nil {
		return nil, err
	}
	y, err := tensor.Of(tensor.Shape{int64(len(labels))}, labels)
	if err != nil {
		return nil, err
	}
	return step.Run(ctx, x, y)
}

// move copies a picture, moved by up to a pixel.
func move(to, from []float32, dx, dy int) {
	clear(to)
	for y := max(0, dy); y < min(glyphs.Side, glyphs.Side+dy); y++ {
		for x := max(0, dx); x < min(glyphs.Side, glyphs.Side+dx); x++ {
			to[y*glyphs.Side+x] = from[(y-dy)*glyphs.Side+x-dx]
		}
	}
}

// fingerprint tells runs apart that differ in a single bit.
func (t *training) fingerprint() string {
	h := sha256.New()
	for _, v := range append(t.model.Variables(), t.optimizer.Variables()...) {
		h.Write(v.Value().Bytes())
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:8])
}
