package ckpt

import "math"

// bytes is how much there is to read, as far as the index tells: of strings in
// slices it does not.
func (m *matching) bytes() int64 {
	var n int64
	for i := range m.reads {
		e := &m.reads[i].entry
		size := e.Size
		if len(e.Slices) > 0 { // whose entry has no size of its own
			elements, _ := e.Shape.Elements()
			size = product(elements, int64(e.DType.Size()))
		}
		if n += size; n < 0 {
			return math.MaxInt64 // what a file claims may be more than there can be
		}
	}
	return n
}

// product multiplies what is not negative, up to the largest number.
func product(a, b int64) int64 {
	if a > 0 && b > math.MaxInt64/a {
		return math.MaxInt64
	}
	return a * b
}
