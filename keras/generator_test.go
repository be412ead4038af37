package keras_test

import (
	"errors"
	"math/rand/v2"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// writeObjects writes a checkpoint of named objects.
func writeObjects(t *testing.T, objects ckpt.Objects) string {
	t.Helper()
	prefix, err := ckpt.New(objects).Write(t.Context(), filepath.Join(t.TempDir(), "c"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return prefix
}

// readObjects restores all of a checkpoint.
func readObjects(t *testing.T, prefix string, objects ckpt.Objects) {
	t.Helper()
	status, err := ckpt.New(objects).Read(t.Context(), prefix, nil)
	if err == nil {
		err = status.CheckConsumed()
	}
	if err != nil {
		t.Fatal(err)
	}
}

// A restored generator draws what the saved one drew next.
func TestGeneratorRestored(t *testing.T) {
	g := keras.NewGenerator(7)
	for range 100 {
		g.Uint64()
	}
	prefix := writeObjects(t, ckpt.Objects{"generator": g})
	want := rand.New(g).Perm(20)
	fresh := keras.NewGenerator(8)
	fresh.Uint64()
	readObjects(t, prefix, ckpt.Objects{"generator": fresh})
	got := rand.New(fresh).Perm(20)
	for i := range want {
		if got[i] != want[i] {
			t.Fatalf("got %v, want %v", got, want)
		}
	}
}

// The same seed gives the same numbers, another seed others; so it is from one
// version of this package to the next.
func TestGeneratorSeeds(t *testing.T) {
	a, b, c := keras.NewGenerator(1), keras.NewGenerator(1), keras.NewGenerator(2)
	for i := range 10 {
		x, y, z := a.Uint64(), b.Uint64(), c.Uint64()
		if x != y || x == z {
			t.Errorf("number %d: got %d, %d and %d, want the first two alike only", i, x, y, z)
		}
	}
}

// The state is one uint64 tensor [2], of the two halves, high first.
func TestGeneratorStored(t *testing.T) {
	r, err := ckpt.Open(t.Context(), writeObjects(t, ckpt.Objects{"generator": keras.NewGenerator(0x0102030405060708)}), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	x, err := r.Tensor(t.Context(), "generator/.ATTRIBUTES/VARIABLE_VALUE")
	if err != nil {
		t.Fatal(err)
	}
	if x.DType() != tensor.Uint64 || !x.Shape().Equal(tensor.Shape{2}) {
		t.Fatalf("got %v, want uint64 [2]", x)
	}
	if got := values[uint64](t, x); got[0] != 0x0102030405060708 || got[1] != 0x636b7074 {
		t.Errorf("got %x, want the seed and 636b7074", got)
	}
}

// Another dtype or shape is refused and the generator draws on as before.
func TestGeneratorMismatch(t *testing.T) {
	for name, stored := range map[string]ckpt.Trackable{
		"shape": ckpt.NewVariable("g", tensor.Shape{3}, []uint64{1, 2, 3}),
		"dtype": ckpt.NewVariable("g", tensor.Shape{2}, []int64{1, 2}),
	} {
		t.Run(name, func(t *testing.T) {
			g, twin := keras.NewGenerator(1), keras.NewGenerator(1)
			_, err := ckpt.New(ckpt.Objects{"generator": g}).Read(t.Context(), writeObjects(t, ckpt.Objects{"generator": stored}), nil)
			var mismatch *ckpt.MismatchError
			if !errors.As(err, &mismatch) {
				t.Errorf("got %v, want a MismatchError", err)
			}
			if got, want := g.Uint64(), twin.Uint64(); got != want {
				t.Errorf("got %d, want %d", got, want)
			}
		})
	}
}
