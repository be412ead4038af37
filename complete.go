package ckpt

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
)

// checkComplete refuses a checkpoint that leaves objects of the program without
// values, or has values for which an object of fixed layout has no place. It
// tells everything that does not fit at once.
func (l *loading) checkComplete(ctx context.Context, m *matching, rd *bundle.Reader) error {
	w, err := walk(m.r.root)
	if err != nil {
		return err
	}
	l.walker = w
	objects, err := m.r.expected(w)
	if err != nil {
		return err
	}
	var findings []error
	missing := l.checkMissing(m, w, rd, objects)
	if missing != nil {
		findings = append(findings, missing)
	}
	if err := m.checkDoubles(true); err != nil {
		findings = append(findings, err)
	}
	if names := m.valueless(); len(names) > 0 {
		findings = append(findings, &UnmatchedError{
			Reason: fmt.Sprintf("ckpt: %s holds values for objects of the program that have none themselves, only children, nothing was restored", l.at.prefix),
			Names:  names,
			Hint: "a slice of slices, a map and a struct are objects with children, an array such as [2][3]float32 and a Variable are one tensor: was a field changed from one to the other? " +
				"To leave the values behind, set ResumeOptions.AllowPartial",
		})
	}
	if missing == nil { // else they are in its hint
		findings = append(findings, l.checkSurplus(m, w, rd)...)
	}
	if len(findings) == 0 {
		return nil
	}
	if misfit := m.check(ctx, rd, m.reads); misfit != nil && errors.Is(misfit, ErrMismatch) {
		findings = append(findings, misfit)
	}
	if len(findings) == 1 {
		return findings[0]
	}
	texts := make([]string, len(findings))
	for i, finding := range findings {
		texts[i] = finding.Error()
	}
	return &joined{text: strings.Join(texts, "\n"), errs: findings}
}

// checkMissing refuses objects without a stored value.
func (l *loading) checkMissing(m *matching, w *walker, rd *bundle.Reader, objects []Trackable) error {
	filled := make(map[Trackable]bool, len(m.reads)+1)
	for i := range m.reads {
		filled[m.reads[i].object] = true
	}
	if l.c.counter != nil {
		filled[l.c.counter] = true
	}
	unmatched := unboundNames(w, objects, filled, m.r.only)
	if len(unmatched) == 0 {
		return nil
	}
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s has no values for %s of the program, nothing was restored", l.at.prefix, count(len(unmatched), "object")),
		Names:  unmatched,
		Hint:   m.leftOver(w, rd) + "to let these objects keep the values they have, set ResumeOptions.AllowPartial",
	}
}

// checkSurplus refuses objects that the checkpoint does not know, and stored values
// that no field takes.
func (l *loading) checkSurplus(m *matching, w *walker, rd *bundle.Reader) (findings []error) {
	if names := m.strangers(w); len(names) > 0 {
		findings = append(findings, &UnmatchedError{
			Reason: fmt.Sprintf("ckpt: %s does not know %s of the program, nothing was restored", l.at.prefix, count(len(names), "object")),
			Names:  names,
			Hint:   m.leftOver(w, rd) + "to let these objects start from scratch, set ResumeOptions.AllowPartial",
		})
	}
	var surplus []string
	for _, p := range m.parks {
		if _, fixed := p.object.(fixedLayout); fixed && m.r.bound[p.node] == nil && m.r.covers(p.node) {
			surplus = append(surplus, m.r.name(p.node))
		}
	}
	if len(surplus) > 0 {
		findings = append(findings, &UnmatchedError{
			Reason: fmt.Sprintf("ckpt: %s holds values that the program has no field for, nothing was restored", l.at.prefix),
			Names:  surplus,
			Hint:   "give the struct those fields, allocate nil pointers and make lists as long as stored, or set ResumeOptions.AllowPartial to leave the values behind",
		})
	}
	return findings
}

// configAttribute is what the first object graphs stored of Keras's layers: what
// they were made of, which no restore reads.
const configAttribute = "OBJECT_CONFIG_JSON"

// valueless names what is stored with values where the live object takes none.
func (m *matching) valueless() (names []string) {
	for _, u := range m.unused {
		for _, a := range m.r.graph.Nodes[u.node].Attributes {
			if a.Name != configAttribute {
				names = append(names, m.r.name(u.node))
				break
			}
		}
	}
	return names
}

// strangers names the objects right below the root that the checkpoint does not
// have, if it has others there instead: a checkpoint of another program. They may
// hold no values yet, so that nothing else tells.
func (m *matching) strangers(w *walker) (names []string) {
	stored := m.r.graph.ChildMap(0)
	instead := false
	for name, node := range stored {
		instead = instead || name != counterName && m.r.bound[node] == nil && m.r.graph.Nodes[node].MayHaveValues()
	}
	if !instead {
		return nil
	}
	bound := m.r.objects()
	var inside []bool
	if m.r.only != nil {
		inside = m.r.only.inside(w)
	}
	for _, e := range w.edges[0] {
		if inside != nil && !inside[e.Node] {
			continue
		}
		if _, ok := stored[e.Name]; !ok && e.Name != counterName && !bound[w.objects[e.Node]] {
			names = append(names, w.name(e.Node))
		}
	}
	return names
}

// leftOver begins a hint with what the checkpoint has and the program has not.
func (m *matching) leftOver(w *walker, rd *bundle.Reader) string {
	names := m.r.unplaced()
	if names == "" {
		return "it was written by an older version of the program, or another one; "
	}
	guess := ""
	if text := likelyText(m.r.likelyRenamed(w, rd)); text != "" {
		guess = " " + text + " (ResumeOptions.Rename takes them)."
	}
	return fmt.Sprintf("it has %s, which the program has not: was something renamed?%s Otherwise, ", names, guess)
}

// fixedLayout is an object that never gets further children.
type fixedLayout interface{ fixedLayout() }
