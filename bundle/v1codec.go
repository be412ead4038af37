package bundle

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"slices"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/tensor"
)

// Field numbers of SavedTensorSlices, SavedTensorSliceMeta, SavedSliceMeta,
// SavedSlice and TensorProto. Frozen.
const (
	v1Meta = 1
	v1Data = 2

	v1MetaTensor   = 1
	v1MetaVersions = 2

	v1TensorName  = 1
	v1TensorShape = 2
	v1TensorType  = 3
	v1TensorSlice = 4

	v1SliceData = 3

	v1Float    = 5
	v1Double   = 6
	v1Int      = 7
	v1String   = 8
	v1Complex  = 9
	v1Int64    = 10
	v1Bool     = 11
	v1DComplex = 12
	v1Half     = 13
)

// eachField gives the value of each field of that number and wire type to f, and
// passes over all others.
func eachField(d *wire.Decoder, number int, typ wire.Type, f func(p []byte)) {
	for d.Len() > 0 && d.Err() == nil {
		if field, t := d.Tag(); field == number && t == typ {
			f(d.LenBytes())
		} else {
			d.Skip(t)
		}
	}
}

// decodeV1Meta decodes the list of tensors of a file, and its version as a
// Header.
//
// Memory: less than openV1 states for the whole file.
func decodeV1Meta(value []byte) (h Header, tensors []v1Tensor, err error) {
	d := wire.NewDecoder(value)
	eachField(d, v1Meta, wire.BytesType, func(p []byte) {
		meta := wire.NewDecoder(p)
		n := 0
		eachField(wire.NewDecoder(p), v1MetaTensor, wire.BytesType, func(t []byte) {
			if len(t) > 1 { // room for a slice, without which there is no tensor
				n++
			}
		})
		tensors = slices.Grow(tensors, n)
		for meta.Len() > 0 && meta.Err() == nil {
			switch field, typ := meta.Tag(); {
			case field == v1MetaTensor && typ == wire.BytesType:
				t, err := decodeV1Tensor(meta.LenBytes())
				meta.Fail(err)
				tensors = append(tensors, t)
			case field == v1MetaVersions && typ == wire.BytesType:
				decodeVersion(meta, &h)
			default:
				meta.Skip(typ)
			}
		}
		d.Fail(meta.Err())
	})
	if err := d.Err(); err != nil {
		return Header{}, nil, fault.Corrupt(fault.KindFormat, "unable to parse the list of tensors: %w", err)
	}
	return h, tensors, nil
}

func decodeV1Tensor(p []byte) (t v1Tensor, err error) {
	d := wire.NewDecoder(p)
	for d.Len() > 0 && d.Err() == nil {
		switch field, typ := d.Tag(); {
		case field == v1TensorName && typ == wire.BytesType:
			t.name = string(d.LenBytes())
		case field == v1TensorShape && typ == wire.BytesType:
			t.entry.Shape = decodeShape(d, t.entry.Shape, new(shapes))
		case field == v1TensorType && typ == wire.Varint:
			t.entry.DType = tensor.DType(int32(d.Uvarint()))
		case field == v1TensorSlice && typ == wire.BytesType:
			p := d.LenBytes()
			if t.slices == nil {
				t.slices = make([]v1Slice, 0, 1+countFields(*d, v1TensorSlice))
			}
			s, err := decodeSlice(p)
			d.Fail(err)
			t.slices = append(t.slices, v1Slice{slice: s})
		default:
			d.Skip(typ)
		}
	}
	if len(t.slices) == 0 {
		d.Fail(fmt.Errorf("tensor %q in 0 slices", clip(t.name)))
	}
	return t, d.Err()
}

// decodeV1Slice returns the TensorProto of a stored slice.
func decodeV1Slice(value []byte) (message []byte, err error) {
	d := wire.NewDecoder(value)
	eachField(d, v1Data, wire.BytesType, func(p []byte) {
		inner := wire.NewDecoder(p)
		eachField(inner, v1SliceData, wire.BytesType, func(p []byte) { message = p })
		d.Fail(inner.Err())
	})
	if err := d.Err(); err != nil {
		return nil, fault.Corrupt(fault.KindFormat, "slice is not parseable: %w", err)
	}
	return message, nil
}

// v1Encodings says in which field of a TensorProto values of a dtype are, and
// how one of them is encoded.
var v1Encodings = map[tensor.DType]struct {
	field int
	typ   wire.Type
}{
	tensor.Float32:    {v1Float, wire.Fixed32Type},
	tensor.Float64:    {v1Double, wire.Fixed64Type},
	tensor.Int32:      {v1Int, wire.Varint},
	tensor.Uint8:      {v1Int, wire.Varint},
	tensor.Int8:       {v1Int, wire.Varint},
	tensor.Int16:      {v1Int, wire.Varint},
	tensor.Uint16:     {v1Int, wire.Varint},
	tensor.QInt8:      {v1Int, wire.Varint},
	tensor.QUint8:     {v1Int, wire.Varint},
	tensor.QInt32:     {v1Int, wire.Varint},
	tensor.Complex64:  {v1Complex, wire.Fixed32Type},
	tensor.Int64:      {v1Int64, wire.Varint},
	tensor.Bool:       {v1Bool, wire.Varint},
	tensor.Complex128: {v1DComplex, wire.Fixed64Type},
	tensor.Float16:    {v1Half, wire.Varint},
}

// decodeV1Values decodes the n values of a TensorProto: little-endian bytes, or
// elements of a string tensor.
//
// Memory: 32 × len(message) and 1 MiB at most.
func decodeV1Values(message []byte, d tensor.DType, n int64) (data []byte, elements [][]byte, err error) {
	if d == tensor.String {
		return decodeV1Strings(message, n)
	}
	encoding, ok := v1Encodings[d]
	if !ok {
		return nil, nil, unsupported("dtype %s in a TensorFlow V1 checkpoint", d)
	}
	if n > int64(len(message)) {
		return nil, nil, v1Count(int64(len(message)), n)
	}
	size := n * int64(d.Size())
	if size > math.MaxInt {
		return nil, nil, unsupported("a slice is larger than this machine's address space")
	}
	data = make([]byte, 0, size)
	dec := wire.NewDecoder(message)
	for dec.Len() > 0 && dec.Err() == nil {
		field, typ := dec.Tag()
		values := dec
		switch {
		case field == encoding.field && typ == wire.BytesType: // packed
			values = wire.NewDecoder(dec.LenBytes())
		case field != encoding.field || typ != encoding.typ:
			dec.Skip(typ)
			continue
		}
		for values.Err() == nil && values.Len() > 0 {
			if data = appendV1Value(data, values, encoding.typ, d); int64(len(data)) > size {
				return nil, nil, v1Count(n+1, n)
			}
			if values == dec {
				break
			}
		}
		dec.Fail(values.Err())
	}
	if err := dec.Err(); err != nil {
		return nil, nil, fault.Corrupt(fault.KindFormat, "values are not parseable: %w", err)
	}
	if int64(len(data)) != size {
		return nil, nil, v1Count(int64(len(data)/d.Size()), n)
	}
	return data, nil, nil
}

// appendV1Value decodes one number: half an element of a complex dtype.
func appendV1Value(data []byte, values *wire.Decoder, typ wire.Type, d tensor.DType) []byte {
	switch typ {
	case wire.Fixed32Type:
		return append(data, values.Bytes(4)...)
	case wire.Fixed64Type:
		return append(data, values.Bytes(8)...)
	}
	var scratch [8]byte
	v := values.Uvarint()
	if d == tensor.Bool && v != 0 {
		v = 1
	}
	binary.LittleEndian.PutUint64(scratch[:], v)
	return append(data, scratch[:d.Size()]...)
}

func decodeV1Strings(message []byte, n int64) (data []byte, elements [][]byte, err error) {
	if n > int64(len(message)) {
		return nil, nil, v1Count(int64(len(message)), n)
	}
	if n > maxElements {
		return nil, nil, unsupported("a slice is larger than this machine's address space")
	}
	elements = make([][]byte, 0, n)
	dec := wire.NewDecoder(message)
	eachField(dec, v1String, wire.BytesType, func(p []byte) {
		if int64(len(elements)) == n {
			dec.Fail(v1Count(n+1, n))
			return
		}
		elements = append(elements, bytes.Clone(p))
	})
	if err := dec.Err(); err != nil {
		return nil, nil, fault.Corrupt(fault.KindFormat, "values are not parseable: %w", err)
	}
	if int64(len(elements)) != n {
		return nil, nil, v1Count(int64(len(elements)), n)
	}
	return nil, elements, nil
}

func v1Count(got, want int64) error {
	return fault.Corrupt(fault.KindEntry, "%w", fmt.Errorf("slice holds %d values, not %d", got, want))
}
