package bundle_test

import (
	"bytes"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

func parse(t testing.TB, text string) bundle.Slice {
	t.Helper()
	s, err := bundle.ParseSlice(text)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// TestSL1StringKeys looks at the name part of keys of rank 0.
func TestSL1StringKeys(t *testing.T) {
	for name, want := range map[string]string{
		"":             "00 00 01 00",
		"foo":          "00 66 6f 6f 00 01 00",
		"\x00\x01\xff": "00 00 ff 01 ff 00 00 01 00",
	} {
		key := bundle.EncodeSliceKey(name, nil)
		if key != string(unhex(t, want)) {
			t.Errorf("%q: got %x, want %s", name, key, want)
		}
		if got, s, ok := bundle.DecodeSliceKey(key); !ok || got != name || len(s) > 0 {
			t.Errorf("%q: decoded as %q %v %v", name, got, s, ok)
		}
	}
}

func TestSL2SignedKeys(t *testing.T) {
	for v, want := range map[int64]string{
		0: "80", 1: "81", 63: "bf", 64: "c0 40", 255: "c0 ff", 256: "c1 00", 8191: "df ff", 8192: "e0 20 00",
		1048575: "ef ff ff", 1048576: "f0 10 00 00", 134217728: "f8 08 00 00 00",
		1<<55 - 1: "ff 7f ff ff ff ff ff ff", 1 << 55: "ff 80 80 00 00 00 00 00 00", math.MaxInt64: "ff c0 7f ff ff ff ff ff ff ff",
	} {
		s := bundle.Slice{{Start: v, Length: 1}}
		key := bundle.EncodeSliceKey("v", s)
		if got, want := key, "\x00v\x00\x01\x01\x01"+string(unhex(t, want))+"\x81"; got != want {
			t.Errorf("%d: got %x, want %x", v, got, want)
		}
		if name, got, ok := bundle.DecodeSliceKey(key); !ok || name != "v" || !slices.Equal(got, s) {
			t.Errorf("%d: decoded as %q %v %v", v, name, got, ok)
		}
	}
	// −1 occurs as the length of a full dimension only.
	if got, want := bundle.EncodeSliceKey("v", parse(t, "2,100:-")), string(unhex(t, "00 76 00 01 01 02 82 c0 64 80 7f")); got != want {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestSL3KeysSort(t *testing.T) {
	var last string
	for _, name := range []string{"", "\x00", "\x01", "a", "aa", "\xff", "\xff\x00", "\xff\x01"} {
		for _, start := range []int64{0, 1, 63, 64, 8191, 8192, 1 << 40, math.MaxInt64} {
			key := bundle.EncodeSliceKey(name, bundle.Slice{{Start: start, Length: 1}})
			if key <= last {
				t.Errorf("key of %q at %d sorts before its predecessor", name, start)
			}
			last = key
		}
	}
}

func TestSL4Key(t *testing.T) {
	s := parse(t, "-:-:1,3:4,5")
	name, got, ok := bundle.DecodeSliceKey(bundle.EncodeSliceKey("foo", s))
	if !ok || name != "foo" || !slices.Equal(got, s) {
		t.Errorf("got %q %v %v", name, got, ok)
	}
	key := bundle.EncodeSliceKey("foo", s)
	for i := range key {
		if _, _, ok := bundle.DecodeSliceKey(key[:i]); ok {
			t.Errorf("the first %d bytes of a key decode", i)
		}
	}
	for _, bad := range []string{"foo", key + "\x80", "\x00", "\x00a\x00\x02", "\x00a\x00\x01\x08\xff\xff\xff\xff\xff\xff\xff\xff", "\x00a\x00\x01\x01\x01\x7f\x81", "\x00a\x00\x01\x02\x00\x01\x80\x81"} {
		if name, got, ok := bundle.DecodeSliceKey(bad); ok {
			t.Errorf("%x decodes as %q %v", bad, name, got)
		}
	}
}

func TestSL5Full(t *testing.T) {
	full := bundle.Slice{{Full: true}, {Full: true}, {Full: true}}
	if got := full.String(); got != "-:-:-" || !full.IsFull() {
		t.Errorf("got %s, full %v", got, full.IsFull())
	}
	if s := (bundle.Slice{{Full: true}, {Full: true}, {Start: 14, Length: 1}}); s.IsFull() {
		t.Errorf("%s counts as full", s)
	}
}

func TestSL6SL7Parse(t *testing.T) {
	s := bundle.Slice{{Full: true}, {Length: 10}, {Start: 14, Length: 1}, {Full: true}}
	if got, want := s.String(), "-:0,10:14,1:-"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, text := range []string{"", "-", "-:-:1,3:4,5", "0,10:14,1"} {
		if got := parse(t, text).String(); got != text {
			t.Errorf("got %s, want %s", got, text)
		}
	}
	for text, want := range map[string]string{
		"-:-:1,3:4:5": "expected a pair of numbers or '-' but got '4'",
		"-:-1,3":      "expected non-negative start and positive length but got start = -1, length = 3",
		"0,0":         "expected non-negative start and positive length but got start = 0, length = 0",
		"1,2,3":       "expected a pair of numbers",
		":":           "expected a pair of numbers",
		"a,1":         "expected a pair of numbers",
	} {
		if _, err := bundle.ParseSlice(text); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", text, err, want)
		}
	}
}

func TestSL10Shape(t *testing.T) {
	of := tensor.Shape{2, 4, 5, 8}
	got, err := parse(t, "1,1:-:4,1:2,6").Shape(of)
	if want := (tensor.Shape{1, 4, 1, 6}); err != nil || !got.Equal(want) {
		t.Errorf("got %v, %v, want %v", got, err, want)
	}
	for text, want := range map[string]string{
		"1,1:1,4:-:-":                   "extent in dimension 1 out of bounds",
		"-:-:5,1:-":                     "extent in dimension 2 out of bounds",
		"9223372036854775807,1:-:-:-":   "extent in dimension 0 out of bounds",
		"-:-:1,9223372036854775807:0,1": "extent in dimension 2 out of bounds",
		"-:-":                           "mismatching ranks",
	} {
		if _, err := parse(t, text).Shape(of); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", text, err, want)
		}
	}
}

// cut returns the bytes of a slice of a row-major tensor, element by element.
func cut(shape tensor.Shape, s bundle.Slice, size int, data []byte) []byte {
	var out []byte
	n, _ := shape.Elements()
next:
	for i := range n {
		rest := i
		for dim := len(shape) - 1; dim >= 0; dim-- {
			at := rest % shape[dim]
			rest /= shape[dim]
			if e := s[dim]; !e.Full && (at < e.Start || at >= e.Start+e.Length) {
				continue next
			}
		}
		out = append(out, data[i*int64(size):(i+1)*int64(size)]...)
	}
	return out
}

func TestSL11SL12Partitioned(t *testing.T) {
	b := mem.New()
	shape := tensor.Shape{5, 10}
	data := make([]byte, 50*4)
	for i := range 50 {
		if i%10 != 0 {
			binary.LittleEndian.PutUint32(data[4*i:], math.Float32bits(1))
		}
	}
	saveSlices(t, b, "foo", tensor.Float32, shape, data, "-:0,1", "-:1,9")
	r := open(t, b, "p")
	for i, v := range values[float32](t, r, "foo") {
		if want := min(1, float32(i%10)); v != want {
			t.Errorf("element %d: got %v, want %v", i, v, want)
		}
	}
	e, err := r.Entry("foo")
	if err != nil {
		t.Fatal(err)
	}
	if len(e.Slices) != 2 || e.Slices[0].String() != "-:0,1" || e.Slices[1].String() != "-:1,9" || e.Size != 0 || e.Offset != 0 || e.CRC != 0 {
		t.Errorf("got entry %+v", e)
	}
	if got, want := keys(t, r), []string{"foo"}; !slices.Equal(got, want) {
		t.Errorf("got keys %q, want %q", got, want)
	}
}

func saveSlices(t testing.TB, b *mem.Bucket, key string, d tensor.DType, shape tensor.Shape, data []byte, specs ...string) {
	t.Helper()
	w, err := bundle.Create(t.Context(), b, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Abort()
	for _, spec := range specs {
		s := parse(t, spec)
		if err := w.AddSlice(t.Context(), key, d, shape, s, one(cut(shape, s, d.Size(), data))); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestSL18EveryDType joins slices of dtypes that TensorFlow does not join too,
// cut in ways that need every kind of copy.
func TestSL18EveryDType(t *testing.T) {
	shape := tensor.Shape{3, 4, 5}
	for _, d := range fixed() {
		for _, specs := range [][]string{
			{"0,1:-:-", "1,2:-:-"},
			{"-:-:0,2", "-:-:2,3"},
			{"-:0,3:-", "-:3,1:-"},
			{"0,2:0,2:-", "0,2:2,2:0,4", "0,2:2,2:4,1", "2,1:-:-"},
			{"1,1:1,1:1,1", "0,1:-:-", "2,1:0,4:0,5", "1,1:0,1:-", "1,1:1,1:0,1", "1,1:1,1:2,3", "1,1:2,2:-"},
		} {
			b := mem.New()
			data := []byte(fill(d, 60, 1))
			saveSlices(t, b, "x", d, shape, data, specs...)
			r := open(t, b, "p")
			got, err := r.Tensor(t.Context(), "x")
			if err != nil || !bytes.Equal(got.Bytes(), data) {
				t.Errorf("%s %q: got %v, want %x", d, specs, err, data)
			}
			into := make([]byte, len(data))
			if err := r.ReadInto(t.Context(), "x", into); err != nil || !bytes.Equal(into, data) {
				t.Errorf("%s %q: ReadInto: %v", d, specs, err)
			}
			if err := r.Check(t.Context(), "x"); err != nil {
				t.Error(err)
			}
			for c := range r.CheckLayout(t.Context()) {
				t.Error(c)
			}
		}
	}
}

// TestSlicesInChunks joins slices larger than what is read at once.
func TestSlicesInChunks(t *testing.T) {
	shape := tensor.Shape{700, 1001}
	data := []byte(fill(tensor.Float32, 700*1001, 1))
	b := mem.New()
	saveSlices(t, b, "x", tensor.Float32, shape, data, "-:0,500", "0,600:500,501", "600,100:500,501")
	r := open(t, b, "p")
	got, err := r.Tensor(t.Context(), "x")
	if err != nil || !bytes.Equal(got.Bytes(), data) {
		t.Errorf("got other bytes than were written, %v", err)
	}
	wantErr(t, r.ReadInto(t.Context(), "x", make([]byte, 5)), bundle.ErrMismatch)
}

func TestStringSlices(t *testing.T) {
	b := mem.New()
	w, err := bundle.Create(t.Context(), b, "p", nil)
	if err != nil {
		t.Fatal(err)
	}
	shape := tensor.Shape{2, 2}
	for _, s := range []struct {
		spec     string
		elements []string
	}{{"-:1,1", []string{"b", "d"}}, {"-:0,1", []string{"a", ""}}} {
		if err := w.AddStringsSlice(t.Context(), "s", shape, parse(t, s.spec), text(s.elements...)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Commit(t.Context()); err != nil {
		t.Fatal(err)
	}
	r := open(t, b, "p")
	got, err := r.Strings(t.Context(), "s")
	if err != nil || string(bytes.Join(got, []byte("|"))) != "a|b||d" {
		t.Errorf("got %q, %v, want a b _ d", got, err)
	}
	if err := r.Check(t.Context(), "s"); err != nil {
		t.Error(err)
	}
}

// TestGoldenWriteE writes golden E.
func TestGoldenWriteE(t *testing.T) {
	b := mem.New()
	saveSlices(t, b, "v", tensor.Float32, tensor.Shape{4}, unhex(t, goldenEData), "0,2", "2,2")
	if got, want := get(t, b, "p.index"), unhex(t, goldenEIndex); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
	if got, want := get(t, b, "p.data-00000-of-00001"), unhex(t, goldenEData); !bytes.Equal(got, want) {
		t.Errorf("got %x, want %x", got, want)
	}
}

func TestSL13FullSlices(t *testing.T) {
	data := []byte(fill(tensor.Int8, 50, 0))
	for _, spec := range []string{"-:-", "0,5:0,10", "-:0,10"} {
		b := mem.New()
		saveSlices(t, b, "x", tensor.Int8, tensor.Shape{5, 10}, data, spec)
		e, err := open(t, b, "p").Entry("x")
		if err != nil || len(e.Slices) > 0 || e.Size != 50 {
			t.Errorf("%s: got entry %+v, %v, want an ordinary one", spec, e, err)
		}
	}
}

func TestAddSliceRefuses(t *testing.T) {
	for _, c := range []struct {
		name, want string
		add        func(w *bundle.Writer) error
	}{
		{"same slice", "duplicate key", func(w *bundle.Writer) error {
			return w.AddSlice(t.Context(), "x", tensor.Int8, tensor.Shape{4}, parse(t, "0,2"), one([]byte("ab")))
		}},
		{"whole after slice", "duplicate key", func(w *bundle.Writer) error {
			return w.Add(t.Context(), "x", tensor.Int8, tensor.Shape{4}, one([]byte("abcd")))
		}},
		{"slice after whole", "duplicate key", func(w *bundle.Writer) error {
			return w.AddSlice(t.Context(), "y", tensor.Int8, tensor.Shape{4}, parse(t, "0,2"), one([]byte("ab")))
		}},
		{"other dtype", "a slice of uint8 [4] after one of int8 [4]", func(w *bundle.Writer) error {
			return w.AddSlice(t.Context(), "x", tensor.Uint8, tensor.Shape{4}, parse(t, "2,2"), one([]byte("ab")))
		}},
		{"other shape", "a slice of int8 [5] after one of int8 [4]", func(w *bundle.Writer) error {
			return w.AddSlice(t.Context(), "x", tensor.Int8, tensor.Shape{5}, parse(t, "2,2"), one([]byte("ab")))
		}},
		{"beyond", "out of bounds", func(w *bundle.Writer) error {
			return w.AddSlice(t.Context(), "x", tensor.Int8, tensor.Shape{4}, parse(t, "3,2"), one([]byte("ab")))
		}},
		{"empty", "positive length", func(w *bundle.Writer) error {
			return w.AddSlice(t.Context(), "x", tensor.Int8, tensor.Shape{4}, bundle.Slice{{Start: 3}}, one(nil))
		}},
		{"no name", "empty string", func(w *bundle.Writer) error {
			return w.AddSlice(t.Context(), "", tensor.Int8, tensor.Shape{4}, parse(t, "2,2"), one([]byte("ab")))
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, err := bundle.Create(t.Context(), mem.New(), "p", nil)
			if err != nil {
				t.Fatal(err)
			}
			defer w.Abort()
			if err := w.AddSlice(t.Context(), "x", tensor.Int8, tensor.Shape{4}, parse(t, "0,2"), one([]byte("ab"))); err != nil {
				t.Fatal(err)
			}
			if err := w.Add(t.Context(), "y", tensor.Int8, nil, one([]byte("a"))); err != nil {
				t.Fatal(err)
			}
			if err := c.add(w); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %q", err, c.want)
			}
			if err := w.Commit(t.Context()); err == nil {
				t.Error("Commit succeeded")
			}
		})
	}
}

// TestSlicesDamaged reads tensors whose slices do not fit together.
func TestSlicesDamaged(t *testing.T) {
	whole := func(spec ...string) bundle.Entry {
		e := bundle.Entry{DType: tensor.Int8, Shape: tensor.Shape{4, 4}}
		for _, s := range spec {
			e.Slices = append(e.Slices, parse(t, s))
		}
		return e
	}
	part := func(shape tensor.Shape, offset int64) bundle.Entry {
		n, _ := shape.Elements()
		return bundle.Entry{DType: tensor.Int8, Shape: shape, Offset: offset, Size: n, CRC: crcZeros(int(n))}
	}
	key := func(spec string) string { return bundle.EncodeSliceKey("x", parse(t, spec)) }
	for _, c := range []struct {
		name    string
		entries map[string]bundle.Entry
		want    string
	}{
		{"hole", map[string]bundle.Entry{"x": whole("0,2:-"), key("0,2:-"): part(tensor.Shape{2, 4}, 0)}, "does not have sufficient slices"},
		{"SL-17 overlap", map[string]bundle.Entry{"x": whole("0,2:-", "1,3:-"), key("0,2:-"): part(tensor.Shape{2, 4}, 0), key("1,3:-"): part(tensor.Shape{3, 4}, 8)},
			"Overlapping slices: existing slice = 0,2:-, new slice = 1,3:-"},
		{"hole and overlap", map[string]bundle.Entry{"x": whole("0,2:-", "1,2:-"), key("0,2:-"): part(tensor.Shape{2, 4}, 0), key("1,2:-"): part(tensor.Shape{2, 4}, 8)},
			"Overlapping slices: existing slice = 0,2:-, new slice = 1,2:-"},
		{"not stored", map[string]bundle.Entry{"x": whole("0,2:-", "2,2:-"), key("0,2:-"): part(tensor.Shape{2, 4}, 0)}, "slice 2,2:- is listed but not stored"},
		{"other shape", map[string]bundle.Entry{"x": whole("0,2:-", "2,2:-"), key("0,2:-"): part(tensor.Shape{2, 4}, 0), key("2,2:-"): part(tensor.Shape{2, 3}, 8)}, "is stored as int8 [2,3]"},
		{"out of bounds", map[string]bundle.Entry{"x": whole("0,5:-")}, "extent in dimension 0 out of bounds"},
		{"rank", map[string]bundle.Entry{"x": whole("0,4")}, "mismatching ranks"},
		{"same bytes", map[string]bundle.Entry{"x": whole("0,1:-", "1,1:-", "2,1:-", "3,1:-"), key("0,1:-"): part(tensor.Shape{1, 4}, 0),
			key("1,1:-"): part(tensor.Shape{1, 4}, 0), key("2,1:-"): part(tensor.Shape{1, 4}, 0), key("3,1:-"): part(tensor.Shape{1, 4}, 0)}, "claim more bytes"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			putIndex(t, b, "p.index", bundle.Header{NumShards: 1}, c.entries)
			size := 32
			if c.name == "same bytes" {
				size = 12
			}
			put(t, b, "p.data-00000-of-00001", make([]byte, size))
			r := open(t, b, "p")
			_, err := r.Tensor(t.Context(), "x")
			wantErr(t, err, bundle.ErrCorrupt, c.want)
			wantErr(t, r.Check(t.Context(), "x"), bundle.ErrCorrupt, c.want)
			wantErr(t, r.ReadInto(t.Context(), "x", make([]byte, 16)), bundle.ErrCorrupt, c.want)
			found := 0
			for range r.CheckLayout(t.Context()) {
				found++
			}
			if found == 0 {
				t.Error("CheckLayout found nothing")
			}
		})
	}
}
