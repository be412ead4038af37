package bundle

import "github.com/ckpt-go/ckpt/tensor"

// scatter calls move for each stretch of a slice that is contiguous in the
// tensor, with its offset there, its offset in the slice, and its length, all in
// elements.
func scatter(shape tensor.Shape, s Slice, move func(to, from, n int64)) {
	from := int64(0)
	for r := newRuns(shape, s); ; {
		to, n, ok := r.next()
		if !ok {
			return
		}
		move(to, from, n)
		from += n
	}
}

// runs walks the elements of a slice in row-major order, in stretches that are
// contiguous in the tensor.
type runs struct {
	length int64   // of each stretch
	off    int64   // of the next one, in elements
	count  []int64 // of stretches along each outer dimension
	index  []int64
	stride []int64
	done   bool
}

// newRuns needs a slice that fits the shape.
func newRuns(shape tensor.Shape, s Slice) *runs {
	r := &runs{length: 1}
	inner := len(shape) // dimensions from here on are one stretch
	stride := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		start, length := s[i].of(shape[i])
		if length == 0 {
			r.done = true
		}
		r.off += start * stride
		if inner == i+1 && r.length == stride {
			// Everything inside is taken whole, so this dimension only makes the
			// stretch longer.
			inner = i
			r.length *= length
		} else {
			r.count = append(r.count, length)
			r.stride = append(r.stride, stride)
		}
		stride *= shape[i]
	}
	r.index = make([]int64, len(r.count))
	return r
}

// single reports whether there is at most one stretch left to come.
func (r *runs) single() bool {
	for _, n := range r.count {
		if n != 1 {
			return false
		}
	}
	return !r.done
}

// next returns the offset and length in elements of the next stretch.
func (r *runs) next() (off, n int64, ok bool) {
	if r.done {
		return 0, 0, false
	}
	off = r.off
	// count and stride hold the innermost dimension first.
	for i := range r.count {
		r.index[i]++
		r.off += r.stride[i]
		if r.index[i] < r.count[i] {
			return off, r.length, true
		}
		r.off -= r.stride[i] * r.count[i]
		r.index[i] = 0
	}
	r.done = true
	return off, r.length, true
}
