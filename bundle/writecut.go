package bundle

import (
	"container/heap"
	"errors"
	"fmt"

	"github.com/ckpt-go/ckpt/tensor"
)

// cutOf returns what the plan says of a tensor that is cut, nil of others.
func (w *Writer) cutOf(key string) *place {
	if w.plan == nil {
		return nil
	}
	if at := w.plan.places[key]; at != nil && len(at.parts) > 1 {
		return at
	}
	return nil
}

// shardOf returns where a tensor that is not cut goes.
func (p *Plan) shardOf(key string, d tensor.DType, s tensor.Shape) (int, error) {
	at := p.places[key]
	if at == nil {
		// The parts of a tensor have no place of their own: they are written by
		// addCut.
		return 0, errors.New("is not in the plan")
	}
	if err := at.matches(d, s); err != nil {
		return 0, err
	}
	return at.parts[0].Shard, nil
}

// checkPlan says which tensor of the plan was not added.
func (w *Writer) checkPlan() error {
	if w.plan == nil {
		return nil
	}
	for _, at := range w.plan.order {
		key := at.key
		if len(at.parts) > 1 {
			key = EncodeSliceKey(at.planned.Key, at.parts[0].Slice)
		}
		if w.entries[key] == nil {
			return fmt.Errorf("tensor %q: planned but not written", errKey(at.key))
		}
	}
	return nil
}

// addCut checks the parts of a tensor, lets write add the bytes of all of them,
// and keeps their entries. Each is written at a place of its own.
func (w *Writer) addCut(at *place, d tensor.DType, s tensor.Shape, write func(parts []*target) error) error {
	if err := w.usable(); err != nil {
		return err
	}
	if err := at.matches(d, s); err != nil {
		return w.fail(at.key, err)
	}
	parts := make([]*target, len(at.parts))
	for i, p := range at.parts {
		if _, err := w.slice(at.planned.Key, d, at.planned.Shape, p.Slice); err != nil {
			return w.fail(at.key, err)
		}
		shape, err := p.Slice.Shape(at.planned.Shape)
		if err != nil {
			return w.fail(at.key, err)
		}
		file := w.data[p.Shard]
		if err := file.flush(); err != nil {
			return w.fail(at.key, err)
		}
		// All parts may be open at once.
		out := &appender{file: file.file, room: max(512, min(chunkSize, (8<<20)/len(parts))), shared: true}
		parts[i] = &target{Entry{DType: d, Shape: shape, Shard: int32(p.Shard)}, out}
	}
	if err := write(parts); err != nil {
		return w.fail(at.key, err)
	}
	for i, t := range parts {
		if err := t.out.flush(); err != nil {
			return w.fail(at.key, err)
		}
		t.Size = t.size()
		w.data[t.Shard].offset = t.out.offset
		slice := at.parts[i].Slice
		w.wholes[at.planned.Key].add(slice, w.keep(EncodeSliceKey(at.planned.Key, slice), t.Entry))
	}
	return nil
}

// settle gives each part its place behind the one before it in its file.
func (w *Writer) settle(parts []*target, size func(i int) int64) {
	next := make(map[int32]int64)
	for i, t := range parts {
		off, ok := next[t.Shard]
		if !ok {
			off = w.data[t.Shard].offset
		}
		t.Offset, t.out.offset = off, off
		next[t.Shard] = off + size(i)
	}
}

// deal tells which part of a tensor its elements belong to, in row-major order.
type deal []dealt

// dealt is a part and its next elements.
type dealt struct {
	part   int
	off, n int64
	runs   *runs
}

// newDeal needs parts that hold each element of the box once.
func newDeal(at *place) *deal {
	d := new(deal)
	for i, p := range at.parts {
		r := newRuns(at.shape, p.Slice.within(at.box))
		if off, n, ok := r.next(); ok {
			*d = append(*d, dealt{i, off, n, r})
		}
	}
	heap.Init(d)
	return d
}

// next returns the part that has the next n elements.
func (d *deal) next() (part int, n int64) {
	top := &(*d)[0]
	part, n = top.part, top.n
	var ok bool
	if top.off, top.n, ok = top.runs.next(); ok {
		heap.Fix(d, 0)
	} else {
		heap.Pop(d)
	}
	return part, n
}

// The methods of heap.Interface.
func (d deal) Len() int           { return len(d) }
func (d deal) Less(i, j int) bool { return d[i].off < d[j].off }
func (d deal) Swap(i, j int)      { d[i], d[j] = d[j], d[i] }
func (d *deal) Push(x any)        { *d = append(*d, x.(dealt)) }
func (d *deal) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	*d = (*d)[:last]
	return x
}
