package ckpt

import (
	"fmt"
	"strconv"
	"strings"
)

// ambiguous is the error for two objects that could get one value.
func (m *matching) ambiguous(name string, first, second Trackable) error {
	nothing, hint := "nothing was restored", ""
	if m.late {
		nothing, hint = "none of the objects that appeared now was set", ", or end the restore with RestoreStatus.Close"
	}
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s is a name-based checkpoint, and two objects of the program have the full name %s of one of its values, %s",
			m.r.files.prefix, strconv.Quote(name), nothing),
		Names: m.r.paths([]Trackable{first, second}),
		Hint:  "which of them is meant cannot be told: give each a full name of its own" + hint,
	}
}

// checkNewNames refuses objects that appeared without a value where all must
// have one. As with an object graph, a checkpoint all of whose values went
// somewhere has nothing to say about those.
func (m *matching) checkNewNames() error {
	n := m.r.byName
	if n == nil || !m.r.complete || n.done() {
		return nil
	}
	var lacking []Trackable
	for _, object := range m.names.offered {
		if n.missing[object] != nil {
			lacking = append(lacking, object)
		}
	}
	if len(lacking) == 0 {
		return nil
	}
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s, from which this program resumed, has no values for %s that appeared now", m.r.files.prefix, count(len(lacking), "object")),
		Names:  m.r.paths(lacking),
		Hint:   n.hint(lacking) + ". To let these objects keep the values they have, set ResumeOptions.AllowPartial",
	}
}

// paths names objects of the program for messages; one that the root does not
// lead to goes by its type.
func (r *restoration) paths(objects []Trackable) []string {
	w, err := walk(r.root)
	if err == nil {
		err = w.addSlots()
	}
	names := make([]string, len(objects))
	for i, object := range objects {
		names[i] = fmt.Sprintf("a %T", object)
		if err != nil {
			continue
		}
		if id, ok := w.ids[object]; ok {
			names[i] = w.name(id)
		}
	}
	return names
}

// hint tells which names objects miss, and what the checkpoint has instead.
func (n *byName) hint(objects []Trackable) string {
	const shown = 3
	left := n.left()
	var lacks []string
	for i, object := range objects {
		if i == shown {
			lacks = append(lacks, "…")
			break
		}
		for _, name := range n.missing[object][:min(shown, len(n.missing[object]))] {
			lack := strconv.Quote(name)
			if near := nearest(name, left); len(near) > 0 {
				lack += " (did you mean " + quoted(near, " or ") + "?)"
			}
			lacks = append(lacks, lack)
		}
	}
	text := "it is a name-based checkpoint, as TensorFlow 1 wrote them, and has no " + strings.Join(lacks, ", ")
	if len(left) == 0 {
		return text
	}
	const most = 5
	more := ""
	if len(left) > most {
		more, left = fmt.Sprintf(" and %d more", len(left)-most), left[:most]
	}
	return text + "; it has " + quoted(left, ", ") + more + ", which the program has not"
}

func quoted(names []string, between string) string {
	q := make([]string, len(names))
	for i, name := range names {
		q[i] = strconv.Quote(name)
	}
	return strings.Join(q, between)
}
