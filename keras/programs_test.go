package keras_test

import (
	"bytes"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

const goldens = "../testdata/tensorflow-2.21.0-programs"

// program is one of the training programs: what it saves, and its step.
type program struct {
	checkpoints map[string]*ckpt.Checkpoint // by the folder they go to
	step        func(t *testing.T, x, y *tensor.Tensor) []float64
	build       func(t *testing.T) // the models, not the optimizers
}

// sequential is the first program. Its loss is −log p₀: the gradient of the
// sum of probabilities is rounding noise.
func sequential(*testing.T) *program {
	keras.ClearSession()
	model := keras.NewSequential(keras.Input(10), keras.Dense(128, keras.ReLU), keras.Dense(10, keras.Softmax))
	optimizer := keras.NewAdam()
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		p0 := keras.Sum(keras.Multiply(model.Call(in[0]), in[1]))
		loss := keras.Negative(keras.Log(p0))
		optimizer.Apply(s, tape.Gradient(loss, model.TrainableVariables()...), model.TrainableVariables())
		return []keras.Tensor{loss}
	})
	return &program{
		checkpoints: map[string]*ckpt.Checkpoint{"": ckpt.New(ckpt.Objects{"model": model, "optimizer": optimizer})},
		step: func(t *testing.T, x, _ *tensor.Tensor) []float64 {
			return run(t, step, x, of[float32](t, tensor.Shape{1, 10}, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0))
		},
		build: func(*testing.T) {},
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

func subclassed(*testing.T) *program {
	keras.ClearSession()
	model, optimizer, step := newMyModel(128, 10), keras.NewAdam(), keras.NewInt64(0)
	train := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.SparseCategoricalCrossentropy(in[1], model.Call(in[0]))
		variables := model.TrainableVariables()
		optimizer.Apply(s, tape.Gradient(loss, variables...), variables)
		return []keras.Tensor{loss}
	})
	return &program{
		checkpoints: map[string]*ckpt.Checkpoint{"": ckpt.New(ckpt.Objects{"model": model, "optimizer": optimizer, "step": step})},
		step: func(t *testing.T, x, y *tensor.Tensor) []float64 {
			defer step.AssignAdd(1)
			return run(t, train, x, y)
		},
		build: func(t *testing.T) { call(t, model) },
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

func encoderdecoder(*testing.T) *program {
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
	both := keras.NewModel("Both", func(x keras.Tensor) keras.Tensor { return decoder.Call(encoder.Call(x)) })
	keras.Sublayer(both, "encoder", encoder)
	keras.Sublayer(both, "decoder", decoder)
	return &program{
		checkpoints: map[string]*ckpt.Checkpoint{
			"encoder_checkpoints": ckpt.New(ckpt.Objects{"encoder": encoder, "optimizer": optimizerEnc}),
			"decoder_checkpoints": ckpt.New(ckpt.Objects{"decoder": decoder, "optimizer": optimizerDec}),
		},
		step: func(t *testing.T, x, _ *tensor.Tensor) []float64 { return run(t, train, x) },
		build: func(t *testing.T) {
			step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
				return []keras.Tensor{decoder.Call(encoder.Call(in[0]))}
			})
			run(t, step, of(t, tensor.Shape{1, 10}, make([]float32, 10)...))
		},
	}
}

// call builds a model by calling it once.
func call(t *testing.T, model keras.Layer) {
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor { return []keras.Tensor{model.Call(in[0])} })
	run(t, step, of(t, tensor.Shape{1, 10}, make([]float32, 10)...))
}

// run makes a step and returns its results as numbers, the first of each.
func run(t *testing.T, step *keras.Step, in ...*tensor.Tensor) []float64 {
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

// continued is what real TensorFlow did from the latest checkpoint on.
type continued struct {
	Losses []float64
	Inputs []struct {
		X     string
		Shape []int64
		Y     []int64
	}
}

func readContinued(t *testing.T, name string) *continued {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(goldens, name, "continued.json"))
	if err != nil {
		t.Fatal(err)
	}
	c := new(continued)
	if err := json.Unmarshal(b, c); err != nil {
		t.Fatal(err)
	}
	return c
}

func (c *continued) input(t *testing.T, i int) (x, y *tensor.Tensor) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(c.Inputs[i].X)
	if err != nil {
		t.Fatal(err)
	}
	if x, err = tensor.New(tensor.Float32, c.Inputs[i].Shape, b); err != nil {
		t.Fatal(err)
	}
	return x, of(t, tensor.Shape{int64(len(c.Inputs[i].Y))}, c.Inputs[i].Y...)
}

// ulps is the distance of two float32 numbers in units in the last place.
func ulps(a, b float32) float64 {
	order := func(x float32) int64 {
		if i := int64(int32(math.Float32bits(x))); i >= 0 {
			return i
		} else {
			return math.MinInt32 - i
		}
	}
	return math.Abs(float64(order(a) - order(b)))
}

var programs = []struct {
	name string
	make func(t *testing.T) *program
}{{"sequential", sequential}, {"subclassed", subclassed}, {"encoderdecoder", encoderdecoder}}

// The programs resume from TensorFlow's checkpoints, where they can before
// anything is built, and see the losses TensorFlow saw.
func TestContinue(t *testing.T) {
	for _, test := range programs {
		t.Run(test.name, func(t *testing.T) {
			p := test.make(t)
			for folder, c := range p.checkpoints {
				m, err := ckpt.NewManager(c, filepath.Join(goldens, test.name+"-steps", folder), nil)
				if err != nil {
					t.Fatal(err)
				}
				resumed, err := m.Resume(t.Context(), nil)
				if err != nil || resumed.Prefix == "" || len(resumed.Refused) > 0 {
					t.Fatalf("got %+v, %v", resumed, err)
				}
				defer func() {
					if err := resumed.Status.CheckConsumed(); err != nil {
						t.Error(err)
					}
				}()
			}
			want := readContinued(t, test.name+"-steps")
			worst := 0.0
			for i := range want.Inputs {
				x, y := want.input(t, i)
				for k, loss := range p.step(t, x, y) {
					if i*len(p.checkpoints)+k >= len(want.Losses) {
						t.Fatalf("%d losses, want more", len(want.Losses))
					}
					d := ulps(float32(loss), float32(want.Losses[i*len(p.checkpoints)+k]))
					worst = max(worst, d)
					if d > 8 {
						t.Errorf("step %d: loss %v, want %v", i, loss, want.Losses[i*len(p.checkpoints)+k])
					}
				}
			}
			t.Logf("losses differ by %v units in the last place at most", worst)
		})
	}
}

// The programs' checkpoints are TensorFlow's, byte for byte, for the same
// values: fresh, unbuilt, built and after steps.
func TestBytes(t *testing.T) {
	for _, test := range programs {
		for _, stage := range []string{"fresh", "unbuilt", "built", "steps"} {
			folder := filepath.Join(goldens, test.name+"-"+stage)
			if _, err := os.Stat(folder); err != nil {
				continue // sequential is always built, the others never fresh
			}
			t.Run(test.name+"-"+stage, func(t *testing.T) {
				p := test.make(t)
				switch stage {
				case "built":
					p.build(t)
				case "steps":
					rows := int64(32)
					if test.name == "sequential" {
						rows = 1
					}
					p.step(t, of(t, tensor.Shape{rows, 10}, make([]float32, rows*10)...), of(t, tensor.Shape{rows}, make([]int64, rows)...))
				}
				for name, c := range p.checkpoints {
					compareFolder(t, c, filepath.Join(folder, name))
				}
			})
		}
	}
}

// compareFolder restores each checkpoint of a folder, writes it again and
// compares the files.
func compareFolder(t *testing.T, c *ckpt.Checkpoint, folder string) {
	t.Helper()
	indexes, err := filepath.Glob(filepath.Join(folder, "*.index"))
	if err != nil || len(indexes) == 0 {
		t.Fatalf("no checkpoints in %s: %v", folder, err)
	}
	for _, index := range indexes {
		prefix := index[:len(index)-len(".index")]
		status, err := c.Restore(t.Context(), prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := status.CheckConsumed(); err != nil {
			t.Fatal(err)
		}
		copied, err := c.Write(t.Context(), filepath.Join(t.TempDir(), filepath.Base(prefix)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, suffix := range []string{".index", ".data-00000-of-00001"} {
			got, err := os.ReadFile(copied + suffix)
			if err != nil {
				t.Fatal(err)
			}
			want, err := os.ReadFile(prefix + suffix)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s%s differs: %d bytes, want %d", prefix, suffix, len(got), len(want))
			}
		}
	}
}

// float32s are little-endian numbers.
func float32s(b []byte) []float32 {
	values := make([]float32, len(b)/4)
	for i := range values {
		values[i] = math.Float32frombits(binary.LittleEndian.Uint32(b[4*i:]))
	}
	return values
}
