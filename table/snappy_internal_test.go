// Internal because the Snappy decoder is not exported: a table reaches it
// only through blocks, which hide where a damaged element was noticed.
package table

import (
	"bytes"
	"strings"
	"testing"
)

func TestDecodeSnappy(t *testing.T) {
	long := strings.Repeat("0123456789", 30) // 300 bytes
	for _, tc := range []struct {
		name string
		in   string
		want string
		ok   bool
	}{
		{"empty", "\x00", "", true},
		{"literal", "\x03\x08abc", "abc", true},
		{"literal with one length byte", "\xac\x02\xf0\xff" + long[:256] + "\xac" + long[256:], long, true},
		{"literal with two length bytes", "\xac\x02\xf4\x2b\x01" + long, long, true},
		{"literal with three length bytes", "\xac\x02\xf8\x2b\x01\x00" + long, long, true},
		{"literal with four length bytes", "\xac\x02\xfc\x2b\x01\x00\x00" + long, long, true},
		{"copy, 11 bits", "\x07\x08abc\x01\x03", "abcabca", true},
		{"copy, two bytes", "\x06\x08abc\x0a\x03\x00", "abcabc", true},
		{"copy, four bytes", "\x06\x08abc\x0b\x03\x00\x00\x00", "abcabc", true},
		{"copy of itself", "\x0a\x00a\x22\x01\x00", "aaaaaaaaaa", true},
		{"copy from 256", "\xb0\x02\xf4\x2b\x01" + long + "\x21\x00", long + long[44:48], true},

		{"no length", "", "", false},
		{"nothing for a length", "\x01", "x", false},
		{"too short", "\x04\x08abc", "xxxx", false},
		{"literal too long", "\x02\x08abc", "xx", false},
		{"literal cut", "\x03\x08ab", "xxx", false},
		{"literal length cut", "\x03\xf4\x02", "xxx", false},
		{"literal of 2^32", "\x03\xfc\xff\xff\xff\xffabc", "xxx", false},
		{"copy too long", "\x05\x08abc\x0a\x03\x00", "xxxxx", false},
		{"copy of distance 0", "\x06\x08abc\x0a\x00\x00", "xxxxxx", false},
		{"copy from before the start", "\x06\x08abc\x0a\x04\x00", "xxxxxx", false},
		{"copy with nothing before", "\x04\x0e\x01\x00", "xxxx", false},
		{"copy from 2^32-1", "\x06\x08abc\x0b\xff\xff\xff\xff", "xxxxxx", false},
		{"copy, 11 bits, cut", "\x07\x08abc\x01", "xxxxxxx", false},
		{"copy, two bytes, cut", "\x06\x08abc\x0a\x03", "xxxxxx", false},
		{"copy, four bytes, cut", "\x06\x08abc\x0b\x03\x00\x00", "xxxxxx", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dst := make([]byte, len(tc.want))
			if ok := decodeSnappy(dst, []byte(tc.in)); ok != tc.ok {
				t.Fatalf("got %v, want %v", ok, tc.ok)
			}
			if tc.ok && !bytes.Equal(dst, []byte(tc.want)) {
				t.Errorf("got %q, want %q", dst, tc.want)
			}
		})
	}
}

func TestSnappyLen(t *testing.T) {
	for _, tc := range []struct {
		name  string
		in    string
		limit int64
		want  int
		ok    bool
	}{
		{"sound", "\x05abcdefg", 5, 5, true},
		{"above the limit", "\x06abcdefg", 5, 0, false},
		{"no length", "", 5, 0, false},
		{"at the densest", "\x42\x00\x00", 100, 66, true},
		{"denser than possible", "\x43\x00\x00", 100, 0, false},
		{"2^64-1", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1 << 62, 0, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			if got, ok := snappyLen([]byte(tc.in), tc.limit); got != tc.want || ok != tc.ok {
				t.Errorf("got %d, %v, want %d, %v", got, ok, tc.want, tc.ok)
			}
		})
	}
}
