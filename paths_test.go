package ckpt_test

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
)

// readers are the three ways to read a checkpoint by a path. They give the
// prefix that they found and the values of v.
var readers = []struct {
	name string
	read func(t *testing.T, path string, b storage.Bucket) (prefix string, v []float32, err error)
}{
	{"Open", func(t *testing.T, path string, b storage.Bucket) (string, []float32, error) {
		r, err := ckpt.Open(t.Context(), path, &ckpt.OpenOptions{Bucket: b})
		if err != nil {
			return "", nil, err
		}
		defer r.Close()
		v, err := ckpt.Read[float32](t.Context(), r, "v"+value)
		return r.Prefix(), v, err
	}},
	{"Verify", func(t *testing.T, path string, b storage.Bucket) (string, []float32, error) {
		v, err := ckpt.Verify(t.Context(), path, &ckpt.VerifyOptions{Bucket: b})
		if err != nil {
			return "", nil, err
		}
		for _, p := range v.Problems {
			return v.Prefix, nil, p
		}
		return v.Prefix, []float32{1, 2}, nil
	}},
	{"Restore", func(t *testing.T, path string, b storage.Bucket) (string, []float32, error) {
		v := vector(0, 0)
		status, err := ckpt.New(ckpt.Objects{"v": v}).Restore(t.Context(), path, &ckpt.RestoreOptions{Bucket: b})
		if err != nil {
			return "", nil, err
		}
		return status.Prefix(), v.Data(), status.CheckConsumed()
	}},
}

// saveAs saves a checkpoint with v = 1, 2 and gives its prefix, which ends in
// -1.
func saveAs(t *testing.T, prefix string, b storage.Bucket) string {
	t.Helper()
	prefix, err := ckpt.New(ckpt.Objects{"v": vector(1, 2)}).Save(t.Context(), prefix, &ckpt.SaveOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	return prefix
}

// wantRead reads a path all ways, but for Restore of directories, which asks
// for a prefix.
func wantRead(t *testing.T, path, prefix string, b storage.Bucket, directory bool) {
	t.Helper()
	for _, way := range readers {
		if directory && way.name == "Restore" {
			continue
		}
		got, v, err := way.read(t, path, b)
		if err != nil || got != prefix || !cmp.Equal(v, []float32{1, 2}) {
			t.Errorf("%s of %q: got %q, %v, %v, want %q", way.name, path, got, v, err, prefix)
		}
	}
}

// TestPathsUnderstood gives every kind of path, on the disk and in buckets.
func TestPathsUnderstood(t *testing.T) {
	for _, place := range []struct {
		name   string
		bucket storage.Bucket
		dir    string
	}{{"disk", nil, t.TempDir()}, {"memory", mem.New(), "models"}, {"top of a bucket", mem.New(), ""}, {"folder as a bucket", local.Open(t.TempDir(), nil), "a/b"}} {
		t.Run(place.name, func(t *testing.T) {
			b := place.bucket
			at := func(name string) string { return strings.TrimPrefix(place.dir+"/"+name, "/") }
			if b == nil {
				at = func(name string) string { return place.dir + "/" + name }
			}
			prefix := saveAs(t, at("train/ckpt"), b)
			for _, path := range []string{prefix, prefix + ".index", dataOf(prefix), prefix + ".data-00007-of-00009"} {
				wantRead(t, path, prefix, b, false)
			}
			wantRead(t, at("train"), prefix, b, true)
			wantRead(t, at("train/"), at("train/")+"ckpt-1", b, true)
			other := saveAs(t, at("bare/other"), b)
			remove(t, b, at("bare/checkpoint"))
			wantRead(t, at("bare"), other, b, true)
			for _, model := range []string{"saved_model.pb", "saved_model.pbtxt"} {
				folder := at("model" + filepath.Ext(model))
				inside := folder + "/variables/variables"
				writeTo(t, b, folder+"/"+model)
				if _, err := ckpt.New(ckpt.Objects{"v": vector(1, 2)}).Write(t.Context(), inside, &ckpt.SaveOptions{Bucket: b}); err != nil {
					t.Fatal(err)
				}
				wantRead(t, folder, inside, b, true)
				v := vector(0, 0)
				if _, err := ckpt.New(ckpt.Objects{"v": v}).Restore(t.Context(), folder, &ckpt.RestoreOptions{Bucket: b}); err != nil || !cmp.Equal(v.Data(), []float32{1, 2}) {
					t.Errorf("Restore of a SavedModel: got %v, %v", v.Data(), err)
				}
				if _, err := ckpt.New(ckpt.Objects{"v": v}).Read(t.Context(), folder, &ckpt.RestoreOptions{Bucket: b}); err == nil {
					t.Error("Read of a SavedModel: got no error")
				}
			}
			for _, path := range []string{at("nothing"), at("train/ckpt"), at("nothing.index"), at("no/such/folder/x-1")} {
				for _, way := range readers {
					if _, _, err := way.read(t, path, b); !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ckpt.ErrCorrupt) {
						t.Errorf("%s of %s: got %v, want fs.ErrNotExist", way.name, path, err)
					}
				}
			}
		})
	}
}

// remove removes a file of a bucket, or of the disk.
func remove(t *testing.T, b storage.Bucket, name string) {
	t.Helper()
	if b == nil {
		removeFile(t, name)
	} else if err := b.Remove(t.Context(), name); err != nil {
		t.Fatal(err)
	}
}

// writeTo makes a small file in a bucket, or on the disk.
func writeTo(t *testing.T, b storage.Bucket, name string) {
	t.Helper()
	if b == nil {
		writeFile(t, name, []byte("x"))
		return
	}
	w, err := b.Create(t.Context(), name, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	if _, err := w.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestPathThatLooksLikeAFile has checkpoints whose own prefix ends as a file of
// one does: they are meant first.
func TestPathThatLooksLikeAFile(t *testing.T) {
	for _, b := range []storage.Bucket{nil, mem.New()} {
		dir := "d"
		if b == nil {
			dir = t.TempDir()
		}
		for _, name := range []string{"a.index", "b.data-00000-of-00001", "c.index.index"} {
			prefix := dir + "/" + name
			if _, err := ckpt.New(ckpt.Objects{"v": vector(1, 2)}).Write(t.Context(), prefix, &ckpt.SaveOptions{Bucket: b}); err != nil {
				t.Fatal(err)
			}
			for _, path := range []string{prefix, prefix + ".index", dataOf(prefix)} {
				wantRead(t, path, prefix, b, true)
				v := vector(0, 0)
				if _, err := ckpt.New(ckpt.Objects{"v": v}).Read(t.Context(), path, &ckpt.RestoreOptions{Bucket: b}); err != nil || !cmp.Equal(v.Data(), []float32{1, 2}) {
					t.Errorf("Read of %s: got %v, %v", path, v.Data(), err)
				}
			}
		}
	}
}

// oddNames are names that a shell, a pattern, a terminal or a text would take
// for something else.
var oddNames = []string{
	"a[1]", "star*", "what?", "{a,b}", "!x", "~", "$HOME", "%s%d", "-rf", "--json", "#", "a b", " ", "\t", "new\nline", "\r", "\x1b[31m",
	`back\slash`, `quo"te`, "ap'ostrophe", ";ls", "a|b", "\xff\xfe", "\xc3(", "\u202eabc", "\u00e9", "e\u0301", "\U0001f525", "model.index.", ".hidden", "a:0", "x-?????-of-00002", strings.Repeat("n", 200),
}

// TestOddNames saves, finds and reads checkpoints with odd names, in folders
// with odd names.
func TestOddNames(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows does not allow most of these names")
	}
	for _, name := range oddNames {
		for _, b := range []storage.Bucket{nil, mem.New()} {
			dir := "folder"
			if b == nil {
				dir = t.TempDir()
			}
			dir += "/" + name
			prefix := saveAs(t, dir+"/"+name, b)
			if want := dir + "/" + name + "-1"; prefix != want {
				t.Errorf("saved as %q, want %q", prefix, want)
			}
			for _, path := range []string{prefix, prefix + ".index", dataOf(prefix)} {
				wantRead(t, path, prefix, b, false)
			}
			wantRead(t, dir, prefix, b, true)
			if got, err := ckpt.Latest(t.Context(), dir, &ckpt.FindOptions{Bucket: b}); err != nil || got != prefix {
				t.Errorf("Latest of %q: got %q, %v, want %q", dir, got, err, prefix)
			}
			remove(t, b, dir+"/checkpoint")
			if name[0] != '.' {
				wantRead(t, dir, prefix, b, true)
			}
			if _, _, err := readers[0].read(t, dir+"/"+name, b); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("a prefix that is not there, %q: got %v, want fs.ErrNotExist", name, err)
			}
		}
	}
}

// TestRestoreNamesDirectory asks for a prefix where a directory was given.
func TestRestoreNamesDirectory(t *testing.T) {
	dir := t.TempDir()
	saveAs(t, filepath.Join(dir, "ckpt"), nil)
	_, err := ckpt.New(ckpt.Objects{"v": vector(0, 0)}).Restore(t.Context(), dir, nil)
	wantError(t, "a directory", err, dir+" is a directory, not a checkpoint: give a prefix such as")
}

// TestNB5PaddedNumbers saves under the names a Saver makes of a global step.
func TestNB5PaddedNumbers(t *testing.T) {
	for _, number := range []string{"5", "00000005"} {
		dir := t.TempDir()
		prefix := filepath.Join(dir, "model-"+number)
		if _, err := ckpt.New(ckpt.Objects{"v": vector(1, 2)}).Write(t.Context(), prefix, nil); err != nil {
			t.Fatal(err)
		}
		for _, state := range []bool{false, true} {
			if state {
				writeFile(t, filepath.Join(dir, "checkpoint"), (&ckpt.State{Latest: "model-" + number, All: []string{"model-" + number}}).AppendText(nil))
				if got, err := ckpt.Latest(t.Context(), dir, nil); err != nil || got != dir+"/model-"+number {
					t.Errorf("Latest: got %q, %v, want %q", got, err, prefix)
				}
			}
			if got, err := ckpt.ResolvePath(t.Context(), dir); err != nil || got != prefix {
				t.Errorf("ResolvePath: got %q, %v, want %q", got, err, prefix)
			}
		}
		v := vector(0, 0)
		if _, err := ckpt.New(ckpt.Objects{"v": v}).Read(t.Context(), prefix, nil); err != nil || !cmp.Equal(v.Data(), []float32{1, 2}) {
			t.Errorf("got %v, %v, want 1, 2", v.Data(), err)
		}
	}
	// What TensorFlow's Saver made of global_step 5.
	r, err := ckpt.Open(t.Context(), "testdata/tensorflow-2.15.1-plain/saver-5", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if got, err := ckpt.Read[float32](t.Context(), r, "a"); err != nil || !cmp.Equal(got, []float32{4}) {
		t.Errorf("got a = %v, %v, want 4", got, err)
	}
}

// TestUnreadablePath is neither absent nor corrupt.
func TestUnreadablePath(t *testing.T) {
	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Skip("permissions do not bind this user")
	}
	prefix := saveAs(t, filepath.Join(t.TempDir(), "c"), nil)
	if err := os.Chmod(prefix+".index", 0); err != nil {
		t.Fatal(err)
	}
	for _, way := range readers {
		if _, _, err := way.read(t, prefix, nil); !errors.Is(err, fs.ErrPermission) {
			t.Errorf("%s: got %v, want fs.ErrPermission", way.name, err)
		}
	}
}
