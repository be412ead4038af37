package bundle_test

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// sink takes files and keeps nothing.
type sink struct{ storage.Bucket }

func (sink) Create(context.Context, string, *storage.CreateOptions) (storage.Writer, error) {
	return sinkWriter{}, nil
}

type sinkWriter struct{}

func (sinkWriter) Write(p []byte) (int, error)            { return len(p), nil }
func (sinkWriter) WriteAt(p []byte, _ int64) (int, error) { return len(p), nil }
func (sinkWriter) Abort() error                           { return nil }
func (sinkWriter) Commit(context.Context) error           { return nil }

// BenchmarkAdd is what writing costs beside the storage: the checksum, and the
// copy of what is smaller than a chunk.
func BenchmarkAdd(b *testing.B) {
	for _, size := range []int64{4, 4 << 10, 4 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			data := make([]byte, size)
			const batch = 1024
			names := make([]string, batch)
			for i := range names {
				names[i] = fmt.Sprintf("layer/%d/.ATTRIBUTES/VARIABLE_VALUE", i)
			}
			b.SetBytes(size)
			b.ReportAllocs()
			var w *bundle.Writer
			i := 0
			for b.Loop() {
				if i%batch == 0 {
					var err error
					if w, err = bundle.Create(b.Context(), sink{mem.New()}, "p", nil); err != nil {
						b.Fatal(err)
					}
				}
				if err := w.Add(b.Context(), names[i%batch], tensor.Uint8, tensor.Shape{size}, one(data)); err != nil {
					b.Fatal(err)
				}
				i++
			}
		})
	}
}

// BenchmarkSaveMany saves many scalars, beside the storage.
func BenchmarkSaveMany(b *testing.B) {
	const tensors = 100000
	names := make([]string, tensors)
	for i := range names {
		names[i] = fmt.Sprintf("layer/%d/.ATTRIBUTES/VARIABLE_VALUE", i)
	}
	zero := slices.Values([][]byte{make([]byte, 4)})
	b.ReportAllocs()
	for b.Loop() {
		w, err := bundle.Create(b.Context(), sink{mem.New()}, "p", nil)
		if err != nil {
			b.Fatal(err)
		}
		for _, name := range names {
			if err := w.Add(b.Context(), name, tensor.Float32, nil, zero); err != nil {
				b.Fatal(err)
			}
		}
		if err := w.Commit(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkReadInto reads one tensor of a file in the page cache, checksum
// included.
func BenchmarkReadInto(b *testing.B) {
	for _, size := range []int64{4, 4 << 10, 4 << 20, 64 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			bucket := local.Open(b.TempDir(), nil)
			data := make([]byte, size)
			mustSave(b, bucket, "p", named{"x", mustRaw(b, tensor.Uint8, tensor.Shape{size}, data)})
			r := open(b, bucket, "p")
			b.SetBytes(size)
			b.ReportAllocs()
			for b.Loop() {
				if err := r.ReadInto(b.Context(), "x", data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkList opens a checkpoint of many tensors and looks at each entry.
func BenchmarkList(b *testing.B) {
	const tensors = 100000
	bucket := mem.New()
	w, err := bundle.Create(b.Context(), bucket, "p", nil)
	if err != nil {
		b.Fatal(err)
	}
	zero := slices.Values([][]byte{make([]byte, 4)})
	for i := range tensors {
		if err := w.Add(b.Context(), fmt.Sprintf("layer/%d/.ATTRIBUTES/VARIABLE_VALUE", i), tensor.Float32, tensor.Shape{1}, zero); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		r, err := bundle.Open(b.Context(), bucket, "p", nil)
		if err != nil {
			b.Fatal(err)
		}
		n := 0
		for _, err := range r.Entries() {
			if err != nil {
				b.Fatal(err)
			}
			n++
		}
		if n != tensors {
			b.Fatalf("got %d entries", n)
		}
		r.Close()
	}
}

// BenchmarkReadMany opens a checkpoint of many scalars and reads all, in the order of the file.
func BenchmarkReadMany(b *testing.B) {
	const tensors = 10000
	bucket := local.Open(b.TempDir(), nil)
	w, err := bundle.Create(b.Context(), bucket, "p", nil)
	if err != nil {
		b.Fatal(err)
	}
	zero := slices.Values([][]byte{make([]byte, 4)})
	for i := range tensors {
		if err := w.Add(b.Context(), fmt.Sprintf("layer/%d/.ATTRIBUTES/VARIABLE_VALUE", i), tensor.Float32, nil, zero); err != nil {
			b.Fatal(err)
		}
	}
	if err := w.Commit(b.Context()); err != nil {
		b.Fatal(err)
	}
	dst := make([]byte, 4)
	b.ReportAllocs()
	for b.Loop() {
		r, err := bundle.Open(b.Context(), bucket, "p", nil)
		if err != nil {
			b.Fatal(err)
		}
		items := make([]bundle.Item, 0, tensors)
		for item, err := range r.Entries() {
			if err != nil {
				b.Fatal(err)
			}
			items = append(items, item)
		}
		slices.SortFunc(items, func(a, b bundle.Item) int { return cmp.Compare(a.Entry.Offset, b.Entry.Offset) })
		for i := range items {
			if err := r.ReadEntry(b.Context(), items[i].Key, &items[i].Entry, dst); err != nil {
				b.Fatal(err)
			}
		}
		r.Close()
	}
}
