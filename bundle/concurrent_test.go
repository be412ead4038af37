package bundle_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// TestConcurrentReads reads many small tensors of two shards, in order and out
// of it, from several goroutines.
func TestConcurrentReads(t *testing.T) {
	const tensors = 3000
	b := mem.New()
	entries := make(map[string]bundle.Entry)
	for shard := range 2 {
		var all []named
		for i := range tensors / 2 {
			// Now and then one that is too large for reading ahead.
			shape := tensor.Shape{int64(1 + i%7)}
			if i%500 == 250 {
				shape = tensor.Shape{5000}
			}
			values := make([]int32, shape[0])
			for j := range values {
				values[j] = int32(shard*tensors + i)
			}
			all = append(all, add(t, fmt.Sprintf("%d/%04d", shard, i), shape, values...))
		}
		mustSave(t, b, fmt.Sprint(shard), all...)
		put(t, b, bundle.DataName("p", shard, 2), get(t, b, bundle.DataName(fmt.Sprint(shard), 0, 1)))
		for item, err := range open(t, b, fmt.Sprint(shard)).Entries() {
			if err != nil {
				t.Fatal(err)
			}
			item.Entry.Shard = int32(shard)
			entries[item.Key] = item.Entry
		}
	}
	putIndex(t, b, "p.index", bundle.Header{NumShards: 2, Producer: 1}, entries)
	counted := &counter{Bucket: b}
	r := open(t, counted, "p")
	var wg sync.WaitGroup
	for worker := range 4 {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(uint64(worker), 0))
			for n := range tensors {
				shard, i := n%2, n/2
				if worker%2 == 1 {
					shard, i = random.IntN(2), random.IntN(tensors/2)
				}
				checkSmall(t, r, shard, i, int32(shard*tensors+i))
			}
		})
	}
	wg.Wait()
	if counted.opened != 3 {
		t.Errorf("opened %d files, want index and two shards once each", counted.opened)
	}
}

func checkSmall(t *testing.T, r *bundle.Reader, shard, i int, want int32) {
	key := fmt.Sprintf("%d/%04d", shard, i)
	v, err := r.Tensor(t.Context(), key)
	if err != nil {
		t.Error(err)
		return
	}
	got, err := tensor.Values[int32](v)
	if err != nil || got[0] != want || got[len(got)-1] != want {
		t.Errorf("%s: got %v, %v, want %d", key, got[0], err, want)
	}
}

// counter counts how often files are opened and read.
type counter struct {
	storage.Bucket
	mu     sync.Mutex
	opened int
	reads  int
}

func (c *counter) Open(ctx context.Context, name string) (storage.File, error) {
	f, err := c.Bucket.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.opened++
	return &countedFile{f, c}, nil
}

type countedFile struct {
	storage.File
	c *counter
}

func (f *countedFile) ReadAt(p []byte, off int64) (int, error) {
	f.c.mu.Lock()
	f.c.reads++
	f.c.mu.Unlock()
	return f.File.ReadAt(p, off)
}

// TestReadAhead reads many scalars with few reads, and a single one with one.
func TestReadAhead(t *testing.T) {
	var all []named
	for i := range 1000 {
		all = append(all, add(t, fmt.Sprintf("%04d", i), nil, int32(i)))
	}
	b := mem.New()
	mustSave(t, b, "p", all...)
	counted := &counter{Bucket: b}
	r := open(t, counted, "p")
	counted.reads = 0
	if got := values[int32](t, r, "0500"); got[0] != 500 {
		t.Errorf("got %v, want 500", got)
	}
	if counted.reads > 2 {
		t.Errorf("one scalar took %d reads, want at most 2: a block of the index, and the scalar", counted.reads)
	}
	for i := range 1000 {
		if got := values[int32](t, r, fmt.Sprintf("%04d", i)); got[0] != int32(i) {
			t.Errorf("got %v, want %d", got, i)
		}
	}
	if counted.reads > 10 {
		t.Errorf("1000 scalars took %d reads", counted.reads)
	}
}

// TestLazy opens a checkpoint whose data does not exist.
func TestLazy(t *testing.T) {
	b := mem.New()
	putF(t, b)
	counted := &counter{Bucket: b}
	r := open(t, counted, "p")
	keys(t, r)
	if _, err := r.Entry("a"); err != nil {
		t.Fatal(err)
	}
	if counted.opened != 1 {
		t.Errorf("opened %d files, want the index only", counted.opened)
	}
}
