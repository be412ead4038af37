package bundle

import (
	"context"

	"github.com/ckpt-go/ckpt/tensor"
)

// ReadSlice reads a slice of a tensor of a fixed-size dtype into dst as
// little-endian row-major bytes; len(dst) must be the size of the slice. The
// tensor may be stored whole or in slices of its own, of which those that are
// not touched may be missing (BundleReader::LookupSlice). Beside dst it takes at
// most 1 MiB of memory.
//
// It reads little more than the bytes of the slice. A checksum is that of a whole
// tensor, or of a whole stored slice: it is verified where all of one was asked
// for, and cannot be where only a part of it is read. See VerifySlice.
func (r *Reader) ReadSlice(ctx context.Context, key string, s Slice, dst []byte) error {
	return r.readSlice(ctx, key, s, dst, false)
}

// VerifySlice is ReadSlice that reads every stored piece the slice touches to its
// end and verifies its checksum, as TensorFlow does. After an error dst holds
// anything.
func (r *Reader) VerifySlice(ctx context.Context, key string, s Slice, dst []byte) error {
	return r.readSlice(ctx, key, s, dst, true)
}

func (r *Reader) readSlice(ctx context.Context, key string, s Slice, dst []byte, verify bool) error {
	e, err := r.Entry(key)
	if err != nil {
		return err
	}
	if !e.DType.Fixed() && e.DType.Known() {
		return mismatch(key, "elements of dtype %s have no fixed size", e.DType)
	}
	if r.v1 != nil {
		data, _, err := r.v1.slice(ctx, key, s)
		if err == nil && len(dst) != len(data) {
			err = mismatch(key, "%d bytes given for a slice of %d", len(dst), len(data))
		}
		if err == nil {
			copy(dst, data)
		}
		return err
	}
	want, all, err := r.cutouts(ctx, key, &e, s)
	if err != nil {
		return err
	}
	n, _ := want.Elements()
	if size, ok := byteSize(n, e.DType); !ok || int64(len(dst)) != size {
		return mismatch(key, "%d bytes given for a slice of %d", len(dst), size)
	}
	return readCutouts(ctx, all, dst, verify)
}

func readCutouts(ctx context.Context, all []cutout, dst []byte, verify bool) error {
	for i := range all {
		if err := all[i].readFixed(ctx, dst, verify); err != nil {
			return err
		}
	}
	if len(all) > 0 && all[0].span.big {
		tensor.Swap(dst, all[0].span.entry.DType)
	}
	return nil
}

// Slice reads a slice of a tensor of any dtype into new memory and verifies it
// like VerifySlice. Of strings, only those that were asked for are held.
func (r *Reader) Slice(ctx context.Context, key string, s Slice) (*tensor.Tensor, error) {
	e, err := r.Entry(key)
	if err != nil {
		return nil, err
	}
	var want tensor.Shape
	var data []byte
	var elements [][]byte
	if r.v1 != nil {
		if want, err = s.Shape(e.Shape); err != nil {
			return nil, mismatch(key, "%w", err)
		}
		data, elements, err = r.v1.slice(ctx, key, s)
	} else {
		want, data, elements, err = r.sliceOf(ctx, key, &e, s)
	}
	switch {
	case err != nil:
		return nil, err
	case e.DType == tensor.String:
		return tensor.NewStrings(want, elements)
	case e.DType == tensor.Variant:
		return tensor.NewVariants(want, elements)
	}
	return tensor.New(e.DType, want, data)
}

// sliceOf reads the bytes or the elements of a slice.
func (r *Reader) sliceOf(ctx context.Context, key string, e *Entry, s Slice) (want tensor.Shape, data []byte, elements [][]byte, err error) {
	want, all, err := r.cutouts(ctx, key, e, s)
	if err != nil {
		return nil, nil, nil, err
	}
	n, _ := want.Elements()
	if e.DType == tensor.String || e.DType == tensor.Variant {
		if n > maxElements {
			return nil, nil, nil, all[0].span.tooLarge()
		}
		elements = make([][]byte, n)
		for i := range all {
			if err := all[i].readElements(ctx, elements); err != nil {
				return nil, nil, nil, err
			}
		}
		return want, nil, elements, nil
	}
	data = []byte{}
	if len(all) > 0 {
		if data, err = all[0].span.alloc(n * int64(e.DType.Size())); err == nil {
			err = readCutouts(ctx, all, data, true)
		}
	}
	return want, data, nil, err
}
