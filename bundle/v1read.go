package bundle

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
	"github.com/ckpt-go/ckpt/tensor"
)

// scan decodes all slices of a tensor, one after the other, and gives each to
// keep with the slice it is; keep may be nil.
func (v *v1) scan(ctx context.Context, t *v1Tensor, keep func(s Slice, data []byte, elements [][]byte)) error {
	for _, s := range t.slices {
		if err := ctx.Err(); err != nil {
			return err
		}
		data, elements, err := v.read(t, s)
		if err != nil {
			return fault.Locate(err, s.file.name, t.name)
		}
		if keep != nil {
			keep(s.slice, data, elements)
		}
	}
	return nil
}

// read decodes one slice.
func (v *v1) read(t *v1Tensor, s v1Slice) (data []byte, elements [][]byte, err error) {
	value, ok, err := s.file.table.Get([]byte(EncodeSliceKey(t.name, s.slice)))
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, fault.Corrupt(fault.KindEntry, "slice %s is listed but not stored", s.slice)
	}
	message, err := decodeV1Slice(value)
	if err != nil {
		return nil, nil, err
	}
	shape, err := s.slice.Shape(t.entry.Shape)
	if err != nil {
		return nil, nil, err
	}
	n, _ := shape.Elements()
	return decodeV1Values(message, t.entry.DType, n)
}

// v1Ratio is more than compression gains: at most 64 bytes come of 3.
const v1Ratio = 24

// cover checks that the slices of a tensor hold each element once, and that
// files of this size can hold that many. Memory for the tensor is then at most
// 8 v1Ratio times as much as the files.
func (v *v1) cover(t *v1Tensor) error {
	total, _ := t.entry.Shape.Elements()
	if err := v.canHold(t, total); err != nil {
		return err
	}
	if len(t.entry.Slices) == 0 {
		return nil
	}
	if err := checkCover(t.entry.Shape, total, t.entry.Slices); err != nil {
		return v.corrupt(t, "%w", err)
	}
	return nil
}

// canHold checks that files of this size can hold that many elements.
func (v *v1) canHold(t *v1Tensor, total int64) error {
	least := int64(1) // of bytes that an element takes
	switch v1Encodings[t.entry.DType].typ {
	case wire.Fixed32Type, wire.Fixed64Type:
		least = int64(t.entry.DType.Size())
	}
	if total/v1Ratio > v.bytes/least {
		return v.corrupt(t, "shape %s has more elements than the files can hold", t.entry.Shape)
	}
	return nil
}

// readInto fills dst with a tensor of fixed-size dtype.
func (v *v1) readInto(ctx context.Context, t *v1Tensor, dst []byte) error {
	size := int64(t.entry.DType.Size())
	return v.scan(ctx, t, func(s Slice, data []byte, _ [][]byte) {
		scatter(t.entry.Shape, s, func(to, from, n int64) {
			copy(dst[to*size:(to+n)*size], data[from*size:])
		})
	})
}

// readV1 is ReadInto for the format before bundles.
func (r *Reader) readV1(ctx context.Context, key string, dst []byte) error {
	t, err := r.v1.find(key)
	if err == nil {
		err = r.v1.cover(t)
	}
	if err != nil {
		return err
	}
	if int64(len(dst)) != t.entry.Size {
		return mismatch(key, "%d bytes given for a tensor of %d", len(dst), t.entry.Size)
	}
	return r.v1.readInto(ctx, t, dst)
}

// tensor reads a whole tensor.
func (v *v1) tensor(ctx context.Context, key string) (*tensor.Tensor, error) {
	t, err := v.find(key)
	if err == nil {
		err = v.cover(t)
	}
	if err != nil {
		return nil, err
	}
	if t.entry.DType == tensor.String {
		elements, err := v.strings(ctx, t)
		if err != nil {
			return nil, err
		}
		return tensor.NewStrings(t.entry.Shape, elements)
	}
	if len(t.entry.Slices) == 0 {
		data, _, err := v.read(t, t.slices[0])
		if err != nil {
			return nil, fault.Locate(err, t.slices[0].file.name, t.name)
		}
		return tensor.New(t.entry.DType, t.entry.Shape, data)
	}
	parts, err := v.parts(ctx, t)
	if err != nil {
		return nil, err
	}
	data := make([]byte, t.entry.Size)
	size := int64(t.entry.DType.Size())
	for _, p := range parts {
		scatter(t.entry.Shape, p.slice, func(to, from, n int64) {
			copy(data[to*size:(to+n)*size], p.data[from*size:])
		})
	}
	return tensor.New(t.entry.DType, t.entry.Shape, data)
}

// v1Part is a decoded slice.
type v1Part struct {
	slice    Slice
	data     []byte
	elements [][]byte
}

// parts decodes all slices of a tensor: only when all values were seen is
// memory for the whole made.
func (v *v1) parts(ctx context.Context, t *v1Tensor) ([]v1Part, error) {
	var parts []v1Part
	err := v.scan(ctx, t, func(s Slice, data []byte, elements [][]byte) {
		parts = append(parts, v1Part{s, data, elements})
	})
	return parts, err
}

// strings reads the elements of a string tensor.
func (v *v1) strings(ctx context.Context, t *v1Tensor) ([][]byte, error) {
	if err := v.cover(t); err != nil {
		return nil, err
	}
	parts, err := v.parts(ctx, t)
	if err != nil {
		return nil, err
	}
	total, _ := t.entry.Shape.Elements()
	all := make([][]byte, total)
	for _, p := range parts {
		scatter(t.entry.Shape, p.slice, func(to, from, n int64) {
			copy(all[to:to+n], p.elements[from:])
		})
	}
	return all, nil
}

// checkLayout yields tensors whose slices do not cover them, and files of a
// pattern that are missing.
func (v *v1) checkLayout(prefix string, yield func(*fault.CorruptError) bool) {
	for i := range v.tensors {
		var c *CorruptError
		if errors.As(v.cover(&v.tensors[i]), &c) && !yield(c) {
			return
		}
	}
	base, count, ok := cutV1(prefix)
	if !ok {
		return
	}
	present := make(map[string]bool)
	for _, f := range v.files {
		present[f.name] = true
	}
	want, _ := parseNumber(count)
	for shard := range want {
		name := path.Base(fmt.Sprintf("%s-%05d%s%s", base, shard, ofInfix, count))
		if !present[name] {
			c := fault.Corrupt(fault.KindMissing, "%w", fs.ErrNotExist)
			c.File = name
			// One is enough: the number comes from a name and may be any.
			yield(c)
			return
		}
	}
}
