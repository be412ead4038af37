package keras_test

import (
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// composed is a subclassed model of any parts, called one after another.
type composed struct {
	*keras.Model
	parts []keras.Layer
}

// compose makes one whose attributes are called a, b, …, in order.
func compose(class string, parts ...keras.Layer) *composed {
	m := &composed{parts: parts}
	m.Model = keras.NewModel(class, func(x keras.Tensor) keras.Tensor {
		for _, p := range m.parts {
			x = p.Call(x)
		}
		return x
	})
	for i, p := range parts {
		keras.Sublayer(m, string(rune('a'+i)), p)
	}
	return m
}

// callWith describes a call of a layer and runs it, which builds it.
func callWith(t *testing.T, l keras.Layer, x *tensor.Tensor) {
	t.Helper()
	step := keras.NewStep(func(s *keras.Scope, in []keras.Tensor) []keras.Tensor { return []keras.Tensor{l.Call(in[0])} })
	if _, err := step.Run(t.Context(), x); err != nil {
		t.Fatal(err)
	}
}

type trainable interface {
	keras.Layer
	Variables() []*keras.Variable
	TrainableVariables() []*keras.Variable
}

func dense(units int) *keras.DenseLayer { return keras.Dense(units, nil) }

func subclassed() *composed { return compose("MyModel", dense(3), dense(2)) }

// namedVariable is a kernel's full name, its path, and the full name of its
// first moment.
type namedVariable struct{ name, path, moment string }

// nameCases are models and the names of their kernels, as Keras 3.15.1 gives
// them: a subclassed model that is not built closes the names of all below it, a
// built Sequential keeps its own.
var nameCases = []struct {
	what string
	make func(t *testing.T) trainable
	want []namedVariable
}{
	{"a layer alone", func(*testing.T) trainable { return dense(3) }, []namedVariable{
		{"dense/kernel", "dense/kernel", "adam/dense_kernel_momentum"},
	}},
	{"sequential", func(*testing.T) trainable { return keras.NewSequential(keras.Input(4), dense(3), dense(2)) }, []namedVariable{
		{"sequential/dense/kernel", "sequential/dense/kernel", "adam/sequential_dense_kernel_momentum"},
		{"sequential/dense_1/kernel", "sequential/dense_1/kernel", "adam/sequential_dense_1_kernel_momentum"},
	}},
	{"sequential, built by its call", func(*testing.T) trainable { return keras.NewSequential(dense(3), dense(2)) }, []namedVariable{
		{"sequential/dense/kernel", "sequential/dense/kernel", "adam/sequential_dense_kernel_momentum"},
		{"sequential/dense_1/kernel", "sequential/dense_1/kernel", "adam/sequential_dense_1_kernel_momentum"},
	}},
	{"subclassed", func(*testing.T) trainable { return subclassed() }, []namedVariable{
		{"my_model/kernel", "my_model/dense/kernel", "adam/my_model_dense_kernel_momentum"},
		{"my_model/kernel", "my_model/dense_1/kernel", "adam/my_model_dense_1_kernel_momentum"},
	}},
	{"sequential in subclassed", func(*testing.T) trainable {
		return compose("WithSeq", keras.NewSequential(dense(3), dense(2)), dense(1))
	}, []namedVariable{
		{"with_seq/kernel", "with_seq/sequential/dense/kernel", "adam/with_seq_sequential_dense_kernel_momentum"},
		{"with_seq/kernel", "with_seq/sequential/dense_1/kernel", "adam/with_seq_sequential_dense_1_kernel_momentum"},
		{"with_seq/kernel", "with_seq/dense_2/kernel", "adam/with_seq_dense_2_kernel_momentum"},
	}},
	{"built sequential in subclassed", func(*testing.T) trainable {
		return compose("WithSeq", keras.NewSequential(keras.Input(4), dense(3), dense(2)), dense(1))
	}, []namedVariable{
		{"sequential/dense/kernel", "sequential/dense/kernel", "adam/sequential_dense_kernel_momentum"},
		{"sequential/dense_1/kernel", "sequential/dense_1/kernel", "adam/sequential_dense_1_kernel_momentum"},
		{"with_seq/kernel", "with_seq/dense_2/kernel", "adam/with_seq_dense_2_kernel_momentum"},
	}},
	{"subclassed in subclassed", func(*testing.T) trainable { return compose("Outer", subclassed(), dense(1)) }, []namedVariable{
		{"outer/kernel", "outer/my_model/dense/kernel", "adam/outer_my_model_dense_kernel_momentum"},
		{"outer/kernel", "outer/my_model/dense_1/kernel", "adam/outer_my_model_dense_1_kernel_momentum"},
		{"outer/kernel", "outer/dense_2/kernel", "adam/outer_dense_2_kernel_momentum"},
	}},
	{"subclassed in subclassed, called before", func(t *testing.T) trainable {
		inner := subclassed()
		m := compose("Outer2", inner, dense(1))
		callWith(t, inner, of(t, tensor.Shape{2, 4}, make([]float32, 8)...))
		return m
	}, []namedVariable{
		{"my_model/kernel", "my_model/dense/kernel", "adam/my_model_dense_kernel_momentum"},
		{"my_model/kernel", "my_model/dense_1/kernel", "adam/my_model_dense_1_kernel_momentum"},
		{"outer2/kernel", "outer2/dense_2/kernel", "adam/outer2_dense_2_kernel_momentum"},
	}},
	{"sequential in sequential", func(*testing.T) trainable {
		return keras.NewSequential(keras.NewSequential(dense(3)), dense(2))
	}, []namedVariable{
		{"sequential_1/sequential/dense/kernel", "sequential_1/sequential/dense/kernel", "adam/sequential_1_sequential_dense_kernel_momentum"},
		{"sequential_1/dense_1/kernel", "sequential_1/dense_1/kernel", "adam/sequential_1_dense_1_kernel_momentum"},
	}},
	{"subclassed in sequential", func(*testing.T) trainable {
		return keras.NewSequential(keras.Input(4), subclassed(), dense(2))
	}, []namedVariable{
		{"sequential/my_model/kernel", "sequential/my_model/dense/kernel", "adam/sequential_my_model_dense_kernel_momentum"},
		{"sequential/my_model/kernel", "sequential/my_model/dense_1/kernel", "adam/sequential_my_model_dense_1_kernel_momentum"},
		{"sequential/dense_2/kernel", "sequential/dense_2/kernel", "adam/sequential_dense_2_kernel_momentum"},
	}},
}

func TestVariableNames(t *testing.T) {
	for _, test := range nameCases {
		t.Run(test.what, func(t *testing.T) {
			keras.ClearSession()
			m := test.make(t)
			callWith(t, m, of(t, tensor.Shape{2, 4}, make([]float32, 8)...))
			adam := keras.NewAdam()
			if err := adam.Build(m.TrainableVariables()); err != nil {
				t.Fatal(err)
			}
			var got []namedVariable
			for i, v := range m.Variables() {
				if len(v.Shape()) == 2 { // the kernels
					got = append(got, namedVariable{v.Name(), v.Path(), adam.Variables()[2+2*i].Name()})
				}
			}
			if !slices.Equal(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

// paths lists the paths of variables.
func paths(variables []*keras.Variable) []string {
	var list []string
	for _, v := range variables {
		list = append(list, v.Path())
	}
	return list
}

func weight(t *testing.T, name string, trainable bool) *keras.Variable {
	t.Helper()
	return keras.NewVariable(of[float32](t, nil, 1), &keras.VariableOptions{Name: name, NotTrainable: !trainable})
}

// A model's variables come in Keras's order: its own, the trainable ones first,
// then those of its layers as they were tracked, whatever the order of calls.
func TestVariableOrder(t *testing.T) {
	keras.ClearSession()
	x := of(t, tensor.Shape{2, 4}, make([]float32, 8)...)
	m := new(composed)
	m.Model = keras.NewModel("Own", func(x keras.Tensor) keras.Tensor {
		return keras.Multiply(m.parts[1].Call(m.parts[0].Call(x)), keras.Sum(x))
	})
	last := keras.Sublayer(m, "last", dense(2))
	keras.Sublayer(m, "c", weight(t, "count", false))
	keras.Sublayer(m, "w", weight(t, "own", true))
	first := keras.Sublayer(m, "first", dense(3))
	m.parts = []keras.Layer{first, last}
	callWith(t, m, x)
	own := []string{"own", "own/dense/kernel", "own/dense/bias", "own/dense_1/kernel", "own/dense_1/bias"}
	if got := paths(m.TrainableVariables()); !slices.Equal(got, own) {
		t.Errorf("trainable: got %v, want %v", got, own)
	}
	want := slices.Insert(slices.Clone(own), 1, "count")
	if got := paths(m.Variables()); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}

	// A layer that two models share is listed where it is reached first.
	shared := keras.DenseWith(4, nil, &keras.DenseOptions{Name: "shared"})
	sh := compose("Sh", keras.DenseWith(4, nil, &keras.DenseOptions{Name: "first"}), compose("Inner", shared, keras.DenseWith(4, nil, &keras.DenseOptions{Name: "last"})), shared)
	callWith(t, sh, x)
	want = []string{"sh/first/kernel", "sh/first/bias", "sh/inner/shared/kernel", "sh/inner/shared/bias", "sh/inner/last/kernel", "sh/inner/last/bias"}
	if got := paths(sh.Variables()); !slices.Equal(got, want) {
		t.Errorf("shared: got %v, want %v", got, want)
	}
}

// A part may lead back to the whole, as for any objects of a checkpoint.
func TestVariablesOfCircle(t *testing.T) {
	inner := subclassed()
	outer := compose("Outer", inner)
	keras.Sublayer(inner, "outer", outer)
	callWith(t, outer, of(t, tensor.Shape{2, 4}, make([]float32, 8)...))
	if got := len(outer.Variables()); got != 4 {
		t.Errorf("%d variables, want 4", got)
	}
}

// Models that cannot be are refused when they are made.
func TestSequentialImpossible(t *testing.T) {
	same := func() keras.Layer { return keras.DenseWith(1, nil, &keras.DenseOptions{Name: "same"}) }
	for _, test := range []struct {
		name, want string
		layers     func() []keras.Layer
	}{
		{"no layers", "without layers", func() []keras.Layer { return nil }},
		{"nil", "nil", func() []keras.Layer { return []keras.Layer{dense(1), nil} }},
		{"an input that is not the first", "Input", func() []keras.Layer { return []keras.Layer{dense(1), keras.Input(1)} }},
		{"one name twice", `"same"`, func() []keras.Layer { return []keras.Layer{same(), same()} }},
		{"a layer that cannot take the input", "[1]", func() []keras.Layer { return []keras.Layer{keras.Input(), dense(1)} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			defer func() {
				err, _ := recover().(error)
				wantError(t, err, test.want)
			}()
			keras.NewSequential(test.layers()...)
		})
	}
}

// A layer that a model calls and does not track would be in no checkpoint.
func TestUntrackedLayer(t *testing.T) {
	for name, m := range map[string]*composed{
		"beside a tracked one": compose("MyModel", dense(3)),
		"alone":                compose("MyModel"),
	} {
		m.parts = append(m.parts, keras.DenseWith(2, nil, &keras.DenseOptions{Name: "stray"}))
		t.Run(name, func(t *testing.T) {
			_, err := runStep(t, func(_ *keras.Scope, in []keras.Tensor) []keras.Tensor {
				return []keras.Tensor{m.Call(in[0])}
			}, of(t, tensor.Shape{2, 4}, make([]float32, 8)...))
			wantError(t, err, "MyModel", "stray/kernel", "keras.Sublayer")
		})
	}
}

// Sublayers are children in the order they were tracked, and a name is used once.
func TestSublayerOrder(t *testing.T) {
	m := compose("MyModel", dense(1), dense(2), dense(3))
	var got []string
	for name, child := range m.Children() {
		if child != m.parts[len(got)] {
			t.Errorf("child %s is another layer", name)
		}
		got = append(got, name)
	}
	if want := []string{"a", "b", "c"}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	defer func() {
		if recover() == nil {
			t.Error("two attributes of one name, want a panic")
		}
	}()
	keras.Sublayer(m, "a", dense(1))
}
