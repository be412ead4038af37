package keras_test

import (
	"testing"

	"github.com/ckpt-go/ckpt/keras"
)

func identity(x keras.Tensor) keras.Tensor { return x }

// Names of classes become names of objects as in Keras.
func TestNames(t *testing.T) {
	for class, want := range map[string]string{
		"MyModel":         "my_model",
		"Conv2DTranspose": "conv2d_transpose",
		"MaxPooling2D":    "max_pooling2d",
		"ConvLSTM2D":      "conv_lstm2d",
		"ReLU":            "re_lu",
		"PReLU":           "p_re_lu",
		"RMSprop":         "rm_sprop",
		"AdamW":           "adam_w",
		"LSTMCell":        "lstm_cell",
		"UNet":            "u_net",
		"MyRNN":           "my_rnn",
		"HTTPServer":      "http_server",
		"ResNet50V2":      "res_net50v2",
		"GPT2Model":       "gpt2_model",
		"Encoder2Decoder": "encoder2_decoder",
		"MyModel2":        "my_model2",
		"Net3X3":          "net3x3",
		"A1Bc2De":         "a1_bc2_de",
		"My_Model":        "my__model",
		"_Private":        "__private",
		"MyÄnderung":      "myänderung",
		"My-Model.v2":     "my_modelv2", // what is no letter, digit or underscore goes
	} {
		keras.ClearSession()
		if got := keras.NewModel(class, identity).Name(); got != want {
			t.Errorf("%s: got %s, want %s", class, got, want)
		}
	}
}

// Objects are counted by name, whatever their class, when they are made.
func TestNameCounters(t *testing.T) {
	keras.ClearSession()
	first := keras.Dense(1, nil)
	for _, test := range []struct{ what, got, want string }{
		{"a layer", first.Name(), "dense"},
		{"a second layer", keras.Dense(1, nil).Name(), "dense_1"},
		{"a layer with a name", keras.DenseWith(1, nil, &keras.DenseOptions{Name: "dense_2"}).Name(), "dense_2"},
		{"a layer after one with a name", keras.Dense(1, nil).Name(), "dense_2"},
		{"a model of a class Dense", keras.NewModel("Dense", identity).Name(), "dense_3"},
		{"a class Dense_1", keras.NewModel("Dense_1", identity).Name(), "dense_1"},
		{"a class Dense_1 again", keras.NewModel("Dense_1", identity).Name(), "dense_1_1"},
		{"a model of a class adam", keras.NewModel("adam", identity).Name(), "adam"},
		{"an optimizer after it", keras.NewAdam().Name(), "adam_1"},
		{"an optimizer with a name", keras.NewAdamWith(&keras.AdamOptions{Name: "adam_1"}).Name(), "adam_1"},
		{"an optimizer", keras.NewAdam().Name(), "adam_2"},
		{"an input", keras.Input(1).Name(), "input_layer"},
		{"a second input", keras.Input(1).Name(), "input_layer_1"},
		{"a sequential model", keras.NewSequential(keras.Dense(1, nil)).Name(), "sequential"},
	} {
		if test.got != test.want {
			t.Errorf("%s: got %s, want %s", test.what, test.got, test.want)
		}
	}
	keras.ClearSession()
	if got := keras.Dense(1, nil).Name(); got != "dense" || first.Name() != "dense" {
		t.Errorf("after ClearSession: got %s and %s, want dense twice", got, first.Name())
	}
}

// A schedule does not count, nor does a variable.
func TestNameCountersOfSchedules(t *testing.T) {
	keras.ClearSession()
	keras.NewExponentialDecay(1, 1, 1, false)
	keras.NewInt64(0)
	if got := keras.NewModel("ExponentialDecay", identity).Name(); got != "exponential_decay" {
		t.Errorf("got %s, want exponential_decay", got)
	}
	if got := keras.NewModel("Variable", identity).Name(); got != "variable" {
		t.Errorf("got %s, want variable", got)
	}
}
