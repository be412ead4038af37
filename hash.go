package ckpt

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"hash"
	"iter"
	"sync"

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
	v := newValueSum()
	for _, element := range t.Strings() {
		v.element(element)
	}
	return v.sum(), nil
}

// valueSum takes the SHA-256 of a value on its way into a file. A nil one does
// nothing.
type valueSum struct{ hash hash.Hash }

func newValueSum() *valueSum { return &valueSum{sha256.New()} }

// sideBySide is from which size a chunk is hashed by another goroutine.
const sideBySide = 32 << 10

// chunks hashes what passes through, large chunks while they are used.
func (v *valueSum) chunks(of iter.Seq[[]byte]) iter.Seq[[]byte] {
	if v == nil {
		return of
	}
	return func(yield func([]byte) bool) {
		for p := range of {
			var wait sync.WaitGroup
			if len(p) < sideBySide {
				v.hash.Write(p)
			} else {
				wait.Go(func() { v.hash.Write(p) })
			}
			more := yield(p)
			if wait.Wait(); !more {
				return
			}
		}
	}
}

// strings hashes elements that are iterated several times: the last time counts.
func (v *valueSum) strings(of iter.Seq[[]byte]) iter.Seq[[]byte] {
	if v == nil {
		return of
	}
	return func(yield func([]byte) bool) {
		v.hash.Reset()
		for p := range of {
			v.element(p)
			if !yield(p) {
				return
			}
		}
	}
}

// element hashes a string: its length, then its bytes.
func (v *valueSum) element(p []byte) {
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(p)))
	v.hash.Write(length[:])
	v.hash.Write(p)
}

func (v *valueSum) sum() (sum [sha256.Size]byte) {
	v.hash.Sum(sum[:0])
	return sum
}
