package bundle_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// swapped reverses the bytes of each unit.
func swapped(p []byte, unit int) []byte {
	var out []byte
	for part := range slices.Chunk(p, unit) {
		part = bytes.Clone(part)
		slices.Reverse(part)
		out = append(out, part...)
	}
	return out
}

func TestBU15BigEndian(t *testing.T) {
	for _, d := range fixed() {
		unit := d.Size()
		if d == tensor.Complex64 || d == tensor.Complex128 {
			unit /= 2
		}
		want := []byte(fill(d, 6, 1))
		data := swapped(want, unit)
		b := mem.New()
		putIndex(t, b, "p.index", bundle.Header{NumShards: 1, BigEndian: true, Producer: 1}, map[string]bundle.Entry{
			"x": {DType: d, Shape: tensor.Shape{2, 3}, Size: int64(len(data)), CRC: crc32c.Value(data)},
		})
		put(t, b, "p.data-00000-of-00001", data)
		r := open(t, b, "p")
		got, err := r.Tensor(t.Context(), "x")
		if err != nil || !bytes.Equal(got.Bytes(), want) {
			t.Errorf("%s: got %v, want %x", d, err, want)
		}
		if err := r.Check(t.Context(), "x"); err != nil {
			t.Error(err)
		}
		if !r.Header().BigEndian {
			t.Error("the header is not big-endian")
		}
	}
}

func TestBigEndianStrings(t *testing.T) {
	// Lengths and their checksum count in big-endian order.
	crc := crc32c.Value([]byte{0, 0, 0, 0, 0, 0, 0, 2})
	checksum := binary.BigEndian.AppendUint32(nil, crc32c.Mask(crc))
	crc = crc32c.Update(crc32c.Update(crc, checksum), []byte("ab"))
	data := slices.Concat([]byte{0, 2}, checksum, []byte("ab"))
	b := mem.New()
	putIndex(t, b, "p.index", bundle.Header{NumShards: 1, BigEndian: true}, map[string]bundle.Entry{
		"s": {DType: tensor.String, Shape: tensor.Shape{2}, Size: 8, CRC: crc},
		"v": {DType: tensor.Variant, Shape: tensor.Shape{1}, Size: 8, CRC: crc},
	})
	put(t, b, "p.data-00000-of-00001", data)
	r := open(t, b, "p")
	got, err := r.Strings(t.Context(), "s")
	if err != nil || len(got) != 2 || len(got[0]) > 0 || string(got[1]) != "ab" {
		t.Errorf("got %q, %v, want _ ab", got, err)
	}
	_, err = r.Tensor(t.Context(), "v")
	wantErr(t, err, errors.ErrUnsupported, "variant")
}
