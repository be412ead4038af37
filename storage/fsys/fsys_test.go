package fsys_test

import (
	"archive/zip"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"
	"testing/fstest"

	"github.com/ckpt-go/ckpt/storage/fsys"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

var files = map[string]string{
	"ckpt-1.index":          "index",
	"ckpt-1.data":           "some data",
	"empty":                 "",
	"sub folder/[x]/größe*": "deep",
	"sub folder/other":      "x",
}

// systems are file systems with the same files, with and without io.ReaderAt.
func systems(t *testing.T) map[string]fs.FS {
	t.Helper()
	all := map[string]fs.FS{}
	mapped := fstest.MapFS{}
	var archive bytes.Buffer
	zw := zip.NewWriter(&archive)
	dir := t.TempDir()
	for name, data := range files {
		mapped[name] = &fstest.MapFile{Data: []byte(data)}
		w, err := zw.Create(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, data); err != nil {
			t.Fatal(err)
		}
		if runtime.GOOS == "windows" {
			continue
		}
		place := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(place), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(place, []byte(data), 0o666); err != nil {
			t.Fatal(err)
		}
		all["dir"] = os.DirFS(dir)
	}
	if err := zw.Close(); err != nil {
		t.Fatal(err)
	}
	zr, err := zip.NewReader(bytes.NewReader(archive.Bytes()), int64(archive.Len()))
	if err != nil {
		t.Fatal(err)
	}
	all["map"], all["zip"] = mapped, zr
	return all
}

func TestRead(t *testing.T) {
	for system, fsysOf := range systems(t) {
		t.Run(system, func(t *testing.T) {
			b := fsys.New(fsysOf)
			for name, want := range files {
				if got := storagetest.Get(t, b, name); got != want {
					t.Errorf("contents of %q: got %q, want %q", name, got, want)
				}
			}
			for _, test := range []struct {
				prefix string
				want   []string
			}{
				{"", []string{"ckpt-1.data", "ckpt-1.index", "empty"}},
				{"ckpt-1.", []string{"ckpt-1.data", "ckpt-1.index"}},
				{"sub folder/", []string{"sub folder/other"}},
				{"sub folder/[x]/", []string{"sub folder/[x]/größe*"}},
				{"missing/", nil},
				{"*", nil},
			} {
				if got := storagetest.List(t, b, test.prefix); !slices.Equal(got, test.want) {
					t.Errorf("List(%q): got %q, want %q", test.prefix, got, test.want)
				}
			}
			for info, err := range b.List(t.Context(), "ckpt-1.i") {
				if err != nil || info.Size != 5 {
					t.Errorf("List: got %+v, %v, want 5 bytes", info, err)
				}
			}
			for _, name := range []string{"missing", "sub folder/missing"} {
				if _, err := b.Open(t.Context(), name); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("Open(%q): got %v, want fs.ErrNotExist", name, err)
				}
			}
			for _, name := range []string{"sub folder", "..", "../x", "/ckpt-1.index", "", "."} {
				if _, err := b.Open(t.Context(), name); err == nil {
					t.Errorf("Open(%q): got no error", name)
				}
			}
		})
	}
}

func TestReadOnly(t *testing.T) {
	b := fsys.New(fstest.MapFS{"a": {Data: []byte("x")}})
	if _, err := b.Create(t.Context(), "b", nil); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Create: got %v, want errors.ErrUnsupported", err)
	}
	if err := b.Remove(t.Context(), "a"); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("Remove: got %v, want errors.ErrUnsupported", err)
	}
}

func TestCancelled(t *testing.T) {
	b := fsys.New(fstest.MapFS{"a": {Data: []byte("x")}})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := b.Open(ctx, "a"); !errors.Is(err, context.Canceled) {
		t.Errorf("Open: got %v, want context.Canceled", err)
	}
	for _, err := range b.List(ctx, "") {
		if !errors.Is(err, context.Canceled) {
			t.Errorf("List: got %v, want context.Canceled", err)
		}
	}
}

// liar is a file whose size is made up and which is read in small pieces.
type liar struct {
	io.Reader
	size int64
}

func (l liar) Open(string) (fs.File, error) { return l, nil }
func (l liar) Stat() (fs.FileInfo, error)   { return info{size: l.size}, nil }
func (l liar) Close() error                 { return nil }
func (l liar) Read(p []byte) (int, error)   { return l.Reader.Read(p[:min(len(p), 1000)]) }

type info struct {
	fs.FileInfo
	size int64
}

func (i info) Size() int64       { return i.size }
func (i info) Mode() fs.FileMode { return 0o444 }

func TestSizeIsAHint(t *testing.T) {
	want := string(bytes.Repeat([]byte("0123456789"), 300_000))
	for _, size := range []int64{-1, 0, 1, int64(len(want)), 1 << 62} {
		b := fsys.New(liar{Reader: bytes.NewReader([]byte(want)), size: size})
		if got := storagetest.Get(t, b, "a"); got != want {
			t.Errorf("claimed size %d: got %d bytes, want %d", size, len(got), len(want))
		}
	}
}

type broken struct{}

func (broken) Read([]byte) (int, error) { return 0, errBroken }

var errBroken = errors.New("broken")

func TestReadError(t *testing.T) {
	b := fsys.New(liar{Reader: io.MultiReader(bytes.NewReader([]byte("x")), broken{})})
	if _, err := b.Open(t.Context(), "a"); !errors.Is(err, errBroken) {
		t.Errorf("Open: got %v, want %v", err, errBroken)
	}
}
