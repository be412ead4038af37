package bundle_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// putLists makes a bundle of tensors in slices that it only lists.
func putLists(t testing.TB, b storage.Bucket, prefix string, shape tensor.Shape, lists ...[]bundle.Slice) {
	t.Helper()
	entries := make(map[string]bundle.Entry)
	for i, list := range lists {
		entries[fmt.Sprintf("x%d", i)] = bundle.Entry{DType: tensor.Int8, Shape: shape, Slices: list}
	}
	putIndex(t, b, prefix+".index", bundle.Header{NumShards: 1, Producer: 1}, entries)
	put(t, b, prefix+".data-00000-of-00001", nil)
}

// rows cuts a shape along its first dimension, one by one.
func rows(n int64) (list []bundle.Slice) {
	for i := range n {
		list = append(list, bundle.Slice{{Start: i, Length: 1}})
	}
	return list
}

// grid cuts a square.
func grid(n int64) (list []bundle.Slice) {
	for i := range n * n {
		list = append(list, bundle.Slice{{Start: i / n, Length: 1}, {Start: i % n, Length: 1}})
	}
	return list
}

// cross has a row, a column and a diagonal, so that no dimension tells much.
func cross(n int64) []bundle.Slice {
	list := []bundle.Slice{{{Length: 1}, {Full: true}}, {{Start: 1, Length: n - 1}, {Length: 1}}}
	for i := int64(1); i < n; i++ {
		list = append(list, bundle.Slice{{Start: i, Length: 1}, {Start: i, Length: 1}})
	}
	return list
}

// TestMergeManySlices merges many slices in orders of every kind. Of the reversed
// rows each belongs before all others: if each moved them it would take minutes.
func TestMergeManySlices(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	reversed := rows(400_000)
	slices.Reverse(reversed)
	for _, c := range []struct {
		name  string
		shape tensor.Shape
		lists [][]bundle.Slice
	}{
		{"reversed", tensor.Shape{400_000}, [][]bundle.Slice{reversed}},
		{"rows", tensor.Shape{10_000}, [][]bundle.Slice{rows(10_000), rows(10_000), rows(10_000)}},
		{"grid", tensor.Shape{100, 100}, [][]bundle.Slice{grid(100), grid(100), grid(100)}},
		{"cross", tensor.Shape{10_000, 10_000}, [][]bundle.Slice{cross(10_000), cross(10_000)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var halves [2][][]bundle.Slice
			for i, list := range c.lists {
				if i > 0 {
					rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
				}
				halves[0] = append(halves[0], list[:len(list)/2])
				halves[1] = append(halves[1], list[len(list)/2:])
			}
			b := mem.New()
			putLists(t, b, "one", c.shape, halves[0]...)
			putLists(t, b, "two", c.shape, halves[1]...)
			merge(t, b, "p", "one", "two")
			e, err := open(t, b, "p").Entry("x0")
			if err != nil || !slices.EqualFunc(e.Slices, c.lists[0], func(a, b bundle.Slice) bool { return slices.Equal(a, b) }) {
				t.Errorf("got %d slices, %v, want the %d of both inputs", len(e.Slices), err, len(c.lists[0]))
			}
		})
	}
}

// TestMergeBudget has tensors that could each be merged.
func TestMergeBudget(t *testing.T) {
	if raceDetector {
		t.Skip("takes long with the race detector")
	}
	const n = 22_000
	b := mem.New()
	putLists(t, b, "one", tensor.Shape{n, n}, cross(n))
	putLists(t, b, "two", tensor.Shape{n, n}, cross(n), cross(n))
	merge(t, b, "p", "one")
	err := bundle.Merge(t.Context(), b, "p", []string{"two"}, nil)
	if err == nil || err.Error() != `merge "two": tensor "x1": too many slices lie side by side` {
		t.Errorf("got error %v", err)
	}
}

// TestMergeOverlaps compares with all pairs, in two inputs of any sizes.
func TestMergeOverlaps(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 8))
	overlaps := 0
	for range 1000 {
		shape := make(tensor.Shape, 1+rng.IntN(3))
		for i := range shape {
			shape[i] = 1 + rng.Int64N(20)
		}
		all := make([]bundle.Slice, 2+rng.IntN(5))
		for i := range all {
			s := make(bundle.Slice, len(shape))
			for j, n := range shape {
				if s[j].Start = rng.Int64N(n); rng.IntN(8) == 0 {
					s[j] = bundle.Extent{Full: true}
				} else {
					s[j].Length = 1 + rng.Int64N(min(6, n-s[j].Start))
				}
			}
			all[i] = s
		}
		want := false
		for i := range all {
			for j := range i {
				_, meet := all[i].Intersect(all[j])
				want = want || meet
			}
		}
		if want {
			overlaps++
		}
		b := mem.New()
		n := 1 + rng.IntN(len(all)-1)
		putLists(t, b, "one", shape, all[:n])
		putLists(t, b, "two", shape, all[n:])
		if err := bundle.Merge(t.Context(), b, "p", []string{"one", "two"}, nil); (err != nil) != want {
			t.Fatalf("%v in %s: got %v, want an overlap: %v", shape, all, err, want)
		}
	}
	if overlaps < 100 || overlaps > 900 {
		t.Errorf("%d of 1000 overlap, which tells little", overlaps)
	}
}
