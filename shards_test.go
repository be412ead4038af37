package ckpt_test

import (
	"fmt"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/tensor"
)

// shards lists what each data file of a checkpoint holds, in the order of the
// file: names without the attribute, slices behind theirs, the graph as "graph".
func (s saved) shards(t *testing.T) []string {
	t.Helper()
	type place struct {
		shard  int
		offset int64
		text   string
	}
	var places []place
	for v, err := range s.open(t).Variables() {
		if err != nil {
			t.Fatal(err)
		}
		name, _, _ := strings.Cut(strings.ReplaceAll(v.Name, objectgraph.Key, "graph"), "/.ATTRIBUTES/")
		if len(v.Slices) == 0 {
			places = append(places, place{v.Shard, v.Offset, name})
		}
		for _, p := range v.Slices {
			var extents []string
			for i := range p.Start {
				extents = append(extents, fmt.Sprintf("%d,%d", p.Start[i], p.Length[i]))
			}
			places = append(places, place{p.Shard, p.Offset, name + " " + strings.Join(extents, ":")})
		}
	}
	// Of two at one offset the first is empty.
	slices.SortStableFunc(places, func(a, b place) int {
		return max(-1, min(1, 2*(a.shard-b.shard)+max(-1, min(1, int(a.offset-b.offset)))))
	})
	var list []string
	for _, p := range places {
		for len(list) <= p.shard {
			list = append(list, "")
		}
		list[p.shard] = strings.TrimSpace(list[p.shard] + " " + p.text)
	}
	return list
}

// shardedObjects are the variables of TensorFlow's tests of shards.
func shardedObjects(shapes ...tensor.Shape) ckpt.Objects {
	first, second := []int32{0, 1, 2, 3, 4, 5}, []float32{6, 7, 8, 9, 10, 11}
	n, _ := shapes[0].Elements()
	return ckpt.Objects{
		"v0": ckpt.NewVariable("v0", shapes[0], first[:n]),
		"v1": ckpt.NewVariable("v1", shapes[1], second[:n]),
	}
}

// wantShards writes objects, compares what is where, and restores into zeros.
func wantShards(t *testing.T, objects, blank ckpt.Objects, o *ckpt.SaveOptions, want ...string) saved {
	t.Helper()
	s := saved{newMem(), "c"}
	own := *o
	own.Bucket = s.bucket
	if _, err := ckpt.New(objects).Write(t.Context(), "c", &own); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(s.shards(t), want); diff != "" {
		t.Errorf("shards: -got +want:\n%s", diff)
	}
	if got := inBucket(t, s.bucket, ""); len(got) != len(want)+1 {
		t.Errorf("got files %q, want %d and an index", got, len(want))
	}
	if v, err := ckpt.Verify(t.Context(), "c", &ckpt.VerifyOptions{Bucket: s.bucket}); err != nil || !v.OK() {
		t.Errorf("Verify: %v, %v", v, err)
	}
	wantChecks(t, s.read(t, ckpt.New(blank)), "", "", "")
	for name, object := range objects {
		if got, want := contentOf(t, blank[name]), contentOf(t, object); got != want {
			t.Errorf("%s: got %s, want %s", name, got, want)
		}
	}
	return s
}

// contentOf prints the value of a variable.
func contentOf(t *testing.T, object ckpt.Trackable) string {
	t.Helper()
	switch v := object.(type) {
	case *ckpt.Variable[float32]:
		return fmt.Sprint(v.Data())
	case *ckpt.Variable[int32]:
		return fmt.Sprint(v.Data())
	case *ckpt.StringVariable:
		return fmt.Sprintf("%q", v.Elements())
	}
	t.Fatalf("an object of type %T", object)
	return ""
}

// zeros are new variables like the given ones.
func zeros(t *testing.T, objects ckpt.Objects) ckpt.Objects {
	t.Helper()
	blank := make(ckpt.Objects)
	for name, object := range objects {
		switch v := object.(type) {
		case *ckpt.Variable[float32]:
			blank[name] = ckpt.NewVariable[float32]("", v.Shape(), nil)
		case *ckpt.Variable[int32]:
			blank[name] = ckpt.NewVariable[int32]("", v.Shape(), nil)
		case *ckpt.StringVariable:
			blank[name] = ckpt.NewStringVariable("", v.Spec().Shape, nil)
		default:
			t.Fatalf("an object of type %T", object)
		}
	}
	return blank
}

func TestSHMaxShardSize(t *testing.T) {
	line := shardedObjects(tensor.Shape{4}, tensor.Shape{4, 1})
	grid := shardedObjects(tensor.Shape{3, 2}, tensor.Shape{3, 2, 1})
	rows := []string{"v0 0,1:0,2", "v0 1,1:0,2", "v0 2,1:0,2", "v1 0,1:0,2:0,1", "v1 1,1:0,2:0,1", "v1 2,1:0,2:0,1 graph"}
	words := ckpt.Objects{"v0": ckpt.NewStringVariable("", tensor.Shape{4}, [][]byte{
		[]byte("0123456789"), []byte("abcdefghij"), []byte("ABCDEFGHIJ"), []byte("!!!!!!!!!!")})}
	empty := ckpt.Objects{"a": ckpt.NewVariable[float32]("", tensor.Shape{0, 3}, nil), "b": vector(1, 2)}
	for _, c := range []struct {
		name    string
		objects ckpt.Objects
		limits  []int64
		want    []string
	}{
		{"SH-1", line, []int64{4}, []string{"v0 0,1", "v0 1,1", "v0 2,1", "v0 3,1", "v1 0,1:0,1", "v1 1,1:0,1", "v1 2,1:0,1", "v1 3,1:0,1 graph"}},
		{"SH-1", line, []int64{8, 10}, []string{"v0 0,2", "v0 2,2", "v1 0,2:0,1", "v1 2,2:0,1 graph"}},
		{"SH-1", line, []int64{16, 18}, []string{"v0", "v1 graph"}},
		{"SH-1", line, []int64{0, 32, 1 << 40}, []string{"v0 v1 graph"}},
		{"SH-2", grid, []int64{8, 10}, rows},
		{"SH-2", grid, []int64{12}, []string{"v0 0,3:0,1", "v0 0,3:1,1", "v1 0,3:0,1:0,1", "v1 0,3:1,1:0,1 graph"}},
		{"SH-3", words, []int64{10}, []string{"v0 0,1", "v0 1,1", "v0 2,1", "v0 3,1 graph"}},
		{"SH-5", empty, []int64{4}, []string{"a b 0,1", "b 1,1 graph"}},
	} {
		for _, limit := range c.limits {
			t.Run(fmt.Sprintf("%s/%d", c.name, limit), func(t *testing.T) {
				wantShards(t, c.objects, zeros(t, c.objects), &ckpt.SaveOptions{MaxShardSize: limit}, c.want...)
			})
		}
	}
}

// SH-4: the save counter, a long scalar and the graph.
func TestSH4Save(t *testing.T) {
	dir := t.TempDir()
	objects := shardedObjects(tensor.Shape{3, 2}, tensor.Shape{3, 2, 1})
	objects["v2"] = ckpt.NewStringVariable("", nil, [][]byte{[]byte("longer than the limit")})
	prefix, err := ckpt.New(objects).Save(t.Context(), filepath.Join(dir, "c"), &ckpt.SaveOptions{MaxShardSize: 10})
	if err != nil {
		t.Fatal(err)
	}
	got := saved{nil, prefix}.shards(t)
	want := []string{
		"v0 0,1:0,2", "v0 1,1:0,2", "v0 2,1:0,2", "v1 0,1:0,2:0,1", "v1 1,1:0,2:0,1", "v1 2,1:0,2:0,1", "save_counter graph", "v2",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("-got +want:\n%s", diff)
	}
	files := []string{"c-1.index", "checkpoint"}
	for i := range want {
		files = append(files, fmt.Sprintf("c-1.data-%05d-of-00008", i))
	}
	slices.Sort(files)
	wantFiles(t, dir, files...)
}

// SH-6, SH-7: groups in the order of first use, PythonState behind the variables
// of its group, and what the function is told.
func TestSH6Shard(t *testing.T) {
	var asked []string
	text := "text"
	c := ckpt.New(ckpt.Objects{
		"a": vector(1, 2, 3), "b": ckpt.NewStringVariable("words", tensor.Shape{1}, nil), "c": vector(4), "state": ckpt.NewJSON(&text),
		"grown": &growing{v: vector(5, 6)},
	})
	s := saved{newMem(), "c"}
	tasks := map[string]string{"a": "ps0", "b": "worker0", "c": "ps0", "state": "ps0", "grown": "worker1"}
	o := &ckpt.SaveOptions{Bucket: s.bucket, Shard: func(key string, spec ckpt.Spec) string {
		name, _, _ := strings.Cut(key, "/")
		asked = append(asked, fmt.Sprintf("%s %s %s %s %v", name, spec.DType, spec.Shape, spec.FullName, spec.State))
		return tasks[name]
	}}
	for _, test := range []struct {
		limit int64
		want  []string
	}{
		{0, []string{"a c state", "b", "grown", "graph"}},
		{8, []string{"a 0,2", "a 2,1 c", "state", "b", "grown", "graph"}},
	} {
		asked = nil
		o.MaxShardSize = test.limit
		if _, err := c.Write(t.Context(), "c", o); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(s.shards(t), test.want); diff != "" {
			t.Errorf("limit %d: -got +want:\n%s", test.limit, diff)
		}
		want := []string{
			"a float32 [3] v false", "b string [1] words false", "c float32 [1] v false", "grown float32 [2]  false",
			"state string []  true", objectgraph.Key + " string []  false",
		}
		if diff := cmp.Diff(asked, want); diff != "" {
			t.Errorf("asked: -got +want:\n%s", diff)
		}
		s.read(t, c)
	}
	if s := write(t, c); !slices.Equal(s.shards(t), []string{"a b c grown state graph"}) {
		t.Errorf("SH-7: got %q", s.shards(t))
	}
}

// A limit that is none is refused before there is a file.
func TestMaxShardSizeRefused(t *testing.T) {
	b := newMem()
	many := ckpt.NewVariable[uint8]("", tensor.Shape{2 << 20}, nil)
	for limit, want := range map[int64]string{-1: "-1 bytes", 1: "more than 1048576"} {
		_, err := ckpt.New(ckpt.Objects{"v": many}).Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: b, MaxShardSize: limit})
		wantError(t, fmt.Sprint(limit), err, want)
	}
	if got := inBucket(t, b, ""); len(got) != 0 {
		t.Errorf("left behind: %q", got)
	}
}

// A background save asks and measures before Save returns, and writes the same
// files.
func TestShardsBackground(t *testing.T) {
	g, p := newGate(), newProgram()
	p.setStep(5)
	want := saved{newMem(), "c"}
	if _, err := p.Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: want.bucket, MaxShardSize: 6}); err != nil {
		t.Fatal(err)
	}
	asked := 0
	o := &ckpt.SaveOptions{Bucket: g, MaxShardSize: 6, Background: true, Shard: func(string, ckpt.Spec) string { asked++; return "" }}
	if _, err := p.Write(t.Context(), "c", o); err != nil {
		t.Fatal(err)
	}
	if asked != 4 {
		t.Errorf("Shard: got %d calls, want 4", asked)
	}
	p.setStep(100000)
	close(g.open)
	if err := p.Wait(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantSameFiles(t, g.Bucket, want.bucket)
}

// wantSameFiles compares all that two buckets hold.
func wantSameFiles(t *testing.T, got, want storage.Bucket) {
	t.Helper()
	names := inBucket(t, want, "")
	if files := inBucket(t, got, ""); !slices.Equal(files, names) || len(names) < 2 {
		t.Fatalf("files: got %q, want %q", files, names)
	}
	for _, name := range names {
		if a, b := bytesIn(t, got, name), bytesIn(t, want, name); string(a) != string(b) {
			t.Errorf("%s: got %q, want %q", name, a, b)
		}
	}
}

func bytesIn(t *testing.T, b storage.Bucket, name string) []byte {
	t.Helper()
	f, err := b.Open(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := make([]byte, f.Size())
	if n, err := f.ReadAt(data, 0); n < len(data) {
		t.Fatal(err)
	}
	return data
}

// A Manager removes all files of a checkpoint, and replaces one of any number of
// files by one of another.
func TestShardsManager(t *testing.T) {
	dir, p := t.TempDir(), newProgram()
	m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 2})
	rng := rand.New(rand.NewPCG(7, 7))
	for step := range int64(12) {
		p.setStep(step)
		_, err := m.Save(t.Context(), &ckpt.SaveOptions{MaxShardSize: rng.Int64N(40), Background: step%3 == 0})
		if err != nil {
			t.Fatal(err)
		}
	}
	for step := range int64(12) {
		p.setStep(step)
		if _, err := m.SaveNumber(t.Context(), 100, &ckpt.SaveOptions{MaxShardSize: rng.Int64N(40)}); err != nil {
			t.Fatal(err)
		}
		fresh := newProgram()
		if r, err := newManager(t, fresh.Checkpoint, dir, nil).Resume(t.Context(), nil); err != nil || filepath.Base(r.Prefix) != "ckpt-100" {
			t.Fatal(r, err)
		}
		fresh.wantStep(t, step)
	}
	p.setStep(50)
	if _, err := m.SaveNumber(t.Context(), 100, nil); err != nil {
		t.Fatal(err)
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	wantManaged(t, m, "ckpt-12", "ckpt-100")
	var names []string
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if name := d.Name(); !d.IsDir() && !strings.HasPrefix(name, "ckpt-12.data-") {
			names = append(names, name)
		}
		return err
	})
	if want := filesOf("ckpt-100"); err != nil || !slices.Equal(slices.DeleteFunc(names, func(s string) bool { return s == "ckpt-12.index" }), want) {
		t.Errorf("files: got %q, %v, want %q", names, err, want)
	}
}
