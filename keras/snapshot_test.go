package keras_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// snapshots holds the values of variables.
func snapshots(t *testing.T, variables []*keras.Variable) []ckpt.Snapshot {
	t.Helper()
	var list []ckpt.Snapshot
	for _, v := range variables {
		s, err := v.Snapshot(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

// A Snapshot stays what it was, bit for bit, while training goes on.
func TestSnapshotStays(t *testing.T) {
	tr := newTrainer(t, 16)
	tr.run(t)
	variables := tr.variables()
	want := bytesOf(variables...)
	held := snapshots(t, variables)
	for range 10 {
		tr.run(t)
	}
	for i, s := range held {
		if stable, ok := s.(interface{ Stable() bool }); !ok || !stable.Stable() {
			t.Errorf("the snapshot of %s does not say that it is stable", variables[i].Name())
		}
		var got []byte
		for chunk := range s.Chunks() {
			got = append(got, chunk...)
		}
		if !bytes.Equal(got, want[i]) {
			t.Errorf("the snapshot of %s changed", variables[i].Name())
		}
		if bytes.Equal(variables[i].Value().Bytes(), want[i]) && variables[i].Name() != tr.adam.LearningRate().Name() {
			t.Errorf("%s did not change in ten steps", variables[i].Name())
		}
		s.Release()
	}
	tr.run(t) // released memory may be used again
}

// Several Snapshots of one value are released each for itself, and none twice.
func TestSnapshotReleased(t *testing.T) {
	v := keras.NewVariable(of[float32](t, tensor.Shape{2}, 1, 2), nil)
	list := snapshots(t, []*keras.Variable{v, v})
	if err := v.Assign(of[float32](t, tensor.Shape{2}, 3, 4)); err != nil {
		t.Fatal(err)
	}
	list[0].Release()
	for chunk := range list[1].Chunks() {
		if want := of[float32](t, tensor.Shape{2}, 1, 2).Bytes(); !bytes.Equal(chunk, want) {
			t.Errorf("got %x, want %x", chunk, want)
		}
	}
	list[1].Release()
	defer func() {
		if p := recover(); p != "keras: a value was released twice" {
			t.Errorf("a snapshot was released twice: got panic %v", p)
		}
	}()
	list[1].Release()
}

// A background save has the values of the moment of the call, whatever fifty
// steps do meanwhile.
func TestBackgroundSave(t *testing.T) {
	tr := newTrainer(t, 64)
	generator := keras.NewGenerator(1)
	batches := keras.NewBatches(10, 2, 3)
	objects := ckpt.Objects{"model": tr.model, "optimizer": tr.adam, "count": tr.count, "generator": generator, "batches": batches}
	c := ckpt.New(objects)
	dir := t.TempDir()
	type saved struct {
		prefix string
		want   [][]byte
		drawn  uint64
		dealt  []int
	}
	var all []saved
	for range 3 {
		var s saved
		var err error
		tr.run(t) // the first one makes the moments
		s.want = bytesOf(tr.variables()...)
		if s.prefix, err = c.Save(t.Context(), filepath.Join(dir, "ckpt"), &ckpt.SaveOptions{Background: true}); err != nil {
			t.Fatal(err)
		}
		s.drawn = generator.Uint64()
		indices, err := batches.Next()
		if err != nil {
			t.Fatal(err)
		}
		s.dealt = append(s.dealt, indices...)
		for range 50 {
			tr.run(t)
			generator.Uint64()
			if _, err := batches.Next(); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Wait(t.Context()); err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	for _, s := range all {
		status, err := c.Restore(t.Context(), s.prefix, nil)
		if err == nil {
			err = status.CheckConsumed()
		}
		if err != nil {
			t.Fatal(err)
		}
		sameBytes(t, tr.variables(), s.want)
		if got := generator.Uint64(); got != s.drawn {
			t.Errorf("%s: the generator gave %d, want %d", s.prefix, got, s.drawn)
		}
		if got, err := batches.Next(); err != nil || got[0] != s.dealt[0] || got[1] != s.dealt[1] {
			t.Errorf("%s: the batch is %v, %v, want %v", s.prefix, got, err, s.dealt)
		}
	}
}

// A restored value replaces the one that a save still holds.
func TestRestoreBesideSave(t *testing.T) {
	v := keras.NewVariable(of[float32](t, tensor.Shape{2}, 1, 2), nil)
	c := ckpt.New(ckpt.Objects{"v": v})
	first, err := c.Write(t.Context(), filepath.Join(t.TempDir(), "first"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := v.Assign(of[float32](t, tensor.Shape{2}, 3, 4)); err != nil {
		t.Fatal(err)
	}
	held := snapshots(t, []*keras.Variable{v})[0]
	defer held.Release()
	if _, err := c.Read(t.Context(), first, nil); err != nil {
		t.Fatal(err)
	}
	sameBits(t, "the variable", values[float32](t, v.Value()), []float32{1, 2})
	for chunk := range held.Chunks() {
		if want := of[float32](t, tensor.Shape{2}, 3, 4).Bytes(); !bytes.Equal(chunk, want) {
			t.Errorf("the snapshot is %x, want %x", chunk, want)
		}
	}
}
