//go:build linux

package local_test

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// otherVolume is a folder on another file system than the temporary one.
func otherVolume(t *testing.T) string {
	t.Helper()
	const memory = "/dev/shm"
	var here, there syscall.Stat_t
	if err := errors.Join(syscall.Stat(t.TempDir(), &here), syscall.Stat(memory, &there)); err != nil || here.Dev == there.Dev {
		t.Skipf("%s is no other file system: %v", memory, err)
	}
	dir, err := os.MkdirTemp(memory, "ckpt-test-")
	if err != nil {
		t.Skip(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestLinkToOtherVolume asks for what no system can do: the caller goes on
// without links.
func TestLinkToOtherVolume(t *testing.T) {
	dir, other := t.TempDir(), otherVolume(t)
	if err := os.Symlink(other, filepath.Join(dir, "other")); err != nil {
		t.Skip(err)
	}
	b := local.Open(dir, &local.Options{FollowLinks: true})
	storagetest.Put(t, b, "a", "text")
	storagetest.Put(t, b, "other/b", "text")
	for from, to := range map[string]string{"a": "other/a", "other/b": "b"} {
		if err := b.Link(t.Context(), from, to); !errors.Is(err, errors.ErrUnsupported) || !errors.Is(err, syscall.EXDEV) {
			t.Errorf("Link of %s to %s: got %v, want errors.ErrUnsupported and EXDEV", from, to, err)
		}
		if err := b.Link(t.Context(), from, from+"2"); err != nil {
			t.Errorf("Link of %s beside it: %v", from, err)
		}
	}
}
