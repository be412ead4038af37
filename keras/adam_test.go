package keras_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// adamFile is golden updates with given gradients.
type adamFile struct {
	Variables []stored
	Gradients [][]stored
	Variants  []struct {
		Name    string
		Options adamArguments
		States  []state
	}
	Dense struct {
		Losses    stored
		Gradients [][]stored
		States    []state
	}
}

// adamArguments are Python's keyword arguments.
type adamArguments struct {
	LearningRate   json.RawMessage `json:"learning_rate"` // a number or a schedule
	Beta1          float64         `json:"beta_1"`
	Beta2          float64         `json:"beta_2"`
	Epsilon        float64         `json:"epsilon"`
	AMSGrad        bool            `json:"amsgrad"`
	WeightDecay    float64         `json:"weight_decay"`
	ClipNorm       float64         `json:"clipnorm"`
	ClipValue      float64         `json:"clipvalue"`
	GlobalClipNorm float64         `json:"global_clipnorm"`
}

func (a *adamArguments) adam(t *testing.T) *keras.Adam {
	t.Helper()
	o := &keras.AdamOptions{
		Beta1: a.Beta1, Beta2: a.Beta2, Epsilon: a.Epsilon, AMSGrad: a.AMSGrad, WeightDecay: a.WeightDecay,
		ClipNorm: a.ClipNorm, ClipValue: a.ClipValue, GlobalClipNorm: a.GlobalClipNorm,
	}
	switch {
	case a.LearningRate == nil:
	case a.LearningRate[0] == '{':
		var s scheduleArguments
		if err := json.Unmarshal(a.LearningRate, &s); err != nil {
			t.Fatal(err)
		}
		o.Schedule = s.schedule()
	default:
		if err := json.Unmarshal(a.LearningRate, &o.LearningRate); err != nil {
			t.Fatal(err)
		}
	}
	return keras.NewAdamWith(o)
}

// Every variant of Adam gives Keras's weights and moments, bit for bit.
func TestAdamVariants(t *testing.T) {
	var f adamFile
	readNumbers(t, "adam.json", &f)
	if len(f.Variants) < 13 {
		t.Fatalf("%d variants, want 13", len(f.Variants))
	}
	for _, variant := range f.Variants {
		t.Run(variant.Name, func(t *testing.T) {
			adam := variant.Options.adam(t)
			var w []*keras.Variable
			for _, x := range f.Variables {
				w = append(w, keras.NewVariable(x.tensor(t), nil))
			}
			step := applyStep(adam, w)
			for n, gradients := range f.Gradients {
				if _, err := step.Run(t.Context(), gradients[0].tensor(t), gradients[1].tensor(t)); err != nil {
					t.Fatal(err)
				}
				sameState(t, adam, w, &variant.States[n])
			}
			if got := adam.Iterations().Int64(); got != 3 {
				t.Errorf("iterations are %d, want 3", got)
			}
		})
	}
}

// applyStep is a step whose inputs are the gradients.
func applyStep(adam *keras.Adam, w []*keras.Variable) *keras.Step {
	return keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		adam.Apply(s, in, w)
		return nil
	})
}

// sameState compares variables and their moments, bit for bit.
func sameState(t *testing.T, adam *keras.Adam, w []*keras.Variable, want *state) {
	t.Helper()
	own := adam.Variables()
	for own[0].DType() == tensor.Int64 || len(own[0].Shape()) == 0 {
		own = own[1:] // the iterations and the learning rate
	}
	for i, x := range w {
		sameBits(t, x.Name(), values[float32](t, x.Value()), want.W[i].floats(t))
		sameBits(t, own[2*i].Name(), values[float32](t, own[2*i].Value()), want.M[i].floats(t))
		sameBits(t, own[2*i+1].Name(), values[float32](t, own[2*i+1].Value()), want.V[i].floats(t))
	}
	for i, vHat := range want.VHat {
		sameBits(t, own[2*len(w)+i].Name(), values[float32](t, own[2*len(w)+i].Value()), vHat.floats(t))
	}
}

// Golden vector G1: one variable, given gradients, exact.
func TestGoldenG1(t *testing.T) {
	for _, test := range []struct {
		rate float64
		want [3]string // the variable after each step, little-endian
	}{
		{0.1, [3]string{"0000b035d0cdccbd10cd4c3eb699993e8d99193ffe3233bf", "4b2bdabc614296bd4a87313ed1f68b3e006b203f67043abf", "1038adbd24aa7cbc4661ec3df7965c3eab402f3f02da48bf"}},
		{0, [3]string{"85c0ca3da9c64bbe8816993ebb49cc3e8941003f23db19bf", "e234ca3dd8804bbe9ff3983ed226cc3efd52003f97ec19bf", "1205c93df0e84abeaba7983ededacb3ef778003f91121abf"}},
	} {
		shape := tensor.Shape{2, 3}
		w := keras.NewVariable(of[float32](t, shape, .1, -.2, .3, .4, .5, -.6), nil)
		adam := keras.NewAdamWith(&keras.AdamOptions{LearningRate: test.rate})
		step := applyStep(adam, []*keras.Variable{w})
		for n, scale := range []float32{1, -0.5, 1} {
			g := []float32{.5, -.25, 1, 2, -3, .125}
			for i := range g {
				g[i] *= scale
			}
			if _, err := step.Run(t.Context(), of(t, shape, g...)); err != nil {
				t.Fatal(err)
			}
			if got := hex.EncodeToString(w.Value().Bytes()); got != test.want[n] {
				t.Errorf("rate %v, step %d: got %s, want %s", test.rate, n+1, got, test.want[n])
			}
		}
	}
}

// AMSGrad divides by the largest second moment so far, also when it falls.
func TestAMSGradKeepsLargest(t *testing.T) {
	w := keras.NewVariable(of[float32](t, tensor.Shape{1}, 1), nil)
	adam := keras.NewAdamWith(&keras.AdamOptions{AMSGrad: true})
	step := applyStep(adam, []*keras.Variable{w})
	var v, vHat []float32
	for _, g := range []float32{10, 0, 20} {
		if _, err := step.Run(t.Context(), of(t, tensor.Shape{1}, g)); err != nil {
			t.Fatal(err)
		}
		own := adam.Variables()
		v = append(v, values[float32](t, own[3].Value())...)
		vHat = append(vHat, values[float32](t, own[4].Value())...)
	}
	if v[1] >= v[0] || v[2] <= v[0] {
		t.Fatalf("the second moments are %v, want them to fall and to rise", v)
	}
	sameBits(t, "largest second moments", vHat, []float32{v[0], v[0], v[2]})
}

// A learning rate that is assigned counts from the next step on.
func TestAdamAssignLearningRate(t *testing.T) {
	w := keras.NewVariable(of[float32](t, tensor.Shape{1}, 1), nil)
	adam := keras.NewAdam()
	step := applyStep(adam, []*keras.Variable{w})
	g := of[float32](t, tensor.Shape{1}, 2)
	for _, rate := range []float32{0, 0.25} {
		before := values[float32](t, w.Value())[0]
		if err := adam.LearningRate().Assign(of(t, nil, rate)); err != nil {
			t.Fatal(err)
		}
		if _, err := step.Run(t.Context(), g); err != nil {
			t.Fatal(err)
		}
		if got := before - values[float32](t, w.Value())[0]; got < rate*0.999 || got > rate*1.001 {
			t.Errorf("rate %v: the variable went by %v", rate, got)
		}
	}
}

func TestAdamOptions(t *testing.T) {
	for _, test := range []struct {
		name string
		o    keras.AdamOptions
		want string
	}{
		{"rate below zero", keras.AdamOptions{LearningRate: -1}, "LearningRate"},
		{"beta one", keras.AdamOptions{Beta1: 1}, "Beta1"},
		{"beta two", keras.AdamOptions{Beta2: 2}, "Beta2"},
		{"two clips", keras.AdamOptions{ClipNorm: 1, ClipValue: 1}, "only one"},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				err, _ := recover().(error)
				if err == nil || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want an error with %q", err, test.want)
				}
			}()
			keras.NewAdamWith(&test.o)
		})
	}
}

// Variables without a gradient stay, bit for bit, and so do their moments.
func TestAdamSkips(t *testing.T) {
	w := []*keras.Variable{
		keras.NewVariable(of[float32](t, tensor.Shape{2}, 1, 2), &keras.VariableOptions{Name: "used"}),
		keras.NewVariable(of[float32](t, tensor.Shape{2}, 3, 4), &keras.VariableOptions{Name: "unused"}),
	}
	adam := keras.NewAdam()
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.Sum(keras.Square(s.Read(w[0])))
		g := tape.Gradient(loss, w...)
		if g[1].Valid() {
			t.Error("the loss depends on a variable it does not use")
		}
		adam.Apply(s, g, w)
		return []keras.Tensor{loss}
	})
	before := w[1].Value().Bytes()
	for range 3 {
		if _, err := step.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if got := w[1].Value().Bytes(); !bytes.Equal(got, before) {
		t.Errorf("a variable without a gradient changed: %x, want %x", got, before)
	}
	sameBits(t, "moments", values[float32](t, adam.Variables()[4].Value()), []float32{0, 0})
	if got := values[float32](t, w[0].Value()); got[0] >= 1 || got[1] >= 2 {
		t.Errorf("the other variable is %v, want less than [1 2]", got)
	}
}
