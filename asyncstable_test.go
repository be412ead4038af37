package ckpt_test

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// watched is a value that says whether it is stable, and counts its reads.
type watched struct {
	ckpt.Node
	stable   bool
	data     []byte
	chunks   int
	released int
}

func (c *watched) Values() []ckpt.Value { return []ckpt.Value{c} }

func (c *watched) Spec() ckpt.Spec {
	return ckpt.Spec{Attribute: ckpt.VariableValue, DType: tensor.Uint8, Shape: tensor.Shape{int64(len(c.data))}, FullName: "c"}
}

func (c *watched) Snapshot(context.Context) (ckpt.Snapshot, error) { return c, nil }

func (c *watched) Stage(context.Context, ckpt.Source) (ckpt.Staged, error) {
	return nil, errors.New("not restored here")
}

func (c *watched) Chunks() iter.Seq[[]byte] {
	c.chunks++
	return func(yield func([]byte) bool) { yield(c.data) }
}

func (c *watched) Release() { c.released++ }

func (c *watched) Stable() bool { return c.stable }

// What is stable is held by reference and released when it is written; the rest
// is copied once and released at once.
func TestBackgroundHoldsStable(t *testing.T) {
	g := newGate()
	stable, other := &watched{stable: true, data: []byte("abc")}, &watched{data: []byte("defg")}
	c := ckpt.New(ckpt.Objects{"stable": stable, "other": other})
	if _, err := c.Write(t.Context(), "w", &ckpt.SaveOptions{Background: true, Bucket: g}); err != nil {
		t.Fatal(err)
	}
	if stable.chunks != 0 || stable.released != 0 || other.chunks != 1 || other.released != 1 {
		t.Errorf("while it waits: stable read %d, released %d; other read %d, released %d", stable.chunks, stable.released, other.chunks, other.released)
	}
	copy(other.data, "----")
	close(g.open)
	if err := c.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	if stable.chunks != 1 || stable.released != 1 || other.chunks != 1 || other.released != 1 {
		t.Errorf("written: stable read %d, released %d; other read %d, released %d", stable.chunks, stable.released, other.chunks, other.released)
	}
	r, err := ckpt.Open(t.Context(), "w", &ckpt.OpenOptions{Bucket: g})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := ckpt.Read[uint8](t.Context(), r, "other/.ATTRIBUTES/VARIABLE_VALUE"); err != nil || string(got) != "defg" {
		t.Errorf("got %q, %v, want defg", got, err)
	}
}
