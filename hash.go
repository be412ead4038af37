package ckpt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"

	"github.com/ckpt-go/ckpt/tensor"
)

// Hash is the SHA-256 of a tensor's value: of the row-major little-endian bytes,
// or for each element of a string or variant tensor its length as 8
// little-endian bytes and then its bytes. It does not depend on how the file stores the tensor.
func (r *Reader) Hash(ctx context.Context, name string) ([sha256.Size]byte, error) {
	var sum [sha256.Size]byte
	t, err := r.Tensor(ctx, name)
	if err != nil {
		return sum, err
	}
	if t.DType() != tensor.String && t.DType() != tensor.Variant {
		return sha256.Sum256(t.Bytes()), nil
	}
	h := sha256.New()
	for _, element := range t.Strings() {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(element)))
		h.Write(length[:])
		h.Write(element)
	}
	h.Sum(sum[:0])
	return sum, nil
}
