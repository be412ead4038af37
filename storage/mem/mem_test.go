package mem_test

import (
	"math"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

func TestContract(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Bucket { return mem.New() })
}

// TestSizeHint takes a size that cannot be true for what it is, a hint.
func TestSizeHint(t *testing.T) {
	b := mem.New()
	for _, size := range []int64{math.MinInt64, -1, 0, 1, math.MaxInt64} {
		w, err := b.Create(t.Context(), "a", &storage.CreateOptions{Size: size})
		if err != nil {
			t.Fatalf("Create: %v", err)
		}
		if _, err := w.Write([]byte("four")); err != nil {
			t.Errorf("Write: %v", err)
		}
		if err := w.Commit(t.Context()); err != nil {
			t.Errorf("Commit: %v", err)
		}
		if got := storagetest.Get(t, b, "a"); got != "four" {
			t.Errorf("size %d: got %q, want %q", size, got, "four")
		}
	}
}

func TestHugeOffset(t *testing.T) {
	w, err := mem.New().Create(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, off := range []int64{math.MaxInt64, math.MaxInt64 - 4} {
		if _, err := w.WriteAt([]byte("four"), off); err == nil {
			t.Errorf("WriteAt(4 bytes, %d): got no error", off)
		}
	}
}
