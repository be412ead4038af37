package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/tensor"
)

// isAbsent tells a tensor or checkpoint that does not exist from a damaged one.
func isAbsent(err error) bool {
	return errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrMismatch)
}

// start is where matching begins once an object is there.
type start struct {
	p      position
	object Trackable
}

// restoreWaiting brings in what waits for objects that were just tracked. The
// newest restore wins; older ones bind without overwriting. All or nothing:
// check, if there is one, has the last word before values are set.
func restoreWaiting(ctx context.Context, starts []start, check func() error) (err error) {
	if check == nil {
		check = func() error { return nil }
	}
	starts = slices.DeleteFunc(starts, func(s start) bool { return s.p.r.closed })
	if len(starts) == 0 {
		return check()
	}
	slices.SortStableFunc(starts, func(a, b start) int { return cmp.Compare(b.p.r.uid, a.p.r.uid) })
	var rounds []*matching
	var commits, discards []func()
	defer func() {
		if err == nil {
			return
		}
		for _, discard := range discards {
			discard()
		}
		for _, m := range slices.Backward(rounds) {
			m.rollback()
		}
	}()
	newer := make(map[Trackable]bool)
	for len(starts) > 0 {
		r := starts[0].p.r
		m := r.newMatching()
		m.newer, m.late = newer, true
		rounds = append(rounds, m)
		for ; len(starts) > 0 && starts[0].p.r == r; starts = starts[1:] {
			m.begin(starts[0])
		}
		m.settle()
		if err := errors.Join(m.checkDoubles(r.complete), m.checkNewNames()); err != nil {
			return err
		}
		rd, err := m.prepare(ctx)
		if err != nil {
			return err
		}
		commit, discard, err := m.stage(ctx, rd)
		r.files.close()
		if err != nil {
			return err
		}
		commits, discards = append(commits, commit), append(discards, discard)
		for _, object := range m.plain {
			newer[object] = true
		}
	}
	if err := check(); err != nil {
		return err
	}
	for _, commit := range commits {
		commit()
	}
	return nil
}

// stage reads everything the round found into values that nobody sees before
// commit.
func (m *matching) stage(ctx context.Context, rd *bundle.Reader) (commit, discard func(), err error) {
	values := make([]Staged, len(m.reads))
	discard = func() {
		for _, v := range values {
			if v != nil {
				v.Discard()
			}
		}
	}
	err = m.each(ctx, func(ctx context.Context, i int) error {
		v, err := m.reads[i].value.Stage(ctx, newSource(rd, &m.reads[i]))
		if err == nil {
			values[i] = v
		}
		return err
	})
	if err != nil {
		discard()
		return nil, nil, err
	}
	commit = func() {
		m.makeRoom()
		for _, v := range values {
			v.Commit()
		}
		m.finishGrowths()
		m.commit()
	}
	return commit, discard, nil
}

// inPlace reads everything in one pass into the objects' own memory. After an
// error the objects hold a mixture; touched tells which reads were begun.
func (m *matching) inPlace(ctx context.Context, rd *bundle.Reader) (touched []read, err error) {
	if err := m.checkCasts(ctx, rd); err != nil {
		return nil, err
	}
	m.makeRoom()
	begun := make([]bool, len(m.reads))
	var committing sync.Mutex // Commit is never called beside another
	err = m.each(ctx, func(ctx context.Context, i int) error {
		src := newSource(rd, &m.reads[i])
		begun[i] = true
		if direct, ok := m.reads[i].value.(InPlace); ok && besideOthers(direct, src) {
			return direct.ReadInPlace(ctx, src)
		}
		v, err := m.reads[i].value.Stage(ctx, src)
		if err == nil {
			committing.Lock()
			defer committing.Unlock()
			v.Commit()
		}
		return err
	})
	if err != nil {
		for i, b := range begun {
			if b && !m.fresh[m.reads[i].object] {
				touched = append(touched, m.reads[i])
			}
		}
		return touched, err
	}
	m.finishGrowths()
	m.commit()
	return nil, nil
}

// besideOthers tells whether a value can be read in place beside others: the
// values of a map, which have no memory of their own, cannot.
func besideOthers(value InPlace, src Source) bool {
	f, ok := value.(*field)
	return !ok || f.where.changed == nil || f.of.Kind() == reflect.Slice && f.shape().Equal(src.Shape())
}

func sortReads(reads []read) {
	slices.SortStableFunc(reads, func(a, b read) int {
		return cmp.Or(cmp.Compare(a.entry.Shard, b.entry.Shard), cmp.Compare(a.entry.Offset, b.entry.Offset))
	})
}

// joined is errors.Join with a text of its own.
type joined struct {
	text string
	errs []error
}

func (e *joined) Error() string { return e.text }

func (e *joined) Unwrap() []error { return e.errs }

func describe(d tensor.DType, s tensor.Shape) string { return d.String() + " " + s.String() }

// maxWorkers bounds the tensors read side by side; more do not help on local disks.
const maxWorkers = 4

// parallelBytes is where starting workers pays.
const parallelBytes = 1 << 20

// each runs fn over all reads with a few workers and stops at the first error.
func (m *matching) each(ctx context.Context, fn func(ctx context.Context, i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers, len(m.reads))
	if workers <= 1 || m.bytes() < parallelBytes {
		workers = 1
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var next atomic.Int64
	work := func() {
		for {
			i := int(next.Add(1)) - 1
			if i >= len(m.reads) || ctx.Err() != nil {
				return
			}
			if err := fn(ctx, i); err != nil {
				cancel(fmt.Errorf("ckpt: %s: %w", m.r.files.prefix, fault.Locate(err, "", m.reads[i].key)))
				return
			}
		}
	}
	var wg sync.WaitGroup
	for range workers - 1 {
		wg.Go(work)
	}
	work()
	wg.Wait()
	return context.Cause(ctx)
}

// source is a stored tensor as a Value sees it.
type source struct {
	rd   *bundle.Reader
	read *read
}

func (s *source) Key() string { return s.read.key }

func (s *source) DType() tensor.DType { return s.read.entry.DType }

func (s *source) Shape() tensor.Shape { return s.read.entry.Shape }

func (s *source) ReadInto(ctx context.Context, dst []byte) error {
	return s.rd.ReadEntry(ctx, s.read.key, &s.read.entry, dst)
}

func (s *source) Tensor(ctx context.Context) (*tensor.Tensor, error) {
	return s.rd.Tensor(ctx, s.read.key)
}

func (s *source) Strings(ctx context.Context) ([][]byte, error) {
	if s.read.entry.DType == tensor.Variant {
		t, err := s.rd.Tensor(ctx, s.read.key)
		if err != nil {
			return nil, err
		}
		return t.Strings(), nil
	}
	return s.rd.Strings(ctx, s.read.key)
}

// siblingKey is the key of a tensor beside the attribute stored first: TensorFlow
// asks for the object's own tensor names under the stored prefix.
func siblingKey(first, attribute string, values int) (string, error) {
	const marker = ".ATTRIBUTES/"
	i := strings.LastIndex(first, marker)
	if i < 0 {
		if values == 1 {
			return first, nil
		}
		return "", fault.Corrupt(fault.KindGraph, "checkpoint key %q has no %s part", first, marker)
	}
	if i += len(marker); first[i:] == attribute {
		return first, nil
	}
	return first[:i] + attribute, nil
}
