package ckpt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// RestoreStatus is what became of a restore: TensorFlow's load status. Its
// checks look at the objects as they are now, so they can pass later, when
// objects that values waited for exist. A status may be ignored. It is not safe
// for concurrent use, nor beside a use of its Checkpoint.
type RestoreStatus struct {
	r      *restoration // nil: nothing was restored
	root   root
	prefix string
}

// current is the restoration the checks look at: the same values restored
// again take the place of those that still waited.
func (s *RestoreStatus) current() *restoration { return s.r.current() }

// Prefix is the checkpoint that was restored, "" if none.
func (s *RestoreStatus) Prefix() string { return s.prefix }

var errNothing = errors.New("ckpt: no checkpoint specified (empty path); nothing is being restored")

// CheckExistingObjectsMatched tells whether every object of the program that
// holds values now got them from the checkpoint (assert_existing_objects_matched).
// The error is an *UnmatchedError.
func (s *RestoreStatus) CheckExistingObjectsMatched() error {
	if s.r == nil {
		return errNothing
	}
	if s.current().byName != nil {
		return s.checkNames()
	}
	unmatched, hint, err := s.unmatchedObjects()
	if err != nil || len(unmatched) == 0 {
		return err
	}
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s: Found %d objects of the program that were not bound to checkpointed values, likely due to changes in the program", s.prefix, len(unmatched)),
		Names:  unmatched,
		Hint:   "they keep the values they had" + hint,
	}
}

// unmatchedObjects lists the live objects with values that no node is bound to,
// and says what they likely were called.
func (s *RestoreStatus) unmatchedObjects() (names []string, hint string, err error) {
	w, err := walk(s.root)
	if err != nil {
		return nil, "", err
	}
	r := s.current()
	objects, err := r.expected(w)
	if err != nil {
		return nil, "", err
	}
	names = unboundNames(w, objects, r.objects(), r.only)
	if len(names) > 0 {
		hint = r.renameHint(w)
		if starts, err := r.appeared(); err == nil && len(starts) > 0 {
			hint += "; values wait for objects that are there now: call RestoreStatus.Fill"
		}
	}
	return names, hint, nil
}

// unboundNames lists the objects that hold values and are not bound, of the parts
// that a restore was about.
func unboundNames(w *walker, objects []Trackable, bound map[Trackable]bool, parts *only) []string {
	var names []string
	var inside []bool
	if parts != nil {
		inside = parts.inside(w)
	}
	for id, object := range objects {
		if inside != nil && !inside[id] {
			continue
		}
		if saveable, ok := object.(Saveable); ok && len(saveable.Values()) > 0 && !bound[object] {
			names = append(names, w.name(id))
		}
	}
	return names
}

// CheckConsumed tells whether program and checkpoint match wholly: every object
// with values was restored and every stored value went somewhere
// (assert_consumed). The error is an *UnmatchedError. For a name-based checkpoint
// all three checks are one: whether every object with values was restored.
func (s *RestoreStatus) CheckConsumed() error {
	if err := s.CheckExistingObjectsMatched(); err != nil {
		return err
	}
	r := s.current()
	if r.byName != nil {
		return nil
	}
	if names := s.Unused(); len(names) > 0 {
		return &UnmatchedError{
			Reason: fmt.Sprintf("ckpt: %s: Unresolved object in checkpoint", s.prefix),
			Names:  names,
			Hint:   "the program has no object for these values (yet)",
		}
	}
	if len(r.slots) > 0 || len(r.slotWait) > 0 {
		return &UnmatchedError{
			Reason: fmt.Sprintf("ckpt: %s: Unresolved slot restorations", s.prefix),
			Names:  s.namesOf(r.unresolvedSlots()),
		}
	}
	if len(r.unused) > 0 {
		return &UnmatchedError{
			Reason: fmt.Sprintf("ckpt: %s: Unused attributes in these objects (the attributes exist in the checkpoint but were not restored)", s.prefix),
			Names:  s.unusedAttributes(),
		}
	}
	return nil
}

// CheckNontrivialMatch tells whether anything besides the root object was
// matched (assert_nontrivial_match).
func (s *RestoreStatus) CheckNontrivialMatch() error {
	if s.r == nil {
		return errNothing
	}
	if s.current().byName != nil {
		return s.checkNames()
	}
	r := s.current()
	for node, object := range r.bound {
		if node != 0 && object != nil && r.covers(node) {
			return nil
		}
	}
	if len(s.root.attached()) > 0 {
		return s.trivial()
	}
	for range s.root.object.Children() {
		return s.trivial()
	}
	return &UnmatchedError{Reason: fmt.Sprintf("ckpt: %s: Nothing to load. No dependencies have been added to the root object yet", s.prefix)}
}

func (s *RestoreStatus) trivial() error {
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s: Nothing except the root object matched a checkpointed value", s.prefix),
		Hint:   "the names of the program's objects differ from the checkpoint's: compare with `ckpt tree`",
	}
}

// checkNames is all three checks of a status: a name-based checkpoint does not
// tell objects apart, and what nobody asked for is not reported.
func (s *RestoreStatus) checkNames() error {
	w, err := walk(s.root)
	if err == nil {
		_, err = s.r.expected(w)
	}
	if err != nil {
		return err
	}
	n := s.r.byName
	var inside []bool
	if s.r.only != nil {
		inside = s.r.only.inside(w)
	}
	if lacking := n.lacking(w); len(lacking) > 0 {
		return &UnmatchedError{
			Reason: fmt.Sprintf("ckpt: %s: Some objects had attributes which were not restored", s.prefix),
			Names:  s.r.paths(lacking),
			Hint:   n.hint(lacking),
		}
	}
	var names []string
	for id, object := range w.objects {
		if inside != nil && !inside[id] {
			continue
		}
		if saveable, ok := object.(Saveable); ok && !n.offered[object] && !s.r.reached(object) && len(saveable.Values()) > 0 {
			names = append(names, w.name(id))
		}
	}
	if len(names) == 0 {
		return nil
	}
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s: Object not restored", s.prefix),
		Names:  names,
		Hint:   "objects that replaced others, or that an object only lists, are not noticed: see RestoreStatus.Fill",
	}
}

// Waiting lists what has to be tracked for the rest of the values: the stored
// objects with values, in themselves or below, whose live object does not exist
// yet while the object they hang below does. They are object paths in node
// order, (root).model.dense; what hangs below them is not listed. Of a name-based
// checkpoint they are the full names that no object has, in order.
func (s *RestoreStatus) Waiting() []string {
	if s.r == nil {
		return nil
	}
	if r := s.current(); r.byName != nil {
		if r.closed {
			return nil
		}
		return r.byName.left()
	}
	return s.namesOf(s.current().waitingFor())
}

// Unused lists the stored objects with values that no live object is bound to,
// waiting or not, as object paths in node order. Of a name-based checkpoint they
// are the full names that no object has, in order.
func (s *RestoreStatus) Unused() []string {
	if s.r == nil {
		return nil
	}
	r := s.current()
	if r.byName != nil {
		return r.byName.left()
	}
	return s.namesOf(r.unusedNodes())
}

// unusedNodes lists the stored objects with values that no live object is bound
// to, in node order.
func (r *restoration) unusedNodes() []int {
	slotNodes := make(map[int]bool)
	if r.skipSlots {
		for _, n := range r.graph.Nodes {
			for _, slot := range n.Slots {
				slotNodes[slot.Node] = true
			}
		}
	}
	var nodes []int
	for node, object := range r.bound {
		if object == nil && len(r.graph.Nodes[node].Attributes) > 0 && !slotNodes[node] && r.covers(node) {
			nodes = append(nodes, node)
		}
	}
	return nodes
}

func (s *RestoreStatus) namesOf(nodes []int) []string {
	names := make([]string, len(nodes))
	for i, node := range nodes {
		names[i] = s.r.name(node)
	}
	return names
}

func (s *RestoreStatus) unusedAttributes() []string {
	var names []string
	for node, attributes := range s.current().unused {
		names = append(names, fmt.Sprintf("%s: %v", s.r.name(node), attributes))
	}
	slices.Sort(names)
	return names
}

// Warnings are what TensorFlow would log: references that do not fit, values
// that found no object, attributes that an object could not read.
func (s *RestoreStatus) Warnings() []string {
	if s.r == nil || s.current().byName != nil {
		return nil
	}
	warnings := s.current().warnings()
	for _, name := range s.Unused() {
		warnings = append(warnings, "Value in checkpoint could not be found in the restored object: "+fault.Printable(name))
	}
	for _, name := range s.unusedAttributes() {
		warnings = append(warnings, "An attribute in the checkpoint could not be read by the restored object: "+fault.Printable(name))
	}
	return warnings
}

// Fill looks again at objects that only list their children or slot variables,
// whose values cannot notice a new one by themselves, and restores what has
// appeared, all of it or nothing. For types that embed Node it is not needed.
func (s *RestoreStatus) Fill(ctx context.Context) error {
	if s.r == nil {
		return nil
	}
	r := s.current()
	for !r.closed {
		starts, err := r.appeared()
		if err != nil {
			return err
		}
		if len(starts) == 0 {
			return nil
		}
		if err := restoreWaiting(ctx, starts, nil); err != nil {
			return err
		}
		r.dropFoundSlots()
	}
	return nil
}

// Close gives up what waits, lets go of the files and of the pin that keeps
// retention from the checkpoint. Saving then no longer minds the values that
// found no object. Without it that happens when the Checkpoint, its objects and
// the status are garbage.
func (s *RestoreStatus) Close() error {
	if s.r != nil {
		s.r.close()
	}
	return nil
}
