package edit_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

// forge changes bytes, the last four so that the CRC-32C stays what it was.
func forge(p []byte) {
	want := crc32c.Value(p)
	p[0] ^= 0x55
	tail := p[len(p)-4:]
	got := crc32c.Value(p)
	// What each bit of the tail changes, with the bit; a CRC is linear.
	var rows [][2]uint32
	for bit := range 32 {
		tail[bit/8] ^= 1 << (bit % 8)
		rows = append(rows, [2]uint32{crc32c.Value(p) ^ got, 1 << bit})
		tail[bit/8] ^= 1 << (bit % 8)
	}
	left, flips := got^want, uint32(0)
	for bit := range 32 {
		i := slices.IndexFunc(rows, func(r [2]uint32) bool { return r[0]>>bit&1 == 1 })
		if i < 0 {
			continue
		}
		row := rows[i]
		rows = slices.Delete(rows, i, i+1)
		for k := range rows {
			if rows[k][0]>>bit&1 == 1 {
				rows[k][0] ^= row[0]
				rows[k][1] ^= row[1]
			}
		}
		if left>>bit&1 == 1 {
			left ^= row[0]
			flips ^= row[1]
		}
	}
	for bit := range 32 {
		tail[bit/8] ^= byte(flips >> bit & 1 << (bit % 8))
	}
}

// TestRepairForgedDonor has a donor with other bytes of the same CRC-32C. A SHA-256
// refuses it; without one it is refused if another donor contradicts.
func TestRepairForgedDonor(t *testing.T) {
	for _, c := range []struct {
		name  string
		save  *ckpt.SaveOptions
		other bool
		want  string
	}{
		{"SHA-256", withDigests, false, "index intact; a unrepaired"},
		{"SHA-256, and a good donor", withDigests, true, "index intact; a donor"},
		{"CRC-32C, and a good donor", nil, true, "index intact; a unrepaired"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBucket()
			save(t, b, "ckpt-2", 2, c.save)
			want := filesOf(t, b, "ckpt-2")
			if c.other {
				save(t, b, "ckpt-1", 1, nil)
			}
			save(t, b, "ckpt-3", 3, nil)
			_, offset, size := placeOf(t, b, "ckpt-3", keyA)
			change(t, b, "ckpt-3.data-00000-of-00001", func(data []byte) []byte { forge(data[offset : offset+size]); return data })
			wantGood(t, b, "ckpt-3", false)
			flips(keyA, 17, 18, 40, 90)(t, b)
			r, err := repair(t, b, nil)
			if got := fates(r); got != c.want {
				t.Errorf("got %q, %v, want %q", got, err, c.want)
			}
			if err == nil {
				wantSame(t, filesOf(t, b, "good"), want)
			}
		})
	}
}

// TestRepairOtherMetadata has metadata that belongs to another index than the one that
// is there, as where a disk gave the sectors of a neighbour: the result says so.
func TestRepairOtherMetadata(t *testing.T) {
	b := newBucket()
	save(t, b, "ckpt-1", 1, nil)
	save(t, b, "ckpt-2", 2, withDigests)
	storagetest.Put(t, b, "ckpt-2.index", storagetest.Get(t, b, "ckpt-1.index"))
	r, err := repair(t, b, nil)
	if err != nil || r.MetadataProblem == nil || r.MetadataProblem.File != "ckpt-2.meta.json" {
		t.Errorf("got %q, %v, metadata %v", fates(r), err, r.MetadataProblem)
	}
}

// TestRepairManyNoted repairs more tensors than metadata has room to name. All that
// are at risk must be named.
func TestRepairManyNoted(t *testing.T) {
	b := newBucket()
	objects := make(ckpt.Objects)
	for i := range 600 {
		name := fmt.Sprintf("%s%04d", strings.Repeat("n", 400), i)
		objects[name] = ckpt.NewVariable(name, tensor.Shape{2}, []float32{float32(i), 1})
	}
	for _, prefix := range []string{"ckpt-1", "ckpt-2"} {
		o := &ckpt.SaveOptions{Bucket: b, Metadata: &ckpt.Metadata{Values: map[string]any{"text": strings.Repeat("x", 900_000)}}}
		if _, err := ckpt.New(objects).Write(t.Context(), prefix, o); err != nil {
			t.Fatal(err)
		}
	}
	change(t, b, dataFile, func(data []byte) []byte {
		for i := 0; i < len(data); i += 8 { // each tensor has eight bytes
			data[i] ^= 1
		}
		return data
	})
	r, err := repair(t, b, nil)
	if err != nil {
		t.Fatal(err)
	}
	m, err := ckpt.ReadMetadata(t.Context(), "good", &ckpt.OpenOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	said, _ := m.Values["repair"].(map[string]any)
	listed, _ := said["tensors"].([]any)
	if n := len(listed); n == 0 || n == len(r.Tensors) || fmt.Sprint(said["unlisted"]) != fmt.Sprint(len(r.Tensors)-n) {
		t.Errorf("%d listed and %v not, of %d", n, said["unlisted"], len(r.Tensors))
	}
	remove(t, b, "good")
	remove(t, b, "ckpt-1")
	if r, err := repair(t, b, &edit.RepairOptions{AcceptRisk: true, AllowPartial: true}); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("got %v of %d, want errors.ErrUnsupported", err, len(r.Tensors))
	}
}
