package keras_test

import (
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// networkFile is a network's golden numbers.
type networkFile struct {
	Rows, Steps int
	Variables   []struct {
		Path   string
		Shape  tensor.Shape
		Number uint64
		SHA256 string
	}
	Output     stored
	Losses     []stored
	Gradients  map[string][]stored // by step
	States     map[string]state    // by step
	Yardsticks yardstick
}

// network is a program that has golden numbers. Its step returns losses, the
// output, then the gradients of its variables.
type network struct {
	step       *keras.Step
	variables  []*keras.Variable
	optimizers []*keras.Adam // each has its share of the variables, in order
	losses     int
	inputs     int // of x, labels and the row that picks the first class
}

func networkOf(name string) network {
	switch name {
	case "sequential-sum":
		return classifier(1, func(in []keras.Tensor, p keras.Tensor) keras.Tensor { return keras.Sum(p) })
	case "sequential-neglog":
		return classifier(3, func(in []keras.Tensor, p keras.Tensor) keras.Tensor {
			return keras.Negative(keras.Log(keras.Sum(keras.Multiply(p, in[2]))))
		})
	case "subclassed":
		return classifier(2, func(in []keras.Tensor, p keras.Tensor) keras.Tensor {
			return keras.SparseCategoricalCrossentropy(in[1], p)
		})
	}
	return encoderDecoder()
}

func classifier(inputs int, loss func(in []keras.Tensor, p keras.Tensor) keras.Tensor) network {
	model := keras.NewSequential(keras.Input(10), keras.Dense(128, keras.ReLU), keras.Dense(10, keras.Softmax))
	adam, w := keras.NewAdam(), model.TrainableVariables()
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		p := model.Call(in[0])
		l := loss(in, p)
		g := tape.Gradient(l, w...)
		adam.Apply(s, g, w)
		return append([]keras.Tensor{l, p}, g...)
	})
	return network{step, w, []*keras.Adam{adam}, 1, inputs}
}

func encoderDecoder() network {
	encoder := keras.NewSequential(keras.Input(10), keras.Dense(64, keras.ReLU))
	decoder := keras.NewSequential(keras.Input(64), keras.Dense(64, keras.ReLU))
	adams := []*keras.Adam{keras.NewAdam(), keras.NewAdam()}
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape1, tape2 := s.Tape(), s.Tape()
		encoded := encoder.Call(in[0])
		decoded := decoder.Call(encoded)
		l1, l2 := keras.Sum(encoded), keras.Sum(decoded)
		g1, g2 := tape1.Gradient(l1, encoder.Variables()...), tape2.Gradient(l2, decoder.Variables()...)
		adams[0].Apply(s, g1, encoder.Variables())
		adams[1].Apply(s, g2, decoder.Variables())
		return append(append([]keras.Tensor{l1, l2, decoded}, g1...), g2...)
	})
	return network{step, append(encoder.Variables(), decoder.Variables()...), adams, 2, 1}
}

// begin gives the variables the golden weights.
func (n *network) begin(t *testing.T, f *networkFile) {
	t.Helper()
	for i, v := range f.Variables {
		size, _ := v.Shape.Elements()
		x := of(t, v.Shape, pattern(int(size), v.Number, 0.3)...)
		if sum := sha256.Sum256(x.Bytes()); hex.EncodeToString(sum[:]) != v.SHA256 {
			t.Fatalf("%s: the formula does not give the golden weights", v.Path)
		}
		if err := n.variables[i].Assign(x); err != nil {
			t.Fatal(err)
		}
	}
}

// run makes a step and returns what it gave.
func (n *network) run(t *testing.T, rows, step int) [][]float32 {
	t.Helper()
	labels := make([]int64, rows)
	for i := range labels {
		labels[i] = int64((i*7 + step*3) % 10)
	}
	in := []*tensor.Tensor{
		of(t, tensor.Shape{int64(rows), 10}, pattern(rows*10, uint64(step), 1)...),
		of(t, tensor.Shape{int64(rows)}, labels...),
		of[float32](t, tensor.Shape{1, 10}, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	}
	out, err := n.step.Run(t.Context(), in[:n.inputs]...)
	if err != nil {
		t.Fatal(err)
	}
	var list [][]float32
	for _, o := range out {
		list = append(list, values[float32](t, o))
	}
	return list
}

// moments are the first and second moment of the i-th variable.
func (n *network) moments(i int) (m, v *keras.Variable) {
	share := len(n.variables) / len(n.optimizers)
	own := n.optimizers[i/share].Variables()[2:]
	return own[2*(i%share)], own[2*(i%share)+1]
}

// Networks compute what TensorFlow computes, up to the order of roundings.
func TestNetworks(t *testing.T) {
	for _, name := range []string{"sequential-neglog", "subclassed", "encoderdecoder"} {
		t.Run(name, func(t *testing.T) { compareNetwork(t, name, true) })
	}
	// The derivative of a sum of probabilities is zero: what is computed is
	// rounding noise, in TensorFlow as well, and there is nothing to compare.
	t.Run("sequential-sum", func(t *testing.T) { compareNetwork(t, "sequential-sum", false) })
}

// rowSums adds up each of so many rows; the encoder-decoder's output is stored
// that way.
func rowSums(list []float32, rows int) []float32 {
	sums, width := make([]float32, rows), len(list)/rows
	for i := range sums {
		sum := 0.0
		for _, x := range list[i*width : (i+1)*width] {
			sum += float64(x)
		}
		sums[i] = float32(sum)
	}
	return sums
}

func compareNetwork(t *testing.T, name string, gradients bool) {
	var f networkFile
	readNumbers(t, name+".json", &f)
	n := networkOf(name)
	n.begin(t, &f)
	var output, loss, gradient, w, m, v difference
	losses := make([][]float32, n.losses)
	for step := 1; step <= f.Steps; step++ {
		out := n.run(t, f.Rows, step)
		for i := range losses {
			losses[i] = append(losses[i], out[i][0])
		}
		if step == 1 {
			want := f.Output.floats(t)
			output.add(t, rowSums(out[n.losses], len(want)), want)
		}
		if !gradients {
			continue
		}
		for i, g := range f.Gradients[strconv.Itoa(step)] {
			gradient.add(t, out[n.losses+1+i], g.floats(t))
		}
		if s, ok := f.States[strconv.Itoa(step)]; ok {
			for i, x := range n.variables {
				first, second := n.moments(i)
				w.add(t, values[float32](t, x.Value()), s.W[i].floats(t))
				m.add(t, values[float32](t, first.Value()), s.M[i].floats(t))
				v.add(t, values[float32](t, second.Value()), s.V[i].floats(t))
			}
		}
	}
	for i := range losses {
		loss.add(t, losses[i], f.Losses[i].floats(t))
	}
	jit := f.Yardsticks.JIT
	output.check(t, "outputs", jit["output"].Relative)
	loss.check(t, "losses", jit["losses"].Relative)
	gradient.check(t, "gradients", jit["gradients"].Relative)
	w.check(t, "weights", jit["states"].Relative)
	m.check(t, "first moments", jit["states"].Relative)
	v.check(t, "second moments", jit["states"].Relative)
	t.Logf("%d steps, ulps: output %v, loss %v, gradients %v, w %v, m %v, v %v; of the largest: output %.1e, loss %.1e, gradients %.1e, w %.1e, m %.1e, v %.1e",
		f.Steps, output.ulps, loss.ulps, gradient.ulps, w.ulps, m.ulps, v.ulps,
		output.relative, loss.relative, gradient.relative, w.relative, m.relative, v.relative)
}
