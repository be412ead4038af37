package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
)

// example is one of the training programs: as a Go binary, and as its twin in
// TensorFlow.
type example struct {
	name    string
	flags   []string // of the twin, so that it uses the same folders
	steps   string   // that the twin makes in a run: it saves the last one
	golang  []string // what two runs of the binary print
	twin    []string // what the runs of the twin between and after them print
	counts  []int64  // the optimizer's steps after each of the four
	folders map[string]map[string][]string
	// By folder, and group of the twin's variables, the keys of the variables in
	// their order.
}

const scratch = "No checkpoint found, starting from scratch."

// adam are the keys of an Adam's variables for so many trainable ones.
func adam(variables int) []string {
	keys := []string{"optimizer/_iterations", "optimizer/_learning_rate"}
	for i := range 2 * variables {
		keys = append(keys, fmt.Sprintf("optimizer/_variables/%d", i+2))
	}
	return keys
}

var examples = []*example{
	{
		name: "sequential", steps: "3",
		golang: []string{
			scratch + "\nSaved training_checkpoints/ckpt-1",
			"Restored training_checkpoints/ckpt-4\nSaved training_checkpoints/ckpt-5",
		},
		twin: []string{
			"Restored training_checkpoints/ckpt-1\nSaved training_checkpoints/ckpt-2\nSaved training_checkpoints/ckpt-3\nSaved training_checkpoints/ckpt-4",
			"Restored training_checkpoints/ckpt-5\nSaved training_checkpoints/ckpt-6\nSaved training_checkpoints/ckpt-7\nSaved training_checkpoints/ckpt-8",
		},
		counts: []int64{1, 4, 5, 8},
		folders: map[string]map[string][]string{"training_checkpoints": {
			"model":     {"optimizer/_trainable_variables/0", "optimizer/_trainable_variables/1", "optimizer/_trainable_variables/2", "optimizer/_trainable_variables/3"},
			"optimizer": adam(4),
		}},
	},
	{
		name: "subclassed", steps: "3",
		golang: []string{
			scratch + "\n1 2 3\nSaved custom_training_checkpoints/ckpt-1\n4 5 6\nSaved custom_training_checkpoints/ckpt-2\n7 8 9\nSaved custom_training_checkpoints/ckpt-3\n10",
			"Restored custom_training_checkpoints/ckpt-4\n13 14 15\nSaved custom_training_checkpoints/ckpt-5\n16 17 18\nSaved custom_training_checkpoints/ckpt-6\n19 20 21\nSaved custom_training_checkpoints/ckpt-7\n22",
		},
		twin: []string{
			"Restored custom_training_checkpoints/ckpt-3\n10 11 12\nSaved custom_training_checkpoints/ckpt-4",
			"Restored custom_training_checkpoints/ckpt-7\n22 23 24\nSaved custom_training_checkpoints/ckpt-8",
		},
		counts: []int64{9, 12, 21, 24},
		folders: map[string]map[string][]string{"custom_training_checkpoints": {
			"model":     {"model/dense1/_kernel", "model/dense1/bias", "model/dense2/_kernel", "model/dense2/bias"},
			"optimizer": adam(4), "step": {"step"},
		}},
	},
	{
		name: "encoderdecoder", steps: "1", flags: []string{"--dir", ""},
		golang: []string{
			scratch + "\n" + scratch + "\nLosses\nSaved encoder_checkpoints/ckpt-1\nSaved decoder_checkpoints/ckpt-1",
			"Restored encoder_checkpoints/ckpt-2\nRestored decoder_checkpoints/ckpt-2\nLosses\nSaved encoder_checkpoints/ckpt-3\nSaved decoder_checkpoints/ckpt-3",
		},
		twin: []string{
			"Restored encoder_checkpoints/ckpt-1\nRestored decoder_checkpoints/ckpt-1\nSaved encoder_checkpoints/ckpt-2\nSaved decoder_checkpoints/ckpt-2",
			"Restored encoder_checkpoints/ckpt-3\nRestored decoder_checkpoints/ckpt-3\nSaved encoder_checkpoints/ckpt-4\nSaved decoder_checkpoints/ckpt-4",
		},
		counts: []int64{1, 2, 3, 4},
		folders: map[string]map[string][]string{
			"encoder_checkpoints": {"encoder": {"encoder/dense/_kernel", "encoder/dense/bias"}, "optimizer_enc": adam(2)},
			"decoder_checkpoints": {"decoder": {"decoder/dense/_kernel", "decoder/dense/bias"}, "optimizer_dec": adam(2)},
		},
	},
}

// TestExamples lets the binary of each example and its twin take turns, each
// run a process of its own: binary, twin, binary, twin, in one folder. Each
// goes on from what the other saved last. After each run TensorFlow's values, the
// optimizer's included, are those in the files.
func TestExamples(t *testing.T) {
	for _, e := range examples {
		t.Run(e.name, func(t *testing.T) {
			tensorflow.Require(t)
			binary, dir := e.build(t), t.TempDir()
			for i := range 2 {
				command := exec.Command(binary)
				command.Dir = dir
				out, err := command.CombinedOutput()
				if err != nil {
					t.Fatalf("%v\n%s", err, out)
				}
				wantPrinted(t, string(out), e.golang[i])
				dump := filepath.Join(t.TempDir(), "dump")
				argv := []string{"--dir", filepath.Join(dir, e.only()), "--build", "--assert-consumed", "--steps", "0", "--no-save", "--dump", dump}
				tensorflow.Call(t, "program", map[string]any{"name": e.name, "argv": argv}, nil)
				e.compare(t, dir, dump, e.counts[2*i])

				argv = append([]string{"--build", "--assert-consumed", "--steps", e.steps, "--dump", dump}, e.flags...)
				wantPrinted(t, tensorflow.Script(t, dir, filepath.Join("programs", e.name+".py"), argv...), e.twin[i])
				e.compare(t, dir, dump, e.counts[2*i+1])
			}
		})
	}
}

// only is the folder of a program that has one, else "".
func (e *example) only() (folder string) {
	for name := range e.folders {
		folder = name
	}
	if len(e.folders) > 1 {
		return ""
	}
	return folder
}

func (e *example) build(t *testing.T) (binary string) {
	t.Helper()
	binary = filepath.Join(t.TempDir(), "program.exe")
	command := exec.Command("go", "build", "-o", binary, "./"+e.name)
	command.Dir = filepath.Join("..", "examples")
	if out, err := command.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	return binary
}

var (
	lessWords   = strings.NewReplacer("Restored from checkpoint: ", "Restored ", "Saved checkpoint at: ", "Saved ")
	losses      = regexp.MustCompile(`Encoder loss: [\d.]+, Decoder loss: [\d.]+`)
	stepAndLoss = regexp.MustCompile(`Step: (\d+), Loss: [\d.]+`)
	threeSteps  = regexp.MustCompile(`(?m)^(\d+)\n(\d+)\n(\d+)$`)
)

// wantPrinted compares an output with its short form: numbers of steps in a row
// for their lines, and less words.
func wantPrinted(t *testing.T, got, want string) {
	t.Helper()
	short := lessWords.Replace(filepath.ToSlash(strings.TrimSuffix(got, "\n")))
	short = losses.ReplaceAllString(stepAndLoss.ReplaceAllString(short, "$1"), "Losses")
	short = threeSteps.ReplaceAllString(short, "$1 $2 $3")
	if diff := cmp.Diff(short, want); diff != "" {
		t.Errorf("printed -got +want:\n%s\n%s", diff, got)
	}
}

// compare reads every variable that TensorFlow dumped from the newest files, and
// makes sure that there are no others.
func (e *example) compare(t *testing.T, dir, dump string, steps int64) {
	t.Helper()
	var values map[string]value
	readJSON(t, dump, &values)
	for folder, groups := range e.folders {
		r, err := ckpt.Open(t.Context(), filepath.Join(dir, folder), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		left := -2 // the save counter and the graph are no variables of the program
		for range r.Variables() {
			left++
		}
		for group, keys := range groups {
			for i, key := range keys {
				stored, err := r.Tensor(t.Context(), key+"/.ATTRIBUTES/VARIABLE_VALUE")
				if err != nil {
					t.Fatal(err)
				}
				name := fmt.Sprintf("%s/%d", group, i)
				if v := values[name]; v.DType != stored.DType().String() || v.Data != base64.StdEncoding.EncodeToString(stored.Bytes()) {
					t.Errorf("%s: TensorFlow has other values than %s", key, r.Prefix())
				}
				delete(values, name)
				left--
			}
		}
		if left != 0 {
			t.Errorf("%s: %d values were not compared", r.Prefix(), left)
		}
		if n, err := ckpt.Read[int64](t.Context(), r, "optimizer/_iterations/.ATTRIBUTES/VARIABLE_VALUE"); err != nil || n[0] != steps {
			t.Errorf("%s: got %d steps, %v, want %d", r.Prefix(), n, err, steps)
		}
	}
	if len(values) > 0 {
		t.Errorf("TensorFlow has %d variables more", len(values))
	}
}

// restoredModel is what Keras has after a restore.
type restoredModel struct {
	Loss      float64 // before the next step
	Kernel    float64 // difference of the first kernel from that of the checkpoint
	Variables int     // trainable ones
	Error     string  // of the step
}

// TestRestoreBeforeFirstCall restores a subclassed model that was never called.
// Ours then has the loss, to the bit, of the run that nobody interrupted. Keras 3
// has a random first kernel and so another loss; only a model that was called
// before is restored right.
func TestRestoreBeforeFirstCall(t *testing.T) {
	tensorflow.Require(t)
	dir, file := t.TempDir(), filepath.Join(t.TempDir(), "inputs")
	seed := []string{"--seed", "11", "--fixed-inputs"}
	argv := append([]string{"--dir", t.TempDir(), "--steps", "1", "--no-save", "--inputs-out", file}, seed...)
	tensorflow.Call(t, "program", map[string]any{"name": "subclassed", "argv": argv}, nil)
	in := new(continued)
	readJSON(t, file, &in.Inputs)
	x, y := in.input(t, 0)

	straight := subclassedProgram(t)
	for range 300 { // on one batch, so that the loss falls far
		straight.step(t, x, y)
	}
	manager, err := ckpt.NewManager(straight.checkpoints[""], dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manager.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	want := straight.step(t, x, y)[0]

	resumed := subclassedProgram(t)
	if manager, err = ckpt.NewManager(resumed.checkpoints[""], dir, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := manager.Resume(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	got := resumed.step(t, x, y)[0]
	if !(math.Abs(got-want) <= 1e-6) {
		t.Errorf("got loss %v, without interruption %v", got, want)
	}
	wantSameStep(t, resumed.variables["model"](), straight.variables["model"]())

	var printed string
	tensorflow.Call(t, "program", map[string]any{"name": "restorefirst", "argv": append([]string{"--dir", dir}, seed...)}, &printed)
	var models struct{ First, Called restoredModel }
	if err := json.Unmarshal([]byte(printed), &models); err != nil {
		t.Fatal(err)
	}
	t.Logf("uninterrupted: loss %v; ours, restored before the first call: %v", want, got)
	t.Logf("Keras, called before it was restored: %+v", models.Called)
	t.Logf("Keras, restored before the first call: %+v", models.First)
	if c := models.Called; !(math.Abs(c.Loss-want) < 1e-5) || c.Kernel != 0 || c.Variables != 4 || c.Error != "" {
		t.Errorf("Keras does not continue after a call: %+v", c)
	}
	if f := models.First; !(f.Loss > want+0.1) || f.Kernel < 0.01 || f.Variables != 5 {
		t.Errorf("Keras has lost its defect, which the documentation tells of: %+v", f)
	}
}

// wantSameStep compares the variables of two models after a step, to the bit.
func wantSameStep(t *testing.T, got, want []*keras.Variable) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("got %d variables, want %d", len(got), len(want))
	}
	for i := range want {
		if string(got[i].Value().Bytes()) != string(want[i].Value().Bytes()) {
			t.Errorf("%s: other values than without interruption", want[i].Path())
		}
	}
}
