package ckpt

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/tensor"
)

// PythonState is configuration kept as one string tensor, written behind all
// numbers: tf.train.experimental.PythonState. It is not safe for concurrent use.
// A restore may call deserialize from another goroutine, beside those of other
// states, but never two of the functions that they return at once.
type PythonState struct {
	mark
	serialize   func() ([]byte, error)
	deserialize func(data []byte) (set func(), err error)
}

// NewPythonState makes one of two functions. serialize gives the text to store;
// deserialize parses a stored text and returns what sets it, so that a text
// that cannot be used changes nothing; nil sets nothing.
func NewPythonState(serialize func() ([]byte, error), deserialize func(data []byte) (set func(), err error)) *PythonState {
	return &PythonState{serialize: serialize, deserialize: deserialize}
}

// NewJSON keeps the value that target points to as JSON text.
func NewJSON[T any](target *T) *PythonState {
	return NewPythonState(
		func() ([]byte, error) { return json.Marshal(target) },
		func(data []byte) (func(), error) {
			var fresh T
			if err := json.Unmarshal(data, &fresh); err != nil {
				return nil, err
			}
			return func() { *target = fresh }, nil
		})
}

// Children is empty: a PythonState is a leaf.
func (s *PythonState) Children() iter.Seq2[string, Trackable] { return noChildren }

// Values is the one string tensor.
func (s *PythonState) Values() []Value { return []Value{s} }

// Spec describes the string tensor.
func (s *PythonState) Spec() Spec {
	return Spec{Attribute: PythonStateValue, DType: tensor.String, State: true}
}

// Snapshot serializes the state.
func (s *PythonState) Snapshot(context.Context) (Snapshot, error) {
	text, err := s.serialize()
	if err != nil {
		return nil, err
	}
	return stringSnapshot{elements: [][]byte{text}}, nil
}

// Stage reads and parses a stored text.
func (s *PythonState) Stage(ctx context.Context, src Source) (Staged, error) {
	elements, err := src.Strings(ctx)
	if err != nil {
		return nil, err
	}
	if len(elements) != 1 {
		return nil, fault.Corrupt(fault.KindEntry, "%d strings instead of one", len(elements))
	}
	set, err := s.deserialize(elements[0])
	if err != nil {
		return nil, &MismatchError{Key: src.Key(), Want: "a text this program can read", Got: fmt.Sprintf("%d bytes", len(elements[0])), Err: err}
	}
	if set == nil {
		set = func() {}
	}
	return staged{commit: set}, nil
}
