package bundle

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/tensor"
)

// Extent is what a slice takes of one dimension.
type Extent struct {
	Start, Length int64
	Full          bool // the whole dimension; Start and Length are 0
}

// Slice is a rectangle of a tensor, one extent per dimension (TensorSlice).
type Slice []Extent

// String prints the slice as TensorFlow's specs do: "-:0,10:14,1" is all of the
// first dimension, ten of the second from 0, one of the third from 14.
func (s Slice) String() string {
	var b []byte
	for i, e := range s {
		if i > 0 {
			b = append(b, ':')
		}
		if e.Full {
			b = append(b, '-')
			continue
		}
		b = strconv.AppendInt(b, e.Start, 10)
		b = append(b, ',')
		b = strconv.AppendInt(b, e.Length, 10)
	}
	return string(b)
}

// ParseSlice reads what String prints. Starts must not be negative, lengths
// must be positive.
func ParseSlice(text string) (Slice, error) {
	var s Slice
	if text == "" {
		return s, nil
	}
	for part := range strings.SplitSeq(text, ":") {
		if part == "-" {
			s = append(s, Extent{Full: true})
			continue
		}
		first, second, ok := strings.Cut(part, ",")
		start, err1 := strconv.ParseInt(first, 10, 64)
		length, err2 := strconv.ParseInt(second, 10, 64)
		if !ok || err1 != nil || err2 != nil {
			return nil, fmt.Errorf("expected a pair of numbers or '-' but got '%s': string = %s", part, text)
		}
		if start < 0 || length <= 0 {
			return nil, fmt.Errorf("expected non-negative start and positive length but got start = %d, length = %d: string = %s", start, length, text)
		}
		s = append(s, Extent{Start: start, Length: length})
	}
	return s, nil
}

// IsFull reports whether every extent is the whole dimension, spelled "-".
func (s Slice) IsFull() bool {
	for _, e := range s {
		if !e.Full {
			return false
		}
	}
	return true
}

// Shape returns the shape of the slice of a tensor of the given shape, or an
// error if the slice does not fit in.
func (s Slice) Shape(of tensor.Shape) (tensor.Shape, error) {
	if err := s.fits(of); err != nil {
		return nil, err
	}
	shape := make(tensor.Shape, len(s))
	for i, e := range s {
		_, shape[i] = e.of(of[i])
	}
	return shape, nil
}

func (s Slice) fits(of tensor.Shape) error {
	if len(s) != len(of) {
		return fmt.Errorf("mismatching ranks: shape = %s, slice = %s", clip(of.String()), clip(s.String()))
	}
	for i, e := range s {
		if !e.Full && (e.Start < 0 || e.Length < 0 || e.Start > of[i] || e.Length > of[i]-e.Start) {
			return fmt.Errorf("extent in dimension %d out of bounds: shape = %s, slice = %s", i, of, s)
		}
	}
	return nil
}

// elements returns how many elements the slice has of a tensor of the given
// shape, or an error if it does not fit in.
func (s Slice) elements(of tensor.Shape) (int64, error) {
	if err := s.fits(of); err != nil {
		return 0, err
	}
	n := int64(1)
	for i, e := range s {
		_, length := e.of(of[i])
		n *= length
	}
	return n, nil
}

// of returns what the extent takes of a dimension of the given size.
func (e Extent) of(size int64) (start, length int64) {
	if e.Full {
		return 0, size
	}
	return e.Start, e.Length
}

// overlaps reports whether two slices of the same rank share an element.
func (s Slice) overlaps(t Slice) bool {
	for i, a := range s {
		b := t[i]
		if a.Full || b.Full {
			continue
		}
		if a.Start >= b.Start+b.Length || b.Start >= a.Start+a.Length {
			return false
		}
	}
	return true
}

// Intersect returns what two slices of the same tensor have in common, if that
// is anything (TensorSlice::Intersect). A dimension is Full where both are.
func (s Slice) Intersect(t Slice) (common Slice, ok bool) {
	if len(s) != len(t) {
		return nil, false
	}
	common = make(Slice, len(s))
	for i, a := range s {
		b := t[i]
		switch {
		case a.Full:
			common[i] = b
		case b.Full:
			common[i] = a
		default:
			start := max(a.Start, b.Start)
			end := min(a.Start+a.Length, b.Start+b.Length)
			if start >= end {
				return nil, false
			}
			common[i] = Extent{Start: start, Length: end - start}
		}
	}
	return common, true
}

// explicit spells out what is taken of full dimensions.
func (s Slice) explicit(of tensor.Shape) Slice {
	spelled := make(Slice, len(s))
	for i, e := range s {
		spelled[i].Start, spelled[i].Length = e.of(of[i])
	}
	return spelled
}

// wholeOf returns the slice that is all of a tensor, with explicit extents.
func wholeOf(shape tensor.Shape) Slice {
	s := make(Slice, len(shape))
	for i, n := range shape {
		s[i].Length = n
	}
	return s
}

// within returns a slice as one of a slice around it; both have explicit extents
// only.
func (s Slice) within(outer Slice) Slice {
	inner := make(Slice, len(s))
	for i, e := range s {
		inner[i] = Extent{Start: e.Start - outer[i].Start, Length: e.Length}
	}
	return inner
}

// compare orders slices of one tensor as their keys are.
func (s Slice) compare(t Slice) int {
	return slices.CompareFunc(s, t, func(a, b Extent) int {
		if a.Full {
			a.Length = -1
		}
		if b.Full {
			b.Length = -1
		}
		return cmp.Or(cmp.Compare(a.Start, b.Start), cmp.Compare(a.Length, b.Length))
	})
}

// encodeSlice appends the TensorSliceProto of s. The length is in a oneof, so
// it is written even if it is 0.
func encodeSlice(b []byte, s Slice) []byte {
	var extent []byte
	for _, e := range s {
		extent = extent[:0]
		if !e.Full {
			extent = appendInt(extent, extentStart, e.Start)
			extent = wire.AppendVarintField(extent, extentLength, uint64(e.Length))
		}
		b = wire.AppendBytesField(b, sliceExtent, extent)
	}
	return b
}

// decodeSlice reads a TensorSliceProto and refuses what no slice can be
// (TensorSlice::BuildTensorSlice).
func decodeSlice(p []byte) (s Slice, err error) {
	d := wire.NewDecoder(p)
	if len(p) > 0 {
		s = make(Slice, 0, countFields(*d, sliceExtent))
	}
	for d.Len() > 0 && d.Err() == nil {
		if field, typ := d.Tag(); field == sliceExtent && typ == wire.BytesType {
			s = append(s, decodeExtent(d))
		} else {
			d.Skip(typ)
		}
	}
	return s, d.Err()
}

func decodeExtent(outer *wire.Decoder) Extent {
	var e Extent
	hasLength := false
	d := wire.NewDecoder(outer.LenBytes())
	for d.Len() > 0 && d.Err() == nil {
		switch field, typ := d.Tag(); {
		case field == extentStart && typ == wire.Varint:
			e.Start = int64(d.Uvarint())
		case field == extentLength && typ == wire.Varint:
			e.Length = int64(d.Uvarint())
			hasLength = true
		default:
			d.Skip(typ)
		}
	}
	outer.Fail(d.Err())
	switch {
	case !hasLength && e.Start != 0:
		outer.Fail(fmt.Errorf("extent has a start but no length: start = %d", e.Start))
	case !hasLength:
		e.Full = true
	case e.Start < 0 || e.Length < 0:
		outer.Fail(fmt.Errorf("expected non-negative start and length but got start = %d, length = %d", e.Start, e.Length))
	case e.Start > math.MaxInt64-e.Length:
		outer.Fail(fmt.Errorf("extent end exceeds the maximum possible size: start = %d, length = %d", e.Start, e.Length))
	}
	return e
}
