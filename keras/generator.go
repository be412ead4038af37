package keras

import (
	"context"
	"encoding/binary"
	"fmt"
	"iter"
	"math/rand/v2"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// Generator is a source of random numbers whose state is saved and restored, so
// that a resumed program draws what the uninterrupted one would have drawn. It
// is PCG-DXSM of math/rand/v2, and a rand.Source: rand.New(generator) has the
// distributions. In a checkpoint it is one uint64 tensor [2], the two halves of
// the state, high first; TensorFlow's own tf.random.Generator is another one.
//
// It is not safe for concurrent use.
type Generator struct {
	ckpt.Node
	pcg rand.PCG
}

// NewGenerator makes a generator; the same seed gives the same numbers.
func NewGenerator(seed uint64) *Generator {
	return &Generator{pcg: *rand.NewPCG(seed, 0x636b7074)}
}

// Uint64 draws 64 random bits.
func (g *Generator) Uint64() uint64 { return g.pcg.Uint64() }

// pcgPrefix begins what rand.PCG.MarshalBinary writes, before the two halves of
// the state as big-endian numbers.
const pcgPrefix = "pcg:"

// state is the generator's state as it is stored.
func (g *Generator) state() ([]byte, error) {
	text, err := g.pcg.MarshalBinary()
	if err != nil || len(text) != len(pcgPrefix)+16 {
		return nil, fmt.Errorf("keras: the state of math/rand/v2's PCG has another form: %d bytes, %w", len(text), err)
	}
	stored := make([]byte, 16)
	copy(stored, text[len(pcgPrefix):])
	tensor.Swap(stored, tensor.Uint64)
	return stored, nil
}

// Values is the generator's one tensor, for ckpt.
func (g *Generator) Values() []ckpt.Value { return []ckpt.Value{g} }

// Spec describes the tensor, for ckpt.
func (g *Generator) Spec() ckpt.Spec {
	return ckpt.Spec{Attribute: ckpt.VariableValue, DType: tensor.Uint64, Shape: tensor.Shape{2}, FullName: "generator"}
}

// Snapshot copies the state, for ckpt.
func (g *Generator) Snapshot(context.Context) (ckpt.Snapshot, error) {
	stored, err := g.state()
	return bytesSnapshot(stored), err
}

// Stage reads a state, for ckpt.
func (g *Generator) Stage(ctx context.Context, src ckpt.Source) (ckpt.Staged, error) {
	stored := make([]byte, 16)
	if err := src.ReadInto(ctx, stored); err != nil {
		return nil, err
	}
	text := []byte(pcgPrefix)
	text = binary.BigEndian.AppendUint64(text, binary.LittleEndian.Uint64(stored))
	text = binary.BigEndian.AppendUint64(text, binary.LittleEndian.Uint64(stored[8:]))
	s := &stagedState{g: g}
	if err := s.fresh.UnmarshalBinary(text); err != nil {
		return nil, err
	}
	return s, nil
}

type bytesSnapshot []byte

func (b bytesSnapshot) Chunks() iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { yield(b) }
}
func (bytesSnapshot) Release() {}

// Stable says that the bytes are the snapshot's own.
func (bytesSnapshot) Stable() bool { return true }

type stagedState struct {
	g     *Generator
	fresh rand.PCG
}

func (s *stagedState) Commit() { s.g.pcg = s.fresh }
func (*stagedState) Discard()  {}
