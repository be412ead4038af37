package tensor

import (
	"math"
	"math/bits"
	"slices"
	"strconv"
)

// Shape lists the sizes of the dimensions, outermost first (tf.TensorShape).
// Nil and empty both mean a scalar. In the description of what a program
// expects, −1 is a dimension of any size; shapes of stored tensors have none.
type Shape []int64

// String prints the shape as TensorFlow's C++ messages do: "[2,3]", "[]" for a
// scalar, "?" for an unknown dimension.
func (s Shape) String() string {
	b := []byte{'['}
	for i, n := range s {
		if i > 0 {
			b = append(b, ',')
		}
		if n == -1 {
			b = append(b, '?')
			continue
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, ']'))
}

// Elements returns the product of the dimensions, 1 for a scalar. It is not ok
// when a dimension is negative or the product, taken from the left, passes
// int64: TensorFlow refuses such shapes too.
func (s Shape) Elements() (n int64, ok bool) {
	n = 1
	for _, dim := range s {
		if dim < 0 {
			return 0, false
		}
		high, low := bits.Mul64(uint64(n), uint64(dim))
		if high != 0 || low > math.MaxInt64 {
			return 0, false
		}
		n = int64(low)
	}
	return n, true
}

// Equal reports whether both shapes have the same dimensions.
func (s Shape) Equal(t Shape) bool { return slices.Equal(s, t) }

// Accepts reports whether a tensor of shape t fits where s is expected: the
// same rank, and each dimension equal or −1 in s.
func (s Shape) Accepts(t Shape) bool {
	if len(s) != len(t) {
		return false
	}
	for i, n := range s {
		if n != -1 && n != t[i] {
			return false
		}
	}
	return true
}

// Clone returns a copy that shares no memory with s.
func (s Shape) Clone() Shape { return slices.Clone(s) }
