package bundle

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
)

// Header is the first entry of an index (BundleHeaderProto).
type Header struct {
	NumShards    int32   // how many data files there are
	BigEndian    bool    // byte order of the data files; the index is always little-endian
	Producer     int32   // version of the writer, 0 if it said nothing
	MinConsumer  int32   // lowest version of a reader that understands the bundle
	BadConsumers []int32 // versions of readers that must not read it
	Unknown      []byte  // fields this library does not know, encoded
	// UnknownVersion is the same of the message of versions inside the header.
	UnknownVersion []byte
}

// Field numbers of BundleHeaderProto and VersionDef. Frozen.
const (
	headerNumShards  = 1
	headerEndianness = 2
	headerVersion    = 3

	versionProducer     = 1
	versionMinConsumer  = 2
	versionBadConsumers = 3
)

// EncodeHeader appends the message of h to b, byte for byte as TensorFlow
// serializes it; unknown fields come last.
func EncodeHeader(b []byte, h *Header) []byte {
	b = appendInt(b, headerNumShards, int64(h.NumShards))
	if h.BigEndian {
		b = appendInt(b, headerEndianness, 1)
	}
	version := appendInt(nil, versionProducer, int64(h.Producer))
	version = appendInt(version, versionMinConsumer, int64(h.MinConsumer))
	if len(h.BadConsumers) > 0 {
		var packed []byte
		for _, v := range h.BadConsumers {
			packed = binary.AppendUvarint(packed, uint64(int64(v)))
		}
		version = wire.AppendBytesField(version, versionBadConsumers, packed)
	}
	if version = append(version, h.UnknownVersion...); len(version) > 0 {
		b = wire.AppendBytesField(b, headerVersion, version)
	}
	return append(b, h.Unknown...)
}

// DecodeHeader decodes what stands under the empty key. The version is not
// checked here. What does not parse is ErrCorrupt. The result shares no memory
// with b.
//
// Memory: 24 × len(b) and 1 MiB at most.
func DecodeHeader(b []byte) (Header, error) {
	var h Header
	d := wire.NewDecoder(b)
	for d.Len() > 0 && d.Err() == nil {
		switch field, typ := d.Tag(); {
		case field == headerNumShards && typ == wire.Varint:
			h.NumShards = int32(d.Uvarint())
		case field == headerEndianness && typ == wire.Varint:
			// Like TensorFlow: whatever is not BIG is read as little-endian.
			h.BigEndian = int32(d.Uvarint()) == 1
		case field == headerVersion && typ == wire.BytesType:
			decodeVersion(d, &h)
		default:
			h.Unknown = append(h.Unknown, d.Field(typ)...)
		}
	}
	if err := d.Err(); err != nil {
		return Header{}, fault.Corrupt(fault.KindFormat, "unable to parse header: %w", err)
	}
	return h, nil
}

func decodeVersion(outer *wire.Decoder, h *Header) {
	d := wire.NewDecoder(outer.LenBytes())
	for d.Len() > 0 && d.Err() == nil {
		switch field, typ := d.Tag(); {
		case field == versionProducer && typ == wire.Varint:
			h.Producer = int32(d.Uvarint())
		case field == versionMinConsumer && typ == wire.Varint:
			h.MinConsumer = int32(d.Uvarint())
		case field == versionBadConsumers && typ == wire.Varint:
			h.BadConsumers = append(h.BadConsumers, int32(d.Uvarint()))
		case field == versionBadConsumers && typ == wire.BytesType:
			p := d.LenBytes()
			packed := wire.NewDecoder(p)
			h.BadConsumers = slices.Grow(h.BadConsumers, countVarints(p))
			for packed.Len() > 0 && packed.Err() == nil {
				h.BadConsumers = append(h.BadConsumers, int32(packed.Uvarint()))
			}
			d.Fail(packed.Err())
		default:
			h.UnknownVersion = append(h.UnknownVersion, d.Field(typ)...)
		}
	}
	outer.Fail(d.Err())
}

// countVarints returns how many varints end in p.
func countVarints(p []byte) (n int) {
	for _, c := range p {
		if c < 0x80 {
			n++
		}
	}
	return n
}

// countFields returns how many length-prefixed fields of a number are left, up
// to the first error, so that memory for them is allocated once.
func countFields(d wire.Decoder, number int) (n int) {
	for d.Len() > 0 && d.Err() == nil {
		field, typ := d.Tag()
		d.Skip(typ)
		if field == number && typ == wire.BytesType && d.Err() == nil {
			n++
		}
	}
	return n
}

// checkVersion refuses what a newer TensorFlow marked as unreadable for us, in
// the words of CheckVersions (core/framework/versions.cc).
func (h *Header) checkVersion() error {
	switch {
	case h.Producer < 0:
		return unsupported("Checkpoint producer version %d below min producer 0 supported", h.Producer)
	case h.MinConsumer > consumerVersion:
		return unsupported("Checkpoint min consumer version %d above current version %d: it was written by a newer TensorFlow", h.MinConsumer, consumerVersion)
	case slices.Contains(h.BadConsumers, consumerVersion):
		return unsupported("Checkpoint disallows consumer version %d", consumerVersion)
	}
	return nil
}

// unsupported makes the error of a format this library does not read.
func unsupported(format string, args ...any) *fault.CorruptError {
	return fault.Corrupt(fault.KindUnsupported, "%w", &unsupportedError{fmt.Sprintf(format, args...)})
}

// unsupportedError is errors.ErrUnsupported with a text of its own.
type unsupportedError struct{ text string }

func (e *unsupportedError) Error() string { return e.text }

// Unwrap gives the class.
func (e *unsupportedError) Unwrap() error { return errors.ErrUnsupported }

// appendInt appends an integer field; 0 is left out, and negative numbers take
// ten bytes, as everywhere in protocol buffers.
func appendInt(b []byte, field int, v int64) []byte {
	if v == 0 {
		return b
	}
	return wire.AppendVarintField(b, field, uint64(v))
}
