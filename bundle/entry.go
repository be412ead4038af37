package bundle

import (
	"encoding/binary"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/tensor"
)

// Entry says where the bytes of one tensor are (BundleEntryProto). Shard is −1
// where the file has no data files (V1).
type Entry struct {
	DType  tensor.DType
	Shape  tensor.Shape
	Shard  int32
	Offset int64  // in bytes from the start of the data file
	Size   int64  // in bytes
	CRC    uint32 // CRC-32C of the bytes, not masked
	// Slices lists the parts of a tensor that is stored in slices. Size, Offset
	// and CRC then mean nothing; each part has an entry of its own.
	Slices []Slice
	// Unknown holds fields this library does not know, encoded.
	Unknown []byte
}

// Field numbers of BundleEntryProto, TensorShapeProto and TensorSliceProto.
// Frozen.
const (
	entryDType  = 1
	entryShape  = 2
	entryShard  = 3
	entryOffset = 4
	entrySize   = 5
	entryCRC    = 6
	entrySlices = 7

	shapeDim = 2
	dimSize  = 1

	sliceExtent  = 1
	extentStart  = 1
	extentLength = 2
)

// EncodeEntry appends the message of e to b, byte for byte as TensorFlow
// serializes it; unknown fields come last. The shape is there even for a scalar, and
// a sliced tensor with CRC 0 has no checksum.
func EncodeEntry(b []byte, e *Entry) []byte {
	b = appendInt(b, entryDType, int64(e.DType))
	b = appendShape(b, e.Shape)
	b = appendInt(b, entryShard, int64(e.Shard))
	b = appendInt(b, entryOffset, e.Offset)
	b = appendInt(b, entrySize, e.Size)
	if masked := crc32c.Mask(e.CRC); masked != 0 && (len(e.Slices) == 0 || e.CRC != 0) {
		b = wire.AppendFixed32Field(b, entryCRC, masked)
	}
	for _, s := range e.Slices {
		b = wire.AppendBytesField(b, entrySlices, encodeSlice(nil, s))
	}
	return append(b, e.Unknown...)
}

func appendShape(b []byte, shape tensor.Shape) []byte {
	size := 0
	for _, n := range shape {
		size += 2
		if n != 0 {
			size += 1 + wire.SizeUvarint(uint64(n))
		}
	}
	b = wire.AppendTag(b, entryShape, wire.BytesType)
	b = binary.AppendUvarint(b, uint64(size))
	for _, n := range shape {
		b = wire.AppendTag(b, shapeDim, wire.BytesType)
		if n == 0 {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(1+wire.SizeUvarint(uint64(n))))
		b = appendInt(b, dimSize, n)
	}
	return b
}

// DecodeEntry decodes what stands under a tensor's name. Whether the values
// make sense is not checked here: see Reader.CheckLayout. The names of
// dimensions, which nobody writes, are dropped. What does not parse is
// ErrCorrupt. The result shares no memory with b.
//
// Memory: 24 × len(b) and 1 MiB at most.
func DecodeEntry(b []byte) (Entry, error) {
	return decodeEntry(b, new(shapes))
}

// shapes hands out memory for the shapes of many entries.
type shapes struct {
	block tensor.Shape
	large bool // blocks are worth it
}

// take returns an empty shape with room for n dimensions.
func (s *shapes) take(n int) tensor.Shape {
	const dims = 256
	if !s.large || n > dims {
		return make(tensor.Shape, 0, n)
	}
	if n > len(s.block) {
		s.block = make(tensor.Shape, dims)
	}
	taken := s.block[:0:n]
	s.block = s.block[n:]
	return taken
}

func decodeEntry(b []byte, room *shapes) (Entry, error) {
	var e Entry
	var masked uint32
	d := wire.NewDecoder(b)
	for d.Len() > 0 && d.Err() == nil {
		switch field, typ := d.Tag(); {
		case field == entryDType && typ == wire.Varint:
			e.DType = tensor.DType(int32(d.Uvarint()))
		case field == entryShape && typ == wire.BytesType:
			e.Shape = decodeShape(d, e.Shape, room)
		case field == entryShard && typ == wire.Varint:
			e.Shard = int32(d.Uvarint())
		case field == entryOffset && typ == wire.Varint:
			e.Offset = int64(d.Uvarint())
		case field == entrySize && typ == wire.Varint:
			e.Size = int64(d.Uvarint())
		case field == entryCRC && typ == wire.Fixed32Type:
			masked = d.Fixed32()
		case field == entrySlices && typ == wire.BytesType:
			p := d.LenBytes()
			if e.Slices == nil {
				e.Slices = make([]Slice, 0, 1+countFields(*d, entrySlices))
			}
			s, err := decodeSlice(p)
			d.Fail(err)
			e.Slices = append(e.Slices, s)
		default:
			e.Unknown = append(e.Unknown, d.Field(typ)...)
		}
	}
	if err := d.Err(); err != nil {
		return Entry{}, fault.Corrupt(fault.KindFormat, "entry is not parseable: %w", err)
	}
	// A missing checksum is a stored 0, as in TensorFlow; a sliced tensor has
	// none to miss.
	if len(e.Slices) == 0 || masked != 0 {
		e.CRC = crc32c.Unmask(masked)
	}
	return e, nil
}

// decodeShape appends the dimensions of a TensorShapeProto. unknown_rank is
// passed over as in TensorFlow, where such a shape counts as the scalar its
// missing dimensions make it.
func decodeShape(outer *wire.Decoder, shape tensor.Shape, room *shapes) tensor.Shape {
	p := outer.LenBytes()
	d := wire.NewDecoder(p)
	if shape == nil && len(p) > 0 {
		// Most dimensions take four bytes or more; a shape of many zeros grows.
		shape = room.take(len(p)/4 + 1)
	}
	for d.Len() > 0 && d.Err() == nil {
		field, typ := d.Tag()
		if field != shapeDim || typ != wire.BytesType {
			d.Skip(typ)
			continue
		}
		var n int64
		dim := wire.NewDecoder(d.LenBytes())
		for dim.Len() > 0 && dim.Err() == nil {
			if field, typ := dim.Tag(); field == dimSize && typ == wire.Varint {
				n = int64(dim.Uvarint())
			} else {
				dim.Skip(typ)
			}
		}
		d.Fail(dim.Err())
		shape = append(shape, n)
	}
	outer.Fail(d.Err())
	return shape
}
