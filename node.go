package ckpt

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
)

// Node keeps named children in the order they were tracked, and the restored
// values that wait for children still to come. Embed it in a type to make the
// type a Trackable; the zero value is ready. It is TensorFlow's AutoTrackable
// with the names said aloud. A Node is not safe for concurrent use and must not
// be copied once something is tracked.
type Node struct {
	mark
	edges   []edge
	index   map[string]int // by name, once there are many edges
	waiting map[string][]position
	byName  []*restoration // name-based ones that every child is offered to
	orphan  *orphan        // nil, or the object is not in the checkpoint that was resumed from
}

type edge struct {
	name  string
	child Trackable
}

// manyEdges is where a map becomes cheaper than looking through the edges.
const manyEdges = 8

// Children yields the tracked children in order.
func (n *Node) Children() iter.Seq2[string, Trackable] {
	return func(yield func(string, Trackable) bool) {
		for _, e := range n.edges {
			if !yield(e.name, e.child) {
				return
			}
		}
	}
}

// Child gives the child of a name, nil if there is none.
func (n *Node) Child(name string) Trackable {
	if i := n.find(name); i >= 0 {
		return n.edges[i].child
	}
	return nil
}

// Track makes child part of every later save under name. If a restored value
// waits for that name it is read and set now; if that fails, say because the
// shape differs, the child is not tracked and the value waits on. A name that
// leads to another object already is an error; the same object again is not.
func (n *Node) Track(name string, child Trackable) error {
	return n.TrackAll(func(yield func(string, Trackable) bool) { yield(name, child) })
}

// TrackAll tracks several children and restores all that waits for them with
// one sorted read. Either all are tracked or none.
func (n *Node) TrackAll(children iter.Seq2[string, Trackable]) error {
	return n.trackAll(context.Background(), children)
}

func (n *Node) trackAll(ctx context.Context, children iter.Seq2[string, Trackable]) error {
	before := len(n.edges)
	var starts []start
	var err error
	for name, child := range children {
		var fresh bool
		if fresh, err = n.add(name, child); err != nil {
			break
		}
		if fresh {
			for _, p := range n.waiting[name] {
				starts = append(starts, start{p, child})
			}
			for _, r := range n.byName {
				starts = append(starts, start{position{r, 0}, child})
			}
		}
	}
	fresh := n.edges[before:]
	if err == nil {
		err = restoreWaiting(ctx, starts, func() error { return n.checkLate(fresh, starts) })
	}
	if err != nil {
		n.truncate(before)
		return err
	}
	n.adoptLate(fresh)
	for _, e := range n.edges[before:] {
		delete(n.waiting, e.name)
	}
	return nil
}

// Replace makes name lead to another object, in the old one's place. Values
// that wait are for first-time names only, as in TensorFlow.
func (n *Node) Replace(name string, child Trackable) error {
	if err := checkTrackable(name, child); err != nil {
		return err
	}
	i := n.find(name)
	if i < 0 {
		return n.Track(name, child)
	}
	n.edges[i].child = child
	return nil
}

// add appends an edge; fresh is false if it existed with the same child.
func (n *Node) add(name string, child Trackable) (fresh bool, err error) {
	if err := checkTrackable(name, child); err != nil {
		return false, err
	}
	if i := n.find(name); i >= 0 {
		if n.edges[i].child == child {
			return false, nil
		}
		return false, fmt.Errorf("ckpt: the name %q is already declared for another object; use Replace to put a new one in its place", name)
	}
	n.edges = append(n.edges, edge{name, child})
	if n.index != nil {
		n.index[name] = len(n.edges) - 1
	}
	return true, nil
}

func (n *Node) truncate(length int) {
	for _, e := range n.edges[length:] {
		delete(n.index, e.name)
	}
	n.edges = slices.Delete(n.edges, length, len(n.edges))
}

func (n *Node) find(name string) int {
	if n.index == nil && len(n.edges) > manyEdges {
		n.index = make(map[string]int, len(n.edges))
		for i, e := range n.edges {
			n.index[e.name] = i
		}
	}
	if n.index != nil {
		if i, ok := n.index[name]; ok {
			return i
		}
		return -1
	}
	return slices.IndexFunc(n.edges, func(e edge) bool { return e.name == name })
}

// parker is what an object that embeds Node can do: hold values that wait.
type parker interface {
	park(name string, p position)
	unpark(name string, r *restoration)
	parked() map[string][]position
}

func (n *Node) park(name string, p position) {
	if n.waiting == nil {
		n.waiting = make(map[string][]position)
	}
	n.waiting[name] = append(n.waiting[name], p)
}

// unpark forgets what waits of one restoration.
func (n *Node) unpark(name string, r *restoration) {
	left := slices.DeleteFunc(n.waiting[name], func(p position) bool { return p.r == r })
	if len(left) == 0 {
		delete(n.waiting, name)
		return
	}
	n.waiting[name] = left
}

func (n *Node) parked() map[string][]position { return n.waiting }

// mark remembers the newest restore that reached an object, so that an older
// one whose values arrive later only binds and does not overwrite.
type mark struct{ uid int64 }

func (m *mark) restoredBy() *int64 { return &m.uid }

type marked interface{ restoredBy() *int64 }

// checkTrackable refuses what has no identity.
func checkTrackable(name string, child Trackable) error {
	if err := identity(child); err != nil {
		return fmt.Errorf("ckpt: child %q: %w", name, err)
	}
	return nil
}

var errNil = errors.New("is nil")
