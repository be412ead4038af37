package wire

import (
	"encoding/binary"
	"math/bits"
)

// AppendTag appends a protobuf field key. The field number must be in
// 1…2²⁹−1.
func AppendTag(b []byte, field int, typ Type) []byte {
	return binary.AppendUvarint(b, uint64(field)<<3|uint64(typ))
}

// AppendVarintField appends a whole varint field, also when v is 0. Negative
// int32 and int64 values are passed sign-extended, uint64(int64(v)).
func AppendVarintField(b []byte, field int, v uint64) []byte {
	return binary.AppendUvarint(AppendTag(b, field, Varint), v)
}

// AppendBytesField appends a whole length-prefixed field (bytes, string or an
// encoded message), also when p is empty.
func AppendBytesField[T ~string | ~[]byte](b []byte, field int, p T) []byte {
	b = binary.AppendUvarint(AppendTag(b, field, BytesType), uint64(len(p)))
	return append(b, p...)
}

// AppendFixed32Field appends a whole fixed32 field, also when v is 0.
func AppendFixed32Field(b []byte, field int, v uint32) []byte {
	return binary.LittleEndian.AppendUint32(AppendTag(b, field, Fixed32Type), v)
}

// SizeUvarint returns how many bytes the varint of v takes, 1 to 10.
func SizeUvarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// SizeVarintField returns the length of what AppendVarintField appends.
func SizeVarintField(field int, v uint64) int {
	return SizeUvarint(uint64(field)<<3) + SizeUvarint(v)
}

// SizeBytesField returns the length of what AppendBytesField appends for n
// bytes.
func SizeBytesField(field, n int) int {
	return SizeUvarint(uint64(field)<<3) + SizeUvarint(uint64(n)) + n
}
