package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/tensor"
)

// Slice reads a part of a tensor of any dtype, such as bundle.ParseSlice makes
// of "0,10:-", ten rows from row 0. The file may store the tensor whole, or in
// slices of any other shape: RestoreV2 with shape_and_slices. The names are
// those of Tensor.
//
// A checksum is that of a whole tensor, or of a whole stored slice. So that all
// bytes that come back are verified, every stored piece the slice touches is
// read to its end, and only what was asked for is held in memory.
func (r *Reader) Slice(ctx context.Context, name string, s bundle.Slice) (*tensor.Tensor, error) {
	t, err := r.rd.Slice(ctx, r.key(name), s)
	return t, r.sliceError(name, err)
}

// ReadSlice reads a part of a tensor of a fixed-size dtype into memory of the
// caller, as row-major little-endian bytes; len(dst) must be the size of the
// slice. tensor.AsBytes gives the bytes of a []float32 and its like.
//
// It reads little more than the bytes of the slice, and can verify a checksum
// only where all of a tensor or of a stored slice is asked for: elsewhere damaged
// bytes come back without an error. Where that matters use VerifySlice, or
// Verify the file once before. After an error dst holds anything.
func (r *Reader) ReadSlice(ctx context.Context, name string, s bundle.Slice, dst []byte) error {
	return r.sliceError(name, r.rd.ReadSlice(ctx, r.key(name), s, dst))
}

// VerifySlice is ReadSlice that verifies as Slice does.
func (r *Reader) VerifySlice(ctx context.Context, name string, s bundle.Slice, dst []byte) error {
	return r.sliceError(name, r.rd.VerifySlice(ctx, r.key(name), s, dst))
}

// sliceError says where an error came from, and which names are like one that
// is not there.
func (r *Reader) sliceError(name string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, fs.ErrNotExist) && !r.Has(name) {
		return r.notFound(name)
	}
	return fmt.Errorf("ckpt: %s: %w", r.at.prefix, err)
}
