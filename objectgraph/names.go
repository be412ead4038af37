package objectgraph

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Frozen: parts of checkpoint keys that cannot come from an escaped name.
const (
	attributesPart = "/.ATTRIBUTES/"
	slotPart       = "/.OPTIMIZER_SLOT/"
)

// VariableValue is the attribute name of a variable's only value.
const VariableValue = "VARIABLE_VALUE"

var escaper = strings.NewReplacer(".", "..", "/", ".S")

// Escape returns an edge name as it stands in keys: every dot doubled, every
// slash as ".S" (TensorFlow's escape_local_name).
func Escape(name string) string { return escaper.Replace(name) }

// Unescape undoes Escape. What Escape cannot have made is an error.
func Unescape(s string) (string, error) {
	if !strings.ContainsAny(s, "./") {
		return s, nil
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '/':
			return "", fmt.Errorf("escaped name %q: slash at %d", clip(s), i)
		case s[i] != '.':
			b = append(b, s[i])
			continue
		case i+1 < len(s) && s[i+1] == '.':
			b = append(b, '.')
		case i+1 < len(s) && s[i+1] == 'S':
			b = append(b, '/')
		default:
			return "", fmt.Errorf("escaped name %q: lone dot at %d", clip(s), i)
		}
		i++
	}
	return string(b), nil
}

// JoinPath returns the object path of the child that parent tracks under
// name, which is not escaped yet. The path of the root is "". A child of the
// root whose name is empty has the root's path, too, so what is below it needs
// ObjectPath.
func JoinPath(parent, name string) string {
	if parent == "" {
		return Escape(name)
	}
	return parent + "/" + Escape(name)
}

// ObjectPath returns the object path that the edge names, not escaped yet,
// lead to from the root: the escaped names joined by slashes.
func ObjectPath(names ...string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteByte('/')
		}
		b.WriteString(Escape(name))
	}
	return b.String()
}

// AttributeKey returns the checkpoint key of a value of the object at path.
// attribute is the name the object itself uses. As in TensorFlow it is
// escaped twice in the key (and once in Attribute.Name), which TensorFlow
// cannot restore: names without dots and slashes are the ones to use. For the
// root the key begins with a slash.
func AttributeKey(path, attribute string) string {
	return path + attributesPart + Escape(Escape(attribute))
}

// SlotPath returns the object path of an optimizer's slot for a variable; the
// slot name is not escaped yet.
func SlotPath(variablePath, optimizerPath, slotName string) string {
	return variablePath + slotPart + optimizerPath + "/" + Escape(slotName)
}

// rootName is what TensorFlow calls node 0 in messages.
const rootName = "(root)"

// Path returns the name that messages use for a node: (root).a.b for the
// first shortest way from the root, (root).o's state 'momentum' for (root).a
// for a slot variable. A node that nothing leads to is "node 7". It walks the
// whole graph: for many nodes use Names.
func (g *Graph) Path(node int) string {
	_, from := g.walk()
	owner := make([]slotOwner, 0, 1)
	for i := range g.Nodes {
		for k, s := range g.Nodes[i].Slots {
			if s.Node == node {
				owner = append(owner[:0], slotOwner{i, k})
			}
		}
	}
	if len(owner) == 0 {
		return g.pathName(from, node)
	}
	slot := g.Nodes[owner[0].node].Slots[owner[0].slot]
	return slotName(g.pathName(from, owner[0].node), slot.Name, g.pathName(from, slot.Original))
}

type slotOwner struct{ node, slot int }

// pathName spells out one way from the root.
func (g *Graph) pathName(from []step, node int) string {
	if !g.inRange(node) || from[node].parent == notReached {
		return fallbackName(node)
	}
	size := len(rootName)
	for i := node; from[i].parent != isRoot; i = from[i].parent {
		size += 1 + len(g.edgeName(from[i]))
	}
	b := make([]byte, size)
	copy(b, rootName)
	for i := node; from[i].parent != isRoot; i = from[i].parent {
		name := g.edgeName(from[i])
		size -= len(name)
		copy(b[size:], name)
		size--
		b[size] = '.'
	}
	return string(b)
}

func (g *Graph) edgeName(s step) string { return g.Nodes[s.parent].Children[s.edge].Name }

func slotName(optimizer, slot, variable string) string {
	return optimizer + "'s state '" + slot + "' for " + variable
}

func fallbackName(node int) string { return "node " + strconv.Itoa(node) }

// The names of a deep chain together are quadratic in its length. Names spends
// at most namesBase bytes and namesFactor bytes for each byte and edge of the
// graph on them, far more than real graphs need.
const (
	namesBase   = 4 << 20
	namesFactor = 32
	namesEdge   = 16
)

// Names returns what Path returns, for all nodes, in one walk. To bound its
// memory for hostile graphs (4 MiB and 32 times the names in the graph), the
// names that come last may be "node 7" although a way leads there.
func (g *Graph) Names() []string {
	order, from := g.walk()
	budget := namesBase + namesFactor*len(rootName)
	for i := range g.Nodes {
		for _, e := range g.Nodes[i].Children {
			budget += namesFactor * (namesEdge + len(e.Name))
		}
		for _, s := range g.Nodes[i].Slots {
			budget += namesFactor * (namesEdge + len(s.Name))
		}
	}
	names := make([]string, len(g.Nodes))
	for _, i := range order {
		if from[i].parent == isRoot {
			names[i] = rootName
			continue
		}
		parent, name := names[from[i].parent], g.edgeName(from[i])
		if parent == "" || len(parent)+1+len(name) > budget {
			continue // the fallback below; those further down follow
		}
		names[i] = parent + "." + name
		budget -= len(names[i])
	}
	for i := range names {
		if names[i] == "" {
			names[i] = fallbackName(i)
		}
	}
	// Slot variables with slots do not exist; named after each other, they would
	// have names that double at every step.
	paths := slices.Clone(names)
	for i := range g.Nodes {
		for _, s := range g.Nodes[i].Slots {
			if size := len(paths[i]) + len(s.Name) + len(paths[s.Original]) + 16; size <= budget {
				names[s.Node] = slotName(paths[i], s.Name, paths[s.Original])
				budget -= size
			}
		}
	}
	return names
}
