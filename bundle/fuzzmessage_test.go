package bundle_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/tensor"
)

// naiveField is a field of a protocol-buffer message.
type naiveField struct {
	number, typ uint64
	v           uint64 // of wire type 0 and 5
	p           []byte // of wire type 2
	raw         []byte
}

// is compares number and wire type.
func (f naiveField) is(number, typ uint64) bool { return f.number == number && f.typ == typ }

// naiveMessage takes a message apart: what fuzzing compares the decoders with.
func naiveMessage(p []byte) (fields []naiveField, ok bool) {
	for len(p) > 0 {
		key, n := binary.Uvarint(p)
		f := naiveField{number: key >> 3, typ: key & 7}
		if n <= 0 || f.number == 0 || f.number >= 1<<29 {
			return nil, false
		}
		size := 0
		switch rest := p[n:]; f.typ {
		case 0:
			f.v, size = binary.Uvarint(rest)
			if size <= 0 {
				return nil, false
			}
		case 1:
			size = 8
		case 2:
			length, k := binary.Uvarint(rest)
			if k <= 0 || length > uint64(len(rest)-k) {
				return nil, false
			}
			size = k + int(length)
			f.p = rest[k:size]
		case 5:
			size = 4
			if len(rest) >= 4 {
				f.v = uint64(binary.LittleEndian.Uint32(rest))
			}
		default:
			return nil, false
		}
		if size > len(p)-n {
			return nil, false
		}
		f.raw = p[:n+size]
		fields, p = append(fields, f), p[n+size:]
	}
	return fields, true
}

// naiveEntry decodes a BundleEntryProto.
func naiveEntry(p []byte) (e bundle.Entry, ok bool) {
	fields, ok := naiveMessage(p)
	stored := uint32(0)
	for _, f := range fields {
		switch {
		case f.is(1, 0):
			e.DType = tensor.DType(int32(f.v))
		case f.is(2, 2):
			dims, sound := naiveMessage(f.p)
			ok = ok && sound
			for _, dim := range dims {
				if !dim.is(2, 2) {
					continue
				}
				inner, sound := naiveMessage(dim.p)
				ok = ok && sound
				n := int64(0)
				for _, f := range inner {
					if f.is(1, 0) {
						n = int64(f.v)
					}
				}
				e.Shape = append(e.Shape, n)
			}
		case f.is(3, 0):
			e.Shard = int32(f.v)
		case f.is(4, 0):
			e.Offset = int64(f.v)
		case f.is(5, 0):
			e.Size = int64(f.v)
		case f.is(6, 5):
			stored = uint32(f.v)
		case f.is(7, 2):
			s, sound := naiveSlice(f.p)
			ok = ok && sound
			e.Slices = append(e.Slices, s)
		default:
			e.Unknown = append(e.Unknown, f.raw...)
		}
	}
	if len(e.Slices) == 0 || stored != 0 {
		e.CRC = crc32c.Unmask(stored)
	}
	return e, ok
}

// naiveSlice decodes a TensorSliceProto.
func naiveSlice(p []byte) (s bundle.Slice, ok bool) {
	extents, ok := naiveMessage(p)
	for _, f := range extents {
		if !f.is(1, 2) {
			continue
		}
		inner, sound := naiveMessage(f.p)
		e := bundle.Extent{Full: true}
		for _, f := range inner {
			switch {
			case f.is(1, 0):
				e.Start = int64(f.v)
			case f.is(2, 0):
				e.Length, e.Full = int64(f.v), false
			}
		}
		if e.Full && e.Start != 0 || e.Start < 0 || e.Length < 0 || uint64(e.Start)+uint64(e.Length) > math.MaxInt64 {
			sound = false
		}
		ok = ok && sound
		s = append(s, e)
	}
	return s, ok
}

// FuzzEntry compares DecodeEntry with naiveEntry, and looks for entries that do
// not survive encoding.
func FuzzEntry(f *testing.F) {
	goldenValues(f, func(key string, value []byte) {
		if key != "" {
			f.Add(value)
		}
	})
	f.Add(unhex(f, "08 01 12 08 12 02 08 03 12 02 08 02 18 01 20 80 01 28 18 35 d8 ea 82 a2"))
	f.Add(unhex(f, "08 01 12 04 12 02 08 04 3a 04 0a 02 10 02 3a 06 0a 04 08 02 10 02"))
	f.Add(unhex(f, "3a 0e 0a 0c 08 01 10 fe ff ff ff ff ff ff ff 7f")) // ends at the greatest int64
	f.Add(unhex(f, "3a 0e 0a 0c 08 01 10 ff ff ff ff ff ff ff ff 7f")) // behind it
	f.Add(unhex(f, "08 01 12 02 18 01 12 07 12 05 08 03 12 01 78 7a 01 78 18 ff ff ff ff ff ff ff ff ff 01"))
	f.Fuzz(func(t *testing.T, p []byte) {
		want, sound := naiveEntry(p)
		given := bytes.Clone(p)
		got, err := bundle.DecodeEntry(given)
		if sound != (err == nil) || err != nil && !errors.Is(err, bundle.ErrCorrupt) {
			t.Fatalf("got error %v, want it sound: %v", err, sound)
		}
		if err != nil {
			return
		}
		clear(given) // the result shares no memory with it
		if !equalEntries(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		first := bundle.EncodeEntry(nil, &got)
		again, err := bundle.DecodeEntry(first)
		if err != nil || !equalEntries(again, got) {
			t.Fatalf("%+v is encoded as %+v, %v", got, again, err)
		}
		if second := bundle.EncodeEntry([]byte("x"), &again); string(second) != "x"+string(first) {
			t.Fatalf("encoded as %x, then as %x", first, second)
		}
	})
}

// naiveHeader decodes a BundleHeaderProto.
func naiveHeader(p []byte) (h bundle.Header, ok bool) {
	fields, ok := naiveMessage(p)
	for _, f := range fields {
		switch {
		case f.is(1, 0):
			h.NumShards = int32(f.v)
		case f.is(2, 0):
			h.BigEndian = int32(f.v) == 1
		case f.is(3, 2):
			version, sound := naiveMessage(f.p)
			ok = ok && sound
			for _, f := range version {
				switch {
				case f.is(1, 0):
					h.Producer = int32(f.v)
				case f.is(2, 0):
					h.MinConsumer = int32(f.v)
				case f.is(3, 0):
					h.BadConsumers = append(h.BadConsumers, int32(f.v))
				case f.is(3, 2):
					for rest := f.p; len(rest) > 0; {
						v, n := binary.Uvarint(rest)
						if n <= 0 {
							return h, false
						}
						h.BadConsumers, rest = append(h.BadConsumers, int32(v)), rest[n:]
					}
				default:
					h.UnknownVersion = append(h.UnknownVersion, f.raw...)
				}
			}
		default:
			h.Unknown = append(h.Unknown, f.raw...)
		}
	}
	return h, ok
}

func equalHeaders(a, b bundle.Header) bool {
	return a.NumShards == b.NumShards && a.BigEndian == b.BigEndian && a.Producer == b.Producer && a.MinConsumer == b.MinConsumer &&
		slices.Equal(a.BadConsumers, b.BadConsumers) && bytes.Equal(a.Unknown, b.Unknown) && bytes.Equal(a.UnknownVersion, b.UnknownVersion)
}

// FuzzHeader compares DecodeHeader with naiveHeader, looks for headers that do
// not survive encoding, and opens a bundle with each.
func FuzzHeader(f *testing.F) {
	goldenValues(f, func(key string, value []byte) {
		if key == "" {
			f.Add(value)
		}
	})
	f.Add(unhex(f, "08 02 10 01 1a 09 08 02 10 01 1a 03 05 80 01 7a 01 78"))
	f.Add(unhex(f, "08 01 1a 02 10 02 1a 04 18 01 18 02"))
	f.Add(unhex(f, "08 81 80 80 80 10 10 81 80 80 80 10"))
	f.Add(unhex(f, "08 01 1a 0b 08 ff ff ff ff ff ff ff ff ff 01"))
	f.Fuzz(func(t *testing.T, p []byte) {
		want, sound := naiveHeader(p)
		given := bytes.Clone(p)
		got, err := bundle.DecodeHeader(given)
		if sound != (err == nil) || err != nil && !errors.Is(err, bundle.ErrCorrupt) {
			t.Fatalf("got error %v, want it sound: %v", err, sound)
		}
		b := mem.New()
		putTable(t, b, "p.index", map[string][]byte{"": p})
		r, openErr := bundle.Open(t.Context(), b, "p", nil)
		if err != nil {
			if !errors.Is(openErr, bundle.ErrCorrupt) {
				t.Fatalf("Open says %v, DecodeHeader %v", openErr, err)
			}
			return
		}
		clear(given)
		if !equalHeaders(got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
		first := bundle.EncodeHeader(nil, &got)
		again, err := bundle.DecodeHeader(first)
		if err != nil || !equalHeaders(again, got) || !bytes.Equal(bundle.EncodeHeader(nil, &again), first) {
			t.Fatalf("%+v is encoded as %+v, %v", got, again, err)
		}
		readable := want.Producer >= 0 && want.MinConsumer <= 1 && !slices.Contains(want.BadConsumers, 1)
		if readable != (openErr == nil) || openErr != nil && !errors.Is(openErr, errors.ErrUnsupported) {
			t.Fatalf("Open says %v of %+v", openErr, want)
		}
		if openErr == nil {
			if !equalHeaders(r.Header(), want) {
				t.Errorf("got %+v, want %+v", r.Header(), want)
			}
			r.Close()
		}
	})
}
