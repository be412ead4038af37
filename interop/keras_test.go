package interop_test

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/tensor"
)

// continued is what real TensorFlow did from the latest checkpoint on.
type continued struct {
	Losses []float64
	Inputs []struct {
		X     string
		Shape []int64
		Y     []int64
	}
}

func readContinued(t *testing.T, name string) *continued {
	t.Helper()
	c := new(continued)
	readJSON(t, goldens("tensorflow-2.21.0-programs", name, "continued.json"), c)
	return c
}

func (c *continued) input(t *testing.T, i int) (x, y *tensor.Tensor) {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(c.Inputs[i].X)
	if err != nil {
		t.Fatal(err)
	}
	if x, err = tensor.New(tensor.Float32, c.Inputs[i].Shape, b); err != nil {
		t.Fatal(err)
	}
	return x, of(t, tensor.Shape{int64(len(c.Inputs[i].Y))}, c.Inputs[i].Y...)
}

// ulps is the distance of two float32 numbers in units in the last place.
func ulps(a, b float32) float64 {
	order := func(x float32) int64 {
		if i := int64(int32(math.Float32bits(x))); i >= 0 {
			return i
		} else {
			return math.MinInt32 - i
		}
	}
	return math.Abs(float64(order(a) - order(b)))
}

// The programs resume from TensorFlow's checkpoints, where they can before
// anything is built, and see the losses TensorFlow saw.
func TestKerasContinue(t *testing.T) {
	for _, test := range kerasPrograms {
		t.Run(test.name, func(t *testing.T) {
			p := test.make(t)
			for folder, c := range p.checkpoints {
				m, err := ckpt.NewManager(c, goldens("tensorflow-2.21.0-programs", test.name+"-steps", folder), nil)
				if err != nil {
					t.Fatal(err)
				}
				resumed, err := m.Resume(t.Context(), nil)
				if err != nil || resumed.Prefix == "" || len(resumed.Refused) > 0 {
					t.Fatalf("got %+v, %v", resumed, err)
				}
				defer func() {
					if err := resumed.Status.CheckConsumed(); err != nil {
						t.Error(err)
					}
				}()
			}
			want := readContinued(t, test.name+"-steps")
			worst := 0.0
			for i := range want.Inputs {
				x, y := want.input(t, i)
				for k, loss := range p.step(t, x, y) {
					if i*len(p.checkpoints)+k >= len(want.Losses) {
						t.Fatalf("%d losses, want more", len(want.Losses))
					}
					d := ulps(float32(loss), float32(want.Losses[i*len(p.checkpoints)+k]))
					worst = max(worst, d)
					if d > 8 {
						t.Errorf("step %d: loss %v, want %v", i, loss, want.Losses[i*len(p.checkpoints)+k])
					}
				}
			}
			t.Logf("losses differ by %v units in the last place at most", worst)
		})
	}
}

// The programs' checkpoints are TensorFlow's, byte for byte, for the same
// values: fresh, unbuilt, built and after steps.
func TestKerasBytes(t *testing.T) {
	for _, test := range kerasPrograms {
		for _, stage := range []string{"fresh", "unbuilt", "built", "steps"} {
			folder := goldens("tensorflow-2.21.0-programs", test.name+"-"+stage)
			if _, err := os.Stat(folder); err != nil {
				continue // sequential is always built, the others never fresh
			}
			t.Run(test.name+"-"+stage, func(t *testing.T) {
				p := test.make(t)
				switch stage {
				case "built":
					p.build(t)
				case "steps":
					p.step(t, zeros(t, p.rows, 10), of(t, tensor.Shape{p.rows}, make([]int64, p.rows)...))
				}
				for name, c := range p.checkpoints {
					compareFolder(t, c, filepath.Join(folder, name))
				}
			})
		}
	}
}

// compareFolder restores each checkpoint of a folder, writes it again and
// compares the files.
func compareFolder(t *testing.T, c *ckpt.Checkpoint, folder string) {
	t.Helper()
	indexes, err := filepath.Glob(filepath.Join(folder, "*.index"))
	if err != nil || len(indexes) == 0 {
		t.Fatalf("no checkpoints in %s: %v", folder, err)
	}
	for _, index := range indexes {
		prefix := index[:len(index)-len(".index")]
		status, err := c.Restore(t.Context(), prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := status.CheckConsumed(); err != nil {
			t.Fatal(err)
		}
		copied, err := c.Write(t.Context(), filepath.Join(t.TempDir(), filepath.Base(prefix)), nil)
		if err != nil {
			t.Fatal(err)
		}
		sameFiles(t, copied, prefix)
	}
}

// Names alone change the bytes of a graph: these are the sizes and hashes of the
// specification, for programs as they are run and for variants.
func TestKerasGraphs(t *testing.T) {
	second := func(t *testing.T) *kerasProgram {
		sequentialProgram(t)
		model := keras.NewSequential(keras.Input(10), keras.Dense(128, keras.ReLU), keras.Dense(10, keras.Softmax))
		return sequentialOf(model, keras.NewAdam())
	}
	named := func(*testing.T) *kerasProgram {
		keras.ClearSession()
		step, err := tensor.Of(nil, []int64{0})
		if err != nil {
			t.Fatal(err)
		}
		return subclassedOf(keras.NewVariable(step, &keras.VariableOptions{Name: "global_step"}))
	}
	const unbuilt, built, stepped = 0, 1, 2
	for _, test := range []struct {
		name, folder string
		make         func(t *testing.T) *kerasProgram
		stage        int
		bytes        int
		sha256       string
	}{
		{"A fresh", "", sequentialProgram, unbuilt, 1237, "2a0c265a86b7baa336beb73288cb44e1206cd23fbe235b189eb42a5f11c30805"},
		{"A", "", sequentialProgram, stepped, 2315, "acad9e8c176f0c4111393bbf6a55da1556fa53496189f47072604095a95a850a"},
		{"A second time, fresh", "", second, unbuilt, 1253, "64c5000696846d760d46e2d85dc5c5c118f9281462ab5c2a26dbda945ace6d59"},
		{"A second time", "", second, stepped, 2371, "faf9cd5469261c049927d587c52759a9efb2c5e12291c812b3d101a8e707377a"},
		{"B unbuilt", "", subclassedProgram, unbuilt, 576, "54d6c929dce0a3a8b7d0ab47ffa40dcf20bb28eb6e64b642ecf9d65de62de9c5"},
		{"B built", "", subclassedProgram, built, 978, "ae8c9e91742e449805e1f2f8535da17075121a46a820ddce3fdf28beb6f3efe6"},
		{"B", "", subclassedProgram, stepped, 2062, "62dd8b65900c64f8a0dec84b2f911912e9e516f7a6af115e4a9fa848d92837ac"},
		{"B named, unbuilt", "", named, unbuilt, 579, "36cffb41cbfeb94c03364404821a965b233207ed8f8b842ac56e176b487e7e5e"},
		{"B named, built", "", named, built, 981, "daf45260d2f71cb5da511377e8d04633f9f14e669f18a48478d0f9f78941d724"},
		{"B named", "", named, stepped, 2065, "2628091549b95e078e879370c55ebe5dc9eec8a48474633da024a2ce7e39eee5"},
		{"C encoder unbuilt", "encoder_checkpoints", encoderdecoderProgram, unbuilt, 484, "f182b45c6ab022991980ecadcd58bff0811a157476173aa91a8a04eb3a2f82e0"},
		{"C encoder built", "encoder_checkpoints", encoderdecoderProgram, built, 686, "c8f5391382e282fd91e459c829d24fecbc1b63476cbd77935b3021033a32773a"},
		{"C encoder", "encoder_checkpoints", encoderdecoderProgram, stepped, 1244, "eb5a002f76d619a58e785c16a0acb1fbeec9aded28c98d02587d5de3abe5c3dd"},
		{"C decoder unbuilt", "decoder_checkpoints", encoderdecoderProgram, unbuilt, 488, "d7676f3ed7ad711454b2564904014048c8ff9027cd7e714e877d356d3e957f10"},
		{"C decoder built", "decoder_checkpoints", encoderdecoderProgram, built, 690, "919cc2c209c32a81c9925fc3ba8dae697d87379a12d4beb981363f4d02278eef"},
		{"C decoder", "decoder_checkpoints", encoderdecoderProgram, stepped, 1264, "b35b5cc411d09b06de4dea43725ceb60b05260e45c7f0ee6f53a200260367e7d"},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := test.make(t)
			switch test.stage {
			case built:
				p.build(t)
			case stepped:
				p.step(t, zeros(t, p.rows, 10), of(t, tensor.Shape{p.rows}, make([]int64, p.rows)...))
			}
			prefix, err := p.checkpoints[test.folder].Save(t.Context(), filepath.Join(t.TempDir(), "ckpt"), nil)
			if err != nil {
				t.Fatal(err)
			}
			r, err := ckpt.Open(t.Context(), prefix, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			stored, err := r.Tensor(t.Context(), objectgraph.Key)
			if err != nil {
				t.Fatal(err)
			}
			graph := stored.Strings()[0]
			sum := sha256.Sum256(graph)
			if len(graph) != test.bytes || hex.EncodeToString(sum[:]) != test.sha256 {
				t.Errorf("got %d bytes, SHA-256 %x, want %d bytes, %s", len(graph), sum, test.bytes, test.sha256)
			}
		})
	}
}
