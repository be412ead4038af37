package ckpt

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/tensor"
)

// cut is everything a save writes, as it was at one moment.
type cut struct {
	items []item
	shots []Snapshot // of the items
	graph []byte
	plan  *bundle.Plan // nil: one data file

	memory []byte // of copies; nil if there are none

	meta   *Metadata                       // nil: none
	sealed bool                            // meta is written
	guard  func(ctx context.Context) error // see bundle.WriterOptions; nil is none
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
	meta, err := o.metadataOf()
	if err != nil {
		return nil, fmt.Errorf("ckpt: saving %s: %w", at.prefix, err)
	}
	k := &cut{meta: meta, items: p.items, shots: make([]Snapshot, len(p.items))}
	if err = k.take(ctx); err == nil {
		k.plan, err = k.divide(o)
	}
	if err != nil {
		k.release()
		return nil, fmt.Errorf("ckpt: saving %s: %w", at.prefix, err)
	}
	if o.Background {
		k.hold(c.flights.memory())
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

// span is where the copy of an item's bytes lies.
type span struct{ item, start, end int }

// hold replaces the snapshots of what can change by copies, the numbers in
// memory, which grows as needed.
func (k *cut) hold(memory []byte) {
	memory = slices.Grow(memory[:0], k.copied())
	var spans, plain []span
	for i, shot := range k.shots {
		if s, ok := shot.(StableSnapshot); ok && s.Stable() {
			continue
		}
		if elementwise(k.items[i].spec.DType) {
			var copies [][]byte
			for s := range shot.(StringSnapshot).Strings() {
				copies = append(copies, append([]byte(nil), s...))
			}
			k.replace(i, stringSnapshot{copies})
			continue
		}
		start := len(memory)
		if s, ok := shot.(byteSnapshot); ok { // copied below, by several cores
			memory = slices.Grow(memory, len(s.b))[:start+len(s.b)]
			plain = append(plain, span{i, start, len(memory)})
		} else {
			for chunk := range shot.Chunks() {
				memory = append(memory, chunk...)
			}
		}
		spans = append(spans, span{i, start, len(memory)})
	}
	k.copyPlain(plain, memory) // which stays where it is now
	for _, s := range spans {
		k.replace(s.item, byteSnapshot{memory[s.start:s.end:s.end]})
	}
	k.memory = memory
}

// atOnce is how much a core copies at a time.
const atOnce = 4 << 20

// copyPlain copies the bytes of what lies in one piece, on all cores that are
// idle: one alone does not always move as much as the memory can. A core that
// is called away holds up no more than it has begun.
func (k *cut) copyPlain(plain []span, memory []byte) {
	type part struct{ to, from []byte }
	var parts []part
	total := 0
	for _, s := range plain {
		to, from := memory[s.start:s.end], k.shots[s.item].(byteSnapshot).b
		total += len(to)
		for len(to) > 0 {
			n := min(len(to), atOnce)
			parts = append(parts, part{to[:n], from[:n]})
			to, from = to[n:], from[n:]
		}
	}
	var next atomic.Int64
	work := func() {
		for i := next.Add(1) - 1; i < int64(len(parts)); i = next.Add(1) - 1 {
			copy(parts[i].to, parts[i].from)
		}
	}
	var group sync.WaitGroup
	for range min(runtime.GOMAXPROCS(0), total/atOnce) - 1 {
		group.Go(work)
	}
	work()
	group.Wait()
}

// copied is how many bytes hold will copy to memory.
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
	k.unseal(ctx, at, err == nil)
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
	if err := k.checkRoom(ctx, at); err != nil {
		return err
	}
	w, err := bundle.Create(ctx, at.bucket, at.name, &bundle.WriterOptions{Plan: k.plan, BeforeIndex: k.seal(at), Digests: k.digests(), Guard: k.guard})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.Abort()) }()
	for i, it := range k.items {
		if err := k.add(ctx, w, it, k.shots[i]); err != nil {
			return err
		}
	}
	graph := item{key: graphKey, spec: Spec{DType: tensor.String}}
	if err := k.add(ctx, w, graph, stringSnapshot{[][]byte{k.graph}}); err != nil {
		return err
	}
	return w.Commit(ctx)
}

// digests tells whether digests were asked for.
func (k *cut) digests() bool { return k.meta != nil && k.meta.Digests != nil }

// add writes an item and notes its digest.
func (k *cut) add(ctx context.Context, w *bundle.Writer, it item, shot Snapshot) error {
	if !k.digests() {
		return addItem(ctx, w, it, shot, nil)
	}
	sum := newValueSum()
	if err := addItem(ctx, w, it, shot, sum); err != nil {
		return err
	}
	k.meta.Digests.Tensors = append(k.meta.Digests.Tensors, TensorDigest{it.key, sum.sum()})
	return nil
}
