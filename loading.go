package ckpt

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/tensor"
)

// loading is one restore under way.
type loading struct {
	c       *Checkpoint
	at      place
	options *RestoreOptions
	counted bool // restore, with save counter, or read

	inPlace     bool
	smallStaged bool           // stage a small checkpoint although inPlace is set
	keep        bool           // hold the files open while values wait
	whole       bool           // check the tensors that nobody reads, too
	complete    bool           // every object of the program must get its values
	renamed     map[int]string // stored nodes that Rename moved, and where to
	resumes     bool           // Manager.Resume
	partial     bool           // what an object of fixed layout has no place for is left behind
	walker      *walker        // the program's objects, where complete
	overwritten []read         // values that an earlier attempt left unusable
	touched     []read         // values this attempt began in place before it failed
}

// replacements is how often a restore begins again because somebody writes over
// the checkpoint while it is read.
const replacements = 3

func (l *loading) run(ctx context.Context) (*RestoreStatus, error) {
	for tried := 0; ; tried++ {
		unpin, err := pin(ctx, l.at)
		if err != nil {
			return nil, err
		}
		f := &files{bucket: l.at.bucket, name: l.at.name, prefix: l.at.prefix, keep: true, unpin: unpin}
		r, err := l.load(ctx, f)
		if err == nil {
			l.c.adopt(r)
			f.releaseWhenLost()
			return &RestoreStatus{r: r, root: l.c.top(), prefix: l.at.prefix}, nil
		}
		f.release()
		if !errors.Is(err, bundle.ErrReplaced) || tried == replacements {
			return nil, recognise(ctx, l.at, err)
		}
	}
}

func (l *loading) load(ctx context.Context, f *files) (*restoration, error) {
	rd, err := f.open(ctx)
	if isAbsent(err) {
		if stemOf(baseName(l.at.name)) != "" {
			return nil, err // its number is there
		}
		return nil, fmt.Errorf("%w (is the path right? it may miss the checkpoint's number, such as the -1 in %s-1)", err, l.at.prefix)
	}
	if err != nil {
		return nil, err
	}
	r, err := l.restoration(ctx, f, rd)
	if err != nil {
		return nil, err
	}
	made := false
	if l.counted {
		if made, err = l.c.addCounter(); err != nil {
			return nil, err
		}
	}
	m := r.newMatching()
	if l.options.Only != nil {
		err = l.parts(r)
	}
	if err == nil {
		err = l.match(ctx, m, rd)
	}
	bring := func() error { return l.bring(ctx, m, rd) }
	unasked := made && r.only != nil && !r.only.has(l.c.counter) && !r.only.has(r.root.object)
	switch {
	case err != nil:
	case made && !unasked:
		// As TensorFlow's, it takes what an earlier restore left waiting, if this one has
		// no value for it.
		err = l.c.takeCounter(ctx, bring)
	default:
		err = bring()
	}
	if err != nil {
		m.rollback()
	}
	if made && (err != nil || unasked) {
		l.c.removeCounter()
	}
	if err != nil {
		return nil, err
	}
	if l.complete {
		r.complete = true
		if r.byName == nil {
			r.markOrphans(l.walker)
		}
	}
	return r, nil
}

// parts makes it a restore of parts. Resume's go on with the numbers of saves.
func (l *loading) parts(r *restoration) (err error) {
	if r.only, err = newOnly(r.root, l.options.Only, l.options.Rename, l.at.prefix); err != nil {
		return err
	}
	if l.resumes {
		r.only.parts = append(r.only.parts, part{l.c.counter, []string{counterName}})
	}
	return nil
}

// restoration begins one, by the object graph or, without it, by full names.
func (l *loading) restoration(ctx context.Context, f *files, rd *bundle.Reader) (r *restoration, err error) {
	if _, err := rd.Entry(graphKey); isAbsent(err) {
		stored, err := storedNames(rd, l.at)
		if err != nil {
			return nil, err
		}
		if len(l.options.Rename) > 0 {
			return nil, fmt.Errorf("ckpt: %s is a name-based checkpoint, whose objects have no paths to Rename: give the program's objects the full names it has: %w", l.at.prefix, errors.ErrUnsupported)
		}
		r = newByName(l.c.top(), f, stored, l.options.SkipSlotVariables)
		r.cast = l.options.Cast
		return r, nil
	}
	graph, err := readGraph(ctx, rd, l.at)
	if err != nil {
		return nil, err
	}
	renamed, err := rename(graph, l.options.Rename, l.at.prefix)
	if err != nil {
		return nil, err
	}
	l.renamed = renamed
	r = newRestoration(l.c.top(), f, graph, l.options.SkipSlotVariables)
	r.cast = l.options.Cast
	return r, nil
}

// match binds stored and live objects and decides whether they fit.
func (l *loading) match(ctx context.Context, m *matching, rd *bundle.Reader) error {
	if m.r.byName != nil {
		if err := l.matchNames(m); err != nil {
			return err
		}
	} else if err := l.matchGraph(ctx, m, rd); err != nil {
		return err
	}
	if err := l.checkOverwritten(m); err != nil {
		return err
	}
	if l.whole {
		return l.checkRest(ctx, m, rd)
	}
	return nil
}

// matchGraph goes by the stored object graph.
func (l *loading) matchGraph(ctx context.Context, m *matching, rd *bundle.Reader) error {
	if err := m.matchTree(); err != nil {
		return err
	}
	if m.settle(); m.failed != nil {
		return m.failed
	}
	if err := l.checkRenamed(m); err != nil {
		return err
	}
	if l.complete {
		return l.checkComplete(ctx, m, rd)
	}
	if l.partial {
		m.parks = slices.DeleteFunc(m.parks, func(p parking) bool {
			_, fixed := p.object.(fixedLayout)
			return fixed
		})
	}
	return nil
}

// bring reads what was matched, and sees to it that what waits finds the same
// checkpoint later.
func (l *loading) bring(ctx context.Context, m *matching, rd *bundle.Reader) error {
	if _, err := m.prepare(ctx); err != nil {
		return err
	}
	f := m.r.files
	if !l.keep && (len(m.parks)+len(m.slotWait) > 0 || m.r.byName.open()) {
		var err error
		if f.identity, err = identify(rd); err != nil {
			return fmt.Errorf("ckpt: %s: %w", l.at.prefix, err)
		}
		f.known = true
	}
	if l.inPlace && !(l.smallStaged && m.bytes() <= smallLoad) {
		var err error
		l.touched, err = m.inPlace(ctx, rd)
		if err := unusableInPlace(err, l.touched); err != nil {
			return err
		}
	} else {
		commit, _, err := m.stage(ctx, rd)
		if err != nil {
			return err
		}
		commit()
	}
	if !l.keep {
		f.keep = false
		f.close()
	}
	return nil
}

// checkOverwritten makes sure that what a damaged checkpoint left half read is
// overwritten by this one.
func (l *loading) checkOverwritten(m *matching) error {
	if len(l.overwritten) == 0 {
		return nil
	}
	type tensorOf struct {
		object    Trackable
		attribute string
	}
	reads := make(map[tensorOf]bool, len(m.reads))
	for _, r := range m.reads {
		reads[tensorOf{r.object, r.spec.Attribute}] = true
	}
	var left []string
	for _, r := range l.overwritten {
		if !reads[tensorOf{r.object, r.spec.Attribute}] {
			left = append(left, r.key)
		}
	}
	if len(left) == 0 {
		return nil
	}
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: %s has no values for objects that a damaged checkpoint overwrote, which are unusable now", l.at.prefix),
		Names:  left,
		Hint:   "start the program again and restore an undamaged checkpoint",
	}
}

// smallLoad is what may be staged although in-place reading was asked for: the
// memory a load may take beyond its destination anyway.
const smallLoad = 32 << 20

// checkRest verifies what this restore will not read: values that wait, and
// those nobody asks for. A checkpoint is good as a whole or not at all.
func (l *loading) checkRest(ctx context.Context, m *matching, rd *bundle.Reader) error {
	for problem := range rd.CheckLayout(ctx) {
		return problem
	}
	reads := map[string]bool{graphKey: true}
	for _, r := range m.reads {
		reads[r.key] = true
	}
	for it, err := range rd.Entries() {
		if err != nil {
			return err
		}
		if it.IsSlice || reads[it.Key] {
			continue
		}
		if err := rd.Check(ctx, it.Key); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return err
		}
	}
	return nil
}

// readGraph reads and decodes the object graph of a checkpoint.
func readGraph(ctx context.Context, rd *bundle.Reader, at place) (*objectgraph.Graph, error) {
	entry, err := rd.Entry(graphKey)
	if isAbsent(err) {
		return nil, noGraph(at, "a name-based checkpoint, as TensorFlow 1 wrote them. Its tensors can be read with ckpt.Open, and restored into objects of the same full names")
	}
	if err != nil {
		return nil, fmt.Errorf("ckpt: %s: %w", at.prefix, err)
	}
	index := baseName(bundle.IndexName(at.name))
	if n, ok := entry.Shape.Elements(); entry.DType != tensor.String || !ok || n != 1 {
		err := fault.Corrupt(fault.KindGraph, "the object graph is a %v instead of one string", describe(entry.DType, entry.Shape))
		return nil, fmt.Errorf("ckpt: %s: %w", at.prefix, fault.Locate(err, index, graphKey))
	}
	elements, err := rd.Strings(ctx, graphKey)
	if err != nil {
		return nil, fmt.Errorf("ckpt: %s: %w", at.prefix, err)
	}
	graph, err := objectgraph.Decode(elements[0])
	if err != nil {
		return nil, fmt.Errorf("ckpt: %s: %w", at.prefix, fault.Locate(err, baseName(bundle.DataName(at.name, int(entry.Shard), int(rd.Header().NumShards))), graphKey))
	}
	return graph, nil
}

func noGraph(at place, what string) error {
	return fmt.Errorf("ckpt: %s has no object graph (no %s key): %s: %w", at.prefix, graphKey, what, errors.ErrUnsupported)
}
