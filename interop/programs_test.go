package interop_test

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// programStates are the golden directories of the training programs with their
// layouts and the number of checkpoints in each.
var programStates = []struct {
	dir, layout string
	saves       int
}{
	{"sequential-fresh", "sequential-fresh", 1},
	{"sequential-steps", "sequential-steps", 2},
	{"subclassed-unbuilt", "subclassed-unbuilt", 1},
	{"subclassed-built", "subclassed-built", 1},
	{"subclassed-steps", "subclassed-steps", 3},
	{"encoderdecoder-unbuilt/encoder_checkpoints", "encoder-unbuilt", 1},
	{"encoderdecoder-unbuilt/decoder_checkpoints", "decoder-unbuilt", 1},
	{"encoderdecoder-built/encoder_checkpoints", "encoder-built", 1},
	{"encoderdecoder-built/decoder_checkpoints", "decoder-built", 1},
	{"encoderdecoder-steps/encoder_checkpoints", "encoder-steps", 2},
	{"encoderdecoder-steps/decoder_checkpoints", "decoder-steps", 2},
}

func prefixIn(dir string, number int) string {
	return filepath.Join(dir, fmt.Sprintf("ckpt-%d", number))
}

var seconds = regexp.MustCompile(`(timestamps?): .*`)

// sameState compares two state files but for the numbers of their time stamps.
func sameState(t *testing.T, got, want string) {
	t.Helper()
	read := func(dir string) string {
		content, err := os.ReadFile(filepath.Join(dir, "checkpoint"))
		if err != nil {
			t.Fatal(err)
		}
		return seconds.ReplaceAllString(string(content), "$1: _")
	}
	if diff := cmp.Diff(read(got), read(want)); diff != "" {
		t.Errorf("state file: -got +want:\n%s", diff)
	}
}

// TestProgramFiles saves the values of every golden of the programs from object
// graphs made of nodes and variables. Index, data and state file must be
// TensorFlow's, byte for byte but for the time stamps.
func TestProgramFiles(t *testing.T) {
	for _, test := range programStates {
		t.Run(test.dir, func(t *testing.T) {
			golden := goldens("tensorflow-2.21.0-programs", filepath.FromSlash(test.dir))
			dir := t.TempDir()
			l := newLayout(t, test.layout)
			manager, err := ckpt.NewManager(ckpt.New(l.objects), dir, nil)
			if err != nil {
				t.Fatal(err)
			}
			for number := 1; number <= test.saves; number++ {
				l.fill(t, prefixIn(golden, number))
				prefix, err := manager.Save(t.Context(), nil)
				if err != nil {
					t.Fatal(err)
				}
				if want := prefixIn(dir, number); prefix != want {
					t.Errorf("got %q, want %q", prefix, want)
				}
				sameFiles(t, prefix, prefixIn(golden, number))
			}
			sameState(t, dir, golden)
		})
	}
}

// TestProgramRestore restores the same goldens into such graphs: everything
// must find its place.
func TestProgramRestore(t *testing.T) {
	for _, test := range programStates {
		t.Run(test.dir, func(t *testing.T) {
			golden := prefixIn(goldens("tensorflow-2.21.0-programs", filepath.FromSlash(test.dir)), test.saves)
			l, want := newLayout(t, test.layout), newLayout(t, test.layout)
			want.fill(t, golden)
			c := ckpt.New(l.objects)
			status, err := c.Restore(t.Context(), golden, nil)
			if err != nil {
				t.Fatal(err)
			}
			if err := status.CheckConsumed(); err != nil {
				t.Error(err)
			}
			if got := c.SaveCounter(); got != int64(test.saves) {
				t.Errorf("got save counter %d, want %d", got, test.saves)
			}
			if diff := cmp.Diff(l.hashes(t), want.hashes(t)); diff != "" {
				t.Errorf("-got +want:\n%s", diff)
			}
			// What was restored is written again as it was.
			again, err := c.Write(t.Context(), filepath.Join(t.TempDir(), "again"), nil)
			if err != nil {
				t.Fatal(err)
			}
			sameFiles(t, again, golden)
		})
	}
}

// detour restores the latest checkpoint of a directory in Go and saves it into
// another one with a Manager.
func detour(t *testing.T, layout, from, to string) {
	t.Helper()
	l := newLayout(t, layout)
	c := ckpt.New(l.objects)
	latest, err := ckpt.Latest(t.Context(), from, nil)
	if err != nil {
		t.Fatal(err)
	}
	status, err := c.Restore(t.Context(), latest, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := status.CheckConsumed(); err != nil {
		t.Fatal(err)
	}
	manager, err := ckpt.NewManager(c, to, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := manager.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
}

// TestDetour trains in TensorFlow, restores and saves in Go, and trains on in
// TensorFlow, which must find every value it asks for: losses and all variables
// are those of a run without the detour, bit for bit.
func TestDetour(t *testing.T) {
	tests := []struct {
		program string
		flags   []string
		steps   int
		layouts map[string]string // of each checkpoint directory
	}{
		{"sequential", []string{"--loss", "neglog"}, 4, map[string]string{".": "sequential-steps"}},
		{"subclassed", nil, 6, map[string]string{".": "subclassed-steps"}},
		{"encoderdecoder", nil, 3, map[string]string{"encoder_checkpoints": "encoder-steps", "decoder_checkpoints": "decoder-steps"}},
	}
	for _, test := range tests {
		t.Run(test.program, func(t *testing.T) {
			tensorflow.Require(t)
			base := t.TempDir()
			run := func(dir string, steps int, more ...string) {
				t.Helper()
				argv := append([]string{"--dir", dir, "--seed", "11", "--fixed-inputs", "--steps", fmt.Sprint(steps)}, test.flags...)
				tensorflow.Call(t, "program", map[string]any{"name": test.program, "argv": append(argv, more...)}, nil)
			}
			outputs := func(dir string) (losses []float64, variables map[string]value) {
				t.Helper()
				lossesOut, dump := filepath.Join(base, "losses"), filepath.Join(base, "dump")
				run(dir, 5, "--build", "--assert-consumed", "--losses-out", lossesOut, "--dump", dump)
				readJSON(t, lossesOut, &losses)
				readJSON(t, dump, &variables)
				return losses, variables
			}
			straight, around := filepath.Join(base, "straight"), filepath.Join(base, "around")
			run(straight, test.steps)
			for dir, layout := range test.layouts {
				detour(t, layout, filepath.Join(straight, dir), filepath.Join(around, dir))
			}
			gotLosses, gotVariables := outputs(around)
			wantLosses, wantVariables := outputs(straight)
			if len(wantLosses) < 5 || len(wantVariables) < 8 {
				t.Fatalf("the program gave %d losses and %d variables", len(wantLosses), len(wantVariables))
			}
			if diff := cmp.Diff(gotLosses, wantLosses); diff != "" {
				t.Errorf("losses: -got +want:\n%s", diff)
			}
			if diff := cmp.Diff(gotVariables, wantVariables); diff != "" {
				t.Errorf("variables: -got +want:\n%s", diff)
			}
		})
	}
}

// TestScriptRuns runs a program as its own process, as the goldens were made.
func TestScriptRuns(t *testing.T) {
	tensorflow.Require(t)
	dir := t.TempDir()
	golden := goldens("tensorflow-2.21.0-programs", "subclassed-built")
	output := tensorflow.Script(t, dir, "programs/subclassed.py", "--seed", "1", "--steps", "0", "--build-model", "--dir", "checkpoints")
	want := "No checkpoint found, starting from scratch.\nSaved checkpoint at: " + filepath.Join("checkpoints", "ckpt-1") + "\n"
	if output != want {
		t.Errorf("got %q, want %q", output, want)
	}
	sameState(t, filepath.Join(dir, "checkpoints"), golden)
	sameFiles(t, prefixIn(filepath.Join(dir, "checkpoints"), 1), prefixIn(golden, 1))
}
