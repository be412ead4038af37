package ckpt_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// AW-5: a save that fails leaves no file, and a name that was there stays.
func TestAW5FailedSave(t *testing.T) {
	for name, object := range map[string]ckpt.Trackable{
		"duplicate key":     &pair{names: []string{"x", "x"}, vars: []*ckpt.Variable[float32]{scalar(1), scalar(2)}},
		"no attribute name": &pair{names: []string{""}, vars: []*ckpt.Variable[float32]{scalar(1)}},
		"dotted name":       &pair{names: []string{"a.b"}, vars: []*ckpt.Variable[float32]{scalar(1)}},
		"child twice":       &lister{names: []string{"x", "x"}, children: []ckpt.Trackable{scalar(1), scalar(2)}},
		"open shape":        open{scalar(1)},
		"text fails":        ckpt.NewPythonState(func() ([]byte, error) { return nil, errors.New("no text") }, nil),
	} {
		t.Run(name, func(t *testing.T) {
			if o, ok := object.(open); ok {
				object = &o
			}
			dir := t.TempDir()
			c := ckpt.New(ckpt.Objects{"object": object, "v": scalar(1)})
			if _, err := c.Save(t.Context(), filepath.Join(dir, "c"), nil); err == nil {
				t.Error("got no error")
			}
			list, err := os.ReadDir(dir)
			if err != nil || len(list) > 0 {
				t.Errorf("got %v, %v, want no files", list, err)
			}
		})
	}
}

// open has a shape with an open dimension and a snapshot that does not tell.
type open struct{ *ckpt.Variable[float32] }

func (o *open) Values() []ckpt.Value { return []ckpt.Value{o} }
func (o *open) Spec() ckpt.Spec {
	return ckpt.Spec{Attribute: ckpt.VariableValue, DType: tensor.Float32, Shape: []int64{-1}}
}

// A variable with an open dimension takes any length, as tf.Variable with
// shape=[None].
func TestOpenDimension(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": vector(1, 2)}))
	v := &growing{v: vector(1)}
	s.read(t, ckpt.New(ckpt.Objects{"v": v}))
	wantValues(t, "v", v.v, 1, 2)
	again := vector(0, 0)
	write(t, ckpt.New(ckpt.Objects{"v": v})).read(t, ckpt.New(ckpt.Objects{"v": again}))
	wantValues(t, "again", again, 1, 2)
}

type growing struct {
	ckpt.Node
	v *ckpt.Variable[float32]
}

func (g *growing) Values() []ckpt.Value { return []ckpt.Value{g} }
func (g *growing) Spec() ckpt.Spec {
	return ckpt.Spec{Attribute: ckpt.VariableValue, DType: tensor.Float32, Shape: []int64{-1}}
}

func (g *growing) Snapshot(ctx context.Context) (ckpt.Snapshot, error) {
	shot, err := g.v.Snapshot(ctx)
	return shapedShot{shot, g.v.Shape()}, err
}

func (g *growing) Stage(ctx context.Context, src ckpt.Source) (ckpt.Staged, error) {
	fresh := ckpt.NewVariable[float32]("", src.Shape(), nil)
	err := fresh.ReadInPlace(ctx, src)
	return committing(func() { g.v = fresh }), err
}

type shapedShot struct {
	ckpt.Snapshot
	shape tensor.Shape
}

func (s shapedShot) Shape() tensor.Shape { return s.shape }

func writeNew(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o666); err != nil {
		t.Fatal(err)
	}
}
