// Package main, because the tests run the program itself.
package main

import (
	"encoding/json"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"testing"
)

const golden = "../../testdata/tensorflow-2.21.0-predict"

// TestPredictsAsPython compares with what TensorFlow answered for inputs the
// training never saw, from the embedded checkpoint and from the golden's files.
func TestPredictsAsPython(t *testing.T) {
	var want struct {
		Inputs        [][]float32 `json:"inputs"`
		Probabilities [][]float64 `json:"probabilities"`
	}
	text, err := os.ReadFile(filepath.Join(golden, "expected.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	if len(want.Inputs) == 0 || len(want.Inputs) != len(want.Probabilities) {
		t.Fatalf("%d inputs and %d answers", len(want.Inputs), len(want.Probabilities))
	}
	for _, path := range []string{"", filepath.Join(golden, "classifier-1")} {
		net, err := load(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		for i, input := range want.Inputs {
			got, err := net.predict(input)
			if err != nil {
				t.Fatal(err)
			}
			for k, p := range want.Probabilities[i] {
				if math.Abs(got[k]-p) > 1e-6 {
					t.Errorf("checkpoint %q, input %v: probability of %s is %v, want %v", path, input, kinds[k], got[k], p)
				}
			}
		}
	}
}

func TestWrongUse(t *testing.T) {
	if err := run(t.Context(), "no-such-1", nil); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("missing checkpoint: %v", err)
	}
	if err := run(t.Context(), "", []string{"1", "2"}); err == nil {
		t.Error("two numbers are accepted")
	}
	if err := run(t.Context(), "", []string{"1", "2", "3", "x"}); err == nil {
		t.Error("x is accepted as a number")
	}
}
