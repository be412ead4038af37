package bundle

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
)

// The key of a slice, here of v[0:2]:
//
//	00   76 00 01   01 01   80 82
//	└┬   └──┬───┘   └─┬─┘   └─┬─┘
//	 │      │         │       └ start and length of each dimension, signed; a
//	 │      │         │         full dimension is 0 and −1
//	 │      │         └ rank: a byte that counts the big-endian bytes after it
//	 │      └ the name, 00 as 00 ff and ff as ff 00, ended by 00 01
//	 └ the number 0 in the encoding of the rank
//
// The bytes sort like what they stand for (core/lib/strings/ordered_code.cc,
// core/util/saved_tensor_slice_util.cc EncodeTensorNameSlice).

// EncodeSliceKey returns the key under which a slice of the named tensor is
// stored.
func EncodeSliceKey(name string, s Slice) string {
	b := make([]byte, 0, len(name)+8+4*len(s))
	b = appendOrderedNumber(b, 0)
	b = appendOrderedString(b, name)
	b = appendOrderedNumber(b, uint64(len(s)))
	for _, e := range s {
		if e.Full {
			b = append(b, 0x80, 0x7f) // 0 and −1
			continue
		}
		b = appendOrderedSigned(b, e.Start)
		b = appendOrderedSigned(b, e.Length)
	}
	return string(b)
}

// DecodeSliceKey takes a slice key apart. It is not ok for any other key.
//
// Memory: 24 × len(key) and 1 MiB at most.
func DecodeSliceKey(key string) (name string, s Slice, ok bool) {
	d := orderedDecoder{rest: key}
	if key == "" || d.number() != 0 || d.bad {
		return "", nil, false
	}
	name = d.string()
	rank := d.number()
	if d.bad || rank > uint64(len(d.rest))/2 { // each extent takes two bytes
		return "", nil, false
	}
	s = make(Slice, rank)
	for i := range s {
		start, length := d.signed(), d.signed()
		switch {
		case start == 0 && length == -1:
			s[i].Full = true
		case start < 0 || length < 0:
			return "", nil, false
		default:
			s[i] = Extent{Start: start, Length: length}
		}
	}
	if d.bad || d.rest != "" || EncodeSliceKey(name, s) != key {
		return "", nil, false
	}
	return name, s, true
}

// isSliceKey reports whether a key is that of a slice.
func isSliceKey(key string) bool {
	if key == "" || key[0] != 0 {
		return false
	}
	_, _, ok := DecodeSliceKey(key)
	return ok
}

func appendOrderedNumber(b []byte, v uint64) []byte {
	var be [8]byte
	binary.BigEndian.PutUint64(be[:], v)
	i := 0
	for i < 8 && be[i] == 0 {
		i++
	}
	b = append(b, byte(8-i))
	return append(b, be[i:]...)
}

func appendOrderedString(b []byte, s string) []byte {
	for i := range len(s) {
		switch c := s[i]; c {
		case 0x00:
			b = append(b, 0x00, 0xff)
		case 0xff:
			b = append(b, 0xff, 0x00)
		default:
			b = append(b, c)
		}
	}
	return append(b, 0x00, 0x01)
}

// signedHeader holds what is xored onto the first two bytes of a signed number
// of n bytes, n from 1 to 10: n leading ones, and the sign bit. Frozen.
var signedHeader = [11][2]byte{
	1: {0x80}, 2: {0xc0}, 3: {0xe0}, 4: {0xf0}, 5: {0xf8},
	6: {0xfc}, 7: {0xfe}, 8: {0xff}, 9: {0xff, 0x80}, 10: {0xff, 0xc0},
}

func appendOrderedSigned(b []byte, v int64) []byte {
	magnitude := uint64(v)
	fill := byte(0)
	if v < 0 {
		magnitude = ^magnitude
		fill = 0xff
	}
	n := 1 // bytes, each of which carries seven bits, one of them the sign
	for n < 10 && magnitude>>(7*n-1) != 0 {
		n++
	}
	var be [10]byte
	be[0], be[1] = fill, fill
	binary.BigEndian.PutUint64(be[2:], uint64(v))
	digits := be[10-n:]
	digits[0] ^= signedHeader[n][0]
	if n > 1 {
		digits[1] ^= signedHeader[n][1]
	}
	return append(b, digits...)
}

// orderedDecoder reads the ordered encodings. After bad is set, everything it
// returns is zero.
type orderedDecoder struct {
	rest string
	bad  bool
}

func (d *orderedDecoder) take(n int) string {
	if d.bad || n > len(d.rest) {
		d.bad = true
		return ""
	}
	p := d.rest[:n]
	d.rest = d.rest[n:]
	return p
}

func (d *orderedDecoder) number() uint64 {
	size := d.take(1)
	if d.bad || size[0] > 8 {
		d.bad = true
		return 0
	}
	var v uint64
	for _, c := range []byte(d.take(int(size[0]))) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (d *orderedDecoder) string() string {
	var s []byte
	for !d.bad {
		c := d.take(1)
		if d.bad {
			break
		}
		if c[0] != 0x00 && c[0] != 0xff {
			s = append(s, c[0])
			continue
		}
		switch pair := c + d.take(1); pair {
		case "\x00\x01":
			return string(s)
		case "\x00\xff", "\xff\x00":
			s = append(s, c[0])
		default:
			d.bad = true
		}
	}
	return ""
}

func (d *orderedDecoder) signed() int64 {
	if d.bad || d.rest == "" {
		d.bad = true
		return 0
	}
	// A number that is not negative begins with as many ones as it has bytes, a
	// negative one with as many zeros.
	invert := byte(0)
	if d.rest[0]&0x80 == 0 {
		invert = 0xff
	}
	n := 0
	for n < 10 && n/8 < len(d.rest) && (d.rest[n/8]^invert)&(0x80>>(n%8)) != 0 {
		n++
	}
	digits := []byte(d.take(n))
	if d.bad || n == 0 {
		d.bad = true
		return 0
	}
	digits[0] ^= signedHeader[n][0]
	if n > 1 {
		digits[1] ^= signedHeader[n][1]
	}
	var v uint64
	if invert != 0 {
		v = math.MaxUint64
	}
	for _, c := range digits {
		v = v<<8 | uint64(c)
	}
	return int64(v)
}

// errKey describes a key for an error: a slice by its name and spec.
func errKey(key string) string {
	if name, s, ok := DecodeSliceKey(key); ok {
		return fmt.Sprintf("%s slice %s", name, s)
	}
	return key
}

// clip shortens a name for a message that there may be many of.
func clip(name string) string {
	const most = 200
	if len(name) <= most {
		return name
	}
	return strings.ToValidUTF8(name[:most], "") + "…"
}
