package ckpt_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/table"
	"github.com/ckpt-go/ckpt/tensor"
)

const formatPage = "docs/format.md"

// fence is a fenced block of the page: the words behind ``` and the lines.
type fence struct{ info, lines []string }

// formatText returns the page, and its fenced blocks.
func formatText(t *testing.T) (text string, fences []fence) {
	t.Helper()
	page, err := os.ReadFile(formatPage)
	if err != nil {
		t.Fatal(err)
	}
	for i, part := range strings.Split("\n"+string(page), "\n```") {
		if lines := strings.Split(part, "\n"); i%2 == 1 {
			fences = append(fences, fence{strings.Fields(lines[0]), lines[1:]})
		}
	}
	return string(page), fences
}

// tableRows returns the rows of the page's table with these column heads, each
// cell without the spaces and back quotes around it.
func tableRows(t *testing.T, page string, heads ...string) [][]string {
	t.Helper()
	var rows [][]string
	head := "| " + strings.Join(heads, " | ") + " |\n"
	for _, rest := range strings.Split(page, head)[1:] {
		for line := range strings.Lines(rest) {
			if !strings.HasPrefix(line, "|") {
				break
			}
			cells := strings.Split(strings.Trim(line, "|\n"), " | ")
			for i := range cells {
				cells[i] = strings.Trim(strings.TrimSpace(cells[i]), "`")
			}
			if !strings.HasPrefix(cells[0], "---") {
				rows = append(rows, cells)
			}
		}
	}
	if len(rows) == 0 {
		t.Fatalf("%s has no table %s", formatPage, head)
	}
	return rows
}

// hexLine is an offset, up to 16 bytes, and what they mean.
var hexLine = regexp.MustCompile(`^ *(\d+)  ((?:[0-9a-f]{2} )*[0-9a-f]{2})(?: +(.*))?$`)

// TestFormatHex compares every hex line of the page with the file's bytes. But for
// excerpts the lines must cover the file. No line of the page is too long to read.
func TestFormatHex(t *testing.T) {
	page, fences := formatText(t)
	for line := range strings.Lines(page) {
		if n := utf8.RuneCountInString(line); n > 151 {
			t.Errorf("a line of %d characters: %s", n, line)
		}
	}
	var whole, excerpts int
	for _, f := range fences {
		if len(f.info) < 2 || f.info[0] != "hex" {
			continue
		}
		name, excerpt := f.info[1], len(f.info) == 3 && f.info[2] == "excerpt"
		file, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		at := 0
		for i, line := range f.lines {
			m := hexLine.FindStringSubmatch(line)
			if m == nil {
				t.Fatalf("%s: no hex line: %s", name, line)
			}
			offset, _ := strconv.Atoi(m[1])
			want, _ := hex.DecodeString(strings.ReplaceAll(m[2], " ", "")) // is hex, the pattern says
			if excerpt && i == 0 {
				at = offset
			}
			if offset != at {
				t.Fatalf("%s: line at %d, want %d", name, offset, at)
			}
			at += len(want)
			if at > len(file) || !bytes.Equal(file[offset:at], want) {
				t.Errorf("%s: the file has other bytes: %s", name, line)
			}
		}
		if excerpt {
			excerpts++
		} else if whole++; at != len(file) {
			t.Errorf("%s: %d of %d bytes shown", name, at, len(file))
		}
	}
	if whole != 4 || excerpts != 2 {
		t.Errorf("%d whole files and %d excerpts shown, want 4 and 2", whole, excerpts)
	}
}

// TestFormatDTypes compares the table of dtypes with package tensor.
func TestFormatDTypes(t *testing.T) {
	page, _ := formatText(t)
	rows := tableRows(t, page, "dtype", "name", "in types.proto", "bytes per element", "content")
	for i, row := range rows {
		d := tensor.DType(i + 1)
		got := row[:4]
		want := []string{strconv.Itoa(i + 1), d.String(), d.ProtoName(), strconv.Itoa(d.Size())}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("dtype %d (-want +got):\n%s", i+1, diff)
		}
	}
	if d := tensor.DType(len(rows)); !d.Known() || (d + 1).Known() {
		t.Errorf("the table ends with %v, which is not the last dtype", d)
	}
}

// tableFile returns a table of keys, each followed by its value.
func tableFile(t *testing.T, entries ...string) []byte {
	t.Helper()
	var file bytes.Buffer
	w := table.NewWriter(&file, nil)
	for i := 0; i < len(entries); i += 2 {
		if err := w.Add([]byte(entries[i]), []byte(entries[i+1])); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return file.Bytes()
}

// TestFormatNumbers recomputes the numbers that the page names.
func TestFormatNumbers(t *testing.T) {
	page, _ := formatText(t)
	got := make(map[string]uint64)
	for _, row := range tableRows(t, page, "number", "value", "note") {
		got[row[0]], _ = strconv.ParseUint(row[1], 0, 64)
	}
	// An empty table is its metaindex, its index, both of 8 bytes, and the footer.
	empty := tableFile(t)
	trailer := (len(empty) - int(got["footer"]) - 2*8) / 2
	interval := highest(func(n int) bool { // entries for which the data block has one restart point
		var entries []string
		for i := range n {
			entries = append(entries, fmt.Sprintf("%03d", i), "")
		}
		file := tableFile(t, entries...)
		metaindex, _ := binary.Uvarint(file[len(file)-48:])
		return file[int(metaindex)-trailer-4] == 1
	})
	want := map[string]uint64{
		"polynomial":       crc32.Castagnoli,
		"check value":      uint64(crc32c.Value([]byte("123456789"))),
		"mask delta":       uint64(crc32c.Mask(0)),
		"magic":            binary.LittleEndian.Uint64(empty[len(empty)-8:]),
		"footer":           uint64(len(empty) - 2*8 - 2*trailer),
		"block trailer":    uint64(trailer),
		"restart interval": interval,
		"maximal rank":     highest(func(n int) bool { return reads(t, 0, n) }),
		"consumer version": highest(func(n int) bool { return reads(t, n, 1) }),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("numbers (-want +got):\n%s", diff)
	}
}

// highest returns the greatest n below 1000 up to which all are fine.
func highest(fine func(n int) bool) uint64 {
	n := 0
	for n < 1000 && fine(n+1) {
		n++
	}
	return uint64(n)
}

// reads reports whether a checkpoint is read whose header names this lowest version of a
// reader, and whose one tensor has that rank and no elements.
func reads(t *testing.T, minConsumer, rank int) bool {
	t.Helper()
	header := bundle.EncodeHeader(nil, &bundle.Header{NumShards: 1, MinConsumer: int32(minConsumer)})
	entry := bundle.EncodeEntry(nil, &bundle.Entry{DType: tensor.Float32, Shape: make(tensor.Shape, rank)})
	_, err := readOne(t, fstest.MapFS{
		"p.index":               {Data: tableFile(t, "", string(header), "v", string(entry))},
		"p.data-00000-of-00001": {},
	})
	return err == nil
}

// readOne reads the tensor v of the checkpoint p.
func readOne(t *testing.T, files fstest.MapFS) (*tensor.Tensor, error) {
	t.Helper()
	r, err := ckpt.OpenFS(files, "p", nil)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return r.Tensor(t.Context(), "v")
}

// TestFormatKeys compares the examples of slice keys, and of escaped names.
func TestFormatKeys(t *testing.T) {
	page, _ := formatText(t)
	for _, row := range tableRows(t, page, "name", "slice", "key") {
		name, err1 := strconv.Unquote(`"` + row[0] + `"`)
		s, err2 := bundle.ParseSlice(row[1])
		if err := errors.Join(err1, err2); err != nil {
			t.Fatal(err)
		}
		if got, want := row[2], fmt.Sprintf("% x", bundle.EncodeSliceKey(name, s)); got != want {
			t.Errorf("the page says the key of %s %s is %s, want %s", row[0], row[1], got, want)
		}
	}
	for _, row := range tableRows(t, page, "edge name", "in a key") {
		if got, want := row[1], objectgraph.Escape(row[0]); got != want {
			t.Errorf("the page says %q is escaped as %q, want %q", row[0], got, want)
		}
	}
}

// schema is what the page says of messages: by "message number" the name and
// the wire type of the field.
type schema map[string][2]string

// parse takes a message apart and notes its fields in seen. Of repeated fields it returns the last.
func (s schema) parse(t *testing.T, seen map[string]string, message, b string) map[string]string {
	t.Helper()
	fields := make(map[string]string)
	d := wire.NewDecoder([]byte(b))
	for d.Len() > 0 {
		number, typ := d.Tag()
		var value, kind string
		switch typ {
		case wire.Varint:
			value, kind = strconv.FormatUint(d.Uvarint(), 10), "varint"
		case wire.Fixed32Type:
			value, kind = strconv.FormatUint(uint64(d.Fixed32()), 10), "fixed32"
		case wire.BytesType:
			value, kind = string(d.LenBytes()), "bytes"
		}
		if d.Err() != nil {
			t.Fatalf("%s: %v", message, d.Err())
		}
		field := s[message+" "+strconv.Itoa(number)]
		if field[1] != kind {
			t.Errorf("%s: the page says of field %d %q, want %s", message, number, field, kind)
		}
		fields[field[0]] = value
		seen[message+" "+field[0]] = value
	}
	return fields
}

// TestFormatFields compares the tables of messages with what the packages write, and
// those of V1 with a file of TensorFlow.
func TestFormatFields(t *testing.T) {
	page, _ := formatText(t)
	s, rows := make(schema), tableRows(t, page, "message", "field", "number", "wire type", "meaning")
	for _, row := range rows {
		s[row[0]+" "+row[2]] = [2]string{row[1], row[3]}
	}
	got := make(map[string]string)
	header := s.parse(t, got, "BundleHeaderProto", string(bundle.EncodeHeader(nil, &bundle.Header{
		NumShards: 2, BigEndian: true, Producer: 3, MinConsumer: 4, BadConsumers: []int32{5}})))
	s.parse(t, got, "VersionDef", header["version"])
	sliced := s.parse(t, got, "BundleEntryProto", string(bundle.EncodeEntry(nil, &bundle.Entry{
		DType: tensor.Float32, Shape: tensor.Shape{9}, Slices: []bundle.Slice{{{Start: 6, Length: 7}}}})))
	s.parse(t, got, "Extent", s.parse(t, got, "TensorSliceProto", sliced["slices"])["extent"])
	s.parse(t, got, "Dim", s.parse(t, got, "TensorShapeProto", sliced["shape"])["dim"])
	s.parse(t, got, "BundleEntryProto", string(bundle.EncodeEntry(nil, &bundle.Entry{
		DType: tensor.Int64, Shard: 8, Offset: 9, Size: 10, CRC: crc32c.Unmask(11)})))
	parseGraph(t, s, got)
	parseV1(t, s, got)
	for field, want := range map[string]string{
		"BundleHeaderProto num_shards": "2", "BundleHeaderProto endianness": "1",
		"VersionDef producer": "3", "VersionDef min_consumer": "4", "VersionDef bad_consumers": "\x05",
		"Extent start": "6", "Extent length": "7", "Dim size": "9",
		"BundleEntryProto dtype": "9", "BundleEntryProto shard_id": "8", "BundleEntryProto offset": "9",
		"BundleEntryProto size": "10", "BundleEntryProto crc32c": "11",
		"ObjectReference node_id": "1", "ObjectReference local_name": "edge",
		"SerializedTensor name": "name", "SerializedTensor full_name": "full", "SerializedTensor checkpoint_key": "key",
		"SlotVariableReference original_variable_node_id": "1", "SlotVariableReference slot_name": "m",
		"SlotVariableReference slot_variable_node_id": "2",
		"RegisteredSaver name":                        "saver", "RegisteredSaver object_name": "object", "BoolValue value": "1",
		"SavedSliceMeta name": "w", "SavedSliceMeta type": "1", "SavedSlice name": "w",
	} {
		if got[field] != want {
			t.Errorf("%s: %q at the page's field number, want %q", field, got[field], want)
		}
	}
	for _, row := range rows {
		if _, ok := got[row[0]+" "+row[1]]; !ok {
			t.Errorf("the page has a field that nothing writes: %s %s", row[0], row[1])
		}
	}
}

func parseGraph(t *testing.T, s schema, seen map[string]string) {
	t.Helper()
	g := objectgraph.Graph{Nodes: []objectgraph.Node{{}, {}, {
		Children: []objectgraph.Edge{{Name: "edge", Node: 1}}, HasValues: objectgraph.ValuesTrue,
		Attributes:      []objectgraph.Attribute{{Name: "name", FullName: "full", Key: "key"}},
		Slots:           []objectgraph.SlotVariable{{Name: "m", Original: 1, Node: 2}},
		RegisteredSaver: &objectgraph.RegisteredSaver{Name: "saver", Object: "object"},
	}}}
	node := s.parse(t, seen, "TrackableObject", s.parse(t, seen, "TrackableObjectGraph", string(g.Append(nil)))["nodes"])
	for field, message := range map[string]string{
		"children": "ObjectReference", "attributes": "SerializedTensor", "slot_variables": "SlotVariableReference",
		"registered_saver": "RegisteredSaver", "has_checkpoint_values": "BoolValue",
	} {
		s.parse(t, seen, message, node[field])
	}
}
