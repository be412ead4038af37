package ckpt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/tensor"
)

// cut is everything a save writes, as it was at one moment.
type cut struct {
	items []item
	shots []Snapshot // of the items
	graph []byte
	plan  *bundle.Plan // nil: one data file
}

// cut takes one, of which a save in the background shares no memory that can
// change.
func (c *Checkpoint) cut(ctx context.Context, at place, o *SaveOptions) (*cut, error) {
	if baseName(at.name) == "" {
		return nil, fmt.Errorf("ckpt: %q is no prefix: a file name must follow the folder", at.prefix)
	}
	if !o.DropWaiting {
		if err := c.checkNothingWaits(); err != nil {
			return nil, err
		}
	}
	p, err := newPlan(c.top(), c.objects)
	if err != nil {
		return nil, err
	}
	c.objects = len(p.walker.objects)
	if !o.DropWaiting {
		if err := p.checkNothingWaits(); err != nil {
			return nil, err
		}
	}
	k := &cut{items: p.items, shots: make([]Snapshot, len(p.items))}
	if err = k.take(ctx); err == nil {
		k.plan, err = k.divide(o)
	}
	if err != nil {
		k.release()
		return nil, fmt.Errorf("ckpt: saving %s: %w", at.prefix, err)
	}
	if o.Background {
		k.hold(&c.staging)
	}
	k.graph = p.graph.Append(nil)
	return k, nil
}

// take takes the snapshots.
func (k *cut) take(ctx context.Context) (err error) {
	for i := range k.items {
		it := &k.items[i]
		if k.shots[i], err = it.value.Snapshot(ctx); err != nil {
			return fmt.Errorf("%s: %w", it.key, err)
		}
		if err := it.fit(k.shots[i]); err != nil {
			return fmt.Errorf("%s: %w", it.key, err)
		}
	}
	return nil
}

// hold replaces the snapshots of what can change by copies, the numbers in
// staging, which grows as needed and is used again by the next save.
func (k *cut) hold(staging *[]byte) {
	memory := slices.Grow((*staging)[:0], k.copied())
	type span struct{ item, start, end int }
	var spans []span
	for i, shot := range k.shots {
		if s, ok := shot.(StableSnapshot); ok && s.Stable() {
			continue
		}
		if k.items[i].spec.DType == tensor.String {
			var copies [][]byte
			for s := range shot.(StringSnapshot).Strings() {
				copies = append(copies, append([]byte(nil), s...))
			}
			k.replace(i, stringSnapshot{copies})
			continue
		}
		start := len(memory)
		for chunk := range shot.Chunks() {
			memory = append(memory, chunk...)
		}
		spans = append(spans, span{i, start, len(memory)})
	}
	for _, s := range spans { // the memory stays where it is now
		k.replace(s.item, byteSnapshot{memory[s.start:s.end:s.end]})
	}
	*staging = memory
}

// copied is how many bytes hold will copy into staging.
func (k *cut) copied() int {
	n := 0
	for i, shot := range k.shots {
		if s, ok := shot.(StableSnapshot); ok && s.Stable() {
			continue
		}
		elements, _ := k.items[i].spec.Shape.Elements()
		n += int(elements) * k.items[i].spec.DType.Size()
	}
	return n
}

func (k *cut) replace(i int, by Snapshot) {
	k.shots[i].Release()
	k.shots[i] = by
}

// release lets go of the snapshots.
func (k *cut) release() {
	for i, s := range k.shots {
		if s != nil {
			s.Release()
			k.shots[i] = nil
		}
	}
}

// write is the way from a cut to published files.
func (k *cut) write(ctx context.Context, at place, o *SaveOptions) error {
	err := k.writeBundle(ctx, at)
	k.release()
	if err != nil {
		return fmt.Errorf("ckpt: saving %s: %w", at.prefix, err)
	}
	for _, hook := range o.AfterWrite {
		if err := hook(at.prefix); err != nil {
			return fmt.Errorf("ckpt: after writing %s: %w", at.prefix, err)
		}
	}
	return nil
}

func (k *cut) writeBundle(ctx context.Context, at place) (err error) {
	w, err := bundle.Create(ctx, at.bucket, at.name, &bundle.WriterOptions{Plan: k.plan})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Abort()) }()
	for i, it := range k.items {
		if err := addItem(ctx, w, it, k.shots[i]); err != nil {
			return err
		}
	}
	if err := w.AddStrings(ctx, graphKey, nil, one(k.graph)); err != nil {
		return err
	}
	return w.Commit(ctx)
}
