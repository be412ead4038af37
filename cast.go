package ckpt

import (
	"context"
	"fmt"
	"math"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/tensor"
)

// Casting takes a stored tensor for one of another dtype: floats for floats,
// rounded to the nearest, and integers for integers or floats that hold exactly
// the same number. A number out of range is never replaced by another one.

func isFloat(d tensor.DType) bool {
	switch d {
	case tensor.Float64, tensor.Float32, tensor.Float16, tensor.BFloat16, tensor.Float4E2M1FN, tensor.Float8E5M2,
		tensor.Float8E4M3FN, tensor.Float8E4M3FNUZ, tensor.Float8E4M3B11FNUZ, tensor.Float8E5M2FNUZ:
		return true
	}
	return false
}

func isInteger(d tensor.DType) bool {
	switch d {
	case tensor.Int8, tensor.Int16, tensor.Int32, tensor.Int64, tensor.Uint8, tensor.Uint16, tensor.Uint32, tensor.Uint64,
		tensor.Int4, tensor.Uint4, tensor.Int2, tensor.Uint2:
		return true
	}
	return false
}

// castable tells whether values of one dtype may be taken for another.
func castable(from, to tensor.DType) bool {
	return isFloat(from) && isFloat(to) || isInteger(from) && (isInteger(to) || isFloat(to))
}

// castHint says in a misfit of dtypes what casting does about it.
func castHint(from, to tensor.DType, asked bool) string {
	switch {
	case castable(from, to) && !asked:
		return " (the option Cast would convert it)"
	case asked && isFloat(from) && isInteger(to):
		return " (the option Cast makes no integers of floats)"
	case asked:
		return " (the option Cast does not convert these)"
	}
	return ""
}

// newSource is a stored tensor for a value of the program, converted if its
// dtype is another one.
func newSource(rd *bundle.Reader, r *read) Source {
	s := &source{rd, r}
	if r.entry.DType == r.spec.DType {
		return s
	}
	return &castSource{s}
}

// castSource is a stored tensor in the dtype of the program.
type castSource struct{ *source }

func (s *castSource) DType() tensor.DType { return s.read.spec.DType }

func (s *castSource) Tensor(ctx context.Context) (*tensor.Tensor, error) {
	n, ok := s.Shape().Elements()
	if !ok {
		return nil, fmt.Errorf("impossible shape %v", s.Shape())
	}
	stored, err := s.stored(ctx)
	if err != nil {
		return nil, err
	}
	dst := make([]byte, int(n)*s.DType().Size())
	if err := s.convert(stored, dst); err != nil {
		return nil, err
	}
	return tensor.New(s.DType(), s.Shape().Clone(), dst)
}

// ReadInto needs memory for the stored form of the tensor besides dst.
func (s *castSource) ReadInto(ctx context.Context, dst []byte) error {
	stored, err := s.stored(ctx)
	if err != nil {
		return err
	}
	return s.convert(stored, dst)
}

func (s *castSource) stored(ctx context.Context) ([]byte, error) {
	t, err := s.source.Tensor(ctx)
	if err != nil {
		return nil, err
	}
	return t.Bytes(), nil
}

// castChunk is how many elements are converted at a time.
const castChunk = 1 << 14

// convert fills dst, or without it only looks whether every value fits.
func (s *castSource) convert(stored, dst []byte) error {
	from, to := s.read.entry.DType, s.read.spec.DType
	size := from.Size()
	if dst != nil && len(dst) != len(stored)/size*to.Size() {
		return fmt.Errorf("%d bytes for %d elements of %v", len(dst), len(stored)/size, to)
	}
	for at := 0; at < len(stored)/size; at += castChunk {
		n := min(castChunk, len(stored)/size-at)
		t, err := tensor.New(from, tensor.Shape{int64(n)}, stored[at*size:(at+n)*size])
		if err != nil {
			return err
		}
		out, bad, err := cast(t, to)
		if err != nil {
			return err
		}
		if bad >= 0 {
			return s.misfit(t, at, bad)
		}
		if dst != nil {
			copy(dst[at*to.Size():], out.Bytes())
		}
	}
	return nil
}

func (s *castSource) misfit(chunk *tensor.Tensor, at, bad int) error {
	r := s.read
	value := "?"
	switch {
	case chunk.DType() == tensor.Uint64:
		if v, err := tensor.Values[uint64](chunk); err == nil {
			value = fmt.Sprint(v[bad])
		}
	case isInteger(chunk.DType()):
		if v, err := tensor.Ints(chunk); err == nil {
			value = fmt.Sprint(v[bad])
		}
	default:
		if v, err := tensor.Floats[float64](chunk); err == nil {
			value = fmt.Sprint(v[bad])
		}
	}
	return &MismatchError{
		Key: r.key, Want: describe(r.spec.DType, r.spec.Shape), Got: describe(r.entry.DType, r.entry.Shape),
		Err: fmt.Errorf("element %d is %s, which %v does not hold; nothing was restored", at+bad, value, r.spec.DType),
	}
}

// cast converts a vector. bad is the first element that does not fit, or −1.
func cast(t *tensor.Tensor, to tensor.DType) (out *tensor.Tensor, bad int, err error) {
	switch {
	case isFloat(t.DType()):
		values, err := tensor.Floats[float64](t)
		if err != nil {
			return nil, -1, err
		}
		return floatsTo(values, to, sameKind)
	case isFloat(to):
		values, bad, err := exactFloats(t)
		if err != nil || bad >= 0 {
			return nil, bad, err
		}
		return floatsTo(values, to, func(a, b float64, _ tensor.DType) bool { return a == b })
	}
	values, bad, err := integers(t)
	if err != nil || bad >= 0 {
		return nil, bad, err
	}
	if out, err = tensor.FromInts(to, t.Shape(), values); err == nil {
		return out, -1, nil
	}
	for i := range values {
		if _, one := tensor.FromInts(to, nil, values[i:i+1]); one != nil {
			return nil, i, nil
		}
	}
	return nil, -1, err
}

// floatsTo makes floats of another kind, if all that come out of it are right.
func floatsTo(values []float64, to tensor.DType, right func(in, out float64, to tensor.DType) bool) (out *tensor.Tensor, bad int, err error) {
	out, err = tensor.FromFloats(to, tensor.Shape{int64(len(values))}, values)
	if err != nil {
		for i := range values {
			if _, one := tensor.FromFloats(to, nil, values[i:i+1]); one != nil {
				return nil, i, nil
			}
		}
		return nil, -1, err
	}
	back, err := tensor.Floats[float64](out)
	if err != nil {
		return nil, -1, err
	}
	for i, v := range values {
		if !right(v, back[i], to) {
			return nil, i, nil
		}
	}
	return out, -1, nil
}

// sameKind tells whether a float was only rounded: a number stays one, and so do
// infinities and NaN.
func sameKind(in, out float64, to tensor.DType) bool {
	if to == tensor.Float4E2M1FN && math.Abs(in) >= 7 { // its largest is 6; the next would be 8
		return false
	}
	return math.IsNaN(in) == math.IsNaN(out) && math.IsInf(in, 0) == math.IsInf(out, 0)
}

// integers reads a vector of any integer dtype. bad is the first element that is
// none of int64, which only uint64 holds, or −1.
func integers(t *tensor.Tensor) (values []int64, bad int, err error) {
	if t.DType() == tensor.Uint64 {
		wide, err := tensor.Values[uint64](t)
		if err != nil {
			return nil, -1, err
		}
		for i, v := range wide {
			if v > math.MaxInt64 {
				return nil, i, nil
			}
		}
	}
	values, err = tensor.Ints(t)
	return values, -1, err
}

// exactFloats reads a vector of any integer dtype as floats. bad is the first
// element that float64 does not hold, or −1.
func exactFloats(t *tensor.Tensor) (floats []float64, bad int, err error) {
	if t.DType() == tensor.Uint64 {
		wide, err := tensor.Values[uint64](t)
		if err != nil {
			return nil, -1, err
		}
		for i, v := range wide {
			f := float64(v)
			if f >= 1<<64 || uint64(f) != v {
				return nil, i, nil
			}
			floats = append(floats, f)
		}
		return floats, -1, nil
	}
	values, err := tensor.Ints(t)
	if err != nil {
		return nil, -1, err
	}
	for i, v := range values {
		f := float64(v)
		if f >= 1<<63 || int64(f) != v {
			return nil, i, nil
		}
		floats = append(floats, f)
	}
	return floats, -1, nil
}

// checkCasts looks whether the values to convert fit, before any is set, where
// values are read straight into their memory.
func (m *matching) checkCasts(ctx context.Context, rd *bundle.Reader) error {
	casts := false
	for i := range m.reads {
		casts = casts || m.reads[i].entry.DType != m.reads[i].spec.DType
	}
	if !casts {
		return nil
	}
	return m.each(ctx, func(ctx context.Context, i int) error {
		s, ok := newSource(rd, &m.reads[i]).(*castSource)
		if !ok {
			return nil
		}
		stored, err := s.stored(ctx)
		if err != nil {
			return err
		}
		return s.convert(stored, nil)
	})
}
