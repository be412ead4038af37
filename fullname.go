package ckpt

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// KeyOf is the key of the variable with a full name, such as scope/b: the name
// it had in its program, under which TensorFlow 1 stored it. A name-based
// checkpoint has the names themselves as keys. That is what lets
// tf.compat.v1.train.Saver read an object-based checkpoint
// (object_graph_key_mapping). A name that no variable has is fs.ErrNotExist and
// the error lists those there are; a name that several have is ErrMismatch,
// where TensorFlow takes the last.
func (r *Reader) KeyOf(ctx context.Context, fullName string) (string, error) {
	if !r.Has(graphKey) {
		if key := r.key(fullName); r.Has(key) {
			return key, nil
		}
		return "", r.notFound(fullName)
	}
	g, err := r.Graph(ctx)
	if err != nil {
		return "", err
	}
	var keys, names []string
	for i := range g.Nodes {
		for _, a := range g.Nodes[i].Attributes {
			if a.FullName == "" {
				continue
			}
			names = append(names, a.FullName)
			if a.FullName == fullName {
				keys = append(keys, a.Key)
			}
		}
	}
	slices.Sort(keys)
	keys = slices.Compact(keys)
	switch len(keys) {
	case 1:
		return keys[0], nil
	case 0:
		return "", fmt.Errorf("ckpt: %s: no variable has the full name %s%s: %w", r.at.prefix, fault.Printable(fullName), thereAre(names, fullName), fs.ErrNotExist)
	}
	return "", fmt.Errorf("ckpt: %s: several variables have the full name %s, those of the keys %s: %w",
		r.at.prefix, fault.Printable(fullName), printables(keys[:min(len(keys), mostNames)]), ErrMismatch)
}

// mostNames bounds how many names an error lists.
const mostNames = 10

// thereAre lists the names that a wrong one may have meant: all if they are few,
// otherwise the nearest.
func thereAre(names []string, wanted string) string {
	slices.Sort(names)
	names = slices.Compact(names)
	if len(names) == 0 {
		return ""
	}
	if len(names) <= mostNames {
		return "; there are " + printables(names)
	}
	if near := nearest(wanted, names); len(near) > 0 {
		for i := range near {
			near[i] = fault.Printable(near[i])
		}
		return "; did you mean " + proposed(near) + "?"
	}
	return fmt.Sprintf("; there are %d others, such as %s", len(names), printables(names[:mostNames]))
}

func printables(names []string) string {
	var b strings.Builder
	for i, name := range names {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(fault.Printable(name))
	}
	return b.String()
}
