// Internal because the Snappy decoder is not exported: a table reaches it
// only through blocks, which hide where a damaged element was noticed.
package table

import "testing"

func TestDecodeSnappy(t *testing.T) {
	for _, tc := range []struct {
		name  string
		in    string
		limit int64
		want  string
		ok    bool
	}{
		{"empty", "\x00", 100, "", true},
		{"literal", "\x03\x08abc", 100, "abc", true},
		{"copy", "\x06\x08abc\x0a\x03\x00", 100, "abcabc", true},
		{"copy of itself", "\x0a\x00a\x22\x01\x00", 100, "aaaaaaaaaa", true},
		{"at the limit", "\x03\x08abc", 3, "abc", true},
		{"above the limit", "\x03\x08abc", 2, "", false},
		{"no length", "", 100, "", false},
		{"too short", "\x04\x08abc", 100, "", false},
		{"copy from before the start", "\x06\x08abc\x0a\x04\x00", 100, "", false},
		{"denser than possible", "\x43\x00\x00", 100, "", false},
		{"2^31-1 claimed", "\xff\xff\xff\xff\x07\x00", 1 << 62, "", false},
		{"2^64-1 claimed", "\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 1 << 62, "", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			got, ok := decodeSnappy([]byte(tc.in), tc.limit)
			if ok != tc.ok || ok && string(got) != tc.want {
				t.Errorf("got %q, %v, want %q, %v", got, ok, tc.want, tc.ok)
			}
		})
	}
}
