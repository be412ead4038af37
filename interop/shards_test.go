package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// shardSpec is what programs/shards.py writes: see there.
type shardSpec struct {
	Prefix    string            `json:"prefix"`
	Method    string            `json:"method"`
	Limit     int64             `json:"limit"`
	Groups    map[string]string `json:"groups"`
	Variables map[string]value  `json:"variables"`
	States    map[string]string `json:"states"`

	contents map[string]*tensor.Tensor // of the variables
}

// write has TensorFlow write the checkpoint.
func (s *shardSpec) write(t *testing.T) {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	name := filepath.Join(t.TempDir(), "spec.json")
	if err := os.WriteFile(name, text, 0o666); err != nil {
		t.Fatal(err)
	}
	tensorflow.Call(t, "program", map[string]any{"name": "shards", "argv": []string{name}}, nil)
}

// objects are the same objects in Go; blank ones hold other values.
func (s *shardSpec) objects(t *testing.T, blank bool) ckpt.Objects {
	t.Helper()
	objects := make(ckpt.Objects)
	for name, v := range s.contents {
		objects[name] = newVariable(t, &treeVariable{value: jsonOf(v)}, blank)
	}
	for name, text := range s.States {
		content, err := base64.StdEncoding.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		if blank {
			content = nil
		}
		objects[name] = ckpt.NewPythonState(
			func() ([]byte, error) { return content, nil },
			func(data []byte) (func(), error) { return func() { content = data }, nil })
	}
	return objects
}

// save writes with ckpt what TensorFlow writes.
func (s *shardSpec) save(t *testing.T, objects ckpt.Objects, prefix string, background bool) string {
	t.Helper()
	c := ckpt.New(objects)
	o := &ckpt.SaveOptions{MaxShardSize: s.Limit, Background: background}
	if len(s.Groups) > 0 {
		o.Shard = func(key string, _ ckpt.Spec) string { return s.Groups[key] }
	}
	write := c.Write
	if s.Method == "save" {
		write = c.Save
	}
	path, err := write(t.Context(), prefix, o)
	if err == nil {
		err = c.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// randomShards is a random checkpoint that TensorFlow's policies divide.
func randomShards(t *testing.T, rng *rand.Rand) *shardSpec {
	t.Helper()
	s := &shardSpec{
		Method: []string{"write", "save"}[rng.IntN(2)], Groups: make(map[string]string), Variables: make(map[string]value),
		States: make(map[string]string), contents: make(map[string]*tensor.Tensor),
	}
	limit := int64(1)
	group := func(key string) {
		if n := rng.IntN(3); n > 0 {
			s.Groups[key] = fmt.Sprint("group ", n)
		}
	}
	for i := range 1 + rng.IntN(6) {
		d := sliceDTypes[rng.IntN(len(sliceDTypes))].dtype
		shape := randomShape(rng, 3)
		if d == tensor.String {
			shape = shape[:min(1, len(shape))] // what TensorFlow can measure
		}
		if d == tensor.Int4 {
			d = tensor.Int8 // no variable in a file has it
		}
		name := fmt.Sprintf("v%d", i)
		v := randomTensor(t, rng, d, shape)
		s.contents[name], s.Variables[name] = v, jsonOf(v)
		group(name + "/.ATTRIBUTES/VARIABLE_VALUE")
		limit = max(limit, smallestCut(v))
	}
	for i := range rng.IntN(4) {
		name := fmt.Sprintf("p%d", i)
		s.States[name] = base64.StdEncoding.EncodeToString([]byte(strings.Repeat("x", rng.IntN(50))))
		group(name + "/.ATTRIBUTES/py_state")
	}
	group("save_counter/.ATTRIBUTES/VARIABLE_VALUE")
	group("_CHECKPOINTABLE_OBJECT_GRAPH")
	if rng.IntN(3) == 0 {
		clear(s.Groups)
	}
	if rng.IntN(4) > 0 {
		s.Limit = limit + rng.Int64N(2*limit)
	}
	return s
}

// TestShards saves random objects in several files on both sides: object graph,
// configuration and counter must be where TensorFlow puts them. What was written
// restores.
func TestShards(t *testing.T) {
	tensorflow.Require(t)
	most := 0
	for seed := range uint64(40) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			rng := rand.New(rand.NewPCG(seed, 4))
			dir := t.TempDir()
			s := randomShards(t, rng)
			s.Prefix = filepath.Join(dir, "theirs")
			s.write(t)
			objects := s.objects(t, false)
			path := s.save(t, objects, filepath.Join(dir, "ours"), rng.IntN(2) == 0)
			number := strings.TrimPrefix(path, filepath.Join(dir, "ours"))
			sameFolder(t, path, s.Prefix+number)
			blank := s.objects(t, true)
			c := ckpt.New(blank)
			restore := c.Read
			if s.Method == "save" {
				restore = c.Restore
			}
			status, err := restore(t.Context(), s.Prefix+number, nil)
			if err == nil {
				err = status.CheckConsumed()
			}
			if err != nil {
				t.Fatal(err)
			}
			for name, v := range s.contents {
				if hash(content(t, blank[name].(ckpt.Saveable))) != hash(v) {
					t.Errorf("%s: another value was restored", name)
				}
			}
			files, err := filepath.Glob(path + ".data-*")
			if err != nil {
				t.Fatal(err)
			}
			most = max(most, len(files))
		})
	}
	if most < 4 {
		t.Errorf("no checkpoint had more than %d data files", most)
	}
}

// TestSH6Tasks: a group of SaveOptions.Shard is what a task is to TensorFlow.
func TestSH6Tasks(t *testing.T) {
	tensorflow.Require(t)
	dir := t.TempDir()
	tensorflow.Script(t, dir, "programs/shards.py", "--tasks", dir)
	tasks := map[string]float32{"a": 2, "b": 0, "c": 1, "d": 2}
	objects := make(ckpt.Objects)
	for _, name := range slices.Sorted(maps.Keys(tasks)) {
		n := tasks[name]
		objects[name] = ckpt.NewVariable("", tensor.Shape{3}, []float32{n, n + 1, n + 2})
	}
	for name, limit := range map[string]int64{"default": 0, "limited": 8} {
		prefix := filepath.Join(dir, "ours-"+name)
		_, err := ckpt.New(objects).Write(t.Context(), prefix, &ckpt.SaveOptions{MaxShardSize: limit, Shard: func(key string, _ ckpt.Spec) string {
			name, _, _ := strings.Cut(key, "/")
			if task, ok := tasks[name]; ok {
				return fmt.Sprint("task ", task)
			}
			return "program"
		}})
		if err != nil {
			t.Fatal(err)
		}
		sameFolder(t, prefix, filepath.Join(dir, name))
	}
}
