package table_test

import (
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/table"
)

// manyEntries is the index of a checkpoint of 20000 variables.
func manyEntries() (entries []kv, size int64) {
	for i := range 20000 {
		e := kv{fmt.Sprintf("model/layer_%05d/kernel/.ATTRIBUTES/VARIABLE_VALUE", i), strings.Repeat("v", 24)}
		entries = append(entries, e)
		size += int64(len(e.key) + len(e.value))
	}
	return entries, size
}

func BenchmarkWriter(b *testing.B) {
	entries, size := manyEntries()
	keys, value := make([][]byte, len(entries)), []byte(entries[0].value)
	for i, e := range entries {
		keys[i] = []byte(e.key)
	}
	b.SetBytes(size)
	for b.Loop() {
		w := table.NewWriter(io.Discard, nil)
		for _, key := range keys {
			w.Add(key, value)
		}
		if err := w.Close(); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAll(b *testing.B) {
	entries, size := manyEntries()
	r := mustOpen(b, build(b, nil, entries))
	b.SetBytes(size)
	for b.Loop() {
		for _, err := range r.All() {
			if err != nil {
				b.Fatal(err)
			}
		}
	}
}

func BenchmarkGet(b *testing.B) {
	entries, _ := manyEntries()
	r := mustOpen(b, build(b, nil, entries))
	i := 0
	for b.Loop() {
		if _, ok, err := r.Get([]byte(entries[i%len(entries)].key)); !ok || err != nil {
			b.Fatal(ok, err)
		}
		i++
	}
}
