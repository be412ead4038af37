package edit_test

import (
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

const (
	keyA    = "a/.ATTRIBUTES/VARIABLE_VALUE"
	keyB    = "b/.ATTRIBUTES/VARIABLE_VALUE"
	keyNote = "note/.ATTRIBUTES/VARIABLE_VALUE"
	keyStep = "step/.ATTRIBUTES/VARIABLE_VALUE"
)

// save writes a checkpoint of exactly this prefix. a is frozen, the others tell the
// step.
func save(t testing.TB, b storage.Bucket, prefix string, step int64, o *ckpt.SaveOptions) {
	t.Helper()
	a := ckpt.NewVariable("a", tensor.Shape{64}, numbers(64, 1))
	w := ckpt.NewVariable("b", tensor.Shape{8, 4}, numbers(32, float32(step)))
	note := ckpt.NewStringVariable("note", tensor.Shape{2}, [][]byte{[]byte("frozen"), []byte("text")})
	c := ckpt.New(ckpt.Objects{"a": a, "b": w, "note": note, "step": ckpt.NewScalar("step", step)})
	options := ckpt.SaveOptions{}
	if o != nil {
		options = *o
	}
	options.Bucket = b
	if _, err := c.Write(t.Context(), prefix, &options); err != nil {
		t.Fatal(err)
	}
}

func numbers(n int, from float32) []float32 {
	v := make([]float32, n)
	for i := range v {
		v[i] = from + float32(i)/4
	}
	return v
}

// change puts other bytes into a file of a bucket.
func change(t testing.TB, b storage.Bucket, name string, do func(data []byte) []byte) {
	t.Helper()
	data := do([]byte(storagetest.Get(t, b, name)))
	storagetest.Put(t, b, name, string(data))
}

func flip(bits ...int) func([]byte) []byte {
	return func(data []byte) []byte {
		for _, bit := range bits {
			data[bit/8] ^= 1 << (bit % 8)
		}
		return data
	}
}

// placeOf is where the bytes of a tensor are.
func placeOf(t testing.TB, b storage.Bucket, prefix, key string) (shard int, offset, size int64) {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, &ckpt.OpenOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for v, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		if v.Name == key {
			return v.Shard, v.Offset, v.Bytes
		}
	}
	t.Fatalf("%s has no %s", prefix, key)
	return 0, 0, 0
}

// filesOf are the files of a checkpoint, but for metadata, by the rest of their names.
func filesOf(t testing.TB, b storage.Bucket, prefix string) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, name := range storagetest.List(t, b, prefix+".") {
		if !strings.HasSuffix(name, ".meta.json") {
			all[name[len(prefix):]] = storagetest.Get(t, b, name)
		}
	}
	return all
}

// everything is all files of a bucket.
func everything(t testing.TB, b storage.Bucket) map[string]string {
	t.Helper()
	all := make(map[string]string)
	for _, name := range storagetest.List(t, b, "") {
		all[name] = storagetest.Get(t, b, name)
	}
	return all
}

func wantSame(t testing.TB, got, want map[string]string) {
	t.Helper()
	for name, data := range want {
		if got[name] != data {
			t.Errorf("%s differs: %d bytes, want %d", name, len(got[name]), len(data))
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s is new", name)
		}
	}
}

// wantGood verifies a checkpoint, with its digests if it should have some.
func wantGood(t testing.TB, b storage.Bucket, prefix string, digests bool) {
	t.Helper()
	v, err := ckpt.Verify(t.Context(), prefix, &ckpt.VerifyOptions{Bucket: b, Digests: digests})
	if err != nil || !v.OK() {
		t.Errorf("%s: %v, %v", prefix, v, err)
	}
}

// repair repairs bad into good, and checks that nothing else changed.
func repair(t testing.TB, b storage.Bucket, o *edit.RepairOptions) (*edit.Repaired, error) {
	t.Helper()
	before := everything(t, b)
	options := edit.RepairOptions{}
	if o != nil {
		options = *o
	}
	options.Bucket = b
	r, err := edit.Repair(t.Context(), "ckpt-2", "good", &options)
	after := everything(t, b)
	for name := range after {
		if strings.HasPrefix(name, "good.") {
			if err != nil || options.DryRun {
				t.Errorf("%s was left by a repair that failed or was none: %v", name, err)
			}
			delete(after, name)
		}
	}
	wantSame(t, after, before)
	return r, err
}

// fates is what became of the damaged tensors, one a line.
func fates(r *edit.Repaired) string {
	var b bytes.Buffer
	fmt.Fprintf(&b, "index %s", r.Index.How)
	for _, t := range r.Tensors {
		fmt.Fprintf(&b, "; %s %s", strings.TrimSuffix(t.Name, "/.ATTRIBUTES/VARIABLE_VALUE"), t.How)
	}
	return b.String()
}

func newBucket() storage.Bucket { return mem.New() }
