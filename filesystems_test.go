package ckpt_test

import (
	"archive/zip"
	"bytes"
	"context"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log"
	"os"
	"path"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// embedded is a checkpoint in the program itself.
//
//go:embed testdata/tensorflow-2.21.0-predict
var embedded embed.FS

const predictor = "testdata/tensorflow-2.21.0-predict/classifier-1"

// A checkpoint embedded in the program, without any file beside it.
func ExampleOpenFS() {
	reader, err := ckpt.OpenFS(embedded, "testdata/tensorflow-2.21.0-predict", nil) // its newest
	if err != nil {
		log.Fatal(err)
	}
	defer reader.Close()
	bias, err := ckpt.Read[float32](context.Background(), reader, "model/hidden/bias/.ATTRIBUTES/VARIABLE_VALUE")
	fmt.Println(reader.Prefix(), len(bias), err)
	// Output: testdata/tensorflow-2.21.0-predict/classifier-1 16 <nil>
}

// A checkpoint whose files are in memory, as a download left them: objects are
// restored without anything on the disk.
func ExampleCheckpoint_Read_memory() {
	ctx := context.Background()
	memory := mem.New()
	for _, ending := range []string{".index", ".data-00000-of-00001"} {
		content, err := embedded.ReadFile(predictor + ending) // or from anywhere else
		if err != nil {
			log.Fatal(err)
		}
		w, err := memory.Create(ctx, "model"+ending, nil)
		if err != nil {
			log.Fatal(err)
		}
		if _, err := w.Write(content); err != nil {
			log.Fatal(err)
		}
		if err := w.Commit(ctx); err != nil {
			log.Fatal(err)
		}
	}

	bias := ckpt.NewVariable[float32]("bias", []int64{16}, nil)
	hidden, model := new(ckpt.Node), new(ckpt.Node)
	if err := errors.Join(hidden.Track("bias", bias), model.Track("hidden", hidden)); err != nil {
		log.Fatal(err)
	}
	status, err := ckpt.New(ckpt.Objects{"model": model}).Read(ctx, "model", &ckpt.RestoreOptions{Bucket: memory})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(bias.Data()), status.CheckExistingObjectsMatched())
	// Output: 16 <nil>
}

// zipOf packs a folder. The method is zip.Store or zip.Deflate.
func zipOf(t *testing.T, dir string, method uint16) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	err := filepath.WalkDir(dir, func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		inside, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		f, err := w.CreateHeader(&zip.FileHeader{Name: filepath.ToSlash(inside), Method: method})
		if err == nil {
			_, err = f.Write(readFile(t, name))
		}
		return err
	})
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// mapOf reads a folder into memory.
func mapOf(t *testing.T, dir string) fstest.MapFS {
	t.Helper()
	files := make(fstest.MapFS)
	content := zipOf(t, dir, zip.Store)
	z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range z.File {
		text, err := fs.ReadFile(z, f.Name)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = &fstest.MapFile{Data: text}
	}
	return files
}

// readOnce hides everything of a file but Read: what it holds must be read to
// its end.
type readOnce struct{ fs.FS }

type onceFile struct{ fs.File }

func (o readOnce) Open(name string) (fs.File, error) {
	f, err := o.FS.Open(name)
	if err != nil {
		return nil, err
	}
	if info, err := f.Stat(); err != nil || info.IsDir() {
		return f, err
	}
	return onceFile{f}, nil
}

// TestFileSystems reads the checkpoints of a golden folder from every kind of
// fs.FS, by every kind of path.
func TestFileSystems(t *testing.T) {
	const dir = "testdata/tensorflow-2.15.1-keras2"
	zips := make(map[string]*zip.Reader)
	for name, method := range map[string]uint16{"zip, stored": zip.Store, "zip, deflated": zip.Deflate} {
		content := zipOf(t, dir, method)
		z, err := zip.NewReader(bytes.NewReader(content), int64(len(content)))
		if err != nil {
			t.Fatal(err)
		}
		zips[name] = z
	}
	sub, err := fs.Sub(mapOf(t, "testdata"), path.Base(dir))
	if err != nil {
		t.Fatal(err)
	}
	for name, fsys := range map[string]fs.FS{
		"folder": os.DirFS(dir), "map": mapOf(t, dir), "sub of a map": sub, "read once": readOnce{os.DirFS(dir)},
		"zip, stored": zips["zip, stored"], "zip, deflated": zips["zip, deflated"],
	} {
		t.Run(name, func(t *testing.T) {
			for given, want := range map[string]string{
				"legacy/ckpt-1": "legacy/ckpt-1", "legacy/ckpt-1.index": "legacy/ckpt-1", "legacy/ckpt-1.data-00000-of-00001": "legacy/ckpt-1", "legacy": "legacy/ckpt-1",
				"./newer/": "newer/ckpt-1", "weights": "weights/model", "saved": "saved/variables/variables", "saved/../legacy": "legacy/ckpt-1",
			} {
				r, err := ckpt.OpenFS(fsys, given, nil)
				if err != nil {
					t.Errorf("%s: %v", given, err)
					continue
				}
				if got := r.Prefix(); got != want {
					t.Errorf("%s: got prefix %q, want %q", given, got, want)
				}
				sameTensors(t, r, filepath.Join(dir, want))
				if err := r.Close(); err != nil {
					t.Error(err)
				}
			}
			for _, missing := range []string{"nothing", "legacy/ckpt-2", "legacy/ckpt-1/x", "model.keras.index"} {
				if _, err := ckpt.OpenFS(fsys, missing, nil); !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%s: got %v, want fs.ErrNotExist", missing, err)
				}
			}
			_, err := ckpt.OpenFS(fsys, "model.h5", nil)
			wantError(t, "model.h5", err, "the file of this name is an HDF5 file")
			for _, bad := range []string{"../x", "/x", "..", "a\xff"} {
				if _, err := ckpt.OpenFS(fsys, bad, nil); !errors.Is(err, fs.ErrInvalid) && !errors.Is(err, fs.ErrNotExist) {
					t.Errorf("%q: got %v, want fs.ErrInvalid", bad, err)
				}
			}
		})
	}
}

// sameTensors compares all values with those of a checkpoint on the disk.
func sameTensors(t *testing.T, r *ckpt.Reader, prefix string) {
	t.Helper()
	want, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer want.Close()
	if diff := cmp.Diff(r.String(), want.String()); diff != "" {
		t.Errorf("%s: -got +want:\n%s", prefix, diff)
	}
	for v, err := range want.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		got, err := r.Hash(t.Context(), v.Name)
		wanted, wantErr := want.Hash(t.Context(), v.Name)
		if err != nil || wantErr != nil || got != wanted {
			t.Errorf("%s: got %x, %v, want %x, %v", v.Name, got, err, wanted, wantErr)
		}
	}
}

// TestTopOfFileSystem opens what lies at the top of a file system.
func TestTopOfFileSystem(t *testing.T) {
	files := mapOf(t, "testdata/tensorflow-2.15.1-keras2/legacy")
	for _, name := range []string{".", "", "ckpt-1", "./ckpt-1", "ckpt-1.index"} {
		r, err := ckpt.OpenFS(files, name, nil)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if got := r.Prefix(); got != "ckpt-1" {
			t.Errorf("%q: got prefix %q, want ckpt-1", name, got)
		}
		r.Close()
	}
	model := mapOf(t, "testdata/tensorflow-2.15.1-keras2/saved")
	r, err := ckpt.OpenFS(model, ".", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got := r.Prefix(); got != "variables/variables" {
		t.Errorf("got prefix %q, want variables/variables", got)
	}
}

// TestNoFileSystem has nothing to read from.
func TestNoFileSystem(t *testing.T) {
	if _, err := ckpt.OpenFS(nil, "c", nil); !errors.Is(err, fs.ErrInvalid) {
		t.Errorf("nil: got %v, want fs.ErrInvalid", err)
	}
	for _, name := range []string{"c", ".", ""} {
		for _, empty := range []fs.FS{fstest.MapFS(nil), fstest.MapFS{}, embed.FS{}} {
			if _, err := ckpt.OpenFS(empty, name, nil); !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ckpt.ErrNoCheckpoint) {
				t.Errorf("%q of an empty %T: got %v, want fs.ErrNotExist or ErrNoCheckpoint", name, empty, err)
			}
		}
	}
}

// failing is a file system whose files cannot be read.
type failing struct{ fs.FS }

var errMedium = errors.New("the medium is gone")

func (f failing) Open(name string) (fs.File, error) {
	file, err := f.FS.Open(name)
	return failingFile{file}, err
}

type failingFile struct{ fs.File }

func (failingFile) Read([]byte) (int, error) { return 0, errMedium }

var _ io.Reader = failingFile{}

// TestFileSystemFails gives the file system's own error.
func TestFileSystemFails(t *testing.T) {
	_, err := ckpt.OpenFS(failing{os.DirFS("testdata/tensorflow-2.15.1-keras2/legacy")}, "ckpt-1", nil)
	if !errors.Is(err, errMedium) || errors.Is(err, fs.ErrNotExist) {
		t.Errorf("got %v, want that of the medium", err)
	}
	wantError(t, "a failing file", err, "ckpt-1.index")
}
