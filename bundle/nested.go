package bundle

import (
	"slices"

	"github.com/ckpt-go/ckpt/internal/wire"
)

// message is what this library knows of a message: fields of numbers, and fields
// of messages.
type message struct {
	numbers []int
	inside  map[int]*message
}

// The messages inside an entry, which are encoded anew when it is written to
// another index. Unknown fields of the entry itself are kept.
var (
	knownShape = &message{inside: map[int]*message{shapeDim: {numbers: []int{dimSize}}}}
	knownSlice = &message{inside: map[int]*message{sliceExtent: {numbers: []int{extentStart, extentLength}}}}
)

// losesFields tells whether an entry, decoded and encoded again, would lack
// something: fields this library does not know in its shape or its slices. The
// entry is one that can be decoded.
func losesFields(entry []byte) bool {
	d := wire.NewDecoder(entry)
	for d.Len() > 0 && d.Err() == nil {
		field, typ := d.Tag()
		switch {
		case field == entryShape && typ == wire.BytesType && !knownShape.covers(d.LenBytes()),
			field == entrySlices && typ == wire.BytesType && !knownSlice.covers(d.LenBytes()):
			return true
		case typ != wire.BytesType || field != entryShape && field != entrySlices:
			d.Skip(typ)
		}
	}
	return false
}

// covers tells whether all fields of p are known. It calls itself as deep as the
// known messages go.
func (m *message) covers(p []byte) bool {
	d := wire.NewDecoder(p)
	for d.Len() > 0 && d.Err() == nil {
		field, typ := d.Tag()
		if inner := m.inside[field]; inner != nil && typ == wire.BytesType {
			if !inner.covers(d.LenBytes()) {
				return false
			}
			continue
		}
		if typ != wire.Varint || !slices.Contains(m.numbers, field) {
			return false
		}
		d.Skip(typ)
	}
	return true
}

// checkNested refuses entries that would lose fields if they were written again.
func (r *Reader) checkNested() error {
	for e, err := range r.table.All() {
		if err != nil {
			return r.locate(err, "")
		}
		if len(e.Key) > 0 && losesFields(e.Value) {
			err := unsupported("its shape or slices have fields that are not known: it was written by a newer TensorFlow")
			return r.locate(err, errKey(string(e.Key)))
		}
	}
	return nil
}
