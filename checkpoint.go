package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"iter"
	"maps"
	"math"
	"slices"
)

// Edge names that a Checkpoint gives by itself.
const (
	counterName    = "save_counter"
	rootName       = "root"  // from a root to itself
	nestedRootName = "_root" // from a rooted Checkpoint that is part of another one
)

var errCounterName = errors.New("ckpt: an object cannot be called save_counter: the name is the Checkpoint's own")

// Checkpoint is a set of objects that is saved and restored together:
// tf.train.Checkpoint. Its methods are called from the goroutine that changes
// the objects; a Checkpoint is not safe for concurrent use.
//
// A Checkpoint is a Trackable, so it can be part of another one.
type Checkpoint struct {
	Node     // node 0, unless root is given
	root     Trackable
	attached []edge // rooted only: what hangs below the root besides its own children
	given    []edge // rooted only: the objects and the root, by name
	counter  *Variable[int64]
	restores []*restoration // those that may still have values waiting
	objects  int            // how many the last save found
	flights  flights        // background saves
}

// New makes a Checkpoint of named objects, like tf.train.Checkpoint(**objects).
// It panics if an object is nil or has no identity, or if one is called
// save_counter: those are mistakes in the program.
func New(objects Objects) *Checkpoint {
	c := new(Checkpoint)
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if name == counterName {
			panic(errCounterName.Error())
		}
		if err := c.Node.Track(name, objects[name]); err != nil {
			panic(err)
		}
	}
	return c
}

// NewRooted makes a Checkpoint whose node 0 is an object of the program, like
// tf.train.Checkpoint(root, **objects). The root's own children come first; an
// object whose name the root tracks already must be that same object.
func NewRooted(root Trackable, objects Objects) (*Checkpoint, error) {
	if err := checkTrackable("root", root); err != nil {
		return nil, err
	}
	c := &Checkpoint{root: root}
	for _, name := range slices.Sorted(maps.Keys(objects)) {
		if name == counterName || name == rootName {
			return nil, fmt.Errorf("ckpt: an object cannot be called %s beside a root", name)
		}
		child := objects[name]
		if err := checkTrackable(name, child); err != nil {
			return nil, err
		}
		if err := c.attach(name, child); err != nil {
			return nil, err
		}
	}
	if err := c.attach(rootName, root); err != nil {
		return nil, err
	}
	byName := func(a, b edge) int { return cmp.Compare(a.name, b.name) }
	slices.SortFunc(c.attached, byName)
	slices.SortFunc(c.given, byName)
	return c, nil
}

// attach hangs an object below the root, which may track it itself.
func (c *Checkpoint) attach(name string, child Trackable) error {
	switch own := childOf(c.root, name); own {
	case nil:
		c.attached = append(c.attached, edge{name, child})
	case child:
	default:
		return fmt.Errorf("ckpt: root.%s already exists and is another object", name)
	}
	c.given = append(c.given, edge{name, child})
	return nil
}

// Track adds an object after construction, behind those that are there. A
// rooted Checkpoint refuses: track it on the root.
func (c *Checkpoint) Track(name string, child Trackable) error {
	return c.TrackAll(func(yield func(string, Trackable) bool) { yield(name, child) })
}

// TrackAll is Track for several objects; see Node.TrackAll.
func (c *Checkpoint) TrackAll(children iter.Seq2[string, Trackable]) error {
	if err := c.checkUnrooted(); err != nil {
		return err
	}
	var all []edge
	for name, child := range children {
		if name == counterName {
			return errCounterName
		}
		all = append(all, edge{name, child})
	}
	return c.Node.TrackAll(func(yield func(string, Trackable) bool) {
		for _, e := range all {
			if !yield(e.name, e.child) {
				return
			}
		}
	})
}

// Replace makes name lead to another object; see Node.Replace. A rooted
// Checkpoint refuses: replace it on the root.
func (c *Checkpoint) Replace(name string, child Trackable) error {
	if err := c.checkUnrooted(); err != nil {
		return err
	}
	if name == counterName {
		return errCounterName
	}
	return c.Node.Replace(name, child)
}

func (c *Checkpoint) checkUnrooted() error {
	if c.root != nil {
		return errors.New("ckpt: this Checkpoint has a root: what is tracked on the Checkpoint would not be saved; track it on the root")
	}
	return nil
}

// Child gives the child of a name, nil if there is none. A rooted Checkpoint's
// children are those of its root, with what is attached to it.
func (c *Checkpoint) Child(name string) Trackable {
	if c.root == nil {
		return c.Node.Child(name)
	}
	if child := childOf(c.root, name); child != nil {
		return child
	}
	for _, e := range c.attached {
		if e.name == name {
			return e.child
		}
	}
	return nil
}

// Children yields what hangs below the Checkpoint where it is part of another
// one. A rooted Checkpoint then has its root as child _root, then the objects it
// was given, those that its root tracks, too, and the root again, then its counter.
func (c *Checkpoint) Children() iter.Seq2[string, Trackable] {
	if c.root == nil {
		return c.Node.Children()
	}
	return func(yield func(string, Trackable) bool) {
		if !yield(nestedRootName, c.root) {
			return
		}
		for _, e := range c.given {
			if !yield(e.name, e.child) {
				return
			}
		}
		if last := len(c.attached) - 1; last >= 0 && c.attached[last].name == counterName {
			yield(counterName, c.attached[last].child)
		}
	}
}

// SaveCounter is the number of the last save: what was restored, plus the saves
// since. It is 0 before the first save or restore.
func (c *Checkpoint) SaveCounter() int64 {
	if v, err := c.existingCounter(); err == nil && v != nil {
		return v.Value()
	}
	return 0
}

// root is where a walk begins: node 0 with its own children, then what a rooted
// Checkpoint attaches to it.
type root struct {
	object Trackable
	rooted *Checkpoint
}

func (r root) attached() []edge {
	if r.rooted == nil {
		return nil
	}
	return r.rooted.attached
}

// top is where walks begin.
func (c *Checkpoint) top() root {
	if c.root == nil {
		return root{object: c}
	}
	return root{c.root, c}
}

// existingCounter finds the save counter, which a root may track itself.
func (c *Checkpoint) existingCounter() (*Variable[int64], error) {
	if c.counter != nil || c.root == nil {
		return c.counter, nil
	}
	own := childOf(c.root, counterName)
	if own == nil {
		return nil, nil
	}
	v, ok := own.(*Variable[int64])
	if !ok || len(v.data) != 1 {
		return nil, fmt.Errorf("ckpt: root.save_counter is a %T; it must be a scalar int64 Variable", own)
	}
	c.counter = v
	return v, nil
}

// addCounter makes the save counter if there is none, without taking up what
// waits for it; made tells, for undoing.
func (c *Checkpoint) addCounter() (made bool, err error) {
	if v, err := c.existingCounter(); v != nil || err != nil {
		return false, err
	}
	c.counter = NewScalar(counterName, int64(0))
	if c.root != nil {
		c.attached = append(c.attached, edge{counterName, c.counter})
		return true, nil
	}
	_, err = c.add(counterName, c.counter)
	return true, err
}

func (c *Checkpoint) removeCounter() {
	c.counter = nil
	if c.root != nil {
		c.attached = c.attached[:len(c.attached)-1]
		return
	}
	c.truncate(len(c.edges) - 1)
}

// ensureCounter makes the save counter and gives it the value that waits for
// it, if a Read brought one.
func (c *Checkpoint) ensureCounter(ctx context.Context) error {
	made, err := c.addCounter()
	if err != nil || !made {
		return err
	}
	err = c.takeCounter(ctx, nil)
	if err != nil {
		c.removeCounter()
	}
	return err
}

// takeCounter gives a counter that was just made what waits for it, unless a
// newer restore has a value for it. check has the last word before anything is
// set.
func (c *Checkpoint) takeCounter(ctx context.Context, check func() error) error {
	var starts []start
	holder, ok := c.top().object.(parker)
	if ok {
		for _, p := range holder.parked()[counterName] {
			starts = append(starts, start{p, c.counter})
		}
	} else {
		starts = c.counterStarts()
	}
	if err := restoreWaiting(ctx, starts, check); err != nil {
		return err
	}
	if ok {
		delete(holder.parked(), counterName)
	}
	return nil
}

// count is the next number of the save counter, and above the one given. It does
// not go round at the end.
func (c *Checkpoint) count(above int64) (int64, error) {
	last := max(c.counter.data[0], above)
	if last == math.MaxInt64 {
		return 0, fmt.Errorf("the highest number is taken, %d: there is none for the next checkpoint; save under another name, or move that checkpoint away and set the save counter", last)
	}
	c.counter.data[0] = last + 1
	return last + 1, nil
}

// counterStarts serves roots that hold no waits themselves.
func (c *Checkpoint) counterStarts() []start {
	var starts []start
	for _, r := range c.restores {
		for _, p := range r.parks {
			if p.object == c.root && p.name == counterName {
				starts = append(starts, start{position{r, p.node}, c.counter})
			}
		}
	}
	return starts
}

func childOf(t Trackable, name string) Trackable {
	for n, child := range t.Children() {
		if n == name {
			return child
		}
	}
	return nil
}
