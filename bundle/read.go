package bundle

import (
	"context"
	"fmt"
	"strconv"

	"github.com/ckpt-go/ckpt/tensor"
)

// ReadInto reads a whole tensor of a fixed-size dtype into dst as
// little-endian row-major bytes; len(dst) must be the size of the tensor. The
// checksum is verified in the same pass, so after an error dst holds anything.
func (r *Reader) ReadInto(ctx context.Context, key string, dst []byte) error {
	e, err := r.Entry(key)
	if err != nil {
		return err
	}
	return r.ReadEntry(ctx, key, &e, dst)
}

// ReadEntry is ReadInto for an entry that Entry or Entries returned with its
// key. It saves looking the key up again, which for an index of many blocks
// read in another order than its own means reading a block each time.
func (r *Reader) ReadEntry(ctx context.Context, key string, e *Entry, dst []byte) error {
	if !e.DType.Fixed() && e.DType.Known() {
		return mismatch(key, "elements of dtype %s have no fixed size", e.DType)
	}
	if r.v1 != nil {
		return r.readV1(ctx, key, dst)
	}
	if len(e.Slices) == 0 {
		s, err := r.span(ctx, key, e)
		if err != nil {
			return err
		}
		if int64(len(dst)) != e.Size {
			return mismatch(key, "%d bytes given for a tensor of %d", len(dst), e.Size)
		}
		return s.readFixed(ctx, dst)
	}
	pieces, err := r.pieces(ctx, key, e)
	if err != nil {
		return err
	}
	if size := pieces.total * int64(e.DType.Size()); int64(len(dst)) != size {
		return mismatch(key, "%d bytes given for a tensor of %d", len(dst), size)
	}
	return pieces.readFixed(ctx, dst)
}

// CheckEntry checks an entry that Entry or Entries returned with its key against
// its dtype, its shape and the data files, without reading the bytes: then as
// much memory as its shape asks for may be allocated.
func (r *Reader) CheckEntry(ctx context.Context, key string, e *Entry) error {
	if r.v1 != nil {
		t, err := r.v1.find(key)
		if err != nil {
			return err
		}
		return r.v1.cover(t)
	}
	var err error
	if len(e.Slices) > 0 {
		_, err = r.pieces(ctx, key, e)
	} else {
		_, err = r.span(ctx, key, e)
	}
	return err
}

// mismatch says that the caller asked for something else than is stored.
func mismatch(key, format string, args ...any) error {
	return fmt.Errorf("tensor %s: %w: %w", strconv.Quote(errKey(key)), ErrMismatch, fmt.Errorf(format, args...))
}

// Tensor reads a whole tensor of any dtype into new memory.
func (r *Reader) Tensor(ctx context.Context, key string) (*tensor.Tensor, error) {
	if r.v1 != nil {
		return r.v1.tensor(ctx, key)
	}
	e, err := r.Entry(key)
	if err != nil {
		return nil, err
	}
	if e.DType == tensor.String || e.DType == tensor.Variant {
		elements, err := r.elements(ctx, key, &e)
		if err != nil {
			return nil, err
		}
		if e.DType == tensor.Variant {
			return tensor.NewVariants(e.Shape, elements)
		}
		return tensor.NewStrings(e.Shape, elements)
	}
	if len(e.Slices) > 0 {
		pieces, err := r.pieces(ctx, key, &e)
		if err != nil {
			return nil, err
		}
		data, err := pieces.all[0].span.alloc(pieces.total * int64(e.DType.Size()))
		if err != nil {
			return nil, err
		}
		if err := pieces.readFixed(ctx, data); err != nil {
			return nil, err
		}
		return tensor.New(e.DType, e.Shape, data)
	}
	s, err := r.span(ctx, key, &e)
	if err != nil {
		return nil, err
	}
	data, err := s.alloc(e.Size)
	if err != nil {
		return nil, err
	}
	if err := s.readFixed(ctx, data); err != nil {
		return nil, err
	}
	return tensor.New(e.DType, e.Shape, data)
}

// Strings reads the elements of a string tensor in row-major order. They are
// new memory, which they share.
func (r *Reader) Strings(ctx context.Context, key string) ([][]byte, error) {
	e, err := r.Entry(key)
	if err != nil {
		return nil, err
	}
	if e.DType != tensor.String {
		return nil, mismatch(key, "expected dtype string does not equal original dtype %s", e.DType.OpName())
	}
	return r.elements(ctx, key, &e)
}

// elements reads a string or variant tensor.
func (r *Reader) elements(ctx context.Context, key string, e *Entry) ([][]byte, error) {
	if r.v1 != nil {
		t, err := r.v1.find(key)
		if err != nil {
			return nil, err
		}
		return r.v1.strings(ctx, t)
	}
	if len(e.Slices) > 0 {
		pieces, err := r.pieces(ctx, key, e)
		if err != nil {
			return nil, err
		}
		return pieces.readElements(ctx)
	}
	s, err := r.span(ctx, key, e)
	if err != nil {
		return nil, err
	}
	return s.readElements(ctx)
}

// Check reads one tensor and verifies it like Tensor, in bounded memory. It
// keeps nothing.
func (r *Reader) Check(ctx context.Context, key string) error {
	if r.v1 != nil {
		t, err := r.v1.find(key)
		if err == nil {
			err = r.v1.cover(t)
		}
		if err != nil {
			return err
		}
		return r.v1.scan(ctx, t, nil)
	}
	e, err := r.Entry(key)
	if err != nil {
		return err
	}
	if len(e.Slices) > 0 {
		pieces, err := r.pieces(ctx, key, &e)
		if err != nil {
			return err
		}
		return pieces.check(ctx)
	}
	s, err := r.span(ctx, key, &e)
	if err != nil {
		return err
	}
	return s.verify(ctx)
}
