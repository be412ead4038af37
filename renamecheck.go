package ckpt

import (
	"errors"
	"fmt"
	"maps"
	"slices"
)

// checkRenamed refuses new names of RestoreOptions.Rename that the program does
// not have and never will: Resume would leave behind what is stored.
func (l *loading) checkRenamed(m *matching) error {
	if !l.partial {
		return nil // RestoreStatus tells, or checkComplete
	}
	var lost []error
	for _, node := range slices.Sorted(maps.Keys(l.renamed)) {
		to := l.renamed[node]
		if m.r.bound[node] != nil || !m.r.covers(node) || !m.lost(to) {
			continue
		}
		w, err := walk(m.r.root)
		if err != nil {
			return err
		}
		if _, _, err := w.find(to); err != nil {
			lost = append(lost, fmt.Errorf("ckpt: %s: the option Rename: %w, nothing was restored", l.at.prefix, err))
		}
	}
	return errors.Join(lost...)
}

// lost tells whether what is stored under a path waits for a field of a struct,
// which does not come.
func (m *matching) lost(path string) bool {
	names, err := parsePath(path)
	if err != nil {
		return false
	}
	node := 0
	for _, name := range names {
		next, ok := m.r.graph.Child(node, name)
		if !ok {
			return false
		}
		if m.r.bound[next] == nil {
			_, fixed := m.r.bound[node].(fixedLayout)
			return fixed
		}
		node = next
	}
	return false
}
