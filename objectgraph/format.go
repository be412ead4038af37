package objectgraph

import (
	"encoding/binary"

	"github.com/ckpt-go/ckpt/internal/wire"
)

// The encoding is TensorFlow's core/protobuf/trackable_object_graph.proto:
//
//	TrackableObjectGraph   1 nodes, repeated TrackableObject
//	TrackableObject        1 children, repeated ObjectReference
//	                       2 attributes, repeated SerializedTensor
//	                       3 slot_variables, repeated SlotVariableReference
//	                       4 registered_saver, RegisteredSaver
//	                       5 has_checkpoint_values, google.protobuf.BoolValue
//	ObjectReference        1 node_id int32, 2 local_name
//	SerializedTensor       1 name, 2 full_name, 3 checkpoint_key
//	SlotVariableReference  1 original_variable_node_id int32, 2 slot_name,
//	                       3 slot_variable_node_id int32
//	RegisteredSaver        1 name, 2 object_name
//	BoolValue              1 value
//
// Fields stand in the order of their numbers, zeros and empty strings are
// left out, so a reference to node 0 has no id. One node with one child:
//
//	├ 0a len ├ 0a len ├ 08 id ├ 12 len name ┤ 2a 02 08 01 ┤
//	  node     child    node_id local_name    has values
//
// TensorFlow writes has_checkpoint_values on every node: 2a 02 08 01 for true
// and the empty message 2a 00 for false. The codec is written by hand because
// it is several times faster than reflection over generated types and keeps
// fields it does not know at every level; they are encoded behind the known
// ones.

// Frozen: the field numbers.
const (
	fieldNodes = 1

	fieldChildren   = 1
	fieldAttributes = 2
	fieldSlots      = 3
	fieldSaver      = 4
	fieldHasValues  = 5

	fieldEdgeNode = 1
	fieldEdgeName = 2

	fieldAttributeName     = 1
	fieldAttributeFullName = 2
	fieldAttributeKey      = 3

	fieldSlotOriginal = 1
	fieldSlotName     = 2
	fieldSlotNode     = 3

	fieldSaverName   = 1
	fieldSaverObject = 2

	fieldBool = 1
)

// Append appends the encoded graph, byte for byte what TensorFlow writes for
// the same nodes. Fields that Decode did not know follow the known ones.
func (g *Graph) Append(b []byte) []byte {
	for i := range g.Nodes {
		b = g.Nodes[i].append(b)
	}
	return append(b, g.unknown...)
}

func (n *Node) append(b []byte) []byte {
	b = appendHeader(b, fieldNodes, n.size())
	for i := range n.Children {
		b = n.Children[i].append(b)
	}
	for i := range n.Attributes {
		b = n.Attributes[i].append(b)
	}
	for i := range n.Slots {
		b = n.Slots[i].append(b)
	}
	if n.RegisteredSaver != nil {
		b = n.RegisteredSaver.append(b)
	}
	if n.HasValues != ValuesMissing {
		b = appendHeader(b, fieldHasValues, n.valuesSize())
		if n.HasValues == ValuesTrue {
			b = wire.AppendVarintField(b, fieldBool, 1)
		}
		b = append(b, n.valueUnknown...)
	}
	return append(b, n.unknown...)
}

func (n *Node) size() int {
	size := len(n.unknown)
	for i := range n.Children {
		size += wire.SizeBytesField(fieldChildren, n.Children[i].size())
	}
	for i := range n.Attributes {
		size += wire.SizeBytesField(fieldAttributes, n.Attributes[i].size())
	}
	for i := range n.Slots {
		size += wire.SizeBytesField(fieldSlots, n.Slots[i].size())
	}
	if n.RegisteredSaver != nil {
		size += wire.SizeBytesField(fieldSaver, n.RegisteredSaver.size())
	}
	if n.HasValues != ValuesMissing {
		size += wire.SizeBytesField(fieldHasValues, n.valuesSize())
	}
	return size
}

func (n *Node) valuesSize() int {
	size := len(n.valueUnknown)
	if n.HasValues == ValuesTrue {
		size += wire.SizeVarintField(fieldBool, 1)
	}
	return size
}

func (e *Edge) append(b []byte) []byte {
	b = appendHeader(b, fieldChildren, e.size())
	b = appendID(b, fieldEdgeNode, e.Node)
	b = appendText(b, fieldEdgeName, e.Name)
	return append(b, e.unknown...)
}

func (e *Edge) size() int {
	return sizeID(fieldEdgeNode, e.Node) + sizeText(fieldEdgeName, e.Name) + len(e.unknown)
}

func (a *Attribute) append(b []byte) []byte {
	b = appendHeader(b, fieldAttributes, a.size())
	b = appendText(b, fieldAttributeName, a.Name)
	b = appendText(b, fieldAttributeFullName, a.FullName)
	b = appendText(b, fieldAttributeKey, a.Key)
	return append(b, a.unknown...)
}

func (a *Attribute) size() int {
	return sizeText(fieldAttributeName, a.Name) + sizeText(fieldAttributeFullName, a.FullName) +
		sizeText(fieldAttributeKey, a.Key) + len(a.unknown)
}

func (s *SlotVariable) append(b []byte) []byte {
	b = appendHeader(b, fieldSlots, s.size())
	b = appendID(b, fieldSlotOriginal, s.Original)
	b = appendText(b, fieldSlotName, s.Name)
	b = appendID(b, fieldSlotNode, s.Node)
	return append(b, s.unknown...)
}

func (s *SlotVariable) size() int {
	return sizeID(fieldSlotOriginal, s.Original) + sizeText(fieldSlotName, s.Name) +
		sizeID(fieldSlotNode, s.Node) + len(s.unknown)
}

func (r *RegisteredSaver) append(b []byte) []byte {
	b = appendHeader(b, fieldSaver, r.size())
	b = appendText(b, fieldSaverName, r.Name)
	b = appendText(b, fieldSaverObject, r.Object)
	return append(b, r.unknown...)
}

func (r *RegisteredSaver) size() int {
	return sizeText(fieldSaverName, r.Name) + sizeText(fieldSaverObject, r.Object) + len(r.unknown)
}

func appendHeader(b []byte, field, size int) []byte {
	return binary.AppendUvarint(wire.AppendTag(b, field, wire.BytesType), uint64(size))
}

func appendID(b []byte, field, id int) []byte {
	if id == 0 {
		return b
	}
	return wire.AppendVarintField(b, field, uint64(int64(id)))
}

func sizeID(field, id int) int {
	if id == 0 {
		return 0
	}
	return wire.SizeVarintField(field, uint64(int64(id)))
}

func appendText(b []byte, field int, s string) []byte {
	if s == "" {
		return b
	}
	return wire.AppendBytesField(b, field, s)
}

func sizeText(field int, s string) int {
	if s == "" {
		return 0
	}
	return wire.SizeBytesField(field, len(s))
}
