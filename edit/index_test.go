package edit_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// TestRepairIndexBits flips each bit of an index. With its SHA-256 recorded it comes
// back byte for byte; without, damage that only leads to the entries is undone, and
// nothing is ever made up.
func TestRepairIndexBits(t *testing.T) {
	for _, o := range []*ckpt.SaveOptions{withDigests, nil} {
		t.Run(fmt.Sprintf("digests %v", o != nil), func(t *testing.T) {
			b := newBucket()
			save(t, b, "ckpt-2", 2, o)
			want := filesOf(t, b, "ckpt-2")
			index := []byte(want[".index"])
			done := make(map[edit.How]int)
			for bit := range 8 * len(index) {
				storagetest.Put(t, b, "ckpt-2.index", string(flip(bit)([]byte(string(index)))))
				r, err := edit.Repair(t.Context(), "ckpt-2", "good", &edit.RepairOptions{Bucket: b})
				if err != nil {
					done[edit.LeftOut]++
					if o != nil || !errors.Is(err, ckpt.ErrCorrupt) {
						t.Fatalf("bit %d: %v", bit, err)
					}
					continue
				}
				done[r.Index.How]++
				wantSame(t, filesOf(t, b, "good"), want)
				if t.Failed() {
					t.Fatalf("bit %d, index %s", bit, r.Index.How)
				}
				if err := ckpt.Remove(t.Context(), "good", &ckpt.FindOptions{Bucket: b}); err != nil {
					t.Fatal(err)
				}
			}
			t.Logf("%d bits: %v", 8*len(index), done)
		})
	}
}

// saveMany writes a checkpoint whose index has several blocks.
func saveMany(t *testing.T, b storage.Bucket, prefix string, step int, o *ckpt.SaveOptions) {
	t.Helper()
	objects := make(ckpt.Objects)
	for i := range 3000 {
		name := fmt.Sprintf("layer_%04d_%s", i, strings.Repeat(fmt.Sprint(i*7919), 12))
		objects[name] = ckpt.NewVariable(name, tensor.Shape{2}, []float32{float32(i), float32(step * (i % 2))})
	}
	options := ckpt.SaveOptions{}
	if o != nil {
		options = *o
	}
	options.Bucket = b
	if _, err := ckpt.New(objects).Write(t.Context(), prefix, &options); err != nil {
		t.Fatal(err)
	}
}

// TestRepairIndexBlocks zeroes bytes of one block of an index that has several.
func TestRepairIndexBlocks(t *testing.T) {
	b := newBucket()
	saveMany(t, b, "ckpt-2", 2, withDigests)
	want := filesOf(t, b, "ckpt-2")
	total := count(t, b, "ckpt-2")
	for _, c := range []struct {
		name   string
		at     func(size int) int
		header bool // that of another checkpoint is needed
	}{
		{"first block", func(int) int { return 1000 }, true},
		{"second block", func(int) int { return 300 << 10 }, false},
		{"index block", func(size int) int { return size - 60 }, false},
		{"footer", func(size int) int { return size - 20 }, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			storagetest.Put(t, b, "ckpt-2.index", want[".index"])
			change(t, b, "ckpt-2.index", func(data []byte) []byte {
				for i := range 16 {
					data[c.at(len(data))+i] ^= 0x5a
				}
				return data
			})
			r, err := repair(t, b, nil)
			if c.name == "index block" || c.name == "footer" {
				if err != nil || r.Index.How != edit.Rebuilt || !r.Identical {
					t.Errorf("got %+v, %v", r.Index, err)
				}
				wantSame(t, filesOf(t, b, "good"), want)
				remove(t, b, "good")
				return
			}
			if !errors.Is(err, ckpt.ErrCorrupt) {
				t.Errorf("got %v, want ErrCorrupt", err)
			}
			if c.header {
				_, err := repair(t, b, &edit.RepairOptions{AllowPartial: true})
				if !errors.Is(err, ckpt.ErrCorrupt) || !strings.Contains(err.Error(), "byte order") {
					t.Errorf("without a header: got %v", err)
				}
				save(t, b, "ckpt-1", 1, nil)
				defer remove(t, b, "ckpt-1")
			}
			r, err = repair(t, b, &edit.RepairOptions{AllowPartial: true})
			if err != nil || r.Index.How != edit.Salvaged || len(r.Index.Lost) != 1 || len(r.Tensors) != 0 {
				t.Fatalf("got %+v, %v", r, err)
			}
			wantGood(t, b, "good", true)
			if got := count(t, b, "good"); got != r.Intact || got < total/8 || got >= total {
				t.Errorf("%d tensors of %d, %d intact", got, total, r.Intact)
			}
			m, err := ckpt.ReadMetadata(t.Context(), "good", &ckpt.OpenOptions{Bucket: b})
			if err != nil || *m.Step != 2 {
				t.Errorf("metadata %+v, %v", m, err)
			}
			remove(t, b, "good")
		})
	}
}

// TestRepairStaleMetadata has metadata that belongs to a checkpoint that was there
// before: its digests and its step count for nothing.
func TestRepairStaleMetadata(t *testing.T) {
	b := newBucket()
	save(t, b, "ckpt-2", 1, withDigests)
	stale := storagetest.Get(t, b, "ckpt-2.meta.json")
	remove(t, b, "ckpt-2")
	save(t, b, "ckpt-2", 2, nil)
	storagetest.Put(t, b, "ckpt-2.meta.json", stale)
	flips(keyStep, 3)(t, b)
	r, err := repair(t, b, &edit.RepairOptions{AllowPartial: true})
	if err != nil || fates(r) != "index intact; step unrepaired" {
		t.Fatalf("got %q, %v", fates(r), err)
	}
	m, err := ckpt.ReadMetadata(t.Context(), "good", &ckpt.OpenOptions{Bucket: b})
	if err != nil || m.Step != nil || m.Digests != nil {
		t.Errorf("metadata %+v, %v", m, err)
	}
}

func remove(t *testing.T, b storage.Bucket, prefix string) {
	t.Helper()
	if err := ckpt.Remove(t.Context(), prefix, &ckpt.FindOptions{Bucket: b}); err != nil {
		t.Fatal(err)
	}
	if err := b.Remove(t.Context(), prefix+".meta.json"); err != nil && prefix == "ckpt-2" {
		t.Logf("no metadata: %v", err)
	}
}

// count is how many tensors a checkpoint has.
func count(t *testing.T, b storage.Bucket, prefix string) (n int) {
	t.Helper()
	r, err := ckpt.Open(t.Context(), prefix, &ckpt.OpenOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for _, err := range r.Variables() {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	return n
}

// TestRepairIndexNoise damages an index at random places: what comes out is what was
// written, or it is refused.
func TestRepairIndexNoise(t *testing.T) {
	b := newBucket()
	save(t, b, "ckpt-2", 2, withDigests)
	want := filesOf(t, b, "ckpt-2")
	random := rand.New(rand.NewPCG(1, 2))
	done := make(map[edit.How]int)
	for range 3000 {
		storagetest.Put(t, b, "ckpt-2.index", string(damage(random, []byte(want[".index"]))))
		r, err := edit.Repair(t.Context(), "ckpt-2", "good", &edit.RepairOptions{Bucket: b, AcceptRisk: true})
		if err != nil {
			done[edit.LeftOut]++
			continue
		}
		done[r.Index.How]++
		wantSame(t, filesOf(t, b, "good"), want)
		remove(t, b, "good")
		if t.Failed() {
			return
		}
	}
	t.Logf("%v", done)
}
