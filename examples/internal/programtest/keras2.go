package programtest

import (
	"fmt"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// Keras 2 has other names of edges than Keras 3: kernel instead of _kernel,
// layer_with_weights-0 instead of _functional._operations.1.

// Node makes an object of children, given as name, child, name, child ….
func Node(t *testing.T, children ...any) *ckpt.Node {
	t.Helper()
	n := new(ckpt.Node)
	for i := 0; i < len(children); i += 2 {
		if err := n.Track(children[i].(string), children[i+1].(ckpt.Trackable)); err != nil {
			t.Fatal(err)
		}
	}
	return n
}

func zeros(fullName string, shape ...int64) *ckpt.Variable[float32] {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return ckpt.NewVariable(fullName, tensor.Shape(shape), make([]float32, n))
}

// Keras2Dense is a Dense layer as Keras 2 saves it.
func Keras2Dense(t *testing.T, name string, in, units int64) *ckpt.Node {
	t.Helper()
	return Node(t, "kernel", zeros(name+"/kernel", in, units), "bias", zeros(name+"/bias", units))
}

// Keras2Adam is an Adam as Keras 2 saves it after a step for layers that
// Keras2Dense made.
func Keras2Adam(t *testing.T, layers ...*ckpt.Node) *ckpt.Node {
	t.Helper()
	iterations := ckpt.NewScalar[int64]("iteration", 1)
	all, momentums, velocities := ckpt.NewList(iterations), ckpt.NewList(), ckpt.NewList()
	for i, layer := range layers {
		for _, name := range []string{"kernel", "bias"} {
			shape := layer.Child(name).(*ckpt.Variable[float32]).Shape()
			m := zeros(fmt.Sprintf("Adam/m/dense_%d/%s", i, name), shape...)
			v := zeros(fmt.Sprintf("Adam/v/dense_%d/%s", i, name), shape...)
			for list, element := range map[*ckpt.List]ckpt.Trackable{momentums: m, velocities: v} {
				if err := list.Append(element); err != nil {
					t.Fatal(err)
				}
			}
			for _, element := range []ckpt.Trackable{m, v} {
				if err := all.Append(element); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	return Node(t, "_variables", all, "_iterations", iterations, "_learning_rate", ckpt.NewScalar[float32]("learning_rate", 0.001),
		"_index_dict", new(ckpt.Node), "_momentums", momentums, "_velocities", velocities)
}

// SaveAs saves objects as the first checkpoint of a folder.
func SaveAs(t *testing.T, folder string, objects ckpt.Objects) {
	t.Helper()
	manager, err := ckpt.NewManager(ckpt.New(objects), folder, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manager.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}
