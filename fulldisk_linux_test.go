package ckpt_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// smallDisks are the ways to get a small file system, the best first.
var smallDisks = []struct {
	name  string
	mount func(t *testing.T, dir string, size int64) error
}{
	{"ext4", mountExt4},
	{"tmpfs", func(_ *testing.T, dir string, size int64) error {
		return syscall.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprint("size=", size))
	}},
}

// mountExt4 makes a file system in a file.
func mountExt4(t *testing.T, dir string, size int64) error {
	image := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(image, nil, 0o600); err != nil {
		return err
	}
	if err := os.Truncate(image, size); err != nil {
		return err
	}
	if out, err := exec.Command("mkfs.ext4", "-q", "-F", "-m", "0", image).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	if out, err := exec.Command("mount", "-o", "loop", image, dir).CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}

// smallDisk mounts a file system, or skips the test.
func smallDisk(t *testing.T, mount func(t *testing.T, dir string, size int64) error, size int64) string {
	t.Helper()
	dir := t.TempDir()
	if err := mount(t, dir, size); err != nil {
		t.Skipf("this machine lets the test mount no file system: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// fill leaves about that many bytes on a disk.
func fill(t *testing.T, name string, free int64) {
	t.Helper()
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := local.Open(filepath.Dir(name), nil)
	block := make([]byte, 1024)
	for {
		left, err := b.Free(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if left <= free {
			return
		}
		if _, err := f.Write(block); errors.Is(err, syscall.ENOSPC) {
			return
		} else if err != nil {
			t.Fatal(err)
		}
		if left < free+64<<10 {
			if err := f.Sync(); err != nil { // the count follows the disk
				t.Fatal(err)
			}
		}
	}
}

// unknowing is a local folder that does not know how much room there is.
type unknowing struct {
	storage.Bucket
	storage.GroupCommitter
	storage.Linker
	storage.Syncer
	storage.Sweeper
}

// TestFullDisk saves onto a disk that has less and less room. Each save works or
// says that the disk is full; the checkpoints before it stay, and nothing half
// done does; with room again the next one works.
func TestFullDisk(t *testing.T) {
	for _, disk := range smallDisks {
		for _, asked := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, room asked for %v", disk.name, asked), func(t *testing.T) {
				dir := smallDisk(t, disk.mount, 4<<20)
				b := local.Open(dir, nil)
				var bucket storage.Bucket = b
				if !asked {
					bucket = unknowing{b, b, b, b, b}
				}
				full, saved := 0, 0
				for free := int64(0); free <= 240<<10; free += 20 << 10 {
					if tryFullDisk(t, bucket, dir, free) {
						full++
					} else {
						saved++
					}
				}
				t.Logf("%d saves met a full disk, %d had room", full, saved)
				if full < 3 || saved == 0 {
					t.Errorf("%d saves met a full disk and %d had room: nothing is shown", full, saved)
				}
			})
		}
	}
}

// tryFullDisk makes two checkpoints and a third with little room.
func tryFullDisk(t *testing.T, b storage.Bucket, dir string, free int64) (full bool) {
	t.Helper()
	folder := fmt.Sprint("room ", free)
	filler := filepath.Join(dir, "filler")
	k := newKillable()
	m := newManager(t, k.Checkpoint, folder, &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 2})
	for step := range int64(2) {
		k.setStep(step + 1)
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, filler, free)
	k.setStep(3)
	_, err := m.Save(t.Context(), nil)
	full = err != nil
	if full && !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("%d bytes free: %v, want ENOSPC", free, err)
	}
	again := newKillable()
	r, resumeErr := newManager(t, again.Checkpoint, folder, &ckpt.ManagerOptions{Bucket: b}).Resume(t.Context(), nil)
	if resumeErr != nil || len(r.Refused) > 0 {
		t.Fatalf("%d bytes free: Resume: %v, %+v", free, resumeErr, r)
	}
	if step, err := again.atStep(); err != nil || step != 3 && (step != 2 || !full) {
		t.Errorf("%d bytes free: resumed step %d, %v", free, step, err)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	k.setStep(4)
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Fatalf("%d bytes free, with room again: %v", free, err)
	}
	want := []string{"checkpoint"}
	for _, c := range m.Checkpoints() {
		c = strings.TrimPrefix(c, folder+"/")
		want = append(want, dataOf(c), c+".index")
	}
	slices.Sort(want)
	if got := filesIn(t, filepath.Join(dir, folder)); !slices.Equal(got, want) || len(want) != 5 {
		t.Errorf("%d bytes free: files at the end: got %q, want %q", free, got, want)
	}
	if err := os.RemoveAll(filepath.Join(dir, folder)); err != nil {
		t.Fatal(err)
	}
	return full
}
