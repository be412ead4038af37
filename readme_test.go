package ckpt_test

import (
	"context"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// readme is the program of README.md, so that it compiles and runs.
func readme(ctx context.Context, steps int) (string, error) {
	type state struct {
		Step    int64     `ckpt:"step"`
		Weights []float32 `ckpt:"weights"`
	}
	s := &state{Weights: make([]float32, 1000)}
	checkpoint := ckpt.New(ckpt.Objects{"state": ckpt.Track(s)})
	manager, err := ckpt.NewManager(checkpoint, "checkpoints", &ckpt.ManagerOptions{MaxToKeep: 5})
	if err != nil {
		return "", err
	}
	resumed, err := manager.Resume(ctx, nil) // the newest good one; resumed.Prefix == "": start from scratch
	if err != nil {
		return "", err
	}
	for _, refused := range resumed.Refused {
		log.Print(refused) // newer ones that are damaged: file, tensor, offset, cause
	}
	for range steps {
		s.Step++
		s.Weights[s.Step%1000]++
	}
	prefix, err := manager.Save(ctx, nil) // on the disk when it returns
	return prefix, err
}

// TestReadme runs the program twice and compares its text with README.md.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("readme_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, ok := strings.Cut(string(text), "```go\n")
	if !ok {
		t.Fatal("README.md shows no Go")
	}
	block, _, _ = strings.Cut(block, "```")
	rest := string(source)
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		if line == "…" || line == "" {
			continue
		}
		_, after, ok := strings.Cut(rest, line)
		if !ok {
			t.Errorf("README.md shows a line that this test does not run: %s", line)
			continue
		}
		rest = after
	}
	t.Chdir(t.TempDir())
	for i, want := range []string{"checkpoints/ckpt-1", "checkpoints/ckpt-2"} {
		got, err := readme(t.Context(), 10)
		if err != nil || got != want {
			t.Errorf("run %d saved %q, %v; want %q", i+1, got, err, want)
		}
	}
	r, err := ckpt.Open(t.Context(), "checkpoints", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	step, err := ckpt.Read[int64](t.Context(), r, "state/step/.ATTRIBUTES/VARIABLE_VALUE")
	if err != nil || len(step) != 1 || step[0] != 20 {
		t.Errorf("step %v, %v; want 20", step, err)
	}
}
