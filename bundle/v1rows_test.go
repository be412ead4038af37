package bundle_test

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// TestNB10SimpleWrite reads a V1 file of four tensors, one of them two columns
// of a matrix.
func TestNB10SimpleWrite(t *testing.T) {
	b := mem.New()
	var v v1Builder
	v.tensor(t, "test", tensor.Int32, tensor.Shape{5, 10}, "-:0,1", "-:3,1")
	v.slice(t, "test", "-:0,1", packed(7, 0, 1, 2, 3, 4))
	v.slice(t, "test", "-:3,1", packed(7, 10, 11, 12, 13, 14))
	v.tensor(t, "AA", tensor.Float32, tensor.Shape{3, 2}, "-:-")
	var floats []byte
	for i := range 6 {
		floats = binary.LittleEndian.AppendUint32(floats, math.Float32bits(float32(i)/10))
	}
	v.slice(t, "AA", "-:-", wire.AppendBytesField(nil, 5, floats))
	v.tensor(t, "int64", tensor.Int64, tensor.Shape{3, 3}, "-:-")
	v.slice(t, "int64", "-:-", packed(10, 0, 1, 2, -3, 4, 5, 6, 7, math.MaxInt64))
	v.tensor(t, "int16", tensor.Int16, tensor.Shape{4}, "-")
	v.slice(t, "int16", "-", packed(7, 0, -1, 300, -32768))
	v.put(t, b, "p", wire.AppendVarintField(nil, 1, 1))
	r := open(t, b, "p")
	if h := r.Header(); h.Producer != 1 || h.MinConsumer != 0 || h.NumShards != 1 {
		t.Errorf("got header %+v, want producer 1", h)
	}
	if got, want := keys(t, r), []string{"AA", "int16", "int64", "test"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	e, err := r.Entry("test")
	if err != nil || len(e.Slices) != 2 || e.Slices[0].String() != "-:0,1" || e.Slices[1].String() != "-:3,1" || !e.Shape.Equal(tensor.Shape{5, 10}) {
		t.Errorf("got entry %+v, %v", e, err)
	}
	wantSlice(t, r, "test", "-:0,1", ints(0, 1, 2, 3, 4))
	wantSlice(t, r, "test", "-:3,1", ints(10, 11, 12, 13, 14))
	if _, err := r.Tensor(t.Context(), "test"); !errors.Is(err, bundle.ErrCorrupt) || !strings.Contains(err.Error(), "sufficient slices") {
		t.Errorf("the whole of test: got %v, want that slices are missing", err)
	}
	if got, want := values[float32](t, r, "AA"), []float32{0, 0.1, 0.2, 0.3, 0.4, 0.5}; !slices.Equal(got, want) {
		t.Errorf("got AA = %v, want %v", got, want)
	}
	if got, want := values[int64](t, r, "int64"), []int64{0, 1, 2, -3, 4, 5, 6, 7, math.MaxInt64}; !slices.Equal(got, want) {
		t.Errorf("got int64 = %v, want %v", got, want)
	}
	if got, want := values[int16](t, r, "int16"), []int16{0, -1, 300, -32768}; !slices.Equal(got, want) {
		t.Errorf("got int16 = %v, want %v", got, want)
	}
}

// ints are little-endian int32s.
func ints(values ...int32) (p []byte) {
	for _, v := range values {
		p = binary.LittleEndian.AppendUint32(p, uint32(v))
	}
	return p
}

// TestNB9V1ShardVersions has the version in one of two files only: it counts,
// and an older one does not.
func TestNB9V1ShardVersions(t *testing.T) {
	for name, c := range map[string]struct {
		version string
		want    string
	}{
		"producer 1":      {"08 01", ""},
		"newer producer":  {"08 63 10 01", ""},
		"min_consumer 2":  {"08 01 10 02", "Checkpoint min consumer version 2 above current version 1"},
		"bad consumer 1":  {"08 01 18 01", "Checkpoint disallows consumer version 1"},
		"bad consumers":   {"08 01 1a 02 05 01", "Checkpoint disallows consumer version 1"},
		"producer −1":     {"08 ff ff ff ff ff ff ff ff ff 01", "Checkpoint producer version -1 below min producer 0 supported"},
		"bad consumer 12": {"08 01 18 0c", ""},
	} {
		b := mem.New()
		var first, second v1Builder
		first.tensor(t, "x", tensor.Int8, nil, "")
		first.slice(t, "x", "", packed(7, 1))
		first.put(t, b, "f-00000-of-00002", nil)
		second.put(t, b, "f-00001-of-00002", unhex(t, c.version))
		r, err := bundle.Open(t.Context(), b, "f-?????-of-00002", nil)
		if c.want != "" {
			wantErr(t, err, errors.ErrUnsupported, c.want, "f-00001-of-00002")
			continue
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := values[int8](t, r, "x"); !slices.Equal(got, []int8{1}) {
			t.Errorf("%s: got x = %v, want 1", name, got)
		}
		r.Close()
	}
}

// TestNB4NamesAndTables reads a name-based file with two variables and the keys
// and values of a table, each by its name.
func TestNB4NamesAndTables(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "p", add(t, "v0", nil, float32(10)), add(t, "v1", nil, float32(20)),
		addStrings(t, "v2-keys", tensor.Shape{1}, "k1"), add(t, "v2-values", tensor.Shape{1}, float32(30)))
	r := open(t, b, "p")
	if got, want := keys(t, r), []string{"v0", "v1", "v2-keys", "v2-values"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
	for name, want := range map[string]float32{"v0": 10, "v1": 20, "v2-values": 30} {
		if got := values[float32](t, r, name); !slices.Equal(got, []float32{want}) {
			t.Errorf("got %s = %v, want %v", name, got, want)
		}
	}
	if got, err := r.Strings(t.Context(), "v2-keys"); err != nil || len(got) != 1 || string(got[0]) != "k1" {
		t.Errorf("got v2-keys = %q, %v, want k1", got, err)
	}
	_, err := r.Tensor(t.Context(), "v2")
	wantErr(t, err, fs.ErrNotExist, "Key v2 not found in checkpoint")
}
