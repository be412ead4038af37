package bundle

import (
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/tensor"
)

// ShardPolicy says how tensors are divided over data files, the shards. The
// zero value is one file for all. A policy for both is applied as TensorFlow
// does: first by group, then by size within each group.
type ShardPolicy struct {
	// MaxSize is the most bytes of a data file; 0 means no limit
	// (max_shard_size of MaxShardSizePolicy). A tensor that does not fit into what
	// is left of a file is cut into slices, exactly as TensorFlow cuts it. Where
	// TensorFlow's policy would never return, because no cut along one dimension is
	// small enough, the tensor is cut along more of them. A single element, or a
	// string tensor without dimensions, that is larger than MaxSize has a file of
	// its own, behind the others of its group.
	MaxSize int64
	// Group names the group of a tensor; groups share no file and are numbered in
	// the order of their first tensors (ShardByTaskPolicy, with a task for a
	// group). Nil means one group.
	Group func(key string) string
}

// Planned is a tensor, or the slice of one, that is going to be written.
type Planned struct {
	Key   string
	DType tensor.DType
	Shape tensor.Shape // of the whole tensor
	Slice Slice        // what AddSlice will be given; nil for the whole tensor
	// Bytes is the length of all elements of a string tensor together, Longest
	// that of the longest. TensorFlow counts the object graph as having none.
	// Tensors of other dtypes leave both 0; variants have no size.
	Bytes, Longest int64
}

// Plan says which data file each tensor goes to, and how large ones are cut. It
// is made before anything is written, because the number of files is part of
// the name of each. A Plan does not change and may be used again.
type Plan struct {
	shards int
	cuts   bool // a tensor is cut
	places map[string]*place
	order  []*place
}

// place is where a tensor goes.
type place struct {
	planned Planned
	key     string       // under which it would be stored if it were not cut
	shape   tensor.Shape // of what is given: the tensor or its slice
	box     Slice        // the same, with explicit extents
	parts   []Part
}

// Part is what one data file holds of a tensor.
type Part struct {
	Slice Slice // of the whole tensor, with explicit extents
	Shard int
}

// maxShards is more files than a folder should have.
const maxShards = 1 << 20

// NewPlan assigns tensors to data files. They must be written in the order in
// which they are given here for the files to be TensorFlow's. A tensor or slice
// that occurs twice, and a shape that no tensor can have, is an error here,
// before there is any file. A nil policy is the zero value.
func NewPlan(tensors iter.Seq[Planned], o *ShardPolicy) (*Plan, error) {
	if o == nil {
		o = new(ShardPolicy)
	}
	if o.MaxSize < 0 {
		return nil, fmt.Errorf("a shard cannot have at most %d bytes", o.MaxSize)
	}
	p := &Plan{places: make(map[string]*place)}
	var groups [][]*place
	numbers := make(map[string]int)
	for t := range tensors {
		at, err := p.add(t)
		if err != nil {
			return nil, fmt.Errorf("tensor %s: %w", strconv.Quote(errKey(t.Key)), err)
		}
		name := ""
		if o.Group != nil {
			name = o.Group(t.Key)
		}
		number, known := numbers[name]
		if !known {
			number = len(groups)
			numbers[name] = number
			groups = append(groups, nil)
		}
		groups[number] = append(groups[number], at)
	}
	for _, group := range groups {
		d := divider{max: o.MaxSize, first: p.shards}
		if d.max == 0 {
			d.max = math.MaxInt64
		}
		if err := d.divide(group); err != nil {
			return nil, err
		}
		p.shards += d.count()
	}
	p.shards = max(p.shards, 1)
	for _, at := range p.order {
		p.cuts = p.cuts || len(at.parts) > 1
	}
	return p, nil
}

// add checks a tensor and remembers it.
func (p *Plan) add(t Planned) (*place, error) {
	if t.Key == headerKey {
		return nil, errors.New("the empty string is no tensor name")
	}
	if err := checkShape(t.Shape); err != nil {
		return nil, err
	}
	t.Shape = t.Shape.Clone()
	at := &place{planned: t, key: t.Key, shape: t.Shape}
	if t.Slice != nil {
		var err error
		if at.shape, err = checkSlice(t.Slice, t.Shape); err != nil {
			return nil, err
		}
		if !at.shape.Equal(t.Shape) {
			at.key = EncodeSliceKey(t.Key, t.Slice)
		}
	}
	for i, n := range t.Shape {
		e := Extent{Length: n}
		if t.Slice != nil {
			e.Start, e.Length = t.Slice[i].of(n)
		}
		at.box = append(at.box, e)
	}
	n, _ := at.shape.Elements()
	size := int64(t.DType.Size())
	if t.DType == tensor.String {
		size = max(t.Longest, 0)
	}
	if size > 0 && n > math.MaxInt64/size {
		return nil, fmt.Errorf("a %s tensor of shape %s is too large", t.DType, t.Shape)
	}
	if t.DType == tensor.String && (t.Bytes < t.Longest || t.Bytes > n*size) {
		return nil, fmt.Errorf("%d strings of at most %d bytes cannot have %d together", n, t.Longest, t.Bytes)
	}
	if p.places[at.key] != nil {
		return nil, fmt.Errorf("duplicate key: %s", fault.Printable(errKey(at.key)))
	}
	p.places[at.key] = at
	p.order = append(p.order, at)
	return at, nil
}

// Shards returns the number of data files.
func (p *Plan) Shards() int { return p.shards }

// Parts yields the key and the parts of each tensor, in the order they were
// planned. A tensor of one part is not cut.
func (p *Plan) Parts() iter.Seq2[string, []Part] {
	return func(yield func(string, []Part) bool) {
		for _, at := range p.order {
			if !yield(at.planned.Key, append([]Part(nil), at.parts...)) {
				return
			}
		}
	}
}

// matches compares what is given with what was planned.
func (at *place) matches(d tensor.DType, shape tensor.Shape) error {
	if at.planned.DType != d {
		return fmt.Errorf("altered dtype: planned as %s, written as %s", at.planned.DType, d)
	}
	if !at.shape.Equal(shape) {
		return fmt.Errorf("altered shape: planned as %s, written as %s", at.shape, shape)
	}
	return nil
}
