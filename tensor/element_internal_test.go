// Internal, because a little-endian host never takes the way of the others.

package tensor

import (
	"bytes"
	"testing"
)

func checkAppend[T Element](t *testing.T, values ...T) {
	t.Helper()
	want, ok := AsBytes(values)
	if !ok {
		t.Skip("this host is big-endian: the other tests take this way")
	}
	if got := appendElements(nil, values); !bytes.Equal(got, want) {
		t.Errorf("%v: got %x, want %x", values, got, want)
	}
}

func TestAppendElements(t *testing.T) {
	checkAppend(t, true, false)
	checkAppend[int8](t, 1, -1)
	checkAppend[int16](t, 1, -2)
	checkAppend[int32](t, 1, -2)
	checkAppend[int64](t, 1, -2)
	checkAppend[uint8](t, 1, 255)
	checkAppend[uint16](t, 1, 0xfffe)
	checkAppend[uint32](t, 1, 0xfffffffe)
	checkAppend[uint64](t, 1, 0xfffffffffffffffe)
	checkAppend[float32](t, 1, -1.5)
	checkAppend[float64](t, 1, -1.5)
	checkAppend[complex64](t, complex(1, -1.5))
	checkAppend(t, complex(1, -1.5))
}
