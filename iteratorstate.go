package ckpt

import (
	"context"
	"errors"
	"iter"

	"github.com/ckpt-go/ckpt/tensor"
)

// IteratorState is the position of a tf.data iterator, which only TensorFlow
// understands: it is kept as it was restored and saved unchanged, so that a Go
// program can go on with a checkpoint that goes back to Python. A save before a
// position was restored is an error. It is not safe for concurrent use.
type IteratorState struct {
	mark
	elements [][]byte // serialized variants
	restored bool
}

// Children is empty: an IteratorState is a leaf.
func (s *IteratorState) Children() iter.Seq2[string, Trackable] { return noChildren }

// Values is the one variant tensor.
func (s *IteratorState) Values() []Value { return []Value{s} }

// Spec describes the tensor.
func (s *IteratorState) Spec() Spec {
	return Spec{Attribute: "ITERATOR", Suffix: "_STATE", DType: tensor.Variant, Shape: tensor.Shape{-1}}
}

// Snapshot refers to the position.
func (s *IteratorState) Snapshot(context.Context) (Snapshot, error) {
	if !s.restored {
		return nil, errors.New("the position of this iterator was never restored, and only TensorFlow can make one: restore a checkpoint that has it, or leave the iterator out")
	}
	return shapedStrings{stringSnapshot{s.elements}, tensor.Shape{int64(len(s.elements))}}, nil
}

// Stage reads a position.
func (s *IteratorState) Stage(ctx context.Context, src Source) (Staged, error) {
	elements, err := src.Strings(ctx)
	if err != nil {
		return nil, err
	}
	return staged{commit: func() { s.elements, s.restored = elements, true }}, nil
}
