package keras_test

import (
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// A variable copies what it is given and what it gives.
func TestVariableCopies(t *testing.T) {
	x := of[float32](t, tensor.Shape{2}, 1, 2)
	v := keras.NewVariable(x, nil)
	clear(x.Bytes())
	clear(v.Value().Bytes())
	sameBits(t, "the variable", values[float32](t, v.Value()), []float32{1, 2})
	y := of[float32](t, tensor.Shape{2}, 3, 4)
	if err := v.Assign(y); err != nil {
		t.Fatal(err)
	}
	clear(y.Bytes())
	sameBits(t, "the variable", values[float32](t, v.Value()), []float32{3, 4})
	if v.Name() != "Variable" || v.Path() != "Variable" || !v.Trainable() {
		t.Errorf("got %s, %s, %v, want Variable twice and true", v.Name(), v.Path(), v.Trainable())
	}
}

// Another dtype or shape cannot be assigned, and nothing changes.
func TestVariableAssignMismatch(t *testing.T) {
	v := keras.NewVariable(of[float32](t, tensor.Shape{2}, 1, 2), &keras.VariableOptions{Name: "w"})
	for _, x := range []*tensor.Tensor{
		of[float32](t, tensor.Shape{1, 2}, 3, 4), of[float32](t, tensor.Shape{3}, 3, 4, 5),
		of[float32](t, nil, 3), of[int32](t, tensor.Shape{2}, 3, 4), of[float32](t, tensor.Shape{0}),
	} {
		err := v.Assign(x)
		if err == nil || !strings.Contains(err.Error(), `variable "w", which is float32 [2]`) {
			t.Errorf("%v: got %v, want an error that names w", x, err)
		}
		sameBits(t, "the variable", values[float32](t, v.Value()), []float32{1, 2})
	}
}

func TestVariableCounts(t *testing.T) {
	v := keras.NewInt64(7)
	v.AssignAdd(-9)
	if got := v.Int64(); got != -2 || v.Trainable() || v.Name() != "Variable" {
		t.Errorf("got %d, %v, %s, want -2, false, Variable", got, v.Trainable(), v.Name())
	}
}

// What cannot be is a panic that names the variable.
func TestVariableImpossible(t *testing.T) {
	w := keras.NewVariable(of[float32](t, nil, 1), &keras.VariableOptions{Name: "w"})
	text, err := tensor.NewStrings(nil, [][]byte{[]byte("text")})
	if err != nil {
		t.Fatal(err)
	}
	for name, fn := range map[string]func(){
		"strings":          func() { keras.NewVariable(text, &keras.VariableOptions{Name: "w"}) },
		"zero size":        func() { keras.NewVariable(of[float32](t, tensor.Shape{0}), &keras.VariableOptions{Name: "w"}) },
		"count of a float": func() { w.Int64() },
		"adding to floats": func() { w.AssignAdd(1) },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				err, _ := recover().(error)
				wantError(t, err, `"w"`)
			}()
			fn()
		})
	}
}

// Numbers of every dtype that a step returns can be read.
func TestFloat(t *testing.T) {
	for _, x := range []*tensor.Tensor{of[float32](t, nil, 3), of[float64](t, nil, 3), of[int64](t, nil, 3), of[int32](t, tensor.Shape{2}, 3, 4)} {
		if got := keras.Float(x); got != 3 {
			t.Errorf("%v: got %v, want 3", x, got)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a number of a bool, want a panic")
		}
	}()
	keras.Float(of(t, nil, true))
}

// Values of every dtype that can be computed with go through a checkpoint.
func TestVariableDTypes(t *testing.T) {
	for _, x := range []*tensor.Tensor{
		of[float32](t, tensor.Shape{2}, 1, 2), of[float64](t, tensor.Shape{2}, 1, 2), of[int8](t, tensor.Shape{2}, 1, -2),
		of[int16](t, tensor.Shape{2}, 1, -2), of[int32](t, tensor.Shape{2}, 1, -2), of[int64](t, tensor.Shape{2}, 1, -2),
		of[uint8](t, tensor.Shape{2}, 1, 2), of[uint16](t, tensor.Shape{2}, 1, 2), of[uint32](t, tensor.Shape{2}, 1, 2),
		of[uint64](t, tensor.Shape{2}, 1, 2), of(t, tensor.Shape{2}, true, false),
	} {
		v := keras.NewVariable(x, nil)
		c := ckpt.New(ckpt.Objects{"v": v})
		prefix := writeObjects(t, ckpt.Objects{"v": v})
		zero, err := tensor.New(x.DType(), x.Shape(), make([]byte, len(x.Bytes())))
		if err == nil {
			err = v.Assign(zero)
		}
		if err == nil {
			_, err = c.Read(t.Context(), prefix, nil)
		}
		if err != nil {
			t.Errorf("%v: %v", x, err)
			continue
		}
		sameBytes(t, []*keras.Variable{v}, [][]byte{x.Bytes()})
	}
}
