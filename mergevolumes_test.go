//go:build linux

package ckpt_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/local"
)

// TestMergeAcrossVolumes merges inputs of two file systems, between which there
// are no links, into either.
func TestMergeAcrossVolumes(t *testing.T) {
	const memory = "/dev/shm"
	var here, there syscall.Stat_t
	if err := errors.Join(syscall.Stat(t.TempDir(), &here), syscall.Stat(memory, &there)); err != nil || here.Dev == there.Dev {
		t.Skipf("%s is no other file system: %v", memory, err)
	}
	for _, keep := range []bool{false, true} {
		for _, first := range []bool{false, true} {
			dir := t.TempDir()
			other, err := os.MkdirTemp(memory, "ckpt-test-")
			if err != nil {
				t.Skip(err)
			}
			t.Cleanup(func() {
				if err := os.RemoveAll(other); err != nil {
					t.Error(err)
				}
			})
			writeHalf(t, local.Open(dir, nil), "a", 0)
			writeHalf(t, local.Open(other, nil), "b", 1)
			out := filepath.Join(dir, "c")
			if first {
				out = filepath.Join(other, "c")
			}
			inputs := []string{filepath.Join(dir, "a"), filepath.Join(other, "b")}
			if err := ckpt.Merge(t.Context(), out, inputs, &ckpt.MergeOptions{Keep: keep}); err != nil {
				t.Errorf("keep %v, into %s: %v", keep, out, err)
				continue
			}
			wantMerged(t, out, nil)
			want := 3
			if keep {
				want += 4
			}
			if got := append(filesBelow(t, dir), filesBelow(t, other)...); len(got) != want {
				t.Errorf("keep %v, into %s: got files %q, want %d", keep, out, got, want)
			}
		}
	}
}
