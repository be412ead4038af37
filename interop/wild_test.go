package interop_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// wild is where checkpoints of strangers are on the machines of this project;
// they are no part of it.
const wild = "../../shared/wild"

// TestRewriteWild restores checkpoints that other versions of TensorFlow wrote,
// legacy optimizers with slot variables among them, and writes them again.
func TestRewriteWild(t *testing.T) {
	if _, err := os.Stat(wild); err != nil {
		t.Skip("the checkpoints of strangers are not on this machine")
	}
	// Why the files, not only the tensors, may differ from what is written today.
	other := map[string]string{
		"keras2-legacy-adam-slots/": "written before has_checkpoint_values",
		"snappy-index/":             "compressed index, written before has_checkpoint_values",
		"stale-shards/":             "two data files, written before has_checkpoint_values",
		"two-shards-loss-scale/":    "two data files, written before has_checkpoint_values",
	}
	for _, prefix := range findPrefixes(t, wild) {
		name, err := filepath.Rel(wild, prefix)
		if err != nil {
			t.Fatal(err)
		}
		t.Run(filepath.ToSlash(name), func(t *testing.T) {
			again := rewrite(t, prefix)
			for part, why := range other {
				if strings.HasPrefix(filepath.ToSlash(name), part) {
					t.Log("compared by value:", why)
					sameValues(t, again, prefix)
					return
				}
			}
			sameFiles(t, again, prefix)
		})
	}
}
