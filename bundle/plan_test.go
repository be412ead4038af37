package bundle_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

func TestSH8DuplicateInPlan(t *testing.T) {
	whole := bundle.Planned{Key: "v", DType: tensor.Int8, Shape: tensor.Shape{4}}
	front := whole
	front.Slice = parse(t, "0,2")
	beyond := whole
	beyond.Slice = parse(t, "3,2")
	for _, c := range []struct {
		want  string
		plan  []bundle.Planned
		limit int64
	}{
		{"duplicate key: v", []bundle.Planned{whole, whole}, 0},
		{"duplicate key: v slice 0,2", []bundle.Planned{front, front}, 0},
		{"out of bounds", []bundle.Planned{beyond}, 0},
		{"empty string", []bundle.Planned{{DType: tensor.Int8}}, 0},
		{"invalid tensor shape", []bundle.Planned{{Key: "v", Shape: tensor.Shape{-1}}}, 0},
		{"too large", []bundle.Planned{{Key: "v", DType: tensor.Float64, Shape: tensor.Shape{1 << 61}}}, 0},
		{"cannot have 5 together", []bundle.Planned{{Key: "v", DType: tensor.String, Shape: tensor.Shape{2}, Longest: 2, Bytes: 5}}, 0},
		{"at most -1 bytes", []bundle.Planned{whole}, -1},
		{"would be more than", []bundle.Planned{{Key: "v", DType: tensor.Int8, Shape: tensor.Shape{1 << 40}}}, 8},
	} {
		_, err := bundle.NewPlan(slices.Values(c.plan), &bundle.ShardPolicy{MaxSize: c.limit})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got error %v, want %q", err, c.want)
		}
	}
}

// alterations are ways not to write what was planned.
var alterations = []struct {
	name, want string
	add        func(t *testing.T, w *bundle.Writer) error
}{
	{"shape", "altered shape: planned as [2,3], written as [3,2]", func(t *testing.T, w *bundle.Writer) error {
		return w.Add(t.Context(), "v", tensor.Int8, tensor.Shape{3, 2}, one([]byte("abcdef")))
	}},
	{"dtype", "altered dtype: planned as int8, written as uint8", func(t *testing.T, w *bundle.Writer) error {
		return w.Add(t.Context(), "v", tensor.Uint8, tensor.Shape{2, 3}, one([]byte("abcdef")))
	}},
	{"shape of a cut one", "altered shape: planned as [5,3], written as [3,5]", func(t *testing.T, w *bundle.Writer) error {
		return w.Add(t.Context(), "cut", tensor.Int8, tensor.Shape{3, 5}, one(make([]byte, 15)))
	}},
	{"too few bytes", "14 bytes are no int8 tensor of shape [5,3], which has 15", func(t *testing.T, w *bundle.Writer) error {
		return w.Add(t.Context(), "cut", tensor.Int8, tensor.Shape{5, 3}, one(make([]byte, 14)))
	}},
	{"too many bytes", "more bytes than the 15 of a int8 tensor", func(t *testing.T, w *bundle.Writer) error {
		return w.Add(t.Context(), "cut", tensor.Int8, tensor.Shape{5, 3}, one(make([]byte, 16)))
	}},
	{"twice", "duplicate key", func(t *testing.T, w *bundle.Writer) error {
		if err := w.Add(t.Context(), "cut", tensor.Int8, tensor.Shape{5, 3}, one(make([]byte, 15))); err != nil {
			t.Error(err)
		}
		return w.Add(t.Context(), "cut", tensor.Int8, tensor.Shape{5, 3}, one(make([]byte, 15)))
	}},
	{"too few strings", "2 elements are no tensor of shape [3]", func(t *testing.T, w *bundle.Writer) error {
		return w.AddStrings(t.Context(), "s", tensor.Shape{3}, text("abcdef", "a"))
	}},
	{"other strings", "the elements changed", func(t *testing.T, w *bundle.Writer) error {
		pass := 0
		return w.AddStrings(t.Context(), "s", tensor.Shape{3}, func(yield func([]byte) bool) {
			pass++
			for range 3 {
				if !yield(make([]byte, pass)) {
					return
				}
			}
		})
	}},
	{"no bytes for strings", "have no fixed size", func(t *testing.T, w *bundle.Writer) error {
		return w.Add(t.Context(), "s", tensor.String, tensor.Shape{3}, one(nil))
	}},
	{"not planned", "is not in the plan", func(t *testing.T, w *bundle.Writer) error {
		return w.Add(t.Context(), "w", tensor.Int8, tensor.Shape{2}, one([]byte("ab")))
	}},
	{"not written", "planned but not written", func(t *testing.T, w *bundle.Writer) error { return w.Commit(t.Context()) }},
}

func TestSH9AlteredTensors(t *testing.T) {
	plan, err := bundle.NewPlan(slices.Values([]bundle.Planned{
		{Key: "v", DType: tensor.Int8, Shape: tensor.Shape{2, 3}},
		{Key: "cut", DType: tensor.Int8, Shape: tensor.Shape{5, 3}},
		{Key: "s", DType: tensor.String, Shape: tensor.Shape{3}, Longest: 6, Bytes: 12},
	}), &bundle.ShardPolicy{MaxSize: 6})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range alterations {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			w, err := bundle.Create(t.Context(), b, "p", &bundle.WriterOptions{Plan: plan})
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			if err := c.add(t, w); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
			if err := w.Commit(t.Context()); err == nil {
				t.Error("Commit succeeded")
			}
			if got := files(t, b); len(got) > 0 {
				t.Errorf("got files %q", got)
			}
		})
	}
}

// TestPlannedSlices cuts slices that the caller made further.
func TestPlannedSlices(t *testing.T) {
	shape := tensor.Shape{4, 6}
	data := []byte(fill(tensor.Int16, 24, 3))
	var planned []bundle.Planned
	for _, spec := range []string{"0,3:1,5", "-:0,1", "3,1:1,5"} {
		planned = append(planned, bundle.Planned{Key: "v", DType: tensor.Int16, Shape: shape, Slice: parse(t, spec)})
	}
	planned = append(planned, bundle.Planned{Key: "w", DType: tensor.Int16, Shape: shape, Slice: parse(t, "-:0,6")})
	plan, err := bundle.NewPlan(slices.Values(planned), &bundle.ShardPolicy{MaxSize: 14})
	if err != nil {
		t.Fatal(err)
	}
	b := mem.New()
	w, err := bundle.Create(t.Context(), b, "p", &bundle.WriterOptions{Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, p := range planned {
		if err := w.AddSlice(t.Context(), p.Key, p.DType, p.Shape, p.Slice, one(cut(shape, p.Slice, 2, data))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantTensors(t, b, "p", addRaw(t, "v", tensor.Int16, shape, string(data)), addRaw(t, "w", tensor.Int16, shape, string(data)))
}

// TestPlannedOutOfOrder adds the slices of a tensor in another order than their
// shards have, which merging lists them by.
func TestPlannedOutOfOrder(t *testing.T) {
	front := bundle.Planned{Key: "v", DType: tensor.Int8, Shape: tensor.Shape{4}, Slice: parse(t, "2,2")}
	back := front
	back.Slice = parse(t, "0,2")
	first := bundle.Planned{Key: "a", DType: tensor.Int8}
	plan, err := bundle.NewPlan(slices.Values([]bundle.Planned{first, front, back}), &bundle.ShardPolicy{MaxSize: 2, Group: func(key string) string { return key }})
	if err != nil {
		t.Fatal(err)
	}
	b := mem.New()
	w, err := bundle.Create(t.Context(), b, "p", &bundle.WriterOptions{Plan: plan})
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, p := range []bundle.Planned{back, front} {
		if err := w.AddSlice(t.Context(), "v", tensor.Int8, p.Shape, p.Slice, one([]byte(p.Slice.String()[:2]))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Add(t.Context(), "a", tensor.Int8, nil, one([]byte("a"))); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	e, err := open(t, b, "p").Entry("v")
	if err != nil || fmt.Sprint(e.Slices) != "[2,2 0,2]" || e.Shard != 1 {
		t.Errorf("got %v in shard %d, %v", e.Slices, e.Shard, err)
	}
	wantTensors(t, b, "p", addRaw(t, "a", tensor.Int8, nil, "a"), addRaw(t, "v", tensor.Int8, tensor.Shape{4}, "0,2,"))
}

// TestPlanIsMerge compares shards that are written at once with what merging the
// bundle of each makes.
func TestPlanIsMerge(t *testing.T) {
	rng := rand.New(rand.NewPCG(8, 9))
	for range 100 {
		var tensors []named
		for i := range 1 + rng.IntN(5) {
			shape := make(tensor.Shape, 1+rng.IntN(3))
			for dim := range shape {
				shape[dim] = 1 + rng.Int64N(5)
			}
			n, _ := shape.Elements()
			tensors = append(tensors, addRaw(t, fmt.Sprint(rng.IntN(9), i), tensor.Int8, shape, fill(tensor.Int8, int(n), 1)))
		}
		o := &bundle.ShardPolicy{MaxSize: 1 + rng.Int64N(40), Group: func(key string) string { return key[:1] }}
		b := mem.New()
		if err := saveSharded(t.Context(), b, "p", o, tensors...); err != nil {
			t.Fatal(err)
		}
		plan, err := bundle.NewPlan(slices.Values(plannedOf(tensors)), o)
		if err != nil {
			t.Fatal(err)
		}
		merge(t, b, "merged", saveParts(t, b, plan, tensors)...)
		for i := range plan.Shards() {
			if !bytes.Equal(get(t, b, bundle.DataName("p", i, plan.Shards())), get(t, b, bundle.DataName("merged", i, plan.Shards()))) {
				t.Errorf("shard %d of %q is not the same", i, layoutOf(t, o, tensors...))
			}
		}
		if !bytes.Equal(get(t, b, "p.index"), get(t, b, "merged.index")) {
			t.Errorf("the index of %q is not the same", layoutOf(t, o, tensors...))
		}
	}
}

// saveParts writes each shard of a plan as a bundle and returns their prefixes.
func saveParts(t *testing.T, b storage.Bucket, plan *bundle.Plan, tensors []named) []string {
	t.Helper()
	prefixes := make([]string, plan.Shards())
	writers := make([]*bundle.Writer, plan.Shards())
	for i := range writers {
		prefixes[i] = fmt.Sprintf("part-%d", i)
		var err error
		if writers[i], err = bundle.Create(t.Context(), b, prefixes[i], nil); err != nil {
			t.Fatal(err)
		}
		defer writers[i].Abort()
	}
	for key, parts := range plan.Parts() {
		v := tensors[slices.IndexFunc(tensors, func(n named) bool { return n.key == key })].t
		for _, p := range parts {
			data := cut(v.Shape(), p.Slice, v.DType().Size(), v.Bytes())
			if err := writers[p.Shard].AddSlice(t.Context(), key, v.DType(), v.Shape(), p.Slice, one(data)); err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, w := range writers {
		if err := w.Commit(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	return prefixes
}
