package ckpt

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// What Manager.Resume demands of the objects it can see, that the checkpoint has
// a value for each, it demands of those that appear later, too: else a layer
// that the checkpoint does not know, or knows under other names, would start
// from scratch unnoticed. An object that was not there when the checkpoint was
// saved may appear: nothing waits beside it, and what it hangs below is known.

// orphan marks an object that was there at Resume and that the checkpoint does
// not have. It, and what is tracked below it, must not bring values.
type orphan struct {
	r      *restoration
	w      *walker // gives the name, with id
	id     int
	parent *orphan // of one that came later, with name
	name   string
	at     string // the path of a parent that is no orphan itself
}

func (o *orphan) path() string {
	switch {
	case o.parent != nil:
		return o.parent.path() + "." + o.name
	case o.w == nil:
		return o.at
	}
	return o.w.name(o.id)
}

// adopter is what an object that embeds Node can do.
type adopter interface{ setOrphan(o *orphan) }

func (n *Node) setOrphan(o *orphan) { n.orphan = o }

// markOrphans remembers the objects of a program that a whole restore did not
// find in the checkpoint.
func (r *restoration) markOrphans(w *walker) {
	bound := r.objects()
	var inside []bool
	if r.only != nil {
		inside = r.only.inside(w)
	}
	for id, object := range w.objects {
		if bound[object] || inside != nil && !inside[id] {
			continue
		}
		if n, ok := object.(adopter); ok {
			n.setOrphan(&orphan{r: r, w: w, id: id})
		}
	}
}

// reached tells whether this restore, or a newer one, found an object.
func (r *restoration) reached(object Trackable) bool {
	if k, ok := object.(marked); ok {
		return *k.restoredBy() >= r.uid
	}
	return r.seen[object]
}

// checkLate refuses new children with values for which a restore that demands
// all of them has none. It is called once what waited for them, the starts, is
// bound.
func (n *Node) checkLate(fresh []edge, starts []start) error {
	if o := n.orphan; o != nil && !o.r.closed {
		if names := without(fresh, o.r.reached); len(names) > 0 {
			return lateError(o.r, o.path(), names, "")
		}
		return nil
	}
	if len(n.waiting) == 0 {
		return nil
	}
	names := without(fresh, func(object Trackable) bool {
		if k, ok := object.(marked); ok {
			return *k.restoredBy() > 0
		}
		return slices.ContainsFunc(starts, func(s start) bool { return s.p.r.reached(object) })
	})
	if len(names) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(n.waiting)) {
		for _, p := range n.waiting[name] {
			if p.r.complete && !p.r.closed && p.r.bound[p.node] == nil && p.r.covers(p.node) {
				return lateError(p.r, "", names, p.r.name(p.node))
			}
		}
	}
	return nil
}

// adoptLate makes orphans of what hangs below an orphan, and of what appeared
// beside values that a whole restore has and nobody took.
func (n *Node) adoptLate(fresh []edge) {
	o := n.orphan
	if o != nil && o.r.closed {
		o = nil
	}
	if o == nil && len(n.waiting) == 0 {
		return
	}
	type visit struct {
		edge
		parent *orphan
	}
	var queue []visit
	for _, e := range fresh {
		from := o
		if from == nil {
			from = n.orphanMaker(e.child)
		}
		if from != nil {
			queue = append(queue, visit{e, from})
		}
	}
	seen := make(map[Trackable]bool)
	for i := 0; i < len(queue); i++ {
		v := queue[i]
		child, ok := v.child.(adopter)
		if !ok || seen[v.child] || v.parent.r.reached(v.child) {
			continue
		}
		seen[v.child] = true
		mark := &orphan{r: v.parent.r, parent: v.parent, name: v.name}
		child.setOrphan(mark)
		for name, below := range v.child.Children() {
			queue = append(queue, visit{edge{name, below}, mark})
		}
	}
}

// orphanMaker finds the whole restore whose values wait below n, beside a child
// that it did not reach; nil if there is none.
func (n *Node) orphanMaker(child Trackable) *orphan {
	if k, ok := child.(marked); ok && *k.restoredBy() > 0 {
		return nil
	}
	for _, list := range n.waiting {
		for _, p := range list {
			if p.r.complete && !p.r.closed && p.r.bound[p.node] == nil && p.r.covers(p.node) && !p.r.reached(child) {
				name := p.r.name(p.node)
				return &orphan{r: p.r, at: name[:max(0, strings.LastIndexByte(name, '.'))]}
			}
		}
	}
	return nil
}

// checkDoubles refuses what appears in the place of a stored object that another
// object has taken, where everything must fit: the objects are not in the order
// in which they were saved.
func (m *matching) checkDoubles(complete bool) error {
	if !complete || len(m.doubles) == 0 {
		return nil
	}
	var names []string
	for _, node := range m.doubles {
		names = append(names, m.r.name(node))
	}
	slices.Sort(names)
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s, has one object where the program has two", m.r.files.prefix),
		Names:  slices.Compact(names),
		Hint:   "were layers reordered, added or removed, so that an optimizer's lists differ? To give each the values of its own place, set ResumeOptions.AllowPartial",
	}
}

// without lists the objects at and below edges that have values and were not
// restored, by their path from there.
func without(edges []edge, restored func(object Trackable) bool) []string {
	var names []string
	type visit struct {
		name   string
		object Trackable
	}
	seen := make(map[Trackable]bool)
	var queue []visit
	push := func(name string, object Trackable) {
		if !seen[object] {
			seen[object] = true
			queue = append(queue, visit{name, object})
		}
	}
	for _, e := range edges {
		push(e.name, e.child)
	}
	for i := 0; i < len(queue); i++ {
		v := queue[i]
		if saveable, ok := v.object.(Saveable); ok && !restored(v.object) && len(saveable.Values()) > 0 {
			names = append(names, v.name)
		}
		for name, child := range v.object.Children() {
			if !absent(child) {
				push(v.name+"."+name, child)
			}
		}
	}
	return names
}

// lateError names the objects by the orphan they are below, or beside waiting,
// which nothing took.
func lateError(r *restoration, below string, names []string, waiting string) error {
	has := ""
	if names := r.unplaced(); names != "" {
		has = ", but has " + names
	}
	hint := fmt.Sprintf("it does not know %s%s: is it a checkpoint of another model? ", below, has)
	if waiting != "" {
		below = waiting[:max(0, strings.LastIndexByte(waiting, '.'))]
		hint = fmt.Sprintf("it has %s there: is it a checkpoint of another model, optimizer or version of Keras? ", waiting)
	}
	for i, name := range names {
		names[i] = below + "." + name
	}
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s, from which this program resumed, has no values for %s that appeared now", r.files.prefix, count(len(names), "object")),
		Names:  names,
		Hint:   hint + "To let these objects keep the values they have, set ResumeOptions.AllowPartial",
	}
}
