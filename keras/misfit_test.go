package keras_test

import (
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// program is a training that resumes.
type program struct {
	model   trainable
	adam    *keras.Adam
	step    *keras.Step
	manager *ckpt.Manager
	in      [2]*tensor.Tensor
}

func newProgram(t *testing.T, dir string, model trainable) *program {
	t.Helper()
	p := &program{model: model, adam: keras.NewAdam()}
	p.step = keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor {
		tape := s.Tape()
		loss := keras.SparseCategoricalCrossentropyFromLogits(in[1], model.Call(in[0]))
		w := model.TrainableVariables()
		p.adam.Apply(s, tape.Gradient(loss, w...), w)
		return []keras.Tensor{loss}
	})
	var err error
	if p.manager, err = ckpt.NewManager(ckpt.New(ckpt.Objects{"model": model, "optimizer": p.adam}), dir, nil); err != nil {
		t.Fatal(err)
	}
	p.in = [2]*tensor.Tensor{of(t, tensor.Shape{2, 4}, pattern(8, 1, 1)...), of[int64](t, tensor.Shape{2}, 0, 1)}
	return p
}

func (p *program) run(t *testing.T) error {
	t.Helper()
	_, err := p.step.Run(t.Context(), p.in[0], p.in[1])
	return err
}

func (p *program) variables() []*keras.Variable {
	return append(p.model.Variables(), p.adam.Variables()...)
}

// build makes all variables, the moments included, without a step.
func (p *program) build(t *testing.T) {
	t.Helper()
	callWith(t, p.model, p.in[0])
	if err := p.adam.Build(p.model.TrainableVariables()); err != nil {
		t.Fatal(err)
	}
}

// trained is a folder with a checkpoint of a model after three steps.
func trained(t *testing.T, model trainable) string {
	t.Helper()
	p := newProgram(t, t.TempDir(), model)
	for range 3 {
		if err := p.run(t); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := p.manager.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	return p.manager.Directory()
}

// node makes an object of named children: name, child, name, child, …
func node(t *testing.T, pairs ...any) *ckpt.Node {
	t.Helper()
	n := new(ckpt.Node)
	for i := 0; i < len(pairs); i += 2 {
		if err := n.Track(pairs[i].(string), pairs[i+1].(ckpt.Trackable)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

// array is a stored float32 variable of ones.
func array(shape ...int64) ckpt.Trackable {
	n, _ := tensor.Shape(shape).Elements()
	ones := make([]float32, n)
	for i := range ones {
		ones[i] = 1
	}
	return ckpt.NewVariable("stored", shape, ones)
}

// handmade is a folder with a checkpoint of any objects.
func handmade(t *testing.T, model, optimizer ckpt.Trackable) string {
	t.Helper()
	dir := t.TempDir()
	if _, err := ckpt.New(ckpt.Objects{"model": model, "optimizer": optimizer}).Save(t.Context(), filepath.Join(dir, "ckpt"), nil); err != nil {
		t.Fatal(err)
	}
	return dir
}

// storedModel is what a subclassed model of Dense(3) and Dense(2) stores, and
// its variables.
func storedModel(t *testing.T, kernel string) (*ckpt.Node, []ckpt.Trackable) {
	t.Helper()
	w := []ckpt.Trackable{array(4, 3), array(3), array(3, 2), array(2)}
	return node(t, "a", node(t, kernel, w[0], "bias", w[1]), "b", node(t, kernel, w[2], "bias", w[3])), w
}

// sgd is a checkpoint of Keras's SGD after five steps, with or without momentum.
func sgd(t *testing.T, momentum bool) string {
	t.Helper()
	model, w := storedModel(t, "_kernel")
	iterations, rate := ckpt.NewScalar("SGD/iteration", int64(5)), array()
	all, momentums := ckpt.NewList(iterations, rate), ckpt.NewList()
	if momentum {
		momentums = ckpt.NewList(array(4, 3), array(3), array(3, 2), array(2))
		for _, m := range momentums.Children() {
			if err := all.Append(m); err != nil {
				t.Fatal(err)
			}
		}
	}
	return handmade(t, model, node(t, "_variables", all, "_trainable_variables", ckpt.NewList(w...),
		"_iterations", iterations, "_learning_rate", rate, "momentums", momentums))
}

// keras2 is a checkpoint of Keras 2.15: kernel in place of _kernel, and other
// places in the optimizer's list.
func keras2(t *testing.T) string {
	t.Helper()
	model, _ := storedModel(t, "kernel")
	iterations, rate := ckpt.NewScalar("iteration", int64(5)), array()
	ms, vs, all := new(ckpt.List), new(ckpt.List), ckpt.NewList(iterations)
	for _, shape := range [][]int64{{4, 3}, {3}, {3, 2}, {2}} {
		m, v := array(shape...), array(shape...)
		for _, err := range []error{ms.Append(m), vs.Append(v), all.Append(m), all.Append(v)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	return handmade(t, model, node(t, "_variables", all, "_iterations", iterations, "_learning_rate", rate, "_momentums", ms, "_velocities", vs))
}

// unbuilt is a checkpoint that was saved before the optimizer was built, though
// it says that steps were made.
func unbuilt(t *testing.T) string {
	t.Helper()
	model, _ := storedModel(t, "_kernel")
	iterations, rate := ckpt.NewScalar("adam/iteration", int64(5)), array()
	return handmade(t, model, node(t, "_variables", ckpt.NewList(iterations, rate), "_iterations", iterations, "_learning_rate", rate))
}

// renamed is the model of subclassed with other names of attributes.
func renamed() trainable {
	m := compose("MyModel")
	m.parts = []keras.Layer{keras.Sublayer(m, "x", dense(3)), keras.Sublayer(m, "y", dense(2))}
	return m
}

// misfits are checkpoints and programs that do not belong together.
var misfits = []struct {
	name    string
	dir     func(t *testing.T) string
	model   func() trainable
	unbuilt []string // words of the error where the variables appear after Resume
	built   []string // words of the error where they exist before
}{
	{"other shapes", ofSubclassed, func() trainable { return compose("MyModel", dense(5), dense(2)) },
		[]string{"model/a/_kernel", "[4,5]", "[4,3]"}, []string{"model/a/_kernel", "[4,5]", "[4,3]", "nothing was restored"}},
	{"other names", ofSubclassed, renamed,
		[]string{"(root).model.x._kernel", "(root).model.a"}, nil}, // built: the optimizer's list leads to all values
	{"a layer more", ofSubclassed, func() trainable { return compose("MyModel", dense(3), dense(2), dense(2)) },
		[]string{"(root).model.c._kernel"}, []string{"(root).model.c._kernel", "nothing was restored"}},
	{"subclassed into sequential", ofSubclassed, func() trainable { return keras.NewSequential(dense(3), dense(2)) },
		[]string{"_operations.1._kernel", "(root).model.a"}, nil},
	{"sequential into subclassed", func(t *testing.T) string { return trained(t, keras.NewSequential(dense(3), dense(2))) }, asSubclassed,
		[]string{"(root).model.a._kernel", "_functional"}, nil},
	{"SGD", func(t *testing.T) string { return sgd(t, false) }, asSubclassed,
		[]string{"after 5 iterations", "kernel_momentum", "another optimizer"}, []string{"optimizer._variables.2", "nothing was restored"}},
	{"SGD with momentum", func(t *testing.T) string { return sgd(t, true) }, asSubclassed,
		[]string{"optimizer/_variables/3", "[4,3]", "[3]"}, []string{"optimizer._variables.6", "nothing was restored"}},
	{"Keras 2", keras2, asSubclassed,
		[]string{"(root).model.a._kernel", "(root).model.a.kernel", "version of Keras"}, []string{"(root).model.a._kernel", "(root).model.a.kernel", "nothing was restored"}},
	{"optimizer not built", unbuilt, asSubclassed,
		[]string{"after 5 iterations", "kernel_momentum", "before the optimizer was built", "call its Reset"}, []string{"optimizer._variables.2", "nothing was restored"}},
}

func ofSubclassed(t *testing.T) string { return trained(t, subclassed()) }

func asSubclassed() trainable { return subclassed() }

// What does not fit is an error at Resume, or when the variable appears, and
// again at the next try; no step is made, and nothing can be saved over it.
func TestMisfitUnbuilt(t *testing.T) {
	for _, test := range misfits {
		t.Run(test.name, func(t *testing.T) {
			p := newProgram(t, test.dir(t), test.model())
			_, err := p.manager.Resume(t.Context(), nil)
			for range 2 {
				if err == nil {
					if _, e := p.manager.Save(t.Context(), nil); e == nil {
						t.Error("saving while restored values wait: no error")
					}
					before := p.adam.Iterations().Int64()
					if err = p.run(t); p.adam.Iterations().Int64() != before {
						t.Error("a step was made")
					}
				}
				wantError(t, err, test.unbuilt...)
			}
		})
	}
}

// Where all variables exist Resume itself fails, and changes none of them.
func TestMisfitBuilt(t *testing.T) {
	for _, test := range misfits {
		if test.built == nil {
			continue
		}
		t.Run(test.name, func(t *testing.T) {
			p := newProgram(t, test.dir(t), test.model())
			p.build(t)
			before := bytesOf(p.variables()...)
			_, err := p.manager.Resume(t.Context(), nil)
			wantError(t, err, test.built...)
			sameBytes(t, p.variables(), before)
			if err := p.run(t); err != nil || p.adam.Iterations().Int64() != 1 {
				t.Errorf("the program cannot start from scratch: %v", err)
			}
		})
	}
}

// Iterations without moments are refused until the program says what it wants,
// by Resume or by Restore, and whatever it allows.
func TestMomentsMissing(t *testing.T) {
	for _, count := range []int64{0, 5} {
		dir := unbuilt(t)
		p := newProgram(t, dir, subclassed())
		if count == 0 {
			if _, err := p.manager.Resume(t.Context(), &ckpt.ResumeOptions{AllowPartial: true}); err != nil {
				t.Fatal(err)
			}
		} else if _, err := p.manager.Checkpoint().Restore(t.Context(), p.manager.Latest(), nil); err != nil {
			t.Fatal(err)
		}
		for range 2 {
			wantError(t, p.run(t), "after 5 iterations", "kernel_momentum")
		}
		wantError(t, p.adam.Build(p.model.TrainableVariables()), "after 5 iterations", "kernel_momentum")
		sameBits(t, "bias", values[float32](t, p.model.Variables()[1].Value()), []float32{1, 1, 1})
		if err := p.adam.Iterations().Assign(of(t, nil, count)); err != nil {
			t.Fatal(err)
		}
		if err := p.run(t); err != nil || p.adam.Iterations().Int64() != count+1 {
			t.Errorf("iterations are %d, %v, want %d", p.adam.Iterations().Int64(), err, count+1)
		}
		if _, err := p.manager.Save(t.Context(), nil); err != nil {
			t.Error(err)
		}
	}
}

// An optimizer that has moments keeps them where a plain Restore finds none, as
// in TensorFlow.
func TestMomentsKept(t *testing.T) {
	p := newProgram(t, unbuilt(t), subclassed())
	p.build(t)
	status, err := p.manager.Checkpoint().Restore(t.Context(), p.manager.Latest(), nil)
	if err != nil {
		t.Fatal(err)
	}
	if status.CheckExistingObjectsMatched() == nil {
		t.Error("moments without a value count as matched")
	}
	if err := p.run(t); err != nil || p.adam.Iterations().Int64() != 6 {
		t.Errorf("iterations are %d, %v, want 6", p.adam.Iterations().Int64(), err)
	}
}

// An optimizer of zero iterations needs no moments.
func TestMomentsNotYet(t *testing.T) {
	first := newProgram(t, t.TempDir(), subclassed())
	callWith(t, first.model, first.in[0])
	if _, err := first.manager.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	p := newProgram(t, first.manager.Directory(), subclassed())
	if _, err := p.manager.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := p.run(t); err != nil || p.adam.Iterations().Int64() != 1 {
		t.Errorf("iterations are %d, %v, want 1", p.adam.Iterations().Int64(), err)
	}
}

// Values of a layer that the program does not have wait: the rest goes on, but
// no save drops them silently.
func TestLayerFewer(t *testing.T) {
	p := newProgram(t, trained(t, subclassed()), compose("MyModel", dense(3)))
	if _, err := p.manager.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	if err := p.run(t); err != nil {
		t.Fatal(err)
	}
	_, err := p.manager.Save(t.Context(), nil)
	wantError(t, err, "(root).model.b._kernel", "DropWaiting")
	if _, err := p.manager.Save(t.Context(), &ckpt.SaveOptions{DropWaiting: true}); err != nil {
		t.Error(err)
	}
}

// Where layers have other names, but exist, the optimizer's list of trained
// variables leads to all values.
func TestRenamedBuilt(t *testing.T) {
	source := newProgram(t, trained(t, subclassed()), subclassed())
	if _, err := source.manager.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	source.build(t)
	for name, model := range map[string]trainable{"renamed": renamed(), "sequential": keras.NewSequential(dense(3), dense(2))} {
		p := newProgram(t, source.manager.Directory(), model)
		p.build(t)
		resumed, err := p.manager.Resume(t.Context(), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := resumed.Status.CheckConsumed(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		sameBytes(t, p.variables(), bytesOf(source.variables()...))
	}
}
