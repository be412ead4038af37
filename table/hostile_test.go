package table_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/table"
)

// fewRestarts is a block of entries whose only restart point is the first.
func fewRestarts(keys []string, value string) []byte {
	var entries []rawEntry
	last := ""
	for _, key := range keys {
		n := 0
		for n < len(last) && n < len(key) && last[n] == key[n] {
			n++
		}
		entries = append(entries, rawEntry{uint64(n), key[n:], value})
		last = key
	}
	return contents(entries, 0)
}

// A block without restart points must not make each search walk through it.
func TestFewRestarts(t *testing.T) {
	for _, tc := range []struct {
		name   string
		prefix string
		n      int
		value  string
	}{
		{"short keys", "", 100_000, "value"},
		{"long shared keys", strings.Repeat("k", 40<<10), 3000, ""},
		{"large values", "", 100, strings.Repeat("v", 5000)},
	} {
		t.Run(tc.name, func(t *testing.T) {
			keys := make([]string, tc.n)
			for i := range keys {
				keys[i] = fmt.Sprintf("%s%07d", tc.prefix, 2*i)
			}
			var f rawFile
			h := f.block(fewRestarts(keys, tc.value), 0)
			r := mustOpen(t, f.finish(index("\xff", h), 0))
			begin := time.Now()
			for i, key := range keys {
				if v, ok, err := r.Get([]byte(key)); !ok || err != nil || string(v) != tc.value {
					t.Fatalf("Get of key %d: %q, %v, %v", i, v, ok, err)
				}
				between := fmt.Sprintf("%s%07d", tc.prefix, 2*i+1)
				if _, ok, err := r.Get([]byte(between)); ok || err != nil {
					t.Fatalf("Get behind key %d: %v, %v", i, ok, err)
				}
			}
			if took := time.Since(begin); took > 20*time.Second {
				t.Errorf("%d searches took %v", 2*tc.n, took)
			}
		})
	}
}

// TestSeekAnyKeys compares Seek with a look at all keys, where keys share much,
// little or nothing, end early, and go on.
func TestSeekAnyKeys(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	word := func() string {
		b := bytes.Repeat([]byte("a"), random.IntN(3)*3000)
		for range random.IntN(12) {
			b = append(b, "ab\x00\xff"[random.IntN(4)])
		}
		return string(b)
	}
	for range 20 {
		set := map[string]bool{}
		for range 200 {
			set[word()] = true
		}
		var entries []kv
		for key := range set {
			entries = append(entries, kv{key: key})
		}
		slices.SortFunc(entries, func(a, b kv) int { return strings.Compare(a.key, b.key) })
		var keys []string
		for _, e := range entries {
			keys = append(keys, e.key)
		}
		var f rawFile
		h := f.block(fewRestarts(keys, ""), 0)
		r := mustOpen(t, f.finish(index(strings.Repeat("\xff", 20), h), 0))
		for range 500 {
			target := word()
			want, wantOK := "", false
			for _, key := range keys {
				if key >= target {
					want, wantOK = key, true
					break
				}
			}
			if it := r.Seek([]byte(target)); it.Valid() != wantOK || string(it.Key()) != want {
				t.Fatalf("Seek(%.20q): got %v %.20q, want %v %.20q", target, it.Valid(), it.Key(), wantOK, want)
			}
		}
	}
}

func counted(t *testing.T, file []byte, o *table.ReaderOptions) (*table.Reader, *counter) {
	t.Helper()
	c := &counter{r: bytes.NewReader(file)}
	r, err := table.NewReader(c, int64(len(file)), o)
	if err != nil {
		t.Fatal(err)
	}
	c.calls, c.bytes = 0, 0
	return r, c
}

// Blocks without entries must not make each Get walk through them all.
func TestGetReadsOneBlock(t *testing.T) {
	var f rawFile
	var pairs []string
	for i := range 100 {
		pairs = append(pairs, fmt.Sprintf("z%03d", i), f.block(contents(nil, 0), 0))
	}
	pairs = append(pairs, "zz", f.block(contents([]rawEntry{{0, "a", "1"}, {0, "zy", "2"}}, 0, 5), 0))
	r, reads := counted(t, f.finish(index(pairs...), 0), nil)
	for _, key := range []string{"a", "b", "z050", "zy"} {
		before := reads.calls
		v, ok, err := r.Get([]byte(key))
		if err != nil || ok != (key == "zy") || ok && string(v) != "2" {
			t.Errorf("Get(%q): %q, %v, %v", key, v, ok, err)
		}
		if n := reads.calls - before; n > 1 {
			t.Errorf("Get(%q) reads %d blocks", key, n)
		}
	}
	// What Get cannot find is out of order.
	_, err := scan(r)
	wantCorrupt(t, err, fault.KindFormat, "keys are not in ascending order")
}

// Keys that alternate between blocks must not read each block again and again.
func TestCache(t *testing.T) {
	var entries []kv
	for i := range 3000 {
		entries = append(entries, kv{fmt.Sprintf("k%05d", i), strings.Repeat("v", 100)})
	}
	file := build(t, &table.WriterOptions{BlockSize: 4 << 10}, entries)
	for _, tc := range []struct {
		name        string
		cache       int64
		least, most int // bytes read, in files
	}{
		{"none", 0, 20, 1000},
		{"too small", 100, 20, 1000},
		{"some", 32 << 10, 20, 1000},
		{"all", int64(len(file)), 0, 1},
	} {
		r, reads := counted(t, file, &table.ReaderOptions{Cache: tc.cache})
		for i := range entries {
			key := entries[i*1009%len(entries)].key
			if _, ok, err := r.Get([]byte(key)); !ok || err != nil {
				t.Fatalf("%s: Get(%q): %v, %v", tc.name, key, ok, err)
			}
		}
		if n := reads.bytes / len(file); n < tc.least || n > tc.most {
			t.Errorf("%s: the file was read %d times, want %d to %d", tc.name, n, tc.least, tc.most)
		}
	}
}
