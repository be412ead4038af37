package keras_test

import (
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// kerasModel is the model of Keras's own tests of checkpoints, with an optimizer,
// a counter and a step.
type kerasModel struct {
	*keras.Model
	named, second *keras.DenseLayer
	variable      *keras.Variable // of an object that is no layer
	adam          *keras.Adam
	count         *keras.Variable
	step          *keras.Step
	checkpoint    *ckpt.Checkpoint
}

func newKerasModel(t *testing.T, rate float64) *kerasModel {
	t.Helper()
	m := new(kerasModel)
	m.Model = keras.NewModel("MyModel", func(x keras.Tensor) keras.Tensor { return m.second.Call(m.named.Call(x)) })
	m.named = keras.Sublayer(m, "_named_dense", dense(1))
	m.second = keras.Sublayer(m, "_second", keras.DenseWith(1, nil, &keras.DenseOptions{NoBias: true}))
	m.variable = keras.NewVariable(of[float32](t, nil, 12), &keras.VariableOptions{Name: "a_variable", NotTrainable: true})
	keras.Sublayer(m, "_non_layer", node(t, "a_variable", m.variable))
	m.adam, m.count = keras.NewAdam(), keras.NewInt64(0)
	if err := m.adam.LearningRate().Assign(of(t, nil, float32(rate))); err != nil {
		t.Fatal(err)
	}
	m.step = keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.Sum(m.Call(in[0]))
		m.adam.Apply(s, tape.Gradient(loss, m.TrainableVariables()...), m.TrainableVariables())
		return []keras.Tensor{loss}
	})
	m.checkpoint = ckpt.New(ckpt.Objects{"model": m, "optimizer": m.adam, "step": m.count})
	return m
}

func (m *kerasModel) run(t *testing.T) {
	t.Helper()
	if _, err := m.step.Run(t.Context(), of[float32](t, tensor.Shape{1, 1}, 3)); err != nil {
		t.Fatal(err)
	}
}

// biasMoment is the first moment of the first layer's bias.
func (m *kerasModel) biasMoment() *keras.Variable { return m.adam.Variables()[4] }

func set(t *testing.T, v *keras.Variable, x float32) {
	t.Helper()
	list := make([]float32, len(v.Value().Bytes())/4)
	for i := range list {
		list[i] = x
	}
	if err := v.Assign(of(t, v.Shape(), list...)); err != nil {
		t.Fatal(err)
	}
}

func wantValue(t *testing.T, what string, v *keras.Variable, want float64) {
	t.Helper()
	if got := keras.Float(v.Value()); got != want {
		t.Errorf("%s is %v, want %v", what, got, want)
	}
}

// saveKerasModel saves a trained model with marked values.
func saveKerasModel(t *testing.T, m *kerasModel) string {
	t.Helper()
	m.run(t)
	set(t, m.named.Bias(), 42)
	set(t, m.biasMoment(), 1.5)
	prefix, err := m.checkpoint.Save(t.Context(), filepath.Join(t.TempDir(), "ckpt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return prefix
}

func TestKE1RestoreImmediately(t *testing.T) {
	m := newKerasModel(t, 0.001)
	prefix := saveKerasModel(t, m)
	set(t, m.named.Bias(), 43)
	set(t, m.biasMoment(), -2)
	for range 2 {
		if _, err := m.checkpoint.Save(t.Context(), filepath.Join(t.TempDir(), "other"), nil); err != nil {
			t.Fatal(err)
		}
	}
	status, err := m.checkpoint.Restore(t.Context(), prefix, nil)
	if err == nil {
		err = status.CheckConsumed()
	}
	if err != nil {
		t.Fatal(err)
	}
	wantValue(t, "bias", m.named.Bias(), 42)
	wantValue(t, "moment", m.biasMoment(), 1.5)
	if got := m.checkpoint.SaveCounter(); got != 1 {
		t.Errorf("the save counter is %d, want 1", got)
	}
}

func TestKE2RestoreDeferred(t *testing.T) {
	saved := newKerasModel(t, 0.001)
	prefix := saveKerasModel(t, saved)
	m := newKerasModel(t, 0.001)
	status, err := m.checkpoint.Restore(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := status.CheckNontrivialMatch(); err != nil {
		t.Error(err)
	}
	if err := status.CheckExistingObjectsMatched(); err != nil {
		t.Error(err)
	}
	if status.CheckConsumed() == nil {
		t.Error("all is consumed before anything is built")
	}
	callWith(t, m, of[float32](t, tensor.Shape{1, 1}, 3))
	sameBytes(t, m.Variables(), bytesOf(saved.Variables()...)) // KE-5: the first kernel, too
	wantValue(t, "bias", m.named.Bias(), 42)
	if status.CheckConsumed() == nil {
		t.Error("all is consumed before the optimizer is built")
	}
	m.run(t)
	saved.run(t)
	if err := status.CheckConsumed(); err != nil {
		t.Error(err)
	}
	sameBytes(t, append(m.Variables(), m.adam.Variables()...), bytesOf(append(saved.Variables(), saved.adam.Variables()...)...))
}

func TestKE3Sequential(t *testing.T) {
	second := dense(5)
	model := keras.NewSequential(dense(4), second)
	c := ckpt.New(ckpt.Objects{"model": model}) // before there is anything in it
	callWith(t, model, of[float32](t, tensor.Shape{1, 1}, 1))
	if err := second.Bias().Assign(of[float32](t, tensor.Shape{5}, 1, 2, 3, 4, 5)); err != nil {
		t.Fatal(err)
	}
	prefix, err := c.Save(t.Context(), filepath.Join(t.TempDir(), "ckpt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	set(t, second.Bias(), 9)
	status, err := c.Restore(t.Context(), prefix, nil)
	if err == nil {
		err = status.CheckConsumed()
	}
	if err != nil {
		t.Fatal(err)
	}
	sameBits(t, "bias", values[float32](t, second.Bias().Value()), []float32{1, 2, 3, 4, 5})
	wantKeys(t, prefix, "model/_functional/_operations/1/_kernel", "model/_functional/_operations/1/bias",
		"model/_functional/_operations/2/_kernel", "model/_functional/_operations/2/bias", "save_counter")
}

func TestKE4Keys(t *testing.T) {
	wantKeys(t, saveKerasModel(t, newKerasModel(t, 0.001)),
		"model/_named_dense/_kernel", "model/_named_dense/bias", "model/_non_layer/a_variable", "model/_second/_kernel",
		"optimizer/_iterations", "optimizer/_learning_rate",
		"optimizer/_variables/2", "optimizer/_variables/3", "optimizer/_variables/4",
		"optimizer/_variables/5", "optimizer/_variables/6", "optimizer/_variables/7",
		"save_counter", "step")
}

// wantKeys compares the keys of a checkpoint's values.
func wantKeys(t *testing.T, prefix string, want ...string) {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var got []string
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		if name, ok := strings.CutSuffix(v.Name, "/.ATTRIBUTES/VARIABLE_VALUE"); ok {
			got = append(got, name)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("got keys %v, want %v", got, want)
	}
}

func TestKE6CompiledStep(t *testing.T) {
	prefix := filepath.Join(t.TempDir(), "ckpt")
	first := newKerasModel(t, 0)
	for range 2 {
		first.run(t)
	}
	set(t, first.named.Kernel(), 42)
	latest, err := first.checkpoint.Save(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	second := newKerasModel(t, 0)
	status, err := second.checkpoint.Restore(t.Context(), latest, nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		second.run(t)
		if err := status.CheckConsumed(); err != nil {
			t.Error(err)
		}
	}
	wantValue(t, "kernel", second.named.Kernel(), 42)
	wantValue(t, "iterations", second.adam.Iterations(), 4)
	if _, err := second.checkpoint.Save(t.Context(), prefix, nil); err != nil {
		t.Fatal(err)
	}
	if got := second.checkpoint.SaveCounter(); got != 2 {
		t.Errorf("the save counter is %d, want 2", got)
	}
}
