package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSymbols compares the list of names that docs/api-map.md must have with
// those of the installed TensorFlow.
func TestSymbols(t *testing.T) {
	want, err := os.ReadFile(filepath.Join("..", "docs", "tensorflow-symbols.txt"))
	if err != nil {
		t.Fatal(err)
	}
	got := tensorflow.Script(t, t.TempDir(), "symbols.py")
	if diff := cmp.Diff(strings.Split(got, "\n"), strings.Split(string(want), "\n")); diff != "" {
		t.Errorf("-installed +docs/tensorflow-symbols.txt:\n%s", diff)
	}
}
