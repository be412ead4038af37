package cli

import (
	"fmt"

	"github.com/ckpt-go/ckpt/objectgraph"
)

type jsonNode struct {
	ID         int             `json:"id"`
	Children   []jsonEdge      `json:"children"`
	Attributes []jsonAttribute `json:"attributes"`
	Slots      []jsonSlot      `json:"slot_variables"`
	Saver      *jsonSaver      `json:"registered_saver"`
	HasValues  *bool           `json:"has_values"`
}

type jsonEdge struct {
	jsonName
	Node int `json:"node"`
}

type jsonAttribute struct {
	jsonName
	FullName    *string `json:"full_name,omitempty"`
	FullNameB64 *string `json:"full_name_b64,omitempty"`
	Key         *string `json:"checkpoint_key,omitempty"`
	KeyB64      *string `json:"checkpoint_key_b64,omitempty"`
}

type jsonSlot struct {
	jsonName
	Original int `json:"original"`
	Node     int `json:"node"`
}

type jsonSaver struct {
	jsonName
	Object    *string `json:"object_name,omitempty"`
	ObjectB64 *string `json:"object_name_b64,omitempty"`
}

// printTree prints the graph as it is stored, node by node: there may be very
// many.
func printTree(s *call, g *objectgraph.Graph) error {
	fmt.Fprintf(s.out, "{\n  \"schema\": %d,\n  \"nodes\": [", schema)
	for i := range g.Nodes {
		text, err := record(nodeOf(g, i))
		if err != nil {
			return err
		}
		if i > 0 {
			s.out.WriteByte(',')
		}
		s.out.WriteString("\n    ")
		s.out.Write(text)
	}
	_, err := s.out.WriteString("\n  ]\n}\n")
	return err
}

func nodeOf(g *objectgraph.Graph, i int) *jsonNode {
	n := &g.Nodes[i]
	j := &jsonNode{ID: i, Children: []jsonEdge{}, Attributes: []jsonAttribute{}, Slots: []jsonSlot{}}
	for _, e := range n.Children {
		j.Children = append(j.Children, jsonEdge{nameOf(e.Name), e.Node})
	}
	for _, a := range n.Attributes {
		attribute := jsonAttribute{jsonName: nameOf(a.Name)}
		attribute.FullName, attribute.FullNameB64 = utf8Text(a.FullName)
		attribute.Key, attribute.KeyB64 = utf8Text(a.Key)
		j.Attributes = append(j.Attributes, attribute)
	}
	for _, v := range n.Slots {
		j.Slots = append(j.Slots, jsonSlot{nameOf(v.Name), v.Original, v.Node})
	}
	if n.RegisteredSaver != nil {
		saver := &jsonSaver{jsonName: nameOf(n.RegisteredSaver.Name)}
		saver.Object, saver.ObjectB64 = utf8Text(n.RegisteredSaver.Object)
		j.Saver = saver
	}
	if n.HasValues != objectgraph.ValuesMissing {
		has := n.HasValues == objectgraph.ValuesTrue
		j.HasValues = &has
	}
	return j
}
