package bundle_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// stringsOf saves a string tensor in either byte order and returns the length of
// what stands before its bytes.
func stringsOf(t *testing.T, b storage.Bucket, big bool, elements ...string) (head int) {
	t.Helper()
	var order binary.AppendByteOrder = binary.LittleEndian
	if big {
		order = binary.BigEndian
	}
	var data []byte
	var crc uint32
	for _, e := range elements {
		data = binary.AppendUvarint(data, uint64(len(e)))
		crc = crc32c.Update(crc, order.AppendUint32(nil, uint32(len(e))))
	}
	checksum := order.AppendUint32(nil, crc32c.Mask(crc))
	data = append(data, checksum...)
	text := strings.Join(elements, "")
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1, BigEndian: big}, map[string]bundle.Entry{
		"x": {DType: tensor.String, Shape: tensor.Shape{int64(len(elements))}, Offset: 3, Size: int64(len(data) + len(text)),
			CRC: crc32c.Update(crc32c.Update(crc, checksum), []byte(text))},
	})
	put(t, b, "p.data-00000-of-00001", slices.Concat([]byte("abc"), data, []byte(text)))
	return len(data)
}

// TestLengthFlips flips each bit of the lengths and of their checksum, and wants
// it and no other named.
func TestLengthFlips(t *testing.T) {
	for name, big := range map[string]bool{"little-endian": false, "big-endian": true} {
		t.Run(name, func(t *testing.T) {
			b := mem.New()
			head := stringsOf(t, b, big, "a", strings.Repeat("b", 200), "", strings.Repeat("c", 20_000), "dd")
			good := get(t, b, "p.data-00000-of-00001")
			for bit := range int64(8 * head) {
				bad := bytes.Clone(good)
				bad[3+bit/8] ^= 1 << (bit % 8)
				put(t, b, "p.data-00000-of-00001", bad)
				r := open(t, b, "p")
				if err := r.Check(t.Context(), "x"); err == nil {
					t.Errorf("bit %d: not noticed", bit)
				}
				got, searched, err := r.LengthFlips(t.Context(), "x")
				if err != nil || searched < int64(head) || !slices.Equal(got, []int64{bit}) {
					t.Errorf("bit %d: got %v of %d bytes, %v", bit, got, searched, err)
				}
			}
		})
	}
}

func TestLengthFlipsElsewhere(t *testing.T) {
	b := mem.New()
	stringsOf(t, b, false, slices.Repeat([]string{"x"}, 2000)...)
	if got, searched, err := open(t, b, "p").LengthFlips(t.Context(), "x"); got != nil || searched != 0 || err != nil {
		t.Errorf("many elements: got %v of %d bytes, %v", got, searched, err)
	}
	mustSave(t, b, "q", add(t, "n", tensor.Shape{2}, int32(1), 2), addStrings(t, "s", tensor.Shape{1}, "text"))
	r := open(t, b, "q")
	if got, searched, err := r.LengthFlips(t.Context(), "n"); got != nil || searched != 0 || err != nil {
		t.Errorf("numbers: got %v of %d bytes, %v", got, searched, err)
	}
	if got, searched, err := r.LengthFlips(t.Context(), "s"); got != nil || searched == 0 || err != nil {
		t.Errorf("undamaged: got %v of %d bytes, %v", got, searched, err)
	}
	if _, _, err := r.LengthFlips(t.Context(), "none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no tensor: got %v", err)
	}
}

// TestCheckFiles compares sizes and names, and nothing else.
func TestCheckFiles(t *testing.T) {
	for name, c := range map[string]struct {
		damage func(b storage.Bucket)
		kind   fault.Kind // "": nothing is found
	}{
		"fine":       {func(storage.Bucket) {}, ""},
		"other data": {func(b storage.Bucket) { put(t, b, "p.data-00000-of-00001", make([]byte, 12)) }, ""},
		"longer":     {func(b storage.Bucket) { put(t, b, "p.data-00000-of-00001", make([]byte, 100)) }, ""},
		"shorter":    {func(b storage.Bucket) { put(t, b, "p.data-00000-of-00001", make([]byte, 11)) }, fault.KindTruncated},
		"empty":      {func(b storage.Bucket) { put(t, b, "p.data-00000-of-00001", nil) }, fault.KindTruncated},
		"missing": {func(b storage.Bucket) {
			if err := b.Remove(t.Context(), "p.data-00000-of-00001"); err != nil {
				t.Fatal(err)
			}
		}, fault.KindMissing},
		"overlap": {func(b storage.Bucket) {
			putIndex(t, b, "p.index", bundle.Header{NumShards: 1}, map[string]bundle.Entry{
				"a": {DType: tensor.Int32, Shape: tensor.Shape{2}, Size: 8}, "b": {DType: tensor.Int32, Shape: tensor.Shape{2}, Size: 8},
			})
		}, ""},
		"no such shard": {func(b storage.Bucket) {
			putIndex(t, b, "p.index", bundle.Header{NumShards: 1}, map[string]bundle.Entry{
				"a": {DType: tensor.Int32, Shape: tensor.Shape{2}, Size: 8, Shard: 1},
			})
		}, fault.KindEntry},
		"sizes beyond all": {func(b storage.Bucket) {
			putIndex(t, b, "p.index", bundle.Header{NumShards: 1}, map[string]bundle.Entry{
				"a": {DType: tensor.Int32, Shape: tensor.Shape{2}, Size: 1<<63 - 1, Offset: 1<<63 - 1},
			})
		}, fault.KindTruncated},
	} {
		t.Run(name, func(t *testing.T) {
			b := mem.New()
			mustSave(t, b, "p", add(t, "a", tensor.Shape{2}, int32(1), 2), add(t, "b", tensor.Shape{1}, int32(3)))
			c.damage(b)
			found := slices.Collect(open(t, b, "p").CheckFiles(t.Context()))
			if c.kind == "" && len(found) > 0 || c.kind != "" && (len(found) != 1 || found[0].Kind != c.kind) {
				t.Errorf("got %v, want %q", found, c.kind)
			}
		})
	}
}
