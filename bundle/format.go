package bundle

import (
	"fmt"
	"path"
	"strconv"
	"strings"
)

// A checkpoint P is two or more files, here the files of a bundle of one shard:
//
//	P.index                   a sorted table (package table): key → message
//	P.data-00000-of-00001     the bytes of the tensors, back to back
//
// The table holds a header under the empty key and one entry per tensor under
// the tensor's name. Both are protocol buffers whose fields stand in order of
// their numbers, fields with the value 0 left out
// (core/protobuf/tensor_bundle.proto).
//
// The header of everything a single writer makes:
//
//	08 01    1a 02 08 01
//	└─┬─┘    └────┬────┘
//	  │           └ field 3, version: producer 1
//	  └ field 1, num_shards: 1          (field 2, endianness: LITTLE, left out)
//
// An entry, here that of the int64 scalar at the start of shard 0:
//
//	08 09   12 00   28 08   35 cc cc cc cc
//	└─┬─┘   └─┬─┘   └─┬─┘   └─────┬──────┘
//	  │       │       │           └ field 6, crc32c: masked, little-endian
//	  │       │       └ field 5, size: 8  (3, shard_id, and 4, offset: 0, left out)
//	  │       └ field 2, shape: present even for a scalar
//	  └ field 1, dtype: DT_INT64
//
// The bytes of a tensor of fixed-size dtype are its elements in row-major
// order, in the byte order the header names. A string tensor, here ["", "ab"]:
//
//	00 02   77 51 99 c4   61 62
//	└─┬─┘   └────┬────┘   └─┬─┘
//	  │          │          └ the bytes of all elements
//	  │          └ masked CRC-32C of the lengths, each as 4 little-endian bytes
//	  │            (8 if it needs more), not of the varints
//	  └ one varint length per element
//
// The crc32c of a string tensor covers the lengths as numbers, the four bytes
// of the length checksum, and the bytes of the elements. A variant tensor has
// for each element a varint length, a serialized VariantTensorDataProto and the
// masked CRC-32C of everything so far, in which lengths count as 8 bytes and
// the checksums before it as stored.
//
// A tensor stored in slices has an entry of dtype, shape and the list of slices
// (field 7) and no bytes of its own; each slice is an ordinary entry under the
// slice key of slicekey.go.

// What stands on disk. Frozen.
const (
	headerKey       = ""
	producerVersion = 1 // kTensorBundleVersion, what we write
	consumerVersion = 1 // what we read

	indexSuffix = ".index"
	dataInfix   = ".data-"
	ofInfix     = "-of-"

	// maxRank is TensorShape::MaxDimensions.
	maxRank = 254

	// lengthChecksumSize is the width of the checksum behind the lengths of a
	// string tensor, and behind each variant.
	lengthChecksumSize = 4
)

// Names of our own, never TensorFlow's. They begin with a dot so that no
// pattern for checkpoints finds them, and keep the ending of the file they
// stand for.
const (
	markPrefix = ".ckpt-"             // what all of them begin with
	undoPrefix = markPrefix + "undo." // the old files of a prefix that is being overwritten
	gonePrefix = markPrefix + "gone." // the index of a prefix that is being removed
)

// chunkSize is how much is written or read, and its checksum taken, at once:
// small enough to stay in the cache of a core between the two.
const chunkSize = 256 << 10

// IndexName returns the name of the index of a checkpoint (MetaFilename).
func IndexName(prefix string) string { return prefix + indexSuffix }

// DataName returns the name of a data file (DataFilename): "P.data-00000-of-00001"
// for shard 0 of 1. Numbers of more than five digits are written in full.
func DataName(prefix string, shard, shards int) string {
	return fmt.Sprintf("%s%s%05d%s%05d", prefix, dataInfix, shard, ofInfix, shards)
}

// ParseDataName takes the name of a data file apart. It is ok for exactly the
// names DataName makes of 0 ≤ shard < shards.
func ParseDataName(name string) (prefix string, shard, shards int, ok bool) {
	i := strings.LastIndex(name, dataInfix)
	if i < 0 {
		return "", 0, 0, false
	}
	prefix = name[:i]
	first, second, found := strings.Cut(name[i+len(dataInfix):], ofInfix)
	if !found {
		return "", 0, 0, false
	}
	shard, ok1 := parseNumber(first)
	shards, ok2 := parseNumber(second)
	if !ok1 || !ok2 || shard >= shards {
		return "", 0, 0, false
	}
	return prefix, shard, shards, true
}

// parseNumber reads what %05d prints for numbers of int32.
func parseNumber(s string) (int, bool) {
	if len(s) < 5 || len(s) > 10 || len(s) > 5 && s[0] == '0' {
		return 0, false
	}
	for _, c := range []byte(s) {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	n, err := strconv.ParseInt(s, 10, 32)
	return int(n), err == nil
}

// parseIndexName returns the prefix whose index has this name.
func parseIndexName(name string) (prefix string, ok bool) {
	return strings.CutSuffix(name, indexSuffix)
}

// sibling returns the prefix in the same folder whose base name is mark
// followed by that of prefix.
func sibling(prefix, mark string) string {
	dir, base := path.Split(prefix)
	return dir + mark + base
}

// undoOf is where the old files of prefix are kept while it is overwritten.
func undoOf(prefix string) string { return sibling(prefix, undoPrefix) }

// goneOf is where the index of prefix is kept while its data is removed.
func goneOf(prefix string) string { return sibling(prefix, gonePrefix) }

// unmark is the reverse of sibling.
func unmark(name, mark string) (prefix string, ok bool) {
	dir, base := path.Split(name)
	base, ok = strings.CutPrefix(base, mark)
	return dir + base, ok
}
