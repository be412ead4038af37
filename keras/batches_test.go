package keras_test

import (
	"math"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
)

// next deals so many batches out, each as a copy.
func next(t *testing.T, b *keras.Batches, n int) [][]int {
	t.Helper()
	var list [][]int
	for range n {
		batch, err := b.Next()
		if err != nil {
			t.Fatal(err)
		}
		list = append(list, slices.Clone(batch))
	}
	return list
}

// Each epoch deals every example out once, in an order of its own.
func TestBatchesPermute(t *testing.T) {
	for _, test := range []struct{ n, size, perEpoch int }{{12, 3, 4}, {10, 10, 1}, {5, 1, 5}, {1, 1, 1}, {11, 4, 2}} {
		b := keras.NewBatches(test.n, test.size, 5)
		var orders [][]int
		for epoch := range 3 {
			var order []int
			for _, batch := range next(t, b, test.perEpoch) {
				if len(batch) != test.size {
					t.Errorf("%+v: a batch of %d", test, len(batch))
				}
				order = append(order, batch...)
			}
			if got := b.Epoch(); got != int64(epoch) {
				t.Errorf("%+v: epoch %d, want %d", test, got, epoch)
			}
			orders = append(orders, order)
			sorted := slices.Sorted(slices.Values(order))
			if len(slices.Compact(sorted)) != test.perEpoch*test.size || sorted[0] < 0 || sorted[len(sorted)-1] >= test.n {
				t.Errorf("%+v: epoch %d deals out %v", test, epoch, order)
			}
		}
		if test.n > 9 && (slices.Equal(orders[0], orders[1]) || slices.Equal(orders[1], orders[2])) {
			t.Errorf("%+v: two epochs have one order %v", test, orders)
		}
	}
}

// The same seed gives the same batches, another seed others.
func TestBatchesSeeds(t *testing.T) {
	a, b, c := next(t, keras.NewBatches(20, 5, 1), 8), next(t, keras.NewBatches(20, 5, 1), 8), next(t, keras.NewBatches(20, 5, 2), 8)
	if !slices.EqualFunc(a, b, slices.Equal) || slices.EqualFunc(a, c, slices.Equal) {
		t.Errorf("got %v, %v and %v, want the first two alike only", a, b, c)
	}
}

// Restored Batches go on with the very batch that would have come next, at every
// point of an epoch and whatever seed and position the program had.
func TestBatchesRestored(t *testing.T) {
	for made := range 9 {
		b := keras.NewBatches(14, 4, 3)
		next(t, b, made)
		prefix := writeObjects(t, ckpt.Objects{"batches": b})
		want := next(t, b, 7)
		resumed := keras.NewBatches(14, 4, 99)
		next(t, resumed, 2)
		readObjects(t, prefix, ckpt.Objects{"batches": resumed})
		if got := next(t, resumed, 7); !slices.EqualFunc(got, want, slices.Equal) {
			t.Errorf("after %d batches: got %v, want %v", made, got, want)
		}
	}
}

// A position that is not one in the data is an error, again and again, and never
// a panic.
func TestBatchesHostile(t *testing.T) {
	for _, test := range []struct {
		name                    string
		examples, epoch, number int64
		words                   []string
	}{
		{"other number of examples", 11, 0, 0, []string{"11 examples", "has 10"}},
		{"no examples", 0, 0, 0, []string{"0 examples", "has 10"}},
		{"negative position", 10, 0, -1, []string{"example -1 of epoch 0"}},
		{"smallest position", 10, 0, math.MinInt64, []string{"epoch 0", "10 examples"}},
		{"position behind the end", 10, 0, 11, []string{"example 11"}},
		{"largest position", 10, 0, math.MaxInt64, []string{"epoch 0", "10 examples"}},
		{"negative epoch", 10, -1, 0, []string{"epoch -1"}},
		{"largest epoch", 10, math.MaxInt64, 9, []string{"epoch 9223372036854775807"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			stored := new(ckpt.Node)
			for name, v := range map[string]ckpt.Trackable{
				"examples": ckpt.NewScalar("examples", test.examples),
				"seed":     ckpt.NewScalar[uint64]("seed", math.MaxUint64),
				"epoch":    ckpt.NewScalar("epoch", test.epoch),
				"position": ckpt.NewScalar("position", test.number),
			} {
				if err := stored.Track(name, v); err != nil {
					t.Fatal(err)
				}
			}
			b := keras.NewBatches(10, 3, 1)
			next(t, b, 1)
			readObjects(t, writeObjects(t, ckpt.Objects{"batches": stored}), ckpt.Objects{"batches": b})
			for range 2 {
				_, err := b.Next()
				wantError(t, err, test.words...)
			}
		})
	}
}

// A position between two batches, as another size of batches leaves it, is good.
func TestBatchesOtherSize(t *testing.T) {
	b := keras.NewBatches(10, 3, 1)
	first := next(t, b, 1)[0]
	resumed := keras.NewBatches(10, 4, 1)
	readObjects(t, writeObjects(t, ckpt.Objects{"batches": b}), ckpt.Objects{"batches": resumed})
	second := next(t, resumed, 1)[0]
	for _, i := range second {
		if slices.Contains(first, i) {
			t.Errorf("example %d was dealt out twice: %v, %v", i, first, second)
		}
	}
}

func TestBatchesImpossible(t *testing.T) {
	for _, test := range [][2]int{{10, 0}, {10, -1}, {10, 11}, {0, 1}, {-1, -1}} {
		func() {
			defer func() {
				if recover() == nil {
					t.Errorf("batches of %d out of %d, want a panic", test[1], test[0])
				}
			}()
			keras.NewBatches(test[0], test[1], 1)
		}()
	}
}
