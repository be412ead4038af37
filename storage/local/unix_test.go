//go:build unix

package local_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

const helperDir = "CKPT_LOCAL_TEST_DIR"

// TestMain is another process when helperDir is set.
func TestMain(m *testing.M) {
	if dir := os.Getenv(helperDir); dir != "" {
		fmt.Println(hold(dir))
		io.Copy(io.Discard, os.Stdin) // until killed
		return
	}
	os.Exit(m.Run())
}

// hold begins a file and takes a lock.
func hold(dir string) error {
	b := local.Open(dir, nil)
	w, err := b.Create(context.Background(), "a", nil)
	if err != nil {
		return err
	}
	if _, err := w.Write([]byte("unfinished")); err != nil {
		return err
	}
	_, err = b.Lock(context.Background(), "")
	return err
}

// startHolder runs hold in another process, and returns what kills it.
func startHolder(t *testing.T, dir string) (pid int, kill func()) {
	t.Helper()
	command := exec.Command(os.Args[0])
	command.Env = append(os.Environ(), helperDir+"="+dir)
	stdin, err := command.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	kill = func() {
		command.Process.Kill()
		command.Wait()
		stdin.Close()
	}
	t.Cleanup(kill)
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "<nil>\n" {
		t.Fatalf("other process: got %q, %v", line, err)
	}
	return command.Process.Pid, kill
}

func leftovers(t *testing.T, b *local.Bucket) []storage.Leftover {
	t.Helper()
	var all []storage.Leftover
	for l, err := range b.Leftovers(t.Context()) {
		if err != nil {
			t.Fatalf("Leftovers: %v", err)
		}
		all = append(all, l)
	}
	return all
}

func TestKilledWriter(t *testing.T) {
	dir := t.TempDir()
	b := local.Open(dir, nil)
	pid, kill := startHolder(t, dir)
	if got := leftovers(t, b); len(got) != 0 {
		t.Errorf("while the writer lives: got leftovers %v, want none", got)
	}
	temp, err := filepath.Glob(filepath.Join(dir, ".a.*.ckpt-tmp"))
	if err != nil || len(temp) != 1 {
		t.Fatalf("temporary files: got %q, %v, want one", temp, err)
	}
	id := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(temp[0]), ".a."), ".ckpt-tmp")
	if err := b.RemoveLeftover(t.Context(), storage.Leftover{Name: "a", ID: id}); err == nil {
		t.Error("RemoveLeftover while the writer lives: got no error")
	}
	_, err = b.Lock(t.Context(), "")
	if held, ok := errors.AsType[*storage.LockedError](err); !ok || runtime.GOOS == "linux" && held.PID != pid {
		t.Errorf("Lock that process %d holds: got %v", pid, err)
	}
	kill()
	want := []storage.Leftover{{Name: "a", ID: id, Size: int64(len("unfinished"))}}
	if got := leftovers(t, b); !slices.Equal(got, want) {
		t.Errorf("after its death: got leftovers %v, want %v", got, want)
	}
	if got := storagetest.List(t, b, ""); len(got) != 0 {
		t.Errorf("List: got %q, want nothing", got)
	}
	unlock, err := b.Lock(t.Context(), "")
	if err != nil {
		t.Fatalf("Lock after the death of its holder: %v", err)
	}
	if err := unlock(); err != nil {
		t.Errorf("unlock: %v", err)
	}
	if err := b.RemoveLeftover(t.Context(), want[0]); err != nil {
		t.Errorf("RemoveLeftover: %v", err)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) != 0 {
		t.Errorf("folder: got %v, %v, want nothing", entries, err)
	}
}

// TestStrangersLeftovers leaves alone what only has the name of a leftover.
func TestStrangersLeftovers(t *testing.T) {
	dir, outside := t.TempDir(), filepath.Join(t.TempDir(), "precious")
	if err := os.WriteFile(outside, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	name := func(base string) string { return filepath.Join(dir, "."+base+".0123456789abcdef.ckpt-tmp") }
	if err := os.Symlink(outside, name("link")); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name("folder"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mkfifo(name("pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, o := range []*local.Options{nil, {FollowLinks: true}} {
		b := local.Open(dir, o)
		if got := leftovers(t, b); len(got) != 0 {
			t.Errorf("got leftovers %v, want none", got)
		}
		for _, base := range []string{"link", "folder", "pipe"} {
			if err := b.RemoveLeftover(t.Context(), storage.Leftover{Name: base, ID: "0123456789abcdef"}); err == nil {
				t.Errorf("RemoveLeftover of a %s: got no error", base)
			}
		}
	}
	if _, err := os.Stat(outside); err != nil {
		t.Error(err)
	}
}

func TestLinks(t *testing.T) {
	dir, outside := t.TempDir(), t.TempDir()
	for _, place := range []string{filepath.Join(outside, "secret"), filepath.Join(dir, "inside")} {
		if err := os.WriteFile(place, []byte("contents"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range map[string]string{
		"to-file": filepath.Join(outside, "secret"), "to-folder": outside, "to-inside": "inside", "to-nothing": "missing",
	} {
		if err := os.Symlink(target, filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	strict, lax := local.Open(dir, nil), local.Open(dir, &local.Options{FollowLinks: true})
	for _, name := range []string{"to-file", "to-folder/secret"} {
		if _, err := strict.Open(t.Context(), name); err == nil || !strings.Contains(err.Error(), "FollowLinks") {
			t.Errorf("Open(%q): got %v, want an error that names FollowLinks", name, err)
		}
		if got := storagetest.Get(t, lax, name); got != "contents" {
			t.Errorf("FollowLinks, contents of %q: got %q", name, got)
		}
	}
	if _, err := strict.Create(t.Context(), "to-folder/new", nil); err == nil || !strings.Contains(err.Error(), "FollowLinks") {
		t.Errorf("Create: got %v, want an error that names FollowLinks", err)
	}
	for _, b := range []*local.Bucket{strict, lax} {
		if got := storagetest.Get(t, b, "to-inside"); got != "contents" {
			t.Errorf("contents through a link inside: got %q", got)
		}
	}
	// What is refused is listed all the same: Open says why.
	if got, want := storagetest.List(t, strict, ""), []string{"inside", "to-file", "to-folder", "to-inside"}; !slices.Equal(got, want) {
		t.Errorf("List: got %q, want %q", got, want)
	}
	if got, want := storagetest.List(t, lax, ""), []string{"inside", "to-file", "to-inside"}; !slices.Equal(got, want) {
		t.Errorf("FollowLinks, List: got %q, want %q", got, want)
	}
	// A replaced or removed link leaves its target alone.
	storagetest.Put(t, strict, "to-file", "new")
	if err := strict.Remove(t.Context(), "to-folder"); err != nil {
		t.Errorf("Remove of a link: %v", err)
	}
	if data, err := os.ReadFile(filepath.Join(outside, "secret")); string(data) != "contents" {
		t.Errorf("target: got %q, %v", data, err)
	}
}

// TestPipe must not wait for somebody to write into the pipe.
func TestPipe(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mkfifo(filepath.Join(dir, "pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, o := range []*local.Options{nil, {FollowLinks: true}} {
		b := local.Open(dir, o)
		if _, err := b.Open(t.Context(), "pipe"); err == nil {
			t.Error("Open: got no error")
		}
		if got := storagetest.List(t, b, ""); len(got) != 0 {
			t.Errorf("List: got %q, want nothing", got)
		}
	}
}

func TestFileMode(t *testing.T) {
	old := syscall.Umask(0o027)
	defer syscall.Umask(old)
	dir := filepath.Join(t.TempDir(), "new")
	b := local.Open(dir, nil)
	storagetest.Put(t, b, "a", "x")
	for place, want := range map[string]fs.FileMode{dir: 0o750 | fs.ModeDir, filepath.Join(dir, "a"): 0o640} {
		info, err := os.Stat(place)
		if err != nil || info.Mode() != want {
			t.Errorf("mode of %s: got %v, %v, want %v", place, info.Mode(), err, want)
		}
	}
}

func TestNameTooLong(t *testing.T) {
	b := local.Open(t.TempDir(), nil)
	storagetest.Put(t, b, strings.Repeat("x", 228), "x")
	if _, err := b.Create(t.Context(), strings.Repeat("x", 229), nil); !errors.Is(err, syscall.ENAMETOOLONG) {
		t.Errorf("Create: got %v, want ENAMETOOLONG", err)
	}
}

// TestNoDescriptorStays counts open files around a few of each operation.
func TestNoDescriptorStays(t *testing.T) {
	count := func() int {
		entries, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip("no /proc/self/fd")
		}
		return len(entries)
	}
	b := local.Open(t.TempDir(), nil)
	before := count()
	for range 20 {
		storagetest.Put(t, b, "a", "x")
		storagetest.Put(t, b, "folder/b", "x")
		storagetest.Get(t, b, "a")
		storagetest.List(t, b, "")
		leftovers(t, b)
		if err := b.Link(t.Context(), "a", "c"); err != nil {
			t.Fatal(err)
		}
		if err := b.Link(t.Context(), "a", "c"); !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		unlock, err := b.Lock(t.Context(), "")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := b.Lock(t.Context(), ""); err == nil {
			t.Fatal("second Lock: got no error")
		}
		if err := unlock(); err != nil {
			t.Fatal(err)
		}
		var group []storage.Writer
		for _, name := range []string{"x", "y", "folder/z"} {
			w, err := b.Create(t.Context(), name, nil)
			if err != nil {
				t.Fatal(err)
			}
			group = append(group, w)
		}
		if err := b.CommitAll(t.Context(), group); err != nil {
			t.Fatal(err)
		}
		w, err := b.Create(t.Context(), "a", &storage.CreateOptions{Exclusive: true})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.Commit(t.Context()); !errors.Is(err, fs.ErrExist) {
			t.Fatal(err)
		}
		b.Open(t.Context(), "missing")
		b.Open(t.Context(), "folder")
		if err := b.Remove(t.Context(), "c"); err != nil {
			t.Fatal(err)
		}
		if err := b.Sync(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if after := count(); after > before {
		t.Errorf("open files: got %d, want %d", after, before)
	}
}

// TestChanges hears of files that get their names, and of the end of the folder.
func TestChanges(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	b := local.Open(dir, nil)
	if _, _, err := b.Changes(""); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("of a folder that does not exist: got %v, want fs.ErrNotExist", err)
	}
	storagetest.Put(t, b, "x", "1")
	changed, stop, err := b.Changes("")
	if err != nil {
		t.Fatal(err)
	}
	storagetest.Put(t, b, "x", "2")
	if _, ok := <-changed; !ok {
		t.Error("closed, although the folder is there")
	}
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	for range changed { // until it is closed
	}
	stop()
	storagetest.Put(t, b, "x", "3")
	changed, stop, err = b.Changes("")
	if err != nil {
		t.Fatal(err)
	}
	stop()
	stop()
	for range changed {
	}
}
