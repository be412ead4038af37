package ckpt_test

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// record is one entry of a crafted index.
type record struct{ key, value string }

// craftedIndex is a table of one block that holds the records in that order,
// whatever their keys are.
func craftedIndex(records []record) string {
	var file []byte
	block := func(records []record) (handle string) {
		var p, restarts []byte
		for _, r := range records {
			restarts = binary.LittleEndian.AppendUint32(restarts, uint32(len(p)))
			p = append(p, 0)
			p = binary.AppendUvarint(binary.AppendUvarint(p, uint64(len(r.key))), uint64(len(r.value)))
			p = append(append(p, r.key...), r.value...)
		}
		if len(records) == 0 {
			restarts = make([]byte, 4)
		}
		p = binary.LittleEndian.AppendUint32(append(p, restarts...), uint32(len(restarts)/4))
		handle = string(binary.AppendUvarint(binary.AppendUvarint(nil, uint64(len(file))), uint64(len(p))))
		p = append(p, 0)
		file = binary.LittleEndian.AppendUint32(append(file, p...), crc32c.Mask(crc32c.Value(p)))
		return handle
	}
	data := block(records)
	footer := block(nil) + block([]record{{"\xff", data}})
	footer += string(make([]byte, 40-len(footer))) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
	return string(file) + footer
}

func craftedHeader() record {
	return record{"", string(bundle.EncodeHeader(nil, &bundle.Header{NumShards: 1, Producer: 1}))}
}

func craftedEntry(key string, e bundle.Entry) record {
	return record{key, string(bundle.EncodeEntry(nil, &e))}
}

// crafted is a checkpoint that no writer makes. Real TensorFlow 2.21 dies when it
// reads one of the first four, and takes the others for good.
type crafted struct {
	name    string
	records []record
	data    string
	kind    ckpt.Kind
	opens   bool   // Open does not see it
	want    string // the message of whoever sees it
}

func craftedCheckpoints() []crafted {
	zeros := func(n int) bundle.Entry {
		return bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{int64(n)}, Size: 4 * int64(n), CRC: crc32c.Value(make([]byte, 4*n))}
	}
	with := func(e bundle.Entry, change func(e *bundle.Entry)) bundle.Entry { change(&e); return e }
	part := func(start, length int64) bundle.Slice { return bundle.Slice{{Start: start, Length: length}} }
	one := func(e bundle.Entry) []record { return []record{craftedHeader(), craftedEntry("w", e)} }

	sliced := func(all ...bundle.Slice) record {
		return craftedEntry("w", bundle.Entry{DType: tensor.Float32, Shape: tensor.Shape{2}, Slices: all})
	}
	strs := func(lengths []uint64, payload string, shape tensor.Shape) (stored string, e bundle.Entry) {
		var varints, numbers []byte
		for _, n := range lengths {
			varints = binary.AppendUvarint(varints, n)
			if n <= math.MaxUint32 {
				numbers = binary.LittleEndian.AppendUint32(numbers, uint32(n))
			} else {
				numbers = binary.LittleEndian.AppendUint64(numbers, n)
			}
		}
		rest := string(binary.LittleEndian.AppendUint32(nil, crc32c.Mask(crc32c.Value(numbers)))) + payload
		stored = string(varints) + rest
		return stored, bundle.Entry{DType: tensor.String, Shape: shape, Size: int64(len(stored)), CRC: crc32c.Value([]byte(string(numbers) + rest))}
	}
	wrapped, wrapping := strs([]uint64{1 << 63, 1<<63 + 8}, "12345678", tensor.Shape{2}) // together 2⁶⁴ + 8
	graph, garbage := strs([]uint64{10}, "\x01\xff garbage", nil)
	return []crafted{
		{"negative dimension", one(with(zeros(2), func(e *bundle.Entry) { e.Shape = tensor.Shape{2, -1} })), strings.Repeat("\x00", 8),
			ckpt.KindEntry, true, `p.index: tensor "w": invalid tensor shape: [2,?]: dimension 1 is negative, -1`},
		{"rank over 254", one(with(zeros(1), func(e *bundle.Entry) { e.Shape = slices.Repeat(tensor.Shape{1}, 255) })), strings.Repeat("\x00", 4),
			ckpt.KindEntry, true, `p.index: tensor "w": invalid tensor shape: it has 255 dimensions, at most 254 are possible`},
		{"wrapping string lengths", one(wrapping), wrapped,
			ckpt.KindEntry, true, `p.data-00000-of-00001: tensor "w": offset 0, 32 bytes: invalid size in bundle entry: the lengths of the strings add up to more than its 32 bytes`},
		{"duplicate slices", []record{craftedHeader(), craftedEntry(bundle.EncodeSliceKey("w", part(0, 1)), zeros(1)), sliced(part(0, 1), part(0, 1))}, strings.Repeat("\x00", 8),
			ckpt.KindOverlap, true, `p.index: tensor "w": Overlapping slices: existing slice = 0,1, new slice = 0,1`},
		{"duplicate keys", append(one(zeros(1)), craftedEntry("w", with(zeros(1), func(e *bundle.Entry) { e.Offset = 4 }))), strings.Repeat("\x00", 8),
			ckpt.KindFormat, false, `p.index: tensor "w": offset 0, 65 bytes: two entries have the same key`},
		{"missing header", one(zeros(1))[1:], strings.Repeat("\x00", 4),
			ckpt.KindFormat, false, `p.index: the index has no header entry (failed to seek to header entry)`},
		{"wrong-sized slices", []record{craftedHeader(), craftedEntry(bundle.EncodeSliceKey("w", part(0, 2)), zeros(1)), sliced(part(0, 2))}, strings.Repeat("\x00", 8),
			ckpt.KindEntry, true, `p.index: tensor "w": slice 0,2 of a float32 tensor of shape [2] is stored as float32 [1]`},
		{"garbage object graph", []record{craftedHeader(), craftedEntry(objectgraph.Key, garbage), craftedEntry("w", with(zeros(1), func(e *bundle.Entry) { e.Offset = int64(len(graph)) }))}, graph + "\x00\x00\x00\x00",
			ckpt.KindGraph, true, `p.data-00000-of-00001: tensor "_CHECKPOINTABLE_OBJECT_GRAPH": object graph does not parse: offset 1: field number 0`},
	}
}

// put stores the checkpoint under a prefix.
func (c *crafted) put(t *testing.T, b storage.Bucket, prefix string) {
	t.Helper()
	storagetest.Put(t, b, prefix+".index", craftedIndex(c.records))
	storagetest.Put(t, b, dataOf(prefix), c.data)
}

// TestCraftedCheckpoints reads what makes TensorFlow die or believe nonsense. The
// error tells the file, the tensor and what is wrong, and is the same from
// whoever meets it.
func TestCraftedCheckpoints(t *testing.T) {
	for _, c := range craftedCheckpoints() {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			c.put(t, b, "p")
			want := func(what string, err error) {
				t.Helper()
				var damage *ckpt.CorruptError
				if !errors.As(err, &damage) || damage.Error() != c.want || damage.Kind != c.kind || !errors.Is(err, ckpt.ErrCorrupt) {
					t.Errorf("%s: got %v, want %s", what, err, c.want)
				}
			}
			v, err := ckpt.Verify(t.Context(), "p", &ckpt.VerifyOptions{Bucket: b})
			if err != nil || len(v.Problems) != 1 {
				t.Fatalf("Verify: got %+v, %v, want one problem", v, err)
			}
			want("Verify", v.Problems[0])
			w := ckpt.NewVariable("w", tensor.Shape{2}, []float32{1, 2})
			if _, err = ckpt.New(ckpt.Objects{"w": w}).Read(t.Context(), "p", &ckpt.RestoreOptions{Bucket: b}); c.kind == ckpt.KindGraph || !c.opens {
				want("Read", err)
			} else if err == nil {
				t.Error("Read: got no error")
			}
			wantValues(t, "w", w, 1, 2)
			r, err := ckpt.Open(t.Context(), "p", &ckpt.OpenOptions{Bucket: b})
			if !c.opens {
				want("Open", err)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close()
			_, tensorErr := r.Tensor(t.Context(), "w")
			_, graphErr := r.Graph(t.Context())
			if c.kind == ckpt.KindGraph {
				want("Graph", graphErr)
				if tensorErr != nil {
					t.Errorf("Tensor beside the graph: got %v", tensorErr)
				}
				return
			}
			want("Tensor", tensorErr)
			raw, err := bundle.Open(t.Context(), b, "p", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer raw.Close()
			want("Check", raw.Check(t.Context(), "w"))
		})
	}
}
