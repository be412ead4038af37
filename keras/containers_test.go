package keras_test

import (
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// blocks is a subclassed model that holds its layers in a list and in a map.
type blocks struct {
	*keras.Model
	list  []*keras.DenseLayer
	heads map[string]*keras.DenseLayer
}

func newBlocks(t *testing.T) *blocks {
	t.Helper()
	m := &blocks{heads: make(map[string]*keras.DenseLayer)}
	m.Model = keras.NewModel("Blocks", func(x keras.Tensor) keras.Tensor {
		for _, l := range m.list {
			x = l.Call(x)
		}
		return m.heads["main"].Call(x)
	})
	list := keras.Sublayer(m, "layers_", new(ckpt.List))
	for range 2 {
		m.list = append(m.list, dense(3))
		if err := list.Append(m.list[len(m.list)-1]); err != nil {
			t.Fatal(err)
		}
	}
	m.heads["main"] = dense(2)
	heads := keras.Sublayer(m, "heads", new(ckpt.Map))
	if err := heads.Set("main", m.heads["main"]); err != nil {
		t.Fatal(err)
	}
	return m
}

// Layers in a list or a map of a model are in the checkpoint, and those that the
// first call builds get what waits for them; Keras 3 leaves them out.
func TestPain26LayersInListsAndMaps(t *testing.T) {
	m := newBlocks(t)
	if err := keras.Build(m, 4); err != nil {
		t.Fatal(err)
	}
	for i, v := range m.Variables() {
		set(t, v, float32(i+1))
	}
	prefix, err := ckpt.New(ckpt.Objects{"model": m}).Save(t.Context(), filepath.Join(t.TempDir(), "ckpt"), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantKeys(t, prefix, "model/heads/main/_kernel", "model/heads/main/bias",
		"model/layers_/0/_kernel", "model/layers_/0/bias", "model/layers_/1/_kernel", "model/layers_/1/bias", "save_counter")
	fresh := newBlocks(t)
	status, err := ckpt.New(ckpt.Objects{"model": fresh}).Restore(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	callWith(t, fresh, of[float32](t, tensor.Shape{1, 4}, 1, 2, 3, 4))
	if err := status.CheckConsumed(); err != nil {
		t.Error(err)
	}
	sameBytes(t, fresh.Variables(), bytesOf(m.Variables()...))
}

// A subclassed model that is restored before its first call has every stored
// kernel and bias after it, and the optimizer its state; Keras 3.15 loses the first
// layer's kernel.
func TestKE5FirstKernel(t *testing.T) {
	stored := newKerasModel(t, 0.001)
	prefix := saveKerasModel(t, stored)
	m := newKerasModel(t, 0.001)
	status, err := m.checkpoint.Restore(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	callWith(t, m, of[float32](t, tensor.Shape{1, 1}, 3))
	sameBytes(t, m.Variables(), bytesOf(stored.Variables()...))
	m.run(t)
	stored.run(t)
	if err := status.CheckConsumed(); err != nil {
		t.Error(err)
	}
	sameBytes(t, append(m.Variables(), m.adam.Variables()...), bytesOf(append(stored.Variables(), stored.adam.Variables()...)...))
}
