package objectgraph_test

import (
	"fmt"
	"log"

	"github.com/ckpt-go/ckpt/objectgraph"
)

func Example() {
	key := objectgraph.AttributeKey(objectgraph.ObjectPath("model", "kernel"), objectgraph.VariableValue)
	g := &objectgraph.Graph{Nodes: []objectgraph.Node{
		{Children: []objectgraph.Edge{{Name: "model", Node: 1}}},
		{Children: []objectgraph.Edge{{Name: "kernel", Node: 2}}},
		{Attributes: []objectgraph.Attribute{{Name: objectgraph.VariableValue, FullName: "kernel", Key: key}}},
	}}
	g.SetHasValues()
	encoded := g.Append(nil)

	g, err := objectgraph.Decode(encoded)
	if err != nil {
		log.Fatal(err)
	}
	names := g.Names()
	for _, node := range g.Descendants() {
		for _, a := range g.Nodes[node].Attributes {
			fmt.Println(names[node], "is", a.Key)
		}
	}
	// Output: (root).model.kernel is model/kernel/.ATTRIBUTES/VARIABLE_VALUE
}
