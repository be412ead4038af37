package local_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt/storage/local"
)

// reservedDisk mounts a file system a fifth of which is for root, or skips the test.
func reservedDisk(t *testing.T) string {
	t.Helper()
	top, err := os.MkdirTemp("", "ckpt") // which others may pass, unlike t.TempDir
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(top) })
	if err := os.Chmod(top, 0o755); err != nil {
		t.Fatal(err)
	}
	image, dir := filepath.Join(top, "disk"), filepath.Join(top, "mounted")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(image, 4<<20); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{{"mkfs.ext4", "-q", "-F", "-m", "20", image}, {"mount", "-o", "loop", image, dir}} {
		if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Skipf("this machine lets the test mount no file system: %v: %s", err, out)
		}
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFree has a disk on which root may use more than others. Of a folder that does not
// exist it is that of the one above it.
func TestFree(t *testing.T) {
	dir := reservedDisk(t)
	var s syscall.Statfs_t
	if err := syscall.Statfs(dir, &s); err != nil {
		t.Fatal(err)
	}
	all, others := int64(s.Bfree)*s.Bsize, int64(s.Bavail)*s.Bsize
	if all <= others {
		t.Fatalf("nothing is reserved: %d free, %d for others", all, others)
	}
	free := func(name string) int64 {
		t.Helper()
		n, err := local.Open(filepath.Join(dir, name), nil).Free(t.Context())
		if err != nil {
			t.Error(err)
		}
		return n
	}
	for _, name := range []string{"", "not", "not/there/yet"} {
		if got := free(name); got != all {
			t.Errorf("root, %q: got %d, want %d", name, got, all)
		}
	}
	if err := syscall.Seteuid(65534); err != nil {
		t.Skip(err)
	}
	got := free("")
	if err := syscall.Seteuid(0); err != nil {
		t.Fatal(err)
	}
	if got != others {
		t.Errorf("another user: got %d, want %d", got, others)
	}
	if _, err := os.Stat(filepath.Join(dir, "not")); err == nil {
		t.Error("Free made a folder")
	}
}
