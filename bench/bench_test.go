// Package bench_test measures whole checkpoints beside the physical limits of
// the machine, in one run, so that the ratio means something:
//
//	go test ./bench -run '^$' -bench . -benchtime 5x
//
// W1 is a small program (15 tensors, 32 KB), W2 a larger one (480 tensors,
// 499 MB). Set BENCH_DIR to a folder of the disk to measure; the default is
// the temporary folder.
package bench_test

import (
	"context"
	"fmt"
	"hash/crc32"
	"iter"
	"os"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

type workload struct {
	name    string
	tensors int
	values  int // float32 in each
}

var workloads = []workload{{"W1", 15, 546}, {"W2", 480, 259_896}}

func (w workload) bytes() int64 { return int64(w.tensors) * int64(w.values) * 4 }

// objects makes the workload's variables in one list.
func (w workload) objects() *ckpt.Checkpoint {
	list := ckpt.NewList()
	for i := range w.tensors {
		data := make([]float32, w.values)
		for j := range data {
			data[j] = float32(i) + float32(j)*1e-3
		}
		if err := list.Append(ckpt.NewVariable(fmt.Sprintf("v%d", i), tensor.Shape{int64(w.values)}, data)); err != nil {
			panic(err)
		}
	}
	return ckpt.New(ckpt.Objects{"model": list})
}

func folder(b *testing.B) string {
	b.Helper()
	if base := os.Getenv("BENCH_DIR"); base != "" {
		dir, err := os.MkdirTemp(base, "bench")
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { os.RemoveAll(dir) })
		return dir
	}
	return b.TempDir()
}

func each(b *testing.B, fn func(b *testing.B, w workload, dir string)) {
	for _, w := range workloads {
		b.Run(w.name, func(b *testing.B) {
			b.SetBytes(w.bytes())
			fn(b, w, folder(b))
		})
	}
}

// BenchmarkSaveLimit writes and syncs the same bytes in two files with the
// renames and folder syncs a durable save needs, and nothing else.
func BenchmarkSaveLimit(b *testing.B) {
	each(b, func(b *testing.B, w workload, dir string) {
		block := make([]byte, 256<<10)
		for b.Loop() {
			for _, part := range []struct {
				name string
				size int64
			}{{"data", w.bytes()}, {"index", 4096}} {
				writeDurably(b, dir, part.name, part.size, block)
			}
		}
	})
}

func writeDurably(b *testing.B, dir, name string, size int64, block []byte) {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, name+".tmp"))
	if err != nil {
		b.Fatal(err)
	}
	for left := size; left > 0; left -= int64(len(block)) {
		if _, err := f.Write(block[:min(left, int64(len(block)))]); err != nil {
			b.Fatal(err)
		}
	}
	folder, err := os.Open(dir)
	if err != nil {
		b.Fatal(err)
	}
	for _, step := range []func() error{
		f.Sync, f.Close,
		func() error { return os.Rename(f.Name(), filepath.Join(dir, name)) },
		folder.Sync, folder.Close,
	} {
		if err := step(); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSave writes a new durable checkpoint each time.
func BenchmarkSave(b *testing.B) {
	each(b, func(b *testing.B, w workload, dir string) {
		c := w.objects()
		i := 0
		for b.Loop() {
			i++
			prefix := filepath.Join(dir, fmt.Sprint("c-", i))
			if _, err := c.Write(b.Context(), prefix, nil); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			for _, end := range []string{".index", ".data-00000-of-00001"} {
				if err := os.Remove(prefix + end); err != nil {
					b.Fatal(err)
				}
			}
			b.StartTimer()
		}
	})
}

// BenchmarkStallLimit copies the same bytes in memory.
func BenchmarkStallLimit(b *testing.B) {
	each(b, func(b *testing.B, w workload, _ string) {
		from, to := make([]byte, w.bytes()), make([]byte, w.bytes())
		for i := range from { // else all of it is one page of zeros
			from[i] = byte(i)
		}
		copy(to, from)
		for b.Loop() {
			copy(to, from)
		}
	})
}

// BenchmarkStall is how long a background save keeps the program waiting, with
// values that are copied.
func BenchmarkStall(b *testing.B) {
	each(b, func(b *testing.B, w workload, dir string) {
		stall(b, w.objects(), dir)
	})
}

// stall measures the calls only, not the writing behind them.
func stall(b *testing.B, c *ckpt.Checkpoint, dir string) {
	save := func() {
		if _, err := c.Write(b.Context(), filepath.Join(dir, "s"), &ckpt.SaveOptions{Background: true}); err != nil {
			b.Fatal(err)
		}
	}
	wait := func() {
		if err := c.Wait(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
	save() // the first one makes the memory that the others use again
	wait()
	for b.Loop() {
		save()
		b.StopTimer()
		wait()
		b.StartTimer()
	}
}

// stable is a value that is replaced and never changed, as those of keras are.
type stable struct {
	*ckpt.RawVariable
	data []byte
}

func (s *stable) Values() []ckpt.Value                            { return []ckpt.Value{s} }
func (s *stable) Snapshot(context.Context) (ckpt.Snapshot, error) { return s, nil }
func (s *stable) Chunks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { yield(s.data) }
}
func (s *stable) Release()     {}
func (s *stable) Stable() bool { return true }

// BenchmarkStallByReference is BenchmarkStall with values that are held as they
// are.
func BenchmarkStallByReference(b *testing.B) {
	each(b, func(b *testing.B, w workload, dir string) {
		list := ckpt.NewList()
		for i := range w.tensors {
			shape := tensor.Shape{int64(w.values)}
			v := &stable{ckpt.NewRawVariable(fmt.Sprintf("v%d", i), tensor.Float32, shape, nil), make([]byte, 4*w.values)}
			if err := list.Append(v); err != nil {
				b.Fatal(err)
			}
		}
		stall(b, ckpt.New(ckpt.Objects{"model": list}), dir)
	})
}

// BenchmarkLoadLimit reads the same bytes into the same memory and takes their
// CRC-32C, on one core.
func BenchmarkLoadLimit(b *testing.B) {
	each(b, func(b *testing.B, w workload, dir string) {
		prefix, err := w.objects().Write(b.Context(), filepath.Join(dir, "c"), nil)
		if err != nil {
			b.Fatal(err)
		}
		dst := make([]byte, w.bytes())
		table := crc32.MakeTable(crc32.Castagnoli)
		const chunk = 256 << 10
		for b.Loop() {
			f, err := os.Open(prefix + ".data-00000-of-00001")
			if err != nil {
				b.Fatal(err)
			}
			for at := int64(0); at < w.bytes(); at += chunk {
				p := dst[at:min(at+chunk, w.bytes())]
				if _, err := f.ReadAt(p, at); err != nil {
					b.Fatal(err)
				}
				crc32.Update(0, table, p)
			}
			f.Close()
		}
	})
}

// BenchmarkLoad restores a checkpoint into live objects: in place (one pass) and
// staged (all or nothing, two passes).
func BenchmarkLoad(b *testing.B) {
	for _, inPlace := range []bool{true, false} {
		b.Run(fmt.Sprintf("InPlace=%v", inPlace), func(b *testing.B) {
			each(b, func(b *testing.B, w workload, dir string) {
				c := w.objects()
				prefix, err := c.Write(b.Context(), filepath.Join(dir, "c"), nil)
				if err != nil {
					b.Fatal(err)
				}
				for b.Loop() {
					if _, err := c.Read(b.Context(), prefix, &ckpt.RestoreOptions{InPlace: inPlace}); err != nil {
						b.Fatal(err)
					}
				}
			})
		})
	}
}

// BenchmarkOpenList opens a checkpoint and lists what it holds.
func BenchmarkOpenList(b *testing.B) {
	for _, w := range append(workloads, workload{"100000", 100_000, 1}) {
		b.Run(w.name, func(b *testing.B) {
			prefix, err := w.objects().Write(b.Context(), filepath.Join(folder(b), "c"), nil)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				r, err := ckpt.Open(b.Context(), prefix, nil)
				if err != nil {
					b.Fatal(err)
				}
				n := 0
				for _, err := range r.Variables() {
					if err != nil {
						b.Fatal(err)
					}
					n++
				}
				r.Close()
				if n != w.tensors+1 {
					b.Fatalf("%d tensors", n)
				}
			}
		})
	}
}
