package wire_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"runtime"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/internal/wire"
)

func TestUvarint(t *testing.T) {
	for _, v := range []uint64{0, 1, 127, 128, 300, 1<<32 - 1, 1 << 32, 1<<63 - 1, math.MaxUint64} {
		b := binary.AppendUvarint(nil, v)
		if got := wire.SizeUvarint(v); got != len(b) {
			t.Errorf("SizeUvarint(%d) = %d, want %d", v, got, len(b))
		}
		d := wire.NewDecoder(b)
		if got := d.Uvarint(); got != v || d.Err() != nil || d.Len() != 0 {
			t.Errorf("Uvarint of %x = %d, %v, want %d", b, got, d.Err(), v)
		}
		d = wire.NewDecoder(b)
		got := d.Uvarint32()
		if fits := v <= math.MaxUint32; fits != (d.Err() == nil) || fits && uint64(got) != v {
			t.Errorf("Uvarint32 of %x = %d, %v", b, got, d.Err())
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	for _, tc := range []struct {
		name string
		in   string
		read func(d *wire.Decoder)
		want string
	}{
		{"varint empty", "", func(d *wire.Decoder) { d.Uvarint() }, "offset 0: truncated varint"},
		{"varint cut", "\x80\x80", func(d *wire.Decoder) { d.Uvarint() }, "offset 0: truncated varint"},
		{"varint of 11 bytes", strings.Repeat("\x80", 10) + "\x00", func(d *wire.Decoder) { d.Uvarint() }, "offset 0: varint exceeds 64 bits"},
		{"varint of 65 bits", strings.Repeat("\xff", 9) + "\x02", func(d *wire.Decoder) { d.Uvarint() }, "offset 0: varint exceeds 64 bits"},
		{"varint32 of 6 bytes", strings.Repeat("\x80", 5) + "\x00", func(d *wire.Decoder) { d.Uvarint32() }, "offset 0: varint exceeds 32 bits"},
		{"varint32 cut", "\xff", func(d *wire.Decoder) { d.Uvarint32() }, "offset 0: truncated varint"},
		{"fixed32", "abc", func(d *wire.Decoder) { d.Fixed32() }, "offset 0: 4 bytes announced, 3 left"},
		{"fixed64", "abcdefg", func(d *wire.Decoder) { d.Fixed64() }, "offset 0: 8 bytes announced, 7 left"},
		{"bytes", "abc", func(d *wire.Decoder) { d.Bytes(math.MaxUint64) }, "offset 0: 18446744073709551615 bytes announced, 3 left"},
		{"length", "\x05abcd", func(d *wire.Decoder) { d.LenBytes() }, "offset 1: 5 bytes announced, 4 left"},
		{"field 0", "\x02", func(d *wire.Decoder) { d.Tag() }, "offset 1: field number 0"},
		{"field 2^29", "\x82\x80\x80\x80\x10", func(d *wire.Decoder) { d.Tag() }, "offset 5: field number 536870912"},
		{"group", "\x0b", func(d *wire.Decoder) { d.Tag() }, "offset 1: field 1 has unsupported wire type 3"},
		{"wire type 7", "\x0f", func(d *wire.Decoder) { d.Tag() }, "offset 1: field 1 has unsupported wire type 7"},
		{"skip of a bad type", "\x00", func(d *wire.Decoder) { d.Skip(4) }, "offset 0: unsupported wire type 4"},
		{"field cut", "\x0a\x02a", func(d *wire.Decoder) {
			if _, typ := d.Tag(); d.Field(typ) != nil {
				t.Error("Field of a cut field is not nil")
			}
		}, "offset 2: 2 bytes announced, 1 left"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			d := wire.NewDecoder([]byte(tc.in))
			tc.read(d)
			if d.Err() == nil || d.Err().Error() != tc.want {
				t.Fatalf("got error %v, want %q", d.Err(), tc.want)
			}
			first := d.Err()
			d.Fail(errors.New("later"))
			field, typ := d.Tag()
			if d.Len() != 0 || d.Uvarint() != 0 || d.Fixed64() != 0 || d.LenBytes() != nil || field != 0 || typ != 0 || d.Err() != first {
				t.Errorf("the error is not latched: len %d, err %v", d.Len(), d.Err())
			}
		})
	}
}

func TestFieldsRoundTrip(t *testing.T) {
	b := wire.AppendVarintField(nil, 1, 300)
	b = wire.AppendBytesField(b, 2, "name")
	b = wire.AppendFixed32Field(b, 6, 0xdeadbeef)
	fixed64 := binary.LittleEndian.AppendUint64(wire.AppendTag(nil, 7, wire.Fixed64Type), 42)
	b = append(b, fixed64...)
	b = wire.AppendBytesField(b, 1000, []byte{})
	want := "\x08\xac\x02" + "\x12\x04name" + "\x35\xef\xbe\xad\xde" + string(fixed64) + "\xc2\x3e\x00"
	if string(b) != want {
		t.Fatalf("got %x, want %x", b, want)
	}
	if got := wire.SizeVarintField(1, 300) + wire.SizeBytesField(2, 4) + 5 + 9 + wire.SizeBytesField(1000, 0); got != len(b) {
		t.Errorf("sizes add up to %d, want %d", got, len(b))
	}

	var again []byte
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		_, typ := d.Tag()
		again = append(again, d.Field(typ)...)
	}
	if d.Err() != nil || !bytes.Equal(again, b) {
		t.Errorf("fields put together again: %x, %v, want %x", again, d.Err(), b)
	}

	d = wire.NewDecoder(b)
	d.Tag()
	if got := d.Uvarint(); got != 300 {
		t.Errorf("field 1 = %d, want 300", got)
	}
	d.Tag()
	name := d.LenBytes()
	if string(name) != "name" || cap(name) != 4 {
		t.Errorf("field 2 = %q with capacity %d, want %q with 4", name, cap(name), "name")
	}
	d.Tag()
	if got := d.Fixed32(); got != 0xdeadbeef {
		t.Errorf("field 6 = %#x, want 0xdeadbeef", got)
	}
	d.Tag()
	if got := d.Fixed64(); got != 42 || d.Offset() != len(b)-3 {
		t.Errorf("field 7 = %d at %d, want 42 at %d", got, d.Offset(), len(b)-3)
	}
}

// TestDecoderMemory is the bound of the doc comment: nothing but the error.
func TestDecoderMemory(t *testing.T) {
	claims := binary.AppendUvarint(nil, 1<<62)
	good := wire.AppendBytesField(wire.AppendVarintField(nil, 1, 1<<40), 2, "x")
	if got := testing.AllocsPerRun(100, func() {
		d := wire.NewDecoder(good)
		for d.Len() > 0 {
			_, typ := d.Tag()
			d.Field(typ)
		}
	}); got != 0 {
		t.Errorf("a sound message costs %v allocations, want 0", got)
	}
	const runs = 100
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range runs {
		wire.NewDecoder(claims).LenBytes()
	}
	runtime.ReadMemStats(&after)
	if got := (after.TotalAlloc - before.TotalAlloc) / runs; got > 500 {
		t.Errorf("a claim of 2^62 bytes costs %d bytes, want at most 500", got)
	}
}

// naiveUvarint adds up the digits of a varint.
func naiveUvarint(b []byte) (v uint64, n int, ok bool) {
	for i, c := range b[:min(len(b), 10)] {
		if i == 9 && c > 1 {
			return 0, 0, false // beyond 64 bits, or goes on
		}
		v += uint64(c&0x7f) << (7 * i)
		if c < 0x80 {
			return v, i + 1, true
		}
	}
	return 0, 0, false
}

func FuzzReader(f *testing.F) {
	// A header, an entry, a graph and the list of a V1 file that TensorFlow wrote.
	f.Add([]byte("\x08\x01\x1a\x02\x08\x01"), uint8(3))
	f.Add([]byte("\x08\x09\x12\x00\x28\x08\x35\xcc\xcc\xcc\xcc"), uint8(0))
	f.Add([]byte("\x0a\x16\x0a\x10\x08\x01\x12\x0csave_counter*\x02\x08\x01"), uint8(0))
	f.Add([]byte("\x0a\x09\x0a\x01i\x12\x00\x18\x03\x22\x00\x0a\x11\x0a\x01w\x12\x04\x12\x02\x08\x02\x18\x01\x22\x04\x0a\x02\x10\x02\x12\x02\x08\x01"), uint8(2))
	f.Add([]byte("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), uint8(1))
	f.Add([]byte("\x81\x80\x80\x80\x80\x00"), uint8(0))
	f.Add([]byte("\x80\x80\x80\x80\x10\x09\x01\x02\x03\x04\x05\x06\x07\x08"), uint8(0))
	f.Fuzz(func(t *testing.T, b []byte, first uint8) {
		given := bytes.Clone(b)
		want, n, ok := naiveUvarint(b)
		d := wire.NewDecoder(b)
		if got := d.Uvarint(); ok != (d.Err() == nil) || got != want || d.Offset() != n {
			t.Fatalf("Uvarint: got %d in %d bytes, %v, want %d in %d, %v", got, d.Offset(), d.Err(), want, n, ok)
		}
		d = wire.NewDecoder(b)
		if got := d.Uvarint32(); (d.Err() == nil) != (ok && n <= 5 && want <= math.MaxUint32) || d.Err() == nil && uint64(got) != want {
			t.Fatalf("Uvarint32: got %d, %v, want %d in %d bytes, %v", got, d.Err(), want, n, ok)
		}
		d = wire.NewDecoder(b)
		if p := d.LenBytes(); (d.Err() == nil) != (ok && want <= uint64(len(b)-n)) || uint64(len(p)) > want || d.Err() == nil && !bytes.Equal(p, b[n:n+int(want)]) {
			t.Fatalf("LenBytes: got %x, %v, want %d bytes", p, d.Err(), want)
		}

		d = wire.NewDecoder(b)
		d.Bytes(uint64(first % 4))
		d.Uvarint32()
		start := d.Offset()
		var fields []byte
		for d.Len() > 0 {
			field, typ := d.Tag()
			raw := d.Field(typ)
			if d.Err() == nil && (field == 0 || len(raw) == 0) {
				t.Fatalf("field %d has %d bytes", field, len(raw))
			}
			fields = append(fields, raw...)
		}
		if d.Offset() > len(b) {
			t.Fatalf("read %d of %d bytes", d.Offset(), len(b))
		}
		if d.Err() == nil && !bytes.Equal(fields, b[start:]) {
			t.Fatalf("fields put together again: %x, want %x", fields, b[start:])
		}
		if !bytes.Equal(b, given) {
			t.Fatal("the input was changed")
		}
	})
}
