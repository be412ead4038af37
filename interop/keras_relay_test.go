package interop_test

import (
	"encoding/base64"
	"fmt"
	"math"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/keras"
	"github.com/ckpt-go/ckpt/tensor"
)

// relay is a training that Go and TensorFlow take turns at, on one folder, and
// beside it the same training in Go that is never interrupted.
type relay struct {
	program  string
	flags    []string
	make     func(t *testing.T) *kerasProgram
	dir      string
	straight *kerasProgram
	worst    float64 // relative difference of losses
}

type legInput struct{ x, y *tensor.Tensor }

// golang makes steps in Go: it resumes, before anything is built where the
// program can, and saves.
func (r *relay) golang(t *testing.T, first bool, inputs []legInput) {
	t.Helper()
	p := r.make(t)
	var managers []*ckpt.Manager
	for folder, c := range p.checkpoints {
		m, err := ckpt.NewManager(c, filepath.Join(r.dir, folder), nil)
		if err != nil {
			t.Fatal(err)
		}
		resumed, err := m.Resume(t.Context(), nil)
		if err != nil || (resumed.Prefix == "") != first || len(resumed.Refused) > 0 {
			t.Fatalf("Resume: %+v, %v", resumed, err)
		}
		managers = append(managers, m)
	}
	if first {
		r.straight = p
	}
	for _, in := range inputs {
		losses := p.step(t, in.x, in.y)
		if !first {
			r.compare(t, "Go after TensorFlow", losses, r.straight.step(t, in.x, in.y))
		}
	}
	for _, m := range managers {
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	r.sameValues(t, p)
}

// sameValues lets TensorFlow restore what Go saved last and compares every
// variable, the optimizer's included, bit for bit.
func (r *relay) sameValues(t *testing.T, p *kerasProgram) {
	t.Helper()
	dump := filepath.Join(t.TempDir(), "dump")
	r.call(t, "--steps", "0", "--no-save", "--dump", dump)
	var got map[string]value
	readJSON(t, dump, &got)
	n := 0
	for group, list := range p.variables {
		for i, v := range list() {
			n++
			data := base64.StdEncoding.EncodeToString(v.Value().Bytes())
			if g := got[fmt.Sprintf("%s/%d", group, i)]; g.Data != data || g.DType != v.DType().String() {
				t.Errorf("%s: TensorFlow has other values", v.Path())
			}
		}
	}
	if n != len(got) || n < 8 {
		t.Errorf("Go has %d variables, TensorFlow %d", n, len(got))
	}
}

func (r *relay) call(t *testing.T, more ...string) {
	t.Helper()
	argv := append([]string{"--dir", r.dir, "--build", "--assert-consumed", "--seed", "11", "--fixed-inputs"}, r.flags...)
	tensorflow.Call(t, "program", map[string]any{"name": r.program, "argv": append(argv, more...)}, nil)
}

// tensorflow makes steps in TensorFlow, which saves, and compares the losses and
// then the values with those of the uninterrupted run.
func (r *relay) tensorflow(t *testing.T, steps int) {
	t.Helper()
	dir := t.TempDir()
	out := &continued{}
	inputs, losses, dump := filepath.Join(dir, "inputs"), filepath.Join(dir, "losses"), filepath.Join(dir, "dump")
	r.call(t, "--steps", fmt.Sprint(steps), "--inputs-out", inputs, "--losses-out", losses, "--dump", dump)
	readJSON(t, inputs, &out.Inputs)
	readJSON(t, losses, &out.Losses)
	for i := range out.Inputs {
		x, y := out.input(t, i)
		n := len(r.straight.checkpoints)
		r.compare(t, "TensorFlow after Go", out.Losses[i*n:(i+1)*n], r.straight.step(t, x, y))
	}
	r.restored(t, dump)
}

// restored lets a program that has been built restore what TensorFlow saved, and
// compares every variable bit for bit.
func (r *relay) restored(t *testing.T, dump string) {
	t.Helper()
	var want map[string]value
	readJSON(t, dump, &want)
	p := r.make(t)
	p.step(t, zeros(t, p.rows, 10), of(t, tensor.Shape{p.rows}, make([]int64, p.rows)...))
	for folder, c := range p.checkpoints {
		latest, err := ckpt.Latest(t.Context(), filepath.Join(r.dir, folder), nil)
		if err != nil {
			t.Fatal(err)
		}
		status, err := c.Restore(t.Context(), latest, nil)
		if err == nil {
			err = status.CheckConsumed()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for group, list := range p.variables {
		for i, v := range list() {
			if w := want[fmt.Sprintf("%s/%d", group, i)]; w.Data != base64.StdEncoding.EncodeToString(v.Value().Bytes()) {
				t.Errorf("%s: Go restored other values than TensorFlow saved", v.Path())
			}
		}
	}
}

// compare losses up to rounding.
func (r *relay) compare(t *testing.T, what string, got, want []float64) {
	t.Helper()
	for i := range want {
		d := math.Abs(got[i]-want[i]) / math.Abs(want[i])
		r.worst = max(r.worst, d)
		if !(d < 1e-5) {
			t.Errorf("%s: loss %v, without interruption %v", what, got[i], want[i])
		}
	}
}

// TestKerasRelay goes Go → TensorFlow → Go → TensorFlow on one folder. Values
// and the optimizer's state are carried over each time, bit for bit, and the
// losses are those of a run in Go that nobody interrupted.
func TestKerasRelay(t *testing.T) {
	for i, test := range kerasPrograms {
		t.Run(test.name, func(t *testing.T) {
			tensorflow.Require(t)
			r := &relay{program: test.name, make: test.make, dir: t.TempDir()}
			if test.name == "sequential" {
				r.flags = []string{"--loss", "neglog"}
			}
			r.golang(t, true, madeInputs(t, i, 3))
			r.tensorflow(t, 3)
			r.golang(t, false, madeInputs(t, i+10, 3))
			r.tensorflow(t, 3)
			t.Logf("losses differ by %.1e of their value at most", r.worst)
		})
	}
}

// madeInputs are inputs that follow from a number.
func madeInputs(t *testing.T, seed, steps int) []legInput {
	t.Helper()
	var list []legInput
	g := keras.NewGenerator(uint64(seed))
	for range steps {
		rows := int64(32)
		if seed%10 == 0 {
			rows = 1
		}
		x, y := make([]float32, rows*10), make([]int64, rows)
		for i := range x {
			x[i] = float32(g.Uint64()>>40)/(1<<23) - 1
		}
		for i := range y {
			y[i] = int64(g.Uint64() % 10)
		}
		list = append(list, legInput{of(t, tensor.Shape{rows, 10}, x...), of(t, tensor.Shape{rows}, y...)})
	}
	return list
}

// The files that TensorFlow writes after the first steps and after ten are those the
// same programs on keras write for the same values, byte for byte.
func TestKerasBytesAfterSteps(t *testing.T) {
	for _, test := range kerasPrograms {
		first := "1"
		if test.name == "subclassed" {
			first = "3" // it saves at every third step
		}
		for _, steps := range []string{first, "10"} {
			t.Run(test.name+" "+steps, func(t *testing.T) {
				tensorflow.Require(t)
				dir := t.TempDir()
				tensorflow.Call(t, "program", map[string]any{"name": test.name, "argv": []string{"--dir", dir, "--seed", "5", "--steps", steps}}, nil)
				p := test.make(t)
				p.step(t, zeros(t, p.rows, 10), of(t, tensor.Shape{p.rows}, make([]int64, p.rows)...))
				for folder, c := range p.checkpoints {
					compareFolder(t, c, filepath.Join(dir, folder))
				}
			})
		}
	}
}
