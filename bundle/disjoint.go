package bundle

import (
	"cmp"
	"slices"
	"sort"

	"github.com/ckpt-go/ckpt/tensor"
)

// disjoint is a set of slices of one tensor, no two of which share an element.
// Slices may be added in any order, one or many at a time. A slice that is added is compared only with those near it in the dimension
// that tells most of them apart.
type disjoint struct {
	shape tensor.Shape
	all   []Slice
	axes  []axis
}

// axis holds the slices in the order in which they begin in one dimension.
type axis struct {
	order   []int // indexes of disjoint.all
	longest int64
	// shared is set when two slices take the same of this dimension, or one takes
	// nothing. Until then each ends before the next begins.
	shared bool
}

func newDisjoint(shape tensor.Shape) *disjoint {
	return &disjoint{shape: shape, axes: make([]axis, len(shape))}
}

// overlapping returns a slice that shares elements with s and is one of the
// first n of the set, and how many were compared to know.
func (d *disjoint) overlapping(s Slice, n int) (other Slice, found bool, compared int) {
	var near []int
	for dim := range d.axes {
		first, last := d.near(dim, s[dim])
		if dim == 0 || last-first < len(near) {
			near = d.axes[dim].order[first:last]
		}
	}
	for _, i := range near {
		if i < n && d.all[i].overlaps(s) {
			return d.all[i], true, len(near)
		}
	}
	return nil, false, len(near)
}

// near returns the range of an axis outside of which no slice reaches into e.
func (d *disjoint) near(dim int, e Extent) (first, last int) {
	a := &d.axes[dim]
	start, length := e.of(d.shape[dim])
	last = d.search(dim, len(a.order), func(other int64) bool { return other >= start+length })
	upTo := d.search(dim, len(a.order), func(other int64) bool { return other > start })
	switch {
	case !a.shared:
		first, last = max(upTo-1, 0), max(last, upTo)
	case e.Full || a.longest == d.shape[dim]:
		// A dimension taken whole may have no elements, and counts all the same.
		first, last = 0, max(last, upTo)
	default:
		first = d.search(dim, len(a.order), func(other int64) bool { return other > start-a.longest })
	}
	return first, last
}

// search returns the first of n places of an axis whose start is as wanted.
func (d *disjoint) search(dim, n int, wanted func(start int64) bool) int {
	order := d.axes[dim].order
	return sort.Search(n, func(i int) bool { return wanted(d.start(dim, order[i])) })
}

// add adds slices that fit the shape. Whether they overlap is asked before, or
// after, with the number of those before each.
func (d *disjoint) add(added ...Slice) {
	n := len(d.all)
	d.all = append(d.all, added...)
	for dim := range d.axes {
		d.insert(dim, n)
	}
}

// insert adds the slices from the n-th on to an axis. Those that are there
// already are moved once at most.
func (d *disjoint) insert(dim, n int) {
	a := &d.axes[dim]
	added := make([]int, len(d.all)-n)
	for i := range added {
		added[i] = n + i
		_, length := d.of(dim, n+i)
		a.longest = max(a.longest, length)
		a.shared = a.shared || length == 0
	}
	slices.SortStableFunc(added, func(i, j int) int { return cmp.Compare(d.start(dim, i), d.start(dim, j)) })
	end := len(a.order)
	a.order = append(a.order, added...)
	for j, i := range slices.Backward(added) {
		at := d.search(dim, end, func(other int64) bool { return other > d.start(dim, i) })
		copy(a.order[at+j+1:], a.order[at:end])
		a.order[at+j] = i
		end = at
		a.shared = a.shared || at > 0 && d.reaches(dim, a.order[at-1], i) ||
			at+j+1 < len(a.order) && d.reaches(dim, i, a.order[at+j+1])
	}
}

// of returns what the i-th slice takes of a dimension.
func (d *disjoint) of(dim, i int) (start, length int64) { return d.all[i][dim].of(d.shape[dim]) }

func (d *disjoint) start(dim, i int) int64 {
	start, _ := d.of(dim, i)
	return start
}

// reaches reports whether the i-th slice ends behind the start of the j-th.
func (d *disjoint) reaches(dim, i, j int) bool {
	start, length := d.of(dim, i)
	return d.start(dim, j) < start+length
}
