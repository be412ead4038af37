// Package wire holds the primitive encodings that the table file and the
// protocol-buffer messages of a checkpoint share: base-128 varints,
// little-endian integers, length-prefixed bytes and protobuf field keys.
package wire

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Type is the wire type in the low three bits of a protobuf field key.
type Type uint8

// The wire types that occur in checkpoints. The deprecated groups (3 and 4)
// do not: Tag refuses them.
const (
	Varint      Type = 0
	Fixed64Type Type = 1
	BytesType   Type = 2
	Fixed32Type Type = 5
)

// maxField is the largest field number protobuf allows.
const maxField = 1<<29 - 1

// Decoder reads from a byte slice. The first error is latched: from then on
// every call returns zero and Len is 0, so a loop over Len ends and Err needs
// to be asked once.
//
// Memory: a Decoder allocates nothing but the text of its first error;
// returned slices alias the input. It is not safe for concurrent use.
type Decoder struct {
	buf   []byte
	off   int
	field int // where the field whose Tag was read last begins
	err   error
}

// NewDecoder returns a Decoder over b, which it never modifies.
func NewDecoder(b []byte) *Decoder { return &Decoder{buf: b} }

// Len returns how many bytes remain, 0 after an error.
func (d *Decoder) Len() int { return len(d.buf) - d.off }

// Offset returns how many bytes were read; after an error, where it happened.
func (d *Decoder) Offset() int { return d.off }

// Err returns the first error.
func (d *Decoder) Err() error { return d.err }

// Fail latches err, for callers that find what they decoded unacceptable. An
// earlier error wins; a nil err does nothing.
func (d *Decoder) Fail(err error) {
	if d.err == nil && err != nil {
		d.err = err
		d.buf = d.buf[:d.off]
	}
}

func (d *Decoder) failf(format string, args ...any) {
	if d.err != nil {
		return // saves the formatting
	}
	d.Fail(fmt.Errorf("offset %d: %s", d.off, fmt.Sprintf(format, args...)))
}

// Uvarint reads a varint of at most ten bytes and 64 bits. Longer than
// minimal encodings are accepted, as protobuf and TensorFlow do.
func (d *Decoder) Uvarint() uint64 {
	if d.off < len(d.buf) && d.buf[d.off] < 0x80 {
		v := d.buf[d.off]
		d.off++
		return uint64(v)
	}
	v, n := binary.Uvarint(d.buf[d.off:])
	if n <= 0 {
		d.badVarint(n)
		return 0
	}
	d.off += n
	return v
}

// Uvarint32 reads a varint of at most five bytes and 32 bits, the lengths of
// the table format.
func (d *Decoder) Uvarint32() uint32 {
	if d.off < len(d.buf) && d.buf[d.off] < 0x80 {
		v := d.buf[d.off]
		d.off++
		return uint32(v)
	}
	v, n := binary.Uvarint(d.buf[d.off:])
	switch {
	case n <= 0:
		d.badVarint(n)
		return 0
	case n > binary.MaxVarintLen32 || v > math.MaxUint32:
		d.failf("varint exceeds 32 bits")
		return 0
	}
	d.off += n
	return uint32(v)
}

func (d *Decoder) badVarint(n int) {
	if n == 0 {
		d.failf("truncated varint")
	} else {
		d.failf("varint exceeds 64 bits")
	}
}

// Fixed32 reads four little-endian bytes.
func (d *Decoder) Fixed32() uint32 {
	if b := d.Bytes(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

// Fixed64 reads eight little-endian bytes.
func (d *Decoder) Fixed64() uint64 {
	if b := d.Bytes(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

// Bytes returns the next n bytes, nil after an error. The slice aliases
// the input and its capacity ends with it.
func (d *Decoder) Bytes(n uint64) []byte {
	if d.err != nil {
		return nil
	}
	if n > uint64(d.Len()) {
		d.failf("%d bytes announced, %d left", n, d.Len())
		return nil
	}
	start := d.off
	d.off += int(n)
	return d.buf[start:d.off:d.off]
}

// LenBytes reads a varint length and returns that many bytes, as Bytes does.
func (d *Decoder) LenBytes() []byte { return d.Bytes(d.Uvarint()) }

// Tag reads a protobuf field key. Field numbers outside 1…2²⁹−1, groups and
// unknown wire types are errors. After an error the field is 0.
func (d *Decoder) Tag() (field int, typ Type) {
	d.field = d.off
	key := d.Uvarint()
	if d.err != nil {
		return 0, 0
	}
	typ = Type(key & 7)
	number := key >> 3
	if number == 0 || number > maxField {
		d.failf("field number %d", number)
		return 0, 0
	}
	switch typ {
	case Varint, Fixed64Type, BytesType, Fixed32Type:
		return int(number), typ
	}
	d.failf("field %d has unsupported wire type %d", number, typ)
	return 0, 0
}

// Skip passes over the value of a field of the given wire type.
func (d *Decoder) Skip(typ Type) {
	switch typ {
	case Varint:
		d.Uvarint()
	case Fixed64Type:
		d.Bytes(8)
	case BytesType:
		d.LenBytes()
	case Fixed32Type:
		d.Bytes(4)
	default:
		d.failf("unsupported wire type %d", typ)
	}
}

// Field passes over the value of the field whose Tag was read last and
// returns the whole field, key and value, as it stands in the input; nil
// after an error. Appending what it returns behind the known fields keeps a
// field this library does not know.
func (d *Decoder) Field(typ Type) (raw []byte) {
	start := d.field
	d.Skip(typ)
	if d.err != nil {
		return nil
	}
	return d.buf[start:d.off:d.off]
}
