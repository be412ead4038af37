package interop_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// goldens is where the files of real TensorFlow are.
func goldens(elements ...string) string {
	return filepath.Join(append([]string{"..", "testdata"}, elements...)...)
}

// storedTensor is a tensor as server.py lists it; a variant has no hash.
type storedTensor struct {
	Name   string  `json:"name"`
	DType  string  `json:"dtype"`
	Shape  []int64 `json:"shape"`
	SHA256 string  `json:"sha256"`
}

// hash is the SHA-256 of a tensor: of its bytes, or of the elements of a string
// tensor with their lengths as 8 bytes before each.
func hash(t *tensor.Tensor) string {
	h := sha256.New()
	if t.DType() == tensor.String {
		for _, e := range t.Strings() {
			h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(e))))
			h.Write(e)
		}
	} else {
		h.Write(t.Bytes())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// listTensors reads a whole checkpoint through the public API.
func listTensors(t *testing.T, prefix string) []storedTensor {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var list []storedTensor
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		stored := storedTensor{Name: v.Name, DType: v.DType.String(), Shape: append([]int64{}, v.Shape...)}
		if v.DType != tensor.Variant {
			value, err := r.Tensor(t.Context(), v.Name)
			if err != nil {
				t.Fatal(err)
			}
			stored.SHA256 = hash(value)
		}
		list = append(list, stored)
	}
	return list
}

func readJSON(t *testing.T, name string, value any) {
	t.Helper()
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(content, value); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// TestReadGoldens reads every checkpoint of testdata that has a list of what
// TensorFlow finds in it: V2 and V1, one file and several, whole tensors and
// slices.
func TestReadGoldens(t *testing.T) {
	lists, err := filepath.Glob(goldens("tensorflow-*", "tensors.json"))
	if err != nil || len(lists) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, list := range lists {
		folder := filepath.Dir(list)
		want := make(map[string][]storedTensor)
		readJSON(t, list, &want)
		for prefix, tensors := range want {
			t.Run(filepath.Base(folder)+"/"+prefix, func(t *testing.T) {
				path := filepath.Join(folder, filepath.FromSlash(prefix))
				got := listTensors(t, path)
				if diff := cmp.Diff(got, tensors); diff != "" {
					t.Errorf("-got +want:\n%s", diff)
				}
			})
		}
	}
}

// value is a tensor in JSON: base64 of little-endian bytes or of each string.
type value struct {
	DType   string   `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Data    string   `json:"data,omitempty"`
	Strings []string `json:"strings,omitempty"`
}

func (v *value) tensor(t *testing.T) *tensor.Tensor {
	t.Helper()
	dtype, ok := tensor.ParseDType(v.DType)
	if !ok {
		t.Fatalf("unknown dtype %q", v.DType)
	}
	var made *tensor.Tensor
	var err error
	if dtype == tensor.String {
		elements := make([][]byte, len(v.Strings))
		for i, s := range v.Strings {
			elements[i] = unbase64(t, s)
		}
		made, err = tensor.NewStrings(v.Shape, elements)
	} else {
		made, err = tensor.New(dtype, v.Shape, unbase64(t, v.Data))
	}
	if err != nil {
		t.Fatal(err)
	}
	return made
}

func unbase64(t *testing.T, s string) []byte {
	t.Helper()
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestReadGoldenValues compares the bytes of every dtype and of strings of all
// shapes.
func TestReadGoldenValues(t *testing.T) {
	for _, name := range []string{"dtypes", "strings"} {
		folder := goldens("tensorflow-2.21.0-" + name)
		want := make(map[string]*value)
		readJSON(t, filepath.Join(folder, "values.json"), &want)
		r, err := ckpt.Open(t.Context(), filepath.Join(folder, name), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		for key, value := range want {
			got, err := r.Tensor(t.Context(), key)
			if err != nil {
				t.Errorf("%s: %v", key, err)
				continue
			}
			want := value.tensor(t)
			if got.DType() != want.DType() || !got.Shape().Equal(want.Shape()) {
				t.Errorf("%s: got %v %v, want %v %v", key, got.DType(), got.Shape(), want.DType(), want.Shape())
			}
			if got, want := hash(got), hash(want); got != want {
				t.Errorf("%s: got hash %s, want %s", key, got, want)
			}
		}
		count := 0
		for range r.Variables() {
			count++
		}
		if count != len(want) {
			t.Errorf("%s: got %d tensors, want %d", name, count, len(want))
		}
	}
}

// TestGoldensAreUntouched compares the goldens with the hashes of their day.
func TestGoldensAreUntouched(t *testing.T) {
	manifests, err := filepath.Glob(goldens("tensorflow-*", "MANIFEST.md"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no goldens: %v", err)
	}
	for _, manifest := range manifests {
		content, err := os.ReadFile(manifest)
		if err != nil {
			t.Fatal(err)
		}
		listed := 0
		for line := range strings.Lines(string(content)) {
			cells := strings.Split(line, " | ")
			hash, ok := strings.CutSuffix(cells[len(cells)-1], " |\n")
			if len(cells) != 3 || !ok || len(hash) != hex.EncodedLen(sha256.Size) {
				continue
			}
			listed++
			file := filepath.Join(filepath.Dir(manifest), filepath.FromSlash(strings.TrimPrefix(cells[0], "| ")))
			got, err := os.ReadFile(file)
			if err != nil {
				t.Error(err)
			} else if sum := sha256.Sum256(got); hex.EncodeToString(sum[:]) != hash {
				t.Errorf("%s: got SHA-256 %x, want %s", file, sum, hash)
			}
		}
		if listed == 0 {
			t.Errorf("%s lists no file", manifest)
		}
	}
}

// sameFiles compares the index and the one data file of two checkpoints.
func sameFiles(t *testing.T, got, want string) {
	t.Helper()
	for _, suffix := range []string{".data-00000-of-00001", ".index"} {
		a, err := os.ReadFile(got + suffix)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(want + suffix)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("%s differs from TensorFlow's %s:\n%s", got+suffix, want+suffix, firstDifference(a, b))
		}
	}
}

// firstDifference shows where two files part.
func firstDifference(got, want []byte) string {
	i := 0
	for i < len(got) && i < len(want) && got[i] == want[i] {
		i++
	}
	around := func(b []byte) string { return hex.Dump(b[max(i-32, 0):min(i+64, len(b))]) }
	return fmt.Sprintf("%d and %d bytes; around offset %d:\ngot\n%swant\n%s", len(got), len(want), i, around(got), around(want))
}
