package examples_test

import (
	"os"
	"strings"
	"testing"
)

// The lines that README.md shows of a keras program are those of
// examples/sequential, in their order.
func TestReadme(t *testing.T) {
	text, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("sequential/main.go")
	if err != nil {
		t.Fatal(err)
	}
	blocks := strings.Split(string(text), "```go\n")
	if len(blocks) != 3 {
		t.Fatalf("README.md shows %d pieces of Go, want 2", len(blocks)-1)
	}
	block, _, _ := strings.Cut(blocks[2], "```")
	rest := string(source)
	for line := range strings.Lines(block) {
		line = strings.TrimSpace(line)
		if line == "…" {
			continue
		}
		_, after, ok := strings.Cut(rest, line)
		if !ok {
			t.Errorf("README.md shows a line that examples/sequential does not have there: %s", line)
			continue
		}
		rest = after
	}
}
