// Package objectgraph reads and writes the object graph of a checkpoint,
// TensorFlow's TrackableObjectGraph. The graph says which objects a program
// saved: nodes numbered from the root, named edges from an object to its
// children, attributes that name the tensors of an object, and slot variables
// that an optimizer keeps for a variable. A restore follows the edges; the
// keys of tensors are names only.
//
// The package knows no tensors and no files: a graph comes from bytes and goes
// to bytes, a key is a string.
package objectgraph
