package ckpt_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/objectgraph"
)

// oldFiles are the folders that older versions of TensorFlow wrote, made by
// interop/versions.py.
var oldFiles = []string{"tensorflow-2.15.1-keras2", "tensorflow-2.15.1-plain", "tensorflow-2.18.1-keras3", "tensorflow-2.18.1-plain"}

// oldTensor is what TensorFlow said of one tensor.
type oldTensor struct {
	Name   string  `json:"name"`
	DType  string  `json:"dtype"`
	Shape  []int64 `json:"shape"`
	SHA256 string  `json:"sha256"`
}

func oldTensors(t *testing.T, folder string) map[string][]oldTensor {
	t.Helper()
	list := make(map[string][]oldTensor)
	if err := json.Unmarshal(readFile(t, filepath.Join("testdata", folder, "tensors.json")), &list); err != nil {
		t.Fatal(err)
	}
	if len(list) < 3 {
		t.Fatalf("%s lists %d checkpoints, want three or more", folder, len(list))
	}
	return list
}

// TestOldFiles reads all that TensorFlow 2.15 and 2.18 wrote: names, dtypes,
// shapes and values are what that TensorFlow reads, and Verify finds nothing.
func TestOldFiles(t *testing.T) {
	tensors := 0
	for _, folder := range oldFiles {
		for prefix, want := range oldTensors(t, folder) {
			t.Run(folder+"/"+prefix, func(t *testing.T) {
				at := filepath.Join("testdata", folder, filepath.FromSlash(prefix))
				r, err := ckpt.Open(t.Context(), at, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer r.Close()
				var got []oldTensor
				for v, err := range r.Variables() {
					if err != nil {
						t.Fatal(err)
					}
					sum, err := r.Hash(t.Context(), v.Name)
					if err != nil {
						t.Error(err)
					}
					got = append(got, oldTensor{v.Name, v.DType.String(), append([]int64{}, v.Shape...), hex.EncodeToString(sum[:])})
				}
				if diff := cmp.Diff(got, want); diff != "" {
					t.Errorf("-got +want:\n%s", diff)
				}
				tensors += len(got)
				v, err := ckpt.Verify(t.Context(), at, nil)
				if err != nil || !v.OK() {
					t.Errorf("Verify: got %v, %v", v, err)
				}
			})
		}
	}
	if tensors < 150 {
		t.Errorf("read %d tensors, want 150 or more", tensors)
	}
}

// TestOldGraphs decodes the object graphs: the same bytes come out again.
func TestOldGraphs(t *testing.T) {
	graphs := 0
	for _, folder := range oldFiles {
		for prefix := range oldTensors(t, folder) {
			r, err := ckpt.Open(t.Context(), filepath.Join("testdata", folder, filepath.FromSlash(prefix)), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			if !r.Has(objectgraph.Key) {
				continue
			}
			stored, err := r.Tensor(t.Context(), objectgraph.Key)
			if err != nil {
				t.Fatal(err)
			}
			g, err := r.Graph(t.Context())
			if err != nil {
				t.Errorf("%s/%s: %v", folder, prefix, err)
				continue
			}
			if !bytes.Equal(g.Append(nil), stored.Strings()[0]) {
				t.Errorf("%s/%s: the graph is not written as it was read", folder, prefix)
			}
			for i := range g.Nodes {
				for _, a := range g.Nodes[i].Attributes {
					if g.Nodes[i].RegisteredSaver == nil && a.Name == "VARIABLE_VALUE" && !r.Has(a.Key) {
						t.Errorf("%s/%s: the graph names %s, which is not there", folder, prefix, a.Key)
					}
				}
			}
			graphs++
		}
	}
	if graphs != 9 {
		t.Errorf("got %d graphs, want 9", graphs)
	}
}

// TestOldSlots finds the slot variables of the legacy optimizer, and none of
// the newer ones.
func TestOldSlots(t *testing.T) {
	for path, want := range map[string]int{
		"tensorflow-2.15.1-keras2/legacy/ckpt-1": 18, "tensorflow-2.15.1-keras2/newer/ckpt-1": 0, "tensorflow-2.18.1-keras3/managed/ckpt-3": 0,
	} {
		r, err := ckpt.Open(t.Context(), filepath.Join("testdata", path), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		g, err := r.Graph(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		slots := 0
		for i := range g.Nodes {
			for _, s := range g.Nodes[i].Slots {
				slots++
				if !r.Has(g.Nodes[s.Node].Attributes[0].Key) {
					t.Errorf("%s: slot %s has no tensor", path, s.Name)
				}
			}
		}
		if slots != want {
			t.Errorf("%s: got %d slot variables, want %d", path, slots, want)
		}
	}
}

// TestOldRestored restores variables of a Keras model of each version, whose
// paths differ, and the newest of a directory.
func TestOldRestored(t *testing.T) {
	for _, test := range []struct{ path, variable string }{
		{"tensorflow-2.15.1-keras2/legacy/ckpt-1", "model/layer_with_weights-0/bias"},
		{"tensorflow-2.15.1-keras2/newer/ckpt-1", "model/layer_with_weights-0/bias"},
		{"tensorflow-2.18.1-keras3/managed/ckpt-3", "model/_functional/_operations/2/moving_mean"},
	} {
		t.Run(test.path, func(t *testing.T) {
			prefix := filepath.Join("testdata", filepath.FromSlash(test.path))
			r, err := ckpt.Open(t.Context(), prefix, nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			want, err := ckpt.Read[float32](t.Context(), r, test.variable+value)
			if err != nil {
				t.Fatal(err)
			}
			if cmp.Equal(want, []float32{0, 0}) {
				t.Fatalf("%s is at its initial value, so nothing can be seen", test.variable)
			}
			v := ckpt.NewVariable[float32]("bias", []int64{2}, nil)
			top := ckpt.Trackable(v)
			parts := strings.Split(test.variable, "/")
			for _, part := range slices.Backward(parts[1:]) {
				top = branch(part, top)
			}
			if _, err := ckpt.New(ckpt.Objects{parts[0]: top}).Restore(t.Context(), prefix, nil); err != nil {
				t.Fatal(err)
			}
			if got := v.Data(); !cmp.Equal(got, want) {
				t.Errorf("got %v, want %v", got, want)
			}
		})
	}
	dir := filepath.Join("testdata", "tensorflow-2.18.1-keras3", "managed")
	if got, err := ckpt.Latest(t.Context(), dir, nil); err != nil || got != dir+"/ckpt-3" {
		t.Errorf("Latest: got %q, %v, want ckpt-3", got, err)
	}
}

// manifestLine is a row of a MANIFEST.md.
var manifestLine = regexp.MustCompile(`(?m)^\| (\S+) \| ([0-9]+) \| ([0-9a-f]{64}) \|$`)

// TestOldManifests compares each folder with its MANIFEST.md: goldens are never
// changed.
func TestOldManifests(t *testing.T) {
	for _, folder := range oldFiles {
		dir := filepath.Join("testdata", folder)
		listed := make(map[string]string)
		for _, row := range manifestLine.FindAllStringSubmatch(string(readFile(t, filepath.Join(dir, "MANIFEST.md"))), -1) {
			listed[row[1]] = row[2] + " " + row[3]
		}
		found := make(map[string]string)
		err := filepath.WalkDir(dir, func(name string, e os.DirEntry, err error) error {
			if err != nil || e.IsDir() || e.Name() == "MANIFEST.md" {
				return err
			}
			content := readFile(t, name)
			inside, err := filepath.Rel(dir, name)
			found[filepath.ToSlash(inside)] = fmt.Sprintf("%d %x", len(content), sha256.Sum256(content))
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(found, listed); diff != "" {
			t.Errorf("%s: -got +want:\n%s", folder, diff)
		}
	}
}
