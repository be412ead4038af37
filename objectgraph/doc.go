// Package objectgraph reads and writes the object graph of a checkpoint,
// TensorFlow's TrackableObjectGraph. The graph says which objects a program
// saved: nodes numbered from the root, named edges from an object to its
// children, attributes that name the tensors of an object, and slot variables
// that an optimizer keeps for a variable. A restore follows the edges; the
// keys of tensors are names only.
//
// The package knows no tensors and no files: a graph comes from bytes and goes
// to bytes, a key is a string.
//
// Decode differs from TensorFlow's protobuf parser where that would hide
// damage or lose data: node ids of more than 32 bits are refused instead of
// being cut, deprecated groups are refused, and names that are not UTF-8 are
// kept as they are. A graph without nodes and ids that lead nowhere, which
// TensorFlow notices late or not at all, are errors at once.
package objectgraph
