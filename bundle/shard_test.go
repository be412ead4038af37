package bundle_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// savers write state in one shard, and in three, of which two have parts of x.
var savers = map[int]func(ctx context.Context, b storage.Bucket, prefix string, tensors ...named) error{
	1: save,
	3: func(ctx context.Context, b storage.Bucket, prefix string, tensors ...named) error {
		return saveSharded(ctx, b, prefix, &bundle.ShardPolicy{MaxSize: 4}, tensors...)
	},
}

// plannedOf is what a plan wants to know of tensors.
func plannedOf(tensors []named) []bundle.Planned {
	var all []bundle.Planned
	for _, n := range tensors {
		p := bundle.Planned{Key: n.key, DType: n.t.DType(), Shape: n.t.Shape()}
		if p.DType == tensor.String && n.key != graphKey {
			for _, e := range n.t.Strings() {
				p.Bytes += int64(len(e))
				p.Longest = max(p.Longest, int64(len(e)))
			}
		}
		all = append(all, p)
	}
	return all
}

const graphKey = "_CHECKPOINTABLE_OBJECT_GRAPH"

func saveSharded(ctx context.Context, b storage.Bucket, prefix string, o *bundle.ShardPolicy, tensors ...named) error {
	plan, err := bundle.NewPlan(slices.Values(plannedOf(tensors)), o)
	if err != nil {
		return err
	}
	w, err := bundle.Create(ctx, b, prefix, &bundle.WriterOptions{Plan: plan})
	if err != nil {
		return err
	}
	defer w.Abort()
	if err := addAll(ctx, w, tensors); err != nil {
		return errors.Join(err, w.Abort())
	}
	return w.Commit(ctx)
}

// layoutOf plans tensors and prints where they go, a line for each shard.
func layoutOf(t *testing.T, o *bundle.ShardPolicy, tensors ...named) []string {
	t.Helper()
	plan, err := bundle.NewPlan(slices.Values(plannedOf(tensors)), o)
	if err != nil {
		t.Fatal(err)
	}
	shards := make([]string, plan.Shards())
	for key, parts := range plan.Parts() {
		for _, p := range parts {
			shards[p.Shard] = strings.TrimSpace(shards[p.Shard] + " " + key)
			if len(parts) > 1 {
				shards[p.Shard] += " " + p.Slice.String()
			}
		}
	}
	return shards
}

// wantSharded saves in shards, compares what is where, and reads everything.
func wantSharded(t *testing.T, o *bundle.ShardPolicy, want []string, tensors ...named) {
	t.Helper()
	if diff := cmp.Diff(layoutOf(t, o, tensors...), want); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	b := mem.New()
	if err := saveSharded(t.Context(), b, "p", o, tensors...); err != nil {
		t.Fatal(err)
	}
	if got := files(t, b); len(got) != len(want)+1 {
		t.Errorf("got files %q, want %d and an index", got, len(want))
	}
	wantTensors(t, b, "p", tensors...)
}

// wantTensors reads what was written, and looks for damage.
func wantTensors(t *testing.T, b storage.Bucket, prefix string, tensors ...named) {
	t.Helper()
	r := open(t, b, prefix)
	for c := range r.CheckLayout(t.Context()) {
		t.Error(c)
	}
	for _, n := range tensors {
		got, err := r.Tensor(t.Context(), n.key)
		if err != nil {
			t.Error(err)
			continue
		}
		if !bytes.Equal(got.Bytes(), n.t.Bytes()) || !slices.EqualFunc(got.Strings(), n.t.Strings(), bytes.Equal) || !got.Shape().Equal(n.t.Shape()) {
			t.Errorf("%s: got another value than was written", n.key)
		}
	}
	if got := keys(t, r); len(got) != len(tensors) {
		t.Errorf("got keys %q, want %d", got, len(tensors))
	}
}

func graphOf(t *testing.T) named { return addStrings(t, graphKey, nil, "a graph of any length") }

func TestSH1MaxShardSize1D(t *testing.T) {
	tensors := []named{
		add(t, "v0", tensor.Shape{4}, float32(0), 1, 2, 3),
		add(t, "v1", tensor.Shape{4, 1}, int32(4), 5, 6, 7),
		graphOf(t),
	}
	for _, c := range []struct {
		limits []int64
		want   []string
	}{
		{[]int64{4}, []string{"v0 0,1", "v0 1,1", "v0 2,1", "v0 3,1", "v1 0,1:0,1", "v1 1,1:0,1", "v1 2,1:0,1", "v1 3,1:0,1 " + graphKey}},
		{[]int64{8, 10}, []string{"v0 0,2", "v0 2,2", "v1 0,2:0,1", "v1 2,2:0,1 " + graphKey}},
		{[]int64{16, 18}, []string{"v0", "v1 " + graphKey}},
		{[]int64{32}, []string{"v0 v1 " + graphKey}},
		{[]int64{0}, []string{"v0 v1 " + graphKey}},
	} {
		for _, limit := range c.limits {
			t.Run(fmt.Sprint(limit), func(t *testing.T) {
				wantSharded(t, &bundle.ShardPolicy{MaxSize: limit}, c.want, tensors...)
			})
		}
	}
}

func TestSH2MaxShardSize2D(t *testing.T) {
	tensors := []named{
		add(t, "v0", tensor.Shape{3, 2}, int32(0), 1, 2, 3, 4, 5),
		add(t, "v1", tensor.Shape{3, 2, 1}, float32(6), 7, 8, 9, 10, 11),
		graphOf(t),
	}
	rows := []string{"v0 0,1:0,2", "v0 1,1:0,2", "v0 2,1:0,2", "v1 0,1:0,2:0,1", "v1 1,1:0,2:0,1", "v1 2,1:0,2:0,1 " + graphKey}
	wantSharded(t, &bundle.ShardPolicy{MaxSize: 8}, rows, tensors...)
	wantSharded(t, &bundle.ShardPolicy{MaxSize: 10}, rows, tensors...)
	columns := []string{"v0 0,3:0,1", "v0 0,3:1,1", "v1 0,3:0,1:0,1", "v1 0,3:1,1:0,1 " + graphKey}
	wantSharded(t, &bundle.ShardPolicy{MaxSize: 12}, columns, tensors...)
}

func TestSH3MaxShardSizeStrings(t *testing.T) {
	v0 := addStrings(t, "v0", tensor.Shape{4}, "0123456789", "abcdefghij", "ABCDEFGHIJ", "!!!!!!!!!!")
	wantSharded(t, &bundle.ShardPolicy{MaxSize: 10}, []string{"v0 0,1", "v0 1,1", "v0 2,1", "v0 3,1 " + graphKey}, v0, graphOf(t))
}

func TestSH4MaxShardSizeScalars(t *testing.T) {
	tensors := []named{
		add(t, "v0", tensor.Shape{3, 2}, int32(0), 1, 2, 3, 4, 5),
		add(t, "v1", tensor.Shape{3, 2, 1}, float32(6), 7, 8, 9, 10, 11),
		addStrings(t, "v2", nil, "longer than the limit"),
		add(t, "save_counter", nil, int64(1)),
		graphOf(t),
	}
	wantSharded(t, &bundle.ShardPolicy{MaxSize: 10}, []string{
		"v0 0,1:0,2", "v0 1,1:0,2", "v0 2,1:0,2", "v1 0,1:0,2:0,1", "v1 1,1:0,2:0,1", "v1 2,1:0,2:0,1",
		"save_counter " + graphKey, "v2",
	}, tensors...)
}

// TestSH5MaxShardSizeEnds has what TensorFlow drops, and what makes its policy
// run for ever.
func TestSH5MaxShardSizeEnds(t *testing.T) {
	wantSharded(t, &bundle.ShardPolicy{MaxSize: 8}, []string{"none x", "y"},
		addRaw(t, "none", tensor.Float32, tensor.Shape{0, 3}, ""), add(t, "x", tensor.Shape{2}, int32(1), 2), addStrings(t, "y", tensor.Shape{1}, "12345678"))
	wantSharded(t, &bundle.ShardPolicy{MaxSize: 4}, []string{"d 0,1", "d 1,1", "d 2,1"}, add(t, "d", tensor.Shape{3}, 1.0, 2, 3))
	wantSharded(t, &bundle.ShardPolicy{MaxSize: 4}, []string{"x y", "d 0,1", "d 1,1"},
		add(t, "x", nil, int16(1)), add(t, "d", tensor.Shape{2}, 1.0, 2), add(t, "y", nil, int16(2)))
	square := make([]float32, 100)
	for i := range square {
		square[i] = float32(i)
	}
	for limit := int64(1); limit < 120; limit++ {
		v := []named{add(t, "v", tensor.Shape{10, 10}, square...), add(t, "w", tensor.Shape{2, 5, 5}, square[:50]...)}
		b := mem.New()
		if err := saveSharded(t.Context(), b, "p", &bundle.ShardPolicy{MaxSize: limit}, v...); err != nil {
			t.Fatal(err)
		}
		wantTensors(t, b, "p", v...)
		for info, err := range b.List(t.Context(), "p.data") {
			if err != nil || info.Size == 0 || info.Size > max(limit, 4) {
				t.Errorf("limit %d: %s has %d bytes, %v", limit, info.Name, info.Size, err)
			}
		}
		s := addStrings(t, "s", tensor.Shape{2, 2}, "", "ab", "c", strings.Repeat("d", 50))
		if err := saveSharded(t.Context(), b, "s", &bundle.ShardPolicy{MaxSize: limit}, s); err != nil {
			t.Fatal(err)
		}
		wantTensors(t, b, "s", s)
	}
}

// TestSH6Groups puts tensors of tasks into shards of their own.
func TestSH6Groups(t *testing.T) {
	task := map[string]string{"a": "ps0", "b": "worker0", "c": "ps0", graphKey: "local"}
	o := &bundle.ShardPolicy{Group: func(key string) string { return task[key] }}
	tensors := []named{add(t, "b", nil, int32(1)), add(t, "a", tensor.Shape{3}, int32(2), 3, 4), add(t, "c", nil, int32(5)), graphOf(t)}
	wantSharded(t, o, []string{"b", "a c", graphKey}, tensors...)
	o.MaxSize = 8
	wantSharded(t, o, []string{"b", "a 0,2", "a 2,1 c", graphKey}, tensors...)
}

// TestSH6Interleaved writes to several files in turn, and parts of tensors to
// the same one.
func TestSH6Interleaved(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		var tensors []named
		for i := range 1 + rng.IntN(6) {
			shape := make(tensor.Shape, rng.IntN(4))
			for dim := range shape {
				shape[dim] = rng.Int64N(6)
			}
			n, _ := shape.Elements()
			tensors = append(tensors, addRaw(t, fmt.Sprint(i), tensor.Uint16, shape, fill(tensor.Uint16, int(n), byte(rng.Int()))))
		}
		o := &bundle.ShardPolicy{MaxSize: rng.Int64N(50), Group: func(key string) string { return fmt.Sprint(int(key[0]) % 3) }}
		b := mem.New()
		if err := saveSharded(t.Context(), b, "p", o, tensors...); err != nil {
			t.Fatal(err)
		}
		wantTensors(t, b, "p", tensors...)
	}
}

// TestBU22StaleShards has data files of another count beside live ones, and
// then loses a live one.
func TestBU22StaleShards(t *testing.T) {
	b := mem.New()
	for i := range 4 {
		put(t, b, bundle.DataName("p", i, 4), []byte("stale"))
	}
	if err := savers[3](t.Context(), b, "p", state(t, 1)...); err != nil {
		t.Fatal(err)
	}
	if got, err := stateOf(t, b, "p"); got != 1 || err != nil {
		t.Errorf("got %v, %v", got, err)
	}
	if err := b.Remove(t.Context(), bundle.DataName("p", 1, 3)); err != nil {
		t.Fatal(err)
	}
	r := open(t, b, "p")
	if s, err := r.Strings(t.Context(), "s"); err != nil || string(s[0]) != "1" {
		t.Errorf("got %q, %v of another shard", s, err)
	}
	_, err := r.Tensor(t.Context(), "x")
	if err == nil || !strings.Contains(err.Error(), "p.data-00001-of-00003") {
		t.Errorf("got error %v, want the name of the missing file", err)
	}
	if x, err := r.Slice(t.Context(), "x", parse(t, "0,1")); err != nil || len(x.Bytes()) != 4 {
		t.Errorf("the slice in another shard: %v", err)
	}
}

// TestLargePartsInterleaved cuts along columns so that two parts in one file grow
// in turn.
func TestLargePartsInterleaved(t *testing.T) {
	const columns = 300000
	tensors := []named{
		addRaw(t, "x", tensor.Float32, tensor.Shape{3, columns}, fill(tensor.Float32, 3*columns, 1)),
		addRaw(t, "y", tensor.Int8, nil, "y"),
	}
	o := &bundle.ShardPolicy{MaxSize: columns * 4 * 19 / 10}
	wantSharded(t, o, []string{"x 0,3:0,150000 x 0,3:150000,37500 x 0,3:187500,2500", "x 0,3:190000,110000 y"}, tensors...)
}
