package bundle_test

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/tensor"
)

// wildDir holds checkpoints that people published; it is not part of the
// project.
const wildDir = "../../shared/wild"

// truth is what TensorFlow read in a checkpoint.
type truth struct {
	Prefix  string
	Opens   bool
	Error   string
	Tensors []struct {
		Key, DType string
		Shape      tensor.Shape
		Bytes      int64
		SHA256     string
	}
}

func wildTruths(t *testing.T) map[string][]truth {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join(wildDir, "*", "truth.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(paths) == 0 {
		t.Skipf("no checkpoints in %s", wildDir)
	}
	all := make(map[string][]truth)
	for _, p := range paths {
		text, err := os.ReadFile(p)
		if err != nil {
			t.Fatal(err)
		}
		var doc struct{ Checkpoints []truth }
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", p, err)
		}
		all[filepath.Base(filepath.Dir(p))] = doc.Checkpoints
	}
	return all
}

// hash is the SHA-256 of truth.json, and the number of value bytes. Its strings
// are all scalars, hashed without their length whatever its README says.
func hash(v *tensor.Tensor) (sum string, size int64) {
	h := sha256.New()
	h.Write(v.Bytes())
	size = int64(len(v.Bytes()))
	for _, s := range v.Strings() {
		h.Write(s)
		size += int64(len(s))
	}
	return hex.EncodeToString(h.Sum(nil)), size
}

func TestWild(t *testing.T) {
	for name, checkpoints := range wildTruths(t) {
		for _, c := range checkpoints {
			t.Run(name+"/"+c.Prefix, func(t *testing.T) {
				b := local.Open(filepath.Join(wildDir, name, filepath.Dir(c.Prefix)), nil)
				checkWild(t, b, filepath.Base(c.Prefix), c)
			})
		}
	}
}

func checkWild(t *testing.T, b *local.Bucket, prefix string, want truth) {
	r, err := bundle.Open(t.Context(), b, prefix, nil)
	if !want.Opens {
		wantErr(t, err, bundle.ErrCorrupt, want.Error, "Git LFS")
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	got := keys(t, r)
	var wantKeys []string
	for _, w := range want.Tensors {
		wantKeys = append(wantKeys, w.Key)
	}
	slices.Sort(wantKeys)
	if !slices.Equal(got, wantKeys) {
		t.Errorf("got keys %q, want %q", got, wantKeys)
	}
	for _, w := range want.Tensors {
		v, err := r.Tensor(t.Context(), w.Key)
		if err != nil {
			t.Errorf("%s: %v", w.Key, err)
			continue
		}
		sum, size := hash(v)
		if v.DType().String() != w.DType || !v.Shape().Equal(w.Shape) || size != w.Bytes || sum != w.SHA256 {
			t.Errorf("%s: got %s of %d bytes, sha256 %s, want %s %s of %d bytes, sha256 %s", w.Key, v, size, sum, w.DType, w.Shape, w.Bytes, w.SHA256)
		}
		if err := r.Check(t.Context(), w.Key); err != nil {
			t.Errorf("check %s: %v", w.Key, err)
		}
	}
	for c := range r.CheckLayout(t.Context()) {
		t.Errorf("CheckLayout: %v", c)
	}
}
