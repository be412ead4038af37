package interop_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// nameFile is what namebased.py writes with TensorFlow 1's Saver: full names
// with [dtype, shape, numbers].
type nameFile struct {
	Version int               `json:"version"`
	Sharded bool              `json:"sharded"`
	Values  map[string][3]any `json:"values"`
}

// nameVariable is edge name, full name, dtype and shape of a variable.
type nameVariable [4]any

// nameCase is a program that reads one of the files; some of its variables
// appear afterwards.
type nameCase struct {
	File   string         `json:"file"`
	Before []nameVariable `json:"before"`
	Late   []nameVariable `json:"late"`
	Method string         `json:"method"`
}

// nameResult is what TensorFlow made of a case.
type nameResult struct {
	Error  string            `json:"error"`
	Checks []string          `json:"checks"`
	Values map[string]string `json:"values"`
}

// nameFiles are the same tensors in each of the formats of a Saver. One is
// stored in two slices.
func nameFiles() map[string]nameFile {
	values := map[string][3]any{
		"a": {"float32", []int{}, []float64{1}}, "scope/b": {"float32", []int{2}, []float64{2, 3}},
		"scope/c": {"int64", []int{2, 2}, []float64{4, 5, 6, 7}}, "parts": {"float32", []int{5, 3}, ramp(15)},
		"scope/a": {"int32", []int{}, []float64{8}},
	}
	files := make(map[string]nameFile)
	for _, version := range []int{1, 2} {
		for _, sharded := range []bool{false, true} {
			files[fmt.Sprintf("v%d-%t", version, sharded)] = nameFile{version, sharded, values}
		}
	}
	return files
}

func ramp(n int) []float64 {
	r := make([]float64, n)
	for i := range r {
		r[i] = float64(i) + 0.5
	}
	return r
}

// nameCases are random programs: variables that are there, under other names,
// of other dtypes and shapes, now and later. No full name repeats, which this
// project refuses where the name is stored.
func nameCases(rng *rand.Rand, n int) []nameCase {
	fit := []nameVariable{
		{"", "a", "float32", []int{}}, {"", "scope/b", "float32", []int{2}}, {"", "scope/c", "int64", []int{2, 2}},
		{"", "parts", "float32", []int{5, 3}}, {"", "scope/a", "int32", []int{}},
	}
	odd := []nameVariable{
		{"", "zz", "float32", []int{}}, {"", "scope", "float32", []int{2}}, {"", "b", "int32", []int{1}}, {"", "scope/A", "int32", []int{}},
		{"", "a/Adam", "float32", []int{}},
	}
	var cases []nameCase
	for i := range n {
		c := nameCase{Before: []nameVariable{}, Late: []nameVariable{}, Method: []string{"read", "restore"}[i%2]}
		c.File = fmt.Sprintf("v%d-%t", 1+rng.IntN(2), rng.IntN(2) == 0)
		pool := slices.Clone(fit)
		if rng.IntN(2) == 0 {
			pool = append(pool, odd[rng.IntN(len(odd))])
		}
		if rng.IntN(3) == 0 {
			k := rng.IntN(len(pool))
			if rng.IntN(2) == 0 {
				pool[k][2] = []string{"float64", "int16"}[rng.IntN(2)]
			} else {
				pool[k][3] = []int{7}
			}
		}
		rng.Shuffle(len(pool), func(i, j int) { pool[i], pool[j] = pool[j], pool[i] })
		for k, v := range pool[:1+rng.IntN(len(pool))] {
			v[0] = fmt.Sprintf("v%d", k)
			if rng.IntN(2) == 0 {
				c.Before = append(c.Before, v)
			} else {
				c.Late = append(c.Late, v)
			}
		}
		cases = append(cases, c)
	}
	return cases
}

// TestNB1NB2NB3NameBased gives the same files and programs to TensorFlow and to
// ckpt: what one accepts or refuses the other does, too, with the same values
// and the same answers of the three checks.
func TestNB1NB2NB3NameBased(t *testing.T) {
	cases := nameCases(rand.New(rand.NewPCG(8, 20)), 60)
	dir := t.TempDir()
	plan, err := json.Marshal(map[string]any{"files": nameFiles(), "cases": cases})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "plan.json"), plan, 0o666); err != nil {
		t.Fatal(err)
	}
	var answer struct {
		Prefixes map[string]string `json:"prefixes"`
		Results  []nameResult      `json:"results"`
	}
	if err := json.Unmarshal([]byte(tensorflow.Script(t, dir, "namebased.py", "plan.json")), &answer); err != nil {
		t.Fatal(err)
	}
	refused, complete := 0, 0
	for i, c := range cases {
		want := answer.Results[i]
		got := readNames(t, c, filepath.Join(dir, answer.Prefixes[c.File]))
		compareNames(t, fmt.Sprintf("case %d, %+v", i, c), got, want)
		if want.Error != "" {
			refused++
		} else if want.Checks[0] == "" {
			complete++
		}
	}
	if refused < 5 || complete < 10 || refused+complete > len(cases)-5 {
		t.Errorf("%d cases refused and %d complete of %d test too little", refused, complete, len(cases))
	}
	t.Logf("%d cases, %d refused, %d complete", len(cases), refused, complete)
}

// readNames is namebased.py's read.
func readNames(t *testing.T, c nameCase, prefix string) nameResult {
	t.Helper()
	variables := make(map[string]*ckpt.RawVariable)
	objects := make(ckpt.Objects)
	for _, v := range c.Before {
		variables[v[0].(string)] = rawVariable(t, v)
		objects[v[0].(string)] = variables[v[0].(string)]
	}
	checkpoint := ckpt.New(objects)
	restore := checkpoint.Read
	if c.Method == "restore" {
		restore = checkpoint.Restore
	}
	var r nameResult
	status, err := restore(t.Context(), prefix, nil)
	for _, v := range c.Late {
		if err == nil {
			variables[v[0].(string)] = rawVariable(t, v)
			err = checkpoint.Track(v[0].(string), variables[v[0].(string)])
		}
	}
	if err != nil {
		r.Error = err.Error()
		return r
	}
	for _, check := range []func() error{status.CheckConsumed, status.CheckExistingObjectsMatched, status.CheckNontrivialMatch} {
		text := ""
		if err := check(); err != nil {
			text = err.Error()
		}
		r.Checks = append(r.Checks, text)
	}
	r.Values = make(map[string]string)
	for edge, v := range variables {
		r.Values[edge] = base64.StdEncoding.EncodeToString(v.Bytes())
	}
	return r
}

func rawVariable(t *testing.T, v nameVariable) *ckpt.RawVariable {
	t.Helper()
	dtype, ok := tensor.ParseDType(v[2].(string))
	if !ok {
		t.Fatalf("no dtype %v", v[2])
	}
	var shape tensor.Shape
	for _, n := range v[3].([]int) {
		shape = append(shape, int64(n))
	}
	return ckpt.NewRawVariable(v[1].(string), dtype, shape, nil)
}

func compareNames(t *testing.T, what string, got, want nameResult) {
	t.Helper()
	if (got.Error == "") != (want.Error == "") {
		t.Errorf("%s: got error %q, TensorFlow %q", what, got.Error, want.Error)
	}
	if got.Error != "" || want.Error != "" {
		return // TensorFlow has set what came before the misfit
	}
	for i := range want.Checks {
		if (got.Checks[i] == "") != (want.Checks[i] == "") {
			t.Errorf("%s: check %d: got %q, TensorFlow %q", what, i, got.Checks[i], want.Checks[i])
		}
	}
	for edge, value := range want.Values {
		if got.Values[edge] != value {
			t.Errorf("%s: %s: got %s, TensorFlow %s", what, edge, got.Values[edge], value)
		}
	}
}
