package ckpt

import (
	"cmp"
	"math"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/objectgraph"
)

// nearestKeys gives up to three of the keys of a checkpoint that may have been
// meant by a name: a key, the path of an object, as messages print it or as keys
// begin, or the end of one; a part of it may be misspelled.
func nearestKeys(name string, keys []string) []string {
	type scored struct {
		key   string
		score int
	}
	budget := 50_000_000 // steps: a checkpoint may have very many, very long names
	asked := objectOf(name)
	var near []scored
	for _, key := range keys {
		object, _, _ := strings.Cut(key, attributesMarker)
		tail := lastParts(object, strings.Count(asked, "/")+1)
		best := math.MaxInt
		for i, form := range []string{object, tail} {
			limit := 2 + min(len(asked), len(form))/3
			if max(len(asked)-len(form), len(form)-len(asked)) > limit || i == 1 && tail == object {
				continue
			}
			if budget -= len(asked) * len(form); budget < 0 {
				break
			}
			if d := distance(asked, form); d <= limit && d < len(form) {
				best = min(best, 2*d+i)
			}
		}
		if best < math.MaxInt {
			near = append(near, scored{key, best})
		}
	}
	slices.SortStableFunc(near, func(a, b scored) int { return cmp.Compare(a.score, b.score) })
	if len(near) == 0 {
		return nearest(name, keys)
	}
	var out []string
	for i := 0; i < len(near) && i < 3; i++ {
		out = append(out, near[i].key)
	}
	return out
}

// objectOf is the path of the object that a person means, as keys begin.
func objectOf(name string) string {
	object, _, isKey := strings.Cut(name, attributesMarker)
	switch {
	case isKey:
		return object
	case strings.HasPrefix(name, rootPath):
		if names, err := parsePath(name); err == nil && len(names) > 0 {
			return objectgraph.ObjectPath(names...)
		}
	case !strings.Contains(name, "/"):
		return strings.ReplaceAll(name, ".", "/")
	}
	return name
}

// lastParts is the end of a path.
func lastParts(path string, n int) string {
	at := len(path)
	for range n {
		if at = strings.LastIndexByte(path[:at], '/'); at < 0 {
			return path
		}
	}
	return path[at+1:]
}
