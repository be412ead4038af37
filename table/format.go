package table

import (
	"encoding/binary"

	"github.com/ckpt-go/ckpt/internal/wire"
)

// The file, from offset 0 (TensorFlow's xla/tsl/lib/io: table_builder.cc,
// block_builder.cc, format.cc; the footer and its magic are LevelDB's):
//
//	┌──────────────┬───┬──────────────┬───────────┬───────┬────────┐
//	│ data block 1 │ … │ data block k │ metaindex │ index │ footer │
//	└──────────────┴───┴──────────────┴───────────┴───────┴────────┘
//
// Each block is followed by a trailer of five bytes:
//
//	├ stored contents … ┤ type ├ masked CRC-32C ┤
//	0                   n     n+1              n+5
//
// The type is 0 for contents stored as they are and 1 for Snappy; the
// checksum covers the stored contents and the type byte. TensorFlow writes
// type 0 only, but accepts both.
//
// Block contents are entries and restart offsets:
//
//	├ entry 0 ┤ … ├ entry m−1 ┤ offset 0 ┤ … ├ offset r−1 ┤ r ┤
//	                              4 bytes        4 bytes    4
//
// An entry shares the beginning of its key with the entry before it:
//
//	├ shared ┤ unshared ┤ value length ┤ unshared key bytes ┤ value ┤
//	  varint    varint      varint
//
// Every 16th entry of a data block and every entry of the index block is a
// restart point: it shares nothing, and its offset is in the restart list.
// A block without entries still has one restart at 0: eight bytes.
//
// The index block has one entry for each data block. Its key is at least the
// last key of that block and below the first key of the next one, cut short
// where possible; its value is the block's handle. Handles hold the offset
// and the stored size without the trailer:
//
//	├ offset ┤ size ┤
//	  varint   varint
//
// The footer ends the file:
//
//	├ metaindex handle ├ index handle ├ zeros … ┤ magic ┤
//	0                                          40      48
//
// The metaindex block is empty and nobody reads it: see Reader.CheckUnread.

// Frozen: these numbers are the format.
const (
	footerLen  = 48
	trailerLen = 5
	handlesLen = footerLen - 8

	magic = 0xdb4775248b80fb57

	typePlain  = 0
	typeSnappy = 1
)

// Frozen: what TensorFlow's bundle writer uses; other values still give valid
// tables, but not its bytes.
const (
	defaultBlockSize       = 256 << 10
	defaultRestartInterval = 16
	indexRestartInterval   = 1
)

// handle points at a block: its offset in the file and its stored size
// without the trailer.
type handle struct{ offset, size uint64 }

func (h handle) append(b []byte) []byte {
	return binary.AppendUvarint(binary.AppendUvarint(b, h.offset), h.size)
}

// end is where the block and its trailer end.
func (h handle) end() uint64 { return h.offset + h.size + trailerLen }

func decodeHandle(d *wire.Decoder) handle {
	return handle{offset: d.Uvarint(), size: d.Uvarint()}
}

// appendFooter appends the 48 bytes that end a table.
func appendFooter(b []byte, metaindex, index handle) []byte {
	start := len(b)
	b = index.append(metaindex.append(b))
	for len(b) < start+handlesLen {
		b = append(b, 0)
	}
	return binary.LittleEndian.AppendUint64(b, magic)
}

// decodeFooter returns the two handles. That of the metaindex is parsed but not
// judged, as in TensorFlow.
func decodeFooter(b []byte) (metaindex, index handle, err error) {
	if binary.LittleEndian.Uint64(b[handlesLen:]) != magic {
		return handle{}, handle{}, errMagic
	}
	d := wire.NewDecoder(b[:handlesLen])
	metaindex, index = decodeHandle(d), decodeHandle(d)
	if d.Err() != nil {
		return handle{}, handle{}, errHandle
	}
	return metaindex, index, nil
}

// separator returns a short key k with last ≤ k < next, for last < next
// (FindShortestSeparator of TensorFlow). The result may alias last.
func separator(last, next []byte) []byte {
	n := min(len(last), len(next))
	for i := range n {
		if last[i] == next[i] {
			continue
		}
		if last[i] < 0xff && last[i]+1 < next[i] {
			return append(last[:i:i], last[i]+1)
		}
		return last
	}
	return last // one is a prefix of the other
}

// successor returns a short key k with last ≤ k (FindShortSuccessor). The
// result may alias last.
func successor(last []byte) []byte {
	for i, c := range last {
		if c != 0xff {
			return append(last[:i:i], c+1)
		}
	}
	return last
}
