package objectgraph

import (
	"fmt"
	"math"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
)

// Decode parses an encoded graph and keeps no reference to b. Whatever it
// refuses (bytes that do not parse, no nodes, ids that lead nowhere) is a
// *CorruptError of kind "graph".
//
// Memory: at most 64 times len(b), which a graph of nothing but empty nodes
// needs; the graphs TensorFlow writes take about four times. Elements are
// counted before their slice is allocated, and all names share one copy of b.
// Time is linear in len(b), and nothing recurses.
func Decode(b []byte) (*Graph, error) {
	g := new(Graph)
	if err := g.decode(b, string(b)); err != nil {
		return nil, fault.Corrupt(fault.KindGraph, "object graph does not parse: %w", err)
	}
	if err := g.check(); err != nil {
		return nil, err
	}
	return g, nil
}

// The decode functions below take their message twice: as bytes to parse and
// as the same stretch of the one string that names are cut from.

func (g *Graph) decode(b []byte, text string) error {
	g.Nodes = make([]Node, 0, countFields(b)[fieldNodes])
	var unknown []byte
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		field, typ := d.Tag()
		if field != fieldNodes || typ != wire.BytesType {
			unknown = append(unknown, d.Field(typ)...)
			continue
		}
		p, t := message(d, text)
		g.Nodes = append(g.Nodes, Node{})
		d.Fail(g.Nodes[len(g.Nodes)-1].decode(p, t))
	}
	g.unknown = string(unknown)
	return d.Err()
}

func (n *Node) decode(b []byte, text string) error {
	counts := countFields(b)
	n.Children = reserve[Edge](counts[fieldChildren])
	n.Attributes = reserve[Attribute](counts[fieldAttributes])
	n.Slots = reserve[SlotVariable](counts[fieldSlots])
	// Messages that may occur once are merged when they occur again.
	var unknown, saverUnknown, valueUnknown []byte
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		field, typ := d.Tag()
		if field > fieldHasValues || typ != wire.BytesType {
			unknown = append(unknown, d.Field(typ)...)
			continue
		}
		p, t := message(d, text)
		switch field {
		case fieldChildren:
			n.Children = append(n.Children, Edge{})
			d.Fail(n.Children[len(n.Children)-1].decode(p, t))
		case fieldAttributes:
			n.Attributes = append(n.Attributes, Attribute{})
			d.Fail(n.Attributes[len(n.Attributes)-1].decode(p, t))
		case fieldSlots:
			n.Slots = append(n.Slots, SlotVariable{})
			d.Fail(n.Slots[len(n.Slots)-1].decode(p, t))
		case fieldSaver:
			if n.RegisteredSaver == nil {
				n.RegisteredSaver = new(RegisteredSaver)
			}
			d.Fail(n.RegisteredSaver.decode(p, t, &saverUnknown))
		case fieldHasValues:
			d.Fail(n.decodeValues(p, &valueUnknown))
		}
	}
	n.unknown, n.valueUnknown = string(unknown), string(valueUnknown)
	if n.RegisteredSaver != nil {
		n.RegisteredSaver.unknown = string(saverUnknown)
	}
	return d.Err()
}

func (n *Node) decodeValues(b []byte, unknown *[]byte) error {
	if n.HasValues == ValuesMissing {
		n.HasValues = ValuesFalse
	}
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		field, typ := d.Tag()
		switch {
		case field != fieldBool || typ != wire.Varint:
			*unknown = append(*unknown, d.Field(typ)...)
		case d.Uvarint() != 0:
			n.HasValues = ValuesTrue
		default:
			n.HasValues = ValuesFalse
		}
	}
	return d.Err()
}

func (e *Edge) decode(b []byte, text string) error {
	var unknown []byte
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		switch field, typ := d.Tag(); {
		case field == fieldEdgeNode && typ == wire.Varint:
			e.Node = nodeID(d)
		case field == fieldEdgeName && typ == wire.BytesType:
			_, e.Name = message(d, text)
		default:
			unknown = append(unknown, d.Field(typ)...)
		}
	}
	e.unknown = string(unknown)
	return d.Err()
}

func (a *Attribute) decode(b []byte, text string) error {
	var unknown []byte
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		field, typ := d.Tag()
		switch {
		case typ == wire.BytesType && field == fieldAttributeName:
			_, a.Name = message(d, text)
		case typ == wire.BytesType && field == fieldAttributeFullName:
			_, a.FullName = message(d, text)
		case typ == wire.BytesType && field == fieldAttributeKey:
			_, a.Key = message(d, text)
		default: // such as 4, optional_restore, of some versions
			unknown = append(unknown, d.Field(typ)...)
		}
	}
	a.unknown = string(unknown)
	return d.Err()
}

func (s *SlotVariable) decode(b []byte, text string) error {
	var unknown []byte
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		field, typ := d.Tag()
		switch {
		case field == fieldSlotOriginal && typ == wire.Varint:
			s.Original = nodeID(d)
		case field == fieldSlotName && typ == wire.BytesType:
			_, s.Name = message(d, text)
		case field == fieldSlotNode && typ == wire.Varint:
			s.Node = nodeID(d)
		default:
			unknown = append(unknown, d.Field(typ)...)
		}
	}
	s.unknown = string(unknown)
	return d.Err()
}

func (r *RegisteredSaver) decode(b []byte, text string, unknown *[]byte) error {
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		field, typ := d.Tag()
		switch {
		case field == fieldSaverName && typ == wire.BytesType:
			_, r.Name = message(d, text)
		case field == fieldSaverObject && typ == wire.BytesType:
			_, r.Object = message(d, text)
		default:
			*unknown = append(*unknown, d.Field(typ)...)
		}
	}
	return d.Err()
}

// message reads a length-prefixed field in both forms.
func message(d *wire.Decoder, text string) ([]byte, string) {
	p := d.LenBytes()
	end := d.Offset()
	if d.Err() != nil {
		return nil, ""
	}
	return p, text[end-len(p) : end]
}

// nodeID reads an int32. Ids are checked against the nodes when all are
// known; what does not even fit is refused here instead of being cut to 32
// bits.
func nodeID(d *wire.Decoder) int {
	v := int64(d.Uvarint())
	if v < math.MinInt32 || v > math.MaxInt32 {
		d.Fail(fmt.Errorf("offset %d: node id exceeds 32 bits", d.Offset()))
		return 0
	}
	return int(v)
}

// countFields returns how many length-prefixed fields of each known number
// the message has, up to its first error.
func countFields(b []byte) (counts [fieldHasValues + 1]int) {
	d := wire.NewDecoder(b)
	for d.Len() > 0 {
		field, typ := d.Tag()
		d.Skip(typ)
		if d.Err() == nil && typ == wire.BytesType && field < len(counts) {
			counts[field]++
		}
	}
	return counts
}

// reserve keeps slices without elements nil.
func reserve[T any](n int) []T {
	if n == 0 {
		return nil
	}
	return make([]T, 0, n)
}
