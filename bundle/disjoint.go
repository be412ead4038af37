package bundle

import (
	"slices"
	"sort"

	"github.com/ckpt-go/ckpt/tensor"
)

// disjoint is a set of slices of one tensor, no two of which share an element.
// A slice that is added is compared only with those near it in the dimension
// that tells most of them apart.
type disjoint struct {
	shape tensor.Shape
	all   []Slice
	axes  []axis
	// compared counts the pairs of slices that were compared.
	compared int
}

// axis holds the slices in the order in which they begin in one dimension.
type axis struct {
	order   []int // indexes of disjoint.all
	longest int64
}

func newDisjoint(shape tensor.Shape) *disjoint {
	return &disjoint{shape: shape, axes: make([]axis, len(shape))}
}

// overlapping returns a slice of the set that shares elements with s.
func (d *disjoint) overlapping(s Slice) (other Slice, found bool) {
	var near []int
	for dim := range d.axes {
		first, last := d.near(dim, s[dim])
		if dim == 0 || last-first < len(near) {
			near = d.axes[dim].order[first:last]
		}
	}
	d.compared += len(near)
	for _, i := range near {
		if d.all[i].overlaps(s) {
			return d.all[i], true
		}
	}
	return nil, false
}

// near returns the range of an axis outside of which no slice reaches into e.
func (d *disjoint) near(dim int, e Extent) (first, last int) {
	a := &d.axes[dim]
	start, length := e.of(d.shape[dim])
	first = d.search(dim, func(other int64) bool { return other > start-a.longest })
	last = d.search(dim, func(other int64) bool { return other >= start+length })
	if e.Full || a.longest == d.shape[dim] {
		// A dimension taken whole may have no elements, and counts all the same.
		first, last = 0, max(last, d.search(dim, func(other int64) bool { return other > start }))
	}
	return first, last
}

// search returns the first place of an axis whose start is as wanted.
func (d *disjoint) search(dim int, wanted func(start int64) bool) int {
	order := d.axes[dim].order
	return sort.Search(len(order), func(i int) bool {
		start, _ := d.all[order[i]][dim].of(d.shape[dim])
		return wanted(start)
	})
}

// add adds a slice that fits the shape and overlaps none of the set.
func (d *disjoint) add(s Slice) {
	for dim := range d.axes {
		start, length := s[dim].of(d.shape[dim])
		at := d.search(dim, func(other int64) bool { return other > start })
		a := &d.axes[dim]
		a.order = slices.Insert(a.order, at, len(d.all))
		a.longest = max(a.longest, length)
	}
	d.all = append(d.all, s)
}
