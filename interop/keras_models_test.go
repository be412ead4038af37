package interop_test

import (
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// kerasProgram is one of the training programs: what it saves, and its step.
type kerasProgram struct {
	checkpoints map[string]*ckpt.Checkpoint // by the folder they go to
	step        func(t *testing.T, x, y *tensor.Tensor) []float64
	build       func(t *testing.T) // the models, not the optimizers
	variables   map[string]func() []*keras.Variable
	rows        int64 // of the inputs
}

// sequentialProgram is the first program. Its loss is −log p₀: the gradient of the
// sum of probabilities is rounding noise.
func sequentialProgram(*testing.T) *kerasProgram {
	keras.ClearSession()
	model := keras.NewSequential(keras.Input(10), keras.Dense(128, keras.ReLU), keras.Dense(10, keras.Softmax))
	return sequentialOf(model, keras.NewAdam())
}

func sequentialOf(model *keras.Sequential, optimizer *keras.Adam) *kerasProgram {
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		p0 := keras.Sum(keras.Multiply(model.Call(in[0]), in[1]))
		loss := keras.Negative(keras.Log(p0))
		optimizer.Apply(s, tape.Gradient(loss, model.TrainableVariables()...), model.TrainableVariables())
		return []keras.Tensor{loss}
	})
	return &kerasProgram{
		checkpoints: map[string]*ckpt.Checkpoint{"": ckpt.New(ckpt.Objects{"model": model, "optimizer": optimizer})},
		step: func(t *testing.T, x, _ *tensor.Tensor) []float64 {
			return runStep(t, step, x, of[float32](t, tensor.Shape{1, 10}, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0))
		},
		build:     func(*testing.T) {},
		variables: map[string]func() []*keras.Variable{"model": model.Variables, "optimizer": optimizer.Variables},
		rows:      1,
	}
}

type myModel struct {
	*keras.Model
	dense1, dense2 *keras.DenseLayer
}

func newMyModel(units, classes int) *myModel {
	m := new(myModel)
	m.Model = keras.NewModel("MyModel", m.call)
	m.dense1 = keras.Sublayer(m, "dense1", keras.Dense(units, keras.ReLU))
	m.dense2 = keras.Sublayer(m, "dense2", keras.Dense(classes, keras.Softmax))
	return m
}

func (m *myModel) call(x keras.Tensor) keras.Tensor { return m.dense2.Call(m.dense1.Call(x)) }

func subclassedProgram(*testing.T) *kerasProgram {
	keras.ClearSession()
	return subclassedOf(keras.NewInt64(0))
}

func subclassedOf(step *keras.Variable) *kerasProgram {
	model, optimizer := newMyModel(128, 10), keras.NewAdam()
	train := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.SparseCategoricalCrossentropy(in[1], model.Call(in[0]))
		variables := model.TrainableVariables()
		optimizer.Apply(s, tape.Gradient(loss, variables...), variables)
		return []keras.Tensor{loss}
	})
	return &kerasProgram{
		checkpoints: map[string]*ckpt.Checkpoint{"": ckpt.New(ckpt.Objects{"model": model, "optimizer": optimizer, "step": step})},
		step: func(t *testing.T, x, y *tensor.Tensor) []float64 {
			defer step.AssignAdd(1)
			return runStep(t, train, x, y)
		},
		build: func(t *testing.T) { callModel(t, model) },
		variables: map[string]func() []*keras.Variable{
			"model": model.Variables, "optimizer": optimizer.Variables,
			"step": func() []*keras.Variable { return []*keras.Variable{step} },
		},
		rows: 32,
	}
}

// coder is an Encoder or a Decoder.
type coder struct {
	*keras.Model
	dense *keras.DenseLayer
}

func newCoder(class string, units int) *coder {
	c := new(coder)
	c.Model = keras.NewModel(class, func(x keras.Tensor) keras.Tensor { return c.dense.Call(x) })
	c.dense = keras.Sublayer(c, "dense", keras.Dense(units, keras.ReLU))
	return c
}

func encoderdecoderProgram(*testing.T) *kerasProgram {
	keras.ClearSession()
	encoder, decoder := newCoder("Encoder", 64), newCoder("Decoder", 64)
	optimizerEnc, optimizerDec := keras.NewAdam(), keras.NewAdam()
	train := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		encTape, decTape := s.Tape(), s.Tape()
		encoded := encoder.Call(in[0])
		decoded := decoder.Call(encoded)
		lossEnc, lossDec := keras.Sum(encoded), keras.Sum(decoded)
		gradientsEnc := encTape.Gradient(lossEnc, encoder.TrainableVariables()...)
		gradientsDec := decTape.Gradient(lossDec, decoder.TrainableVariables()...)
		optimizerEnc.Apply(s, gradientsEnc, encoder.TrainableVariables())
		optimizerDec.Apply(s, gradientsDec, decoder.TrainableVariables())
		return []keras.Tensor{lossEnc, lossDec}
	})
	return &kerasProgram{
		checkpoints: map[string]*ckpt.Checkpoint{
			"encoder_checkpoints": ckpt.New(ckpt.Objects{"encoder": encoder, "optimizer": optimizerEnc}),
			"decoder_checkpoints": ckpt.New(ckpt.Objects{"decoder": decoder, "optimizer": optimizerDec}),
		},
		step: func(t *testing.T, x, _ *tensor.Tensor) []float64 { return runStep(t, train, x) },
		build: func(t *testing.T) {
			callModel(t, encoder)
			build := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
				return []keras.Tensor{decoder.Call(encoder.Call(in[0]))}
			})
			runStep(t, build, zeros(t, 1, 10))
		},
		variables: map[string]func() []*keras.Variable{
			"encoder": encoder.Variables, "optimizer_enc": optimizerEnc.Variables,
			"decoder": decoder.Variables, "optimizer_dec": optimizerDec.Variables,
		},
		rows: 32,
	}
}

// call builds a model by calling it once.
func callModel(t *testing.T, model keras.Layer) {
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor { return []keras.Tensor{model.Call(in[0])} })
	runStep(t, step, zeros(t, 1, 10))
}

// run makes a step and returns its results as numbers, the first of each.
func runStep(t *testing.T, step *keras.Step, in ...*tensor.Tensor) []float64 {
	t.Helper()
	out, err := step.Run(t.Context(), in...)
	if err != nil {
		t.Fatal(err)
	}
	var numbers []float64
	for _, o := range out {
		numbers = append(numbers, keras.Float(o))
	}
	return numbers
}

// zeros is an input of so many rows.
func zeros(t *testing.T, rows, features int64) *tensor.Tensor {
	t.Helper()
	return of(t, tensor.Shape{rows, features}, make([]float32, rows*features)...)
}

// of makes a tensor of values that fit its shape.
func of[T tensor.Element](t testing.TB, shape tensor.Shape, values ...T) *tensor.Tensor {
	t.Helper()
	x, err := tensor.Of(shape, values)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

var kerasPrograms = []struct {
	name string
	make func(t *testing.T) *kerasProgram
}{{"sequential", sequentialProgram}, {"subclassed", subclassedProgram}, {"encoderdecoder", encoderdecoderProgram}}
