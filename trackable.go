package ckpt

import (
	"context"
	"iter"

	"github.com/ckpt-go/ckpt/tensor"
)

// VariableValue is the attribute name of a variable's one tensor.
const VariableValue = "VARIABLE_VALUE"

// PythonStateValue is the attribute name of a PythonState's serialized text.
const PythonStateValue = "py_state"

// Trackable is an object that can be part of a checkpoint. It lists what hangs
// below it, in the order in which the names were first tracked. Its identity is
// Go pointer identity: implementations are pointers to types that are not empty.
// It is TensorFlow's Trackable; embedding Node implements it.
type Trackable interface {
	Children() iter.Seq2[string, Trackable]
}

// Saveable is a Trackable that holds tensors itself. Values come in attribute
// order, which is the order they are written in.
type Saveable interface {
	Trackable
	Values() []Value
}

// Value is one tensor of a Saveable.
type Value interface {
	// Spec describes the tensor. It is stable while a save runs.
	Spec() Spec
	// Snapshot gives a consistent read-only view, by reference where it can.
	// It is called once for each save, from the goroutine that called Save.
	Snapshot(ctx context.Context) (Snapshot, error)
	// Stage reads and checks a stored tensor; nothing anyone sees changes before
	// the Staged value commits. It may run beside the Stage of other values.
	Stage(ctx context.Context, src Source) (Staged, error)
}

// InPlace is a Value that can be read in one pass straight into its memory.
// When it fails the value holds a mixture and must not be used. It may run beside
// the ReadInPlace and the Stage of other values.
type InPlace interface {
	ReadInPlace(ctx context.Context, src Source) error
}

// Spec describes a tensor of the program.
type Spec struct {
	Attribute string       // VariableValue for a variable; holds neither "." nor "/"
	DType     tensor.DType // checked exactly, unless RestoreOptions.Cast is set
	Shape     tensor.Shape // nil is a scalar; a dimension of −1 accepts any length
	Suffix    string       // goes behind the attribute in the key, where one attribute has several tensors: "-keys" of a hash table's "table"
	FullName  string       // the variable's name for TensorFlow's name-based readers; may repeat
	State     bool         // configuration rather than numbers: written behind all tensors, as PythonState is
}

// Snapshot is what a save writes for one value. Fixed-size dtypes give their
// bytes in row-major little-endian order, in chunks of any size; string and
// variant tensors implement StringSnapshot too, and values whose Spec leaves a dimension open
// ShapedSnapshot. The slices are only read, and not kept.
type Snapshot interface {
	Chunks() iter.Seq[[]byte]
	Release()
}

// StringSnapshot is the Snapshot of a string tensor, or of a variant one, whose
// elements are serialized (VariantTensorDataProto). Strings may be called, and
// what it returns iterated, several times, and yields the same elements every time.
type StringSnapshot interface {
	Snapshot
	Strings() iter.Seq[[]byte]
}

// ShapedSnapshot is a Snapshot that tells its shape, where the Spec has a
// dimension of −1.
type ShapedSnapshot interface {
	Snapshot
	Shape() tensor.Shape
}

// StableSnapshot is a Snapshot that may say that nobody changes what it gives
// before it is released, whatever the program does: tensors that are replaced
// and never written to. A background save keeps it until it is written, and
// calls its methods, Release too, from the writing goroutine. Any other Snapshot
// is copied and released before Save returns.
type StableSnapshot interface {
	Snapshot
	Stable() bool
}

// Source is a stored tensor. Its checksum is checked by the call that reads it.
type Source interface {
	Key() string
	DType() tensor.DType
	Shape() tensor.Shape
	// ReadInto fills dst, which has exactly the tensor's size, with row-major
	// little-endian bytes. On an error dst holds anything.
	ReadInto(ctx context.Context, dst []byte) error
	// Tensor reads the tensor into new memory, which the caller owns.
	Tensor(ctx context.Context) (*tensor.Tensor, error)
	// Strings reads a string or variant tensor; the caller owns what it returns.
	Strings(ctx context.Context) ([][]byte, error)
}

// Staged is a value that was read, checked and not yet set. Exactly one of the
// two methods is called, never beside the Commit of another; Commit cannot fail.
type Staged interface {
	Commit()
	Discard()
}

// Objects names what a Checkpoint saves: the keyword arguments of
// tf.train.Checkpoint. They are tracked in the order of their sorted names.
type Objects map[string]Trackable

// SlotOwner is an optimizer that keeps state in slot variables, as Keras's
// legacy optimizers do: (optimizer, variable, slot name) edges instead of
// children.
type SlotOwner interface {
	Trackable
	// SlotNames lists the slots in the optimizer's order.
	SlotNames() []string
	// Slot gives the slot variable of a variable, nil if there is none. It is a
	// leaf: what it lists as children cannot be saved.
	Slot(variable Trackable, name string) Trackable
}

// SlotCreator is a SlotOwner that makes slot variables when a checkpoint holds
// values for them, of the names that SlotNames lists: it is not asked for others,
// whose values wait. A slot it does not want is nil. It is asked once everything
// fits, before the first byte is read: a restore that finds damage then leaves
// the slots as they were made. The slots of other SlotOwners wait until
// RestoreStatus.Fill finds them.
type SlotCreator interface {
	SlotOwner
	CreateSlot(variable Trackable, name string, spec Spec) (Trackable, error)
}

// staged is a Staged that nothing has to be done for when it is discarded.
type staged struct{ commit func() }

func (s staged) Commit() { s.commit() }
func (staged) Discard()  {}

// noChildren is the Children of a leaf.
func noChildren(func(string, Trackable) bool) {}
