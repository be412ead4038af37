package ckpt_test

import (
	"context"
	"sync/atomic"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// placed is a variable that counts how it was read.
type placed struct {
	*ckpt.Variable[float32]
	staged, inPlace *atomic.Int32
}

func (p *placed) Values() []ckpt.Value { return []ckpt.Value{p} }

func (p *placed) Stage(ctx context.Context, src ckpt.Source) (ckpt.Staged, error) {
	p.staged.Add(1)
	return p.Variable.Stage(ctx, src)
}

func (p *placed) ReadInPlace(ctx context.Context, src ckpt.Source) error {
	p.inPlace.Add(1)
	return p.Variable.ReadInPlace(ctx, src)
}

// TestSlicedSize resumes from tensors that are stored in slices, whose entries
// have no size: they count as what they hold, so that large ones are read in
// place and small ones staged, as those stored whole.
func TestSlicedSize(t *testing.T) {
	for _, c := range []struct {
		name      string
		elements  int64
		shardSize int64
		inPlace   bool
	}{
		{"small, whole", 1000, 0, false},
		{"small, sliced", 1000, 1 << 10, false},
		{"large, whole", bigElements, 0, true},
		{"large, sliced", bigElements, 8 << 20, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newMem()
			var staged, inPlace atomic.Int32
			variable := func() *placed {
				return &placed{ckpt.NewVariable[float32]("v", tensor.Shape{c.elements}, nil), &staged, &inPlace}
			}
			first := ckpt.New(ckpt.Objects{"a": variable(), "b": variable()})
			if _, err := first.Save(t.Context(), "m/ckpt", &ckpt.SaveOptions{Bucket: b, MaxShardSize: c.shardSize}); err != nil {
				t.Fatal(err)
			}
			r, err := ckpt.Open(t.Context(), "m", &ckpt.OpenOptions{Bucket: b})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			for v, err := range r.Variables() {
				if err != nil || v.Name == "a"+value && (len(v.Slices) > 1) != (c.shardSize > 0) {
					t.Fatalf("got %+v, %v, want slices: %v", v, err, c.shardSize > 0)
				}
			}
			m := newManager(t, ckpt.New(ckpt.Objects{"a": variable(), "b": variable()}), "m", &ckpt.ManagerOptions{Bucket: b})
			if _, err := m.Resume(t.Context(), nil); err != nil {
				t.Fatal(err)
			}
			if got, want := []int32{staged.Load(), inPlace.Load()}, map[bool][]int32{false: {2, 0}, true: {0, 2}}[c.inPlace]; got[0] != want[0] || got[1] != want[1] {
				t.Errorf("staged and read in place: got %v values, want %v", got, want)
			}
		})
	}
}
