package ckpt

import (
	"fmt"
	"math"
	"strconv"
)

// List is a Node whose children are called "0", "1", …: a Python list, or a
// tuple. It only grows, because TensorFlow refuses to save a list whose elements
// moved. The same object may be several elements; it is stored once. Like a Node
// it is not safe for concurrent use.
type List struct {
	Node
	length int // elements, those that are no objects included
}

// NewList makes a list of the given elements. It panics if one is nil or has no
// identity.
func NewList(elements ...Trackable) *List {
	l := new(List)
	for _, e := range elements {
		if err := l.Append(e); err != nil {
			panic(err)
		}
	}
	return l
}

// Append tracks the next element; see Node.Track. An element that cannot be
// tracked is not appended.
func (l *List) Append(element Trackable) error {
	index := max(l.length, len(l.edges)) // TrackAll adds elements by name
	if err := l.Track(strconv.Itoa(index), element); err != nil {
		return err
	}
	l.length = index + 1
	return nil
}

// Skip passes over the places of n elements that are no objects, such as the
// numbers between the variables of a Python list. They are not saved, but the
// elements behind them are called by their index. It panics if n is negative, or the
// list longer than an int can count.
func (l *List) Skip(n int) {
	if n < 0 {
		panic(fmt.Sprintf("ckpt: a list cannot skip %d elements", n))
	}
	length := max(l.length, len(l.edges))
	if n >= math.MaxInt-length {
		panic(fmt.Sprintf("ckpt: a list of %d elements cannot skip %d more", length, n))
	}
	l.length = length + n
}

// Replace is an error unless it changes nothing: an element of a list does not
// change, and there is none to be added by name.
func (l *List) Replace(name string, child Trackable) error {
	if err := checkTrackable(name, child); err != nil {
		return err
	}
	if l.Child(name) == child {
		return nil
	}
	return fmt.Errorf("ckpt: element %q: the elements of a list are not replaced, because TensorFlow does not save such a list; make another list and Replace this one where it hangs", name)
}
