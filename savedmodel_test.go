package ckpt_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/fsys"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// bias is where Keras 2 keeps the bias of a model's first layer.
const bias = "layer_with_weights-0/bias" + value

// modelPaths are all that a person may give for a SavedModel, and for weights in
// TensorFlow's format. Those that Restore must be told the prefix of are
// directories.
var modelPaths = []struct {
	path, prefix       string
	restores, readable bool
}{
	{"saved", "saved/variables/variables", true, false},
	{"saved/", "saved/variables/variables", true, false},
	{"saved/variables", "saved/variables/variables", false, false},
	{"saved/variables/", "saved/variables/variables", false, false},
	{"saved/variables/variables", "saved/variables/variables", true, true},
	{"saved/variables/variables.index", "saved/variables/variables", true, true},
	{"saved/variables/variables.data-00000-of-00001", "saved/variables/variables", true, true},
	{"weights", "weights/model", false, false},
	{"weights/model", "weights/model", true, true},
	{"weights/model.index", "weights/model", true, true},
}

// TestSavedModelPaths reads what Keras 2 wrote by every path, from the disk,
// buckets and an fs.FS, and restores it into objects.
func TestSavedModelPaths(t *testing.T) {
	const dir = "testdata/tensorflow-2.15.1-keras2"
	want := readBias(t, dir+"/saved/variables/variables", nil)
	for _, place := range []struct {
		name   string
		bucket storage.Bucket
	}{{"disk", nil}, {"bucket", local.Open(dir, nil)}, {"fs.FS", fsys.New(os.DirFS(dir))}} {
		for _, c := range modelPaths {
			t.Run(place.name+"/"+c.path, func(t *testing.T) {
				path, prefix := c.path, c.prefix
				if place.bucket == nil {
					path, prefix = dir+"/"+c.path, dir+"/"+c.prefix
				}
				if got := readBias(t, path, place.bucket); !cmp.Equal(got, want) {
					t.Errorf("Open: got %v, want %v", got, want)
				}
				v, err := ckpt.Verify(t.Context(), path, &ckpt.VerifyOptions{Bucket: place.bucket})
				if err != nil || !v.OK() || filepath.Clean(v.Prefix) != prefix {
					t.Errorf("Verify: got %+v, %v, want %s", v, err, prefix)
				}
				all, err := ckpt.VerifyAll(t.Context(), path, &ckpt.VerifyOptions{Bucket: place.bucket})
				if err != nil || len(all) != 1 || !all[0].OK() || filepath.Clean(all[0].Prefix) != prefix {
					t.Errorf("VerifyAll: got %v, %v, want %s", all, err, prefix)
				}
				for call, good := range map[string]bool{"Restore": c.restores, "Read": c.readable} {
					fresh := vector(0, 0)
					objects := ckpt.New(ckpt.Objects{"layer_with_weights-0": branch("bias", fresh)})
					restore := objects.Restore
					if call == "Read" {
						restore = objects.Read
					}
					_, err := restore(t.Context(), path, &ckpt.RestoreOptions{Bucket: place.bucket})
					if good {
						wantError(t, call, err, "")
						wantValues(t, call, fresh, want...)
						continue
					}
					wantError(t, call, err, "is a directory, not a checkpoint: give a prefix such as ")
					wantError(t, call, err, prefix)
				}
			})
		}
	}
}

func readBias(t *testing.T, path string, b storage.Bucket) []float32 {
	t.Helper()
	r, err := ckpt.Open(t.Context(), path, &ckpt.OpenOptions{Bucket: b})
	if err != nil {
		t.Error(err)
		return nil
	}
	defer r.Close()
	got, err := ckpt.Read[float32](t.Context(), r, bias)
	if err != nil || len(got) != 2 || got[0] == 0 {
		t.Errorf("got %v, %v, want two numbers", got, err)
	}
	return got
}

// TestGraphOfSavedModel gives the file that people know a SavedModel by.
func TestGraphOfSavedModel(t *testing.T) {
	_, err := ckpt.Open(t.Context(), "testdata/tensorflow-2.15.1-keras2/saved/saved_model.pb", nil)
	wantError(t, "saved_model.pb", err, "the graph of a SavedModel: give the directory it lies in")
}

// TestRestoreNamesPrefixes says which checkpoints lie in a directory where a
// prefix is asked for, on the disk and in a bucket.
func TestRestoreNamesPrefixes(t *testing.T) {
	dir := t.TempDir()
	for folder, names := range map[string][]string{"one": {"a"}, "three": {"c-1", "c-2", "c-3"}, "five": {"c-1", "c-2", "c-10", "c-9", "c-3"}, "odd": {"a\x1b[31m"}} {
		for _, name := range names {
			if _, err := ckpt.New(ckpt.Objects{"v": scalar(1)}).Write(t.Context(), filepath.Join(dir, folder, name), nil); err != nil {
				t.Fatal(err)
			}
		}
	}
	storagetest.Put(t, local.Open(dir, nil), "nothing/notes", "text")
	for path, want := range map[string]string{
		"one":     "one is a directory, not a checkpoint: give a prefix such as one/a",
		"three":   "three is a directory, not a checkpoint: give a prefix such as three/c-3 (it also holds c-2, c-1), or use a Manager or ckpt.Latest to find the newest",
		"five/":   "five/ is a directory, not a checkpoint: give a prefix such as five/c-10 (it also holds c-9, c-3, 2 more), or use",
		"odd":     `give a prefix such as "odd/a\x1b[31m"`,
		"nothing": "give a prefix such as nothing/ckpt-1; none lies there",
	} {
		_, err := ckpt.New(ckpt.Objects{"v": scalar(1)}).Restore(t.Context(), path, &ckpt.RestoreOptions{Bucket: local.Open(dir, nil)})
		wantError(t, "bucket: "+path, err, want)
		_, err = ckpt.New(ckpt.Objects{"v": scalar(1)}).Restore(t.Context(), dir+"/"+path, nil)
		wantError(t, "disk: "+path, err, "is a directory, not a checkpoint: give a prefix such as ")
		wantError(t, "disk: "+path, err, want[strings.LastIndex(want, "/"):])
	}
}

// writeConfig writes what early versions of TensorFlow 2 did for a layer: its
// configuration as text, beside its variables, and before the value of one.
func writeConfig(t *testing.T) saved {
	t.Helper()
	const config = "OBJECT_CONFIG_JSON"
	s := write(t, ckpt.New(ckpt.Objects{"layer": branch("kernel", vector(1, 2))}))
	g := s.graph(t)
	w, err := bundle.Create(t.Context(), s.bucket, "early", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for i := range g.Nodes {
		n := &g.Nodes[i]
		n.HasValues = objectgraph.ValuesMissing // which those versions did not store
		key := map[int]string{1: "layer/.ATTRIBUTES/" + config, 2: "layer/kernel/.ATTRIBUTES/" + config}[i]
		if key == "" {
			continue
		}
		n.Attributes = append([]objectgraph.Attribute{{Name: config, Key: key}}, n.Attributes...)
		if err := w.AddStrings(t.Context(), key, nil, chunks([][]byte{[]byte(`{"class_name": "Dense"}`)})); err != nil {
			t.Fatal(err)
		}
	}
	kernel, err := tensor.Of(tensor.Shape{2}, []float32{1, 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range []error{
		w.Add(t.Context(), "layer/kernel"+value, tensor.Float32, kernel.Shape(), chunks([][]byte{kernel.Bytes()})),
		w.AddStrings(t.Context(), objectgraph.Key, nil, chunks([][]byte{g.Append(nil)})),
		w.Commit(t.Context()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	return saved{s.bucket, "early"}
}

// TestObjectConfigs reads graphs with configurations in them. What TensorFlow
// says of an attribute that the object cannot read, CheckConsumed does.
func TestObjectConfigs(t *testing.T) {
	s := writeConfig(t)
	v, err := ckpt.Verify(t.Context(), s.prefix, &ckpt.VerifyOptions{Bucket: s.bucket})
	if err != nil || !v.OK() {
		t.Errorf("Verify: got %v, %v", v, err)
	}
	config, err := s.open(t).Tensor(t.Context(), "layer/.ATTRIBUTES/OBJECT_CONFIG_JSON")
	if err != nil || string(config.Strings()[0]) != `{"class_name": "Dense"}` {
		t.Errorf("got %v, %v", config, err)
	}
	kernel := vector(0, 0)
	status := s.read(t, ckpt.New(ckpt.Objects{"layer": branch("kernel", kernel)}))
	wantValues(t, "kernel", kernel, 1, 2)
	wantChecks(t, status, "Unused attributes in these objects", "", "")
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).layer: [OBJECT_CONFIG_JSON]")
}
