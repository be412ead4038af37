package bundle_test

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

// Keys share prefixes in the file, so a small one can stand for names without
// end: they are refused before they fill the memory.
func TestNamesBeyondTheFile(t *testing.T) {
	for _, test := range []struct {
		name    string
		length  int // of what all keys begin with
		keys    int
		refused bool
	}{
		{"long names", 10_000, 100, false},
		{"a megabyte a thousand times", 1 << 20, 1000, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			var index bytes.Buffer
			// No restart points: each key is stored as what differs.
			w := table.NewWriter(&index, &table.WriterOptions{RestartInterval: 1 << 20, BlockSize: 1 << 30})
			entries := []struct{ key, value []byte }{{nil, bundle.EncodeHeader(nil, &bundle.Header{NumShards: 1, Producer: 1})}}
			common := strings.Repeat("x", test.length)
			value := bundle.EncodeEntry(nil, &bundle.Entry{DType: tensor.Float32, Size: 4})
			for i := range test.keys {
				entries = append(entries, struct{ key, value []byte }{fmt.Appendf(nil, "%s%06d", common, i), value})
			}
			for _, e := range entries {
				if err := w.Add(e.key, e.value); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			b := mem.New()
			storagetest.Put(t, b, "p.index", index.String())
			r, err := bundle.Open(t.Context(), b, "p", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			n := 0
			for _, err = range r.Entries() {
				if err != nil {
					break
				}
				n++
			}
			if errors.Is(err, bundle.ErrCorrupt) != test.refused || !test.refused && n != test.keys {
				t.Errorf("%d of %d names were listed from %d bytes: %v", n, test.keys, index.Len(), err)
			}
		})
	}
}
