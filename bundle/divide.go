package bundle

import (
	"fmt"
	"math"
	"slices"

	"github.com/ckpt-go/ckpt/tensor"
)

// divider divides the tensors of one group over data files of at most max
// bytes, as MaxShardSizePolicy.MaxShardSizePartitioner does.
type divider struct {
	max   int64
	rest  int64 // what is left of the open file
	first int   // number of the first file
	open  int   // files of the group, the last of which is open
	large []largePart

	at   *place // the tensor that is divided
	unit int64  // bytes of an element
}

// largePart is what has a file of its own: part i of a tensor.
type largePart struct {
	at *place
	i  int
}

func (d *divider) count() int { return d.open + len(d.large) }

func (d *divider) divide(group []*place) error {
	for _, at := range group {
		d.at = at
		size := d.measure()
		switch {
		case len(at.shape) > 0:
			d.cut(at.box, size)
		case size > d.max:
			d.alone(at.box)
		default:
			if size > d.rest {
				d.next()
			}
			d.put(at.box, size)
		}
		if d.count() > maxShards {
			return fmt.Errorf("shards of at most %d bytes would be more than %d", d.max, maxShards)
		}
	}
	for i, l := range d.large {
		l.at.parts[l.i].Shard = d.first + d.open + i
	}
	return nil
}

// measure returns the size of the tensor in bytes, and sets that of an element:
// for strings the longest one's.
func (d *divider) measure() int64 {
	p := &d.at.planned
	if p.DType == tensor.String {
		d.unit = p.Longest
		return p.Bytes
	}
	d.unit = int64(p.DType.Size())
	n, _ := d.at.shape.Elements()
	return n * d.unit
}

// next opens another file.
func (d *divider) next() {
	d.open++
	d.rest = d.max
}

// put adds a part to the open file.
func (d *divider) put(box Slice, size int64) {
	if d.open == 0 {
		d.next()
	}
	d.at.parts = append(d.at.parts, Part{Slice: box, Shard: d.first + d.open - 1})
	d.rest -= size
}

// alone gives a part a file of its own.
func (d *divider) alone(box Slice) {
	d.large = append(d.large, largePart{d.at, len(d.at.parts)})
	d.at.parts = append(d.at.parts, Part{Slice: box})
}

// cut divides a box of the given size. Boxes that wait are those a cut along
// one dimension left; there are at most as many as dimensions.
func (d *divider) cut(box Slice, size int64) {
	if d.open == 0 && d.unit <= d.max {
		d.next()
	}
	for waiting := []Slice{box}; len(waiting) > 0 && d.count() <= maxShards; {
		box := waiting[len(waiting)-1]
		waiting = waiting[:len(waiting)-1]
		if size <= d.rest {
			d.put(box, size)
		} else if d.unit > d.max && elementsOf(box) == 1 {
			d.alone(box)
		} else if axis, n := d.nextCut(box); n > 0 {
			front, back := split(box, axis, n)
			d.put(front, elementsOf(front)*d.unit)
			waiting = append(waiting, back)
		} else if d.rest < d.max && d.unit <= d.max {
			d.next()
			waiting = append(waiting, box)
			continue // with the same size
		} else {
			// No single cut is small enough: take the first row to pieces.
			axis := slices.IndexFunc(box, func(e Extent) bool { return e.Length > 1 })
			front, back := split(box, axis, 1)
			waiting = append(waiting, back, front)
		}
		if len(waiting) > 0 {
			size = elementsOf(waiting[len(waiting)-1]) * d.unit
		}
	}
}

// nextCut returns the dimension and the number of rows whose cut comes closest
// to what is left of the open file, and no rows if none fits
// (_get_next_partition).
func (d *divider) nextCut(box Slice) (axis int, rows int64) {
	total := elementsOf(box) * d.unit
	if total == 0 {
		return 0, 0
	}
	least := int64(math.MaxInt64)
	for i, e := range box {
		fit := d.rest / (total / e.Length)
		if fit == 0 {
			continue
		}
		if parts := ceilDiv(e.Length, fit); parts < least {
			axis, least, rows = i, parts, ceilDiv(e.Length, parts)
		}
	}
	return axis, rows
}

func ceilDiv(a, b int64) int64 { return (a-1)/b + 1 }

// split cuts the first n rows of one dimension off.
func split(box Slice, axis int, n int64) (front, back Slice) {
	front, back = slices.Clone(box), slices.Clone(box)
	front[axis].Length = n
	back[axis].Start += n
	back[axis].Length -= n
	return front, back
}

// elementsOf returns how many elements a slice of explicit extents has.
func elementsOf(box Slice) int64 {
	n := int64(1)
	for _, e := range box {
		n *= e.Length
	}
	return n
}
