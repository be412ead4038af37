package ckpt_test

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

func parseV1(t *testing.T, s schema, seen map[string]string) {
	t.Helper()
	file, err1 := os.ReadFile("testdata/tensorflow-2.21.0-vectors/h")
	r, err2 := table.NewReader(bytes.NewReader(file), int64(len(file)), nil)
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	for e, err := range r.All() {
		if err != nil {
			t.Fatal(err)
		}
		message := s.parse(t, seen, "SavedTensorSlices", string(e.Value))
		s.parse(t, seen, "SavedSlice", message["data"])
		s.parse(t, seen, "SavedSliceMeta", s.parse(t, seen, "SavedTensorSliceMeta", message["meta"])["tensor"])
	}
}

// TestFormatV1Values stores a value of each dtype in the field of TensorProto
// that the page names.
func TestFormatV1Values(t *testing.T) {
	page, _ := formatText(t)
	dtypes := 0
	for _, row := range tableRows(t, page, "field of TensorProto", "number", "values", "dtypes") {
		number, _ := strconv.Atoi(row[1])
		for text := range strings.FieldsSeq(row[3]) {
			n, _ := strconv.Atoi(text)
			dtypes++
			d := tensor.DType(n)
			stored, want := "\x01", append([]byte{1}, make([]byte, max(d.Size(), 1)-1)...) // the number 1, or the string
			if !strings.HasPrefix(row[2], "varints") && d != tensor.String {
				stored = string(want)
			}
			proto := wire.AppendBytesField(nil, number, stored)
			meta := wire.AppendVarintField([]byte("\n\x01v\x22\x00"), 3, uint64(n)) // name v, one slice; the dtype
			file := tableFile(t,
				"", string(wire.AppendBytesField(nil, 1, wire.AppendBytesField(nil, 1, meta))),
				bundle.EncodeSliceKey("v", nil), string(wire.AppendBytesField(nil, 2, wire.AppendBytesField(nil, 3, proto))))
			v, err := readOne(t, fstest.MapFS{"p": {Data: file}})
			if err != nil {
				t.Errorf("%v in field %d: %v", d, number, err)
			} else if got := append(v.Bytes(), bytes.Join(v.Strings(), nil)...); !bytes.Equal(got, want) {
				t.Errorf("%v in field %d reads % x, want % x", d, number, got, want)
			}
		}
	}
	if dtypes != 16 {
		t.Errorf("the page names fields of %d dtypes, want 16", dtypes)
	}
}
