package bundle_test

import (
	"cmp"
	"encoding/binary"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
)

// FuzzSliceKey takes keys apart and puts them together, makes keys of names and
// slices, and checks that keys sort like what they stand for.
func FuzzSliceKey(f *testing.F) {
	goldenValues(f, func(key string, _ []byte) {
		if key == "" || key[0] != 0 {
			f.Add(key, "v", "w", []byte(key))
			return
		}
		f.Add(key, key, key[1:], []byte("\x01\x00\x02\x00\x00\x01\x02"))
	})
	f.Add("\x00v\x00\x01\x01\x01\x80\x82", "v", "v\x00", []byte("\x01\x80\x80\x01\x40\x00\x7f"))
	f.Add("\x00\x00\xff\xff\x00\x00\x01\x00", "\x00", "\xff", []byte("\x01\xff\xff\xff\xff\xff\xff\xff\xff\x7f\x00"))
	f.Add("\x00v\x00\x01\x02\x00\x01\x80\x82", "", "", []byte("\x3f\x40\x3f\x41"))
	f.Add("\x00v\x00\x01\x01\x01\xc0\x00\x82", "", "", []byte("\x80\x40\x00\xff\xff\xff\xff\xff\xff\xff\x3f\x00"))
	f.Fuzz(func(t *testing.T, key, name1, name2 string, numbers []byte) {
		if name, s, ok := bundle.DecodeSliceKey(key); ok {
			if again := bundle.EncodeSliceKey(name, s); again != key {
				t.Fatalf("%x decodes as %q %v, which is %x", key, name, s, again)
			}
			if len(name)+2*len(s) > len(key) {
				t.Fatalf("%d bytes decode as a name of %d and %d extents", len(key), len(name), len(s))
			}
		}
		slice1, slice2 := twoSlices(numbers)
		key1, key2 := bundle.EncodeSliceKey(name1, slice1), bundle.EncodeSliceKey(name2, slice2)
		for _, c := range []struct {
			key, name string
			s         bundle.Slice
		}{{key1, name1, slice1}, {key2, name2, slice2}} {
			name, s, ok := bundle.DecodeSliceKey(c.key)
			if !ok || name != c.name || !slices.Equal(s, c.s) {
				t.Fatalf("%q %v is encoded as %x, which is %q %v, %v", c.name, c.s, c.key, name, s, ok)
			}
			if _, _, ok := bundle.DecodeSliceKey(c.key + "\x80"); ok {
				t.Fatalf("a byte behind %x is not noticed", c.key)
			}
			if _, _, ok := bundle.DecodeSliceKey(c.key[:len(c.key)-1]); ok {
				t.Fatalf("%x cut is not noticed", c.key)
			}
		}
		want := cmp.Or(strings.Compare(name1, name2), cmp.Compare(len(slice1), len(slice2)), slices.CompareFunc(slice1, slice2, compareExtents))
		if got := strings.Compare(key1, key2); got != want {
			t.Fatalf("%x and %x compare as %d, but %q %v and %q %v as %d", key1, key2, got, name1, slice1, name2, slice2, want)
		}
	})
}

// twoSlices makes extents out of pairs of varints, and gives them to two slices in
// turn.
func twoSlices(numbers []byte) (first, second bundle.Slice) {
	for len(numbers) > 0 {
		var pair [2]int64
		for i := range pair {
			v, n := binary.Uvarint(numbers)
			if n <= 0 {
				n = len(numbers)
			}
			pair[i], numbers = int64(v&math.MaxInt64), numbers[n:]
		}
		e := bundle.Extent{Start: pair[0], Length: pair[1]}
		if pair[0] == 1 && pair[1] == 1 {
			e = bundle.Extent{Full: true}
		}
		first, second = second, append(first, e)
	}
	return first, second
}

// compareExtents orders a full dimension as start 0 and length −1.
func compareExtents(a, b bundle.Extent) int {
	if a.Full {
		a.Length = -1
	}
	if b.Full {
		b.Length = -1
	}
	return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Length, b.Length))
}
