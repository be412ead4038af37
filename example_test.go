package ckpt_test

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/ckpt-go/ckpt"
)

// folder is a new directory, and what removes it.
func folder() (dir string, remove func()) {
	dir, err := os.MkdirTemp("", "ckpt")
	if err != nil {
		log.Fatal(err)
	}
	return dir, func() { os.RemoveAll(dir) }
}

func ExampleCheckpoint() {
	ctx := context.Background()
	dir, remove := folder()
	defer remove()

	step := ckpt.NewScalar("step", int64(0))
	weights := ckpt.NewVariable("weights", []int64{2}, []float32{1, 2})
	checkpoint := ckpt.New(ckpt.Objects{"step": step, "weights": weights})

	step.Assign(100)
	prefix, err := checkpoint.Save(ctx, filepath.Join(dir, "ckpt"), nil)
	if err != nil {
		log.Fatal(err)
	}
	weights.Assign(0, 0) // something went wrong

	status, err := checkpoint.Restore(ctx, prefix, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(filepath.Base(prefix), step.Value(), weights.Data(), status.CheckConsumed())
	// Output: ckpt-1 100 [1 2] <nil>
}

func ExampleTrack() {
	ctx := context.Background()
	dir, remove := folder()
	defer remove()

	type state struct {
		Step    int64          `ckpt:"step"`
		Weights []float32      `ckpt:"weights"`
		Config  map[string]any `ckpt:"config,json"`
	}
	before := state{Step: 3, Weights: []float32{0.5, 0.25}, Config: map[string]any{"rate": 0.1}}
	prefix, err := ckpt.New(ckpt.Objects{"state": ckpt.Track(&before)}).Save(ctx, filepath.Join(dir, "ckpt"), nil)
	if err != nil {
		log.Fatal(err)
	}

	var after state
	if _, err := ckpt.New(ckpt.Objects{"state": ckpt.Track(&after)}).Restore(ctx, prefix, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(after.Step, after.Weights, after.Config["rate"])
	// Output: 3 [0.5 0.25] 0.1
}

func ExampleOpen() {
	ctx := context.Background()
	dir, remove := folder()
	defer remove()
	weights := ckpt.NewVariable("weights", []int64{2}, []float32{1, 2})
	if _, err := ckpt.New(ckpt.Objects{"weights": weights}).Save(ctx, filepath.Join(dir, "ckpt"), nil); err != nil {
		log.Fatal(err)
	}

	reader, err := ckpt.Open(ctx, dir, nil) // the latest of the directory
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	for v, err := range reader.Variables() {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(v.Name, v.DType, v.Shape)
	}
	values, err := ckpt.Read[float32](ctx, reader, "weights/.ATTRIBUTES/VARIABLE_VALUE")
	fmt.Println(values, err)
	// Output:
	// _CHECKPOINTABLE_OBJECT_GRAPH string []
	// save_counter/.ATTRIBUTES/VARIABLE_VALUE int64 []
	// weights/.ATTRIBUTES/VARIABLE_VALUE float32 [2]
	// [1 2] <nil>
}

// A restore before the model is built: the values wait for their variables.
func ExampleNode_Track() {
	ctx := context.Background()
	dir, remove := folder()
	defer remove()
	trained := new(ckpt.Node)
	if err := trained.Track("kernel", ckpt.NewScalar("kernel", float32(42))); err != nil {
		log.Fatal(err)
	}
	prefix, err := ckpt.New(ckpt.Objects{"model": trained}).Save(ctx, filepath.Join(dir, "ckpt"), nil)
	if err != nil {
		log.Fatal(err)
	}

	model := new(ckpt.Node) // not built yet
	status, err := ckpt.New(ckpt.Objects{"model": model}).Restore(ctx, prefix, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("waiting:", status.Waiting())
	kernel := ckpt.NewScalar("kernel", float32(0))
	if err := model.Track("kernel", kernel); err != nil {
		log.Fatal(err)
	}
	fmt.Println("kernel:", kernel.Value(), status.CheckConsumed())
	// Output:
	// waiting: [(root).model.kernel]
	// kernel: 42 <nil>
}

func ExampleNewPythonState() {
	ctx := context.Background()
	dir, remove := folder()
	defer remove()

	seen := []string{"a.txt", "b.txt"}
	state := ckpt.NewPythonState(
		func() ([]byte, error) { return json.Marshal(seen) },
		func(data []byte) (func(), error) {
			var fresh []string
			if err := json.Unmarshal(data, &fresh); err != nil {
				return nil, err
			}
			return func() { seen = fresh }, nil
		})
	checkpoint := ckpt.New(ckpt.Objects{"seen": state})
	prefix, err := checkpoint.Write(ctx, filepath.Join(dir, "input"), nil)
	if err != nil {
		log.Fatal(err)
	}
	seen = nil
	if _, err := checkpoint.Read(ctx, prefix, nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(seen)
	// Output: [a.txt b.txt]
}
