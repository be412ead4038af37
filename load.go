package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/tensor"
)

var errUnsupported = errors.ErrUnsupported

// files is a checkpoint that can be opened again while values wait for their
// objects. It is pinned against this process's retention until released.
type files struct {
	bucket storage.Bucket
	name   string // prefix inside the bucket
	prefix string // as the caller knows it
	keep   bool   // hold the reader open between calls

	held     *bundle.Reader
	identity bundle.Entry // of the object graph: what tells a replaced checkpoint
	unpin    func()
}

func (f *files) indexName() string { return baseName(bundle.IndexName(f.name)) }

// reader opens the checkpoint; done closes it unless it is held.
func (f *files) reader(ctx context.Context) (rd *bundle.Reader, done func(), err error) {
	if f.held != nil {
		return f.held, func() {}, nil
	}
	rd, err = bundle.Open(ctx, f.bucket, f.name, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("ckpt: %s: %w", f.prefix, err)
	}
	if f.identity.DType != tensor.Invalid {
		now, err := rd.Entry(graphKey)
		if err != nil || now.CRC != f.identity.CRC || now.Size != f.identity.Size || now.Offset != f.identity.Offset {
			rd.Close()
			return nil, nil, fmt.Errorf("ckpt: %s: another checkpoint took this name while restored values were waiting: %w", f.prefix, ErrMismatch)
		}
	}
	if f.keep {
		f.held = rd
		return rd, func() {}, nil
	}
	return rd, func() { rd.Close() }, nil
}

// release closes what is held and ends the pin.
func (f *files) release() {
	if f.held != nil {
		f.held.Close()
		f.held = nil
	}
	f.keep = false
	if f.unpin != nil {
		f.unpin()
		f.unpin = nil
	}
}

// restoreWaiting brings in what waits for objects that were just tracked. The
// newest restore wins; older ones bind without overwriting. All or nothing.
func restoreWaiting(ctx context.Context, starts []start) error {
	if len(starts) == 0 {
		return nil
	}
	byRestore := make(map[*restoration]*matching)
	var order []*matching
	for _, s := range starts {
		if s.p.r.closed {
			continue
		}
		if byRestore[s.p.r] == nil {
			m := s.p.r.newMatching()
			byRestore[s.p.r] = m
			order = append(order, m)
		}
	}
	slices.SortFunc(order, func(a, b *matching) int { return cmp.Compare(b.r.uid, a.r.uid) })
	newer := make(map[Trackable]bool)
	var loaded []func()
	var discards []func()
	for _, m := range order {
		m.newer = newer
		for _, s := range starts {
			if s.p.r == m.r {
				m.add(s.p.node, s.object)
			}
		}
		commit, discard, err := m.stage(ctx)
		if err != nil {
			for _, d := range discards {
				d()
			}
			return err
		}
		loaded, discards = append(loaded, commit), append(discards, discard)
		for object := range m.touched {
			newer[object] = true
		}
	}
	for _, commit := range loaded {
		commit()
	}
	return nil
}

// stage checks and reads everything the round found. Nothing anyone sees
// changes before commit.
func (m *matching) stage(ctx context.Context) (commit, discard func(), err error) {
	rd, done, err := m.prepare(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer done()
	values := make([]Staged, len(m.reads))
	err = m.each(ctx, func(ctx context.Context, i int) error {
		var err error
		values[i], err = m.reads[i].value.Stage(ctx, &source{rd, m.reads[i].key, m.reads[i].entry})
		return err
	})
	discard = func() {
		for _, v := range values {
			if v != nil {
				v.Discard()
			}
		}
	}
	if err != nil {
		discard()
		return nil, nil, err
	}
	commit = func() {
		for _, v := range values {
			v.Commit()
		}
		m.apply()
	}
	return commit, discard, nil
}

// inPlace reads everything in one pass into the objects' own memory. After an
// error the objects hold a mixture; touched tells which reads were begun.
func (m *matching) inPlace(ctx context.Context) (touched []read, err error) {
	rd, done, err := m.prepare(ctx)
	if err != nil {
		return nil, err
	}
	defer done()
	begun := make([]bool, len(m.reads))
	err = m.each(ctx, func(ctx context.Context, i int) error {
		src := &source{rd, m.reads[i].key, m.reads[i].entry}
		begun[i] = true
		if direct, ok := m.reads[i].value.(InPlace); ok {
			return direct.ReadInPlace(ctx, src)
		}
		v, err := m.reads[i].value.Stage(ctx, src)
		if err == nil {
			v.Commit()
		}
		return err
	})
	if err != nil {
		for i, b := range begun {
			if b {
				touched = append(touched, m.reads[i])
			}
		}
		return touched, err
	}
	m.apply()
	return nil, nil
}

// prepare looks every tensor up and compares dtypes and shapes, all of them,
// before a byte is read. It leaves the reads in file order.
func (m *matching) prepare(ctx context.Context) (*bundle.Reader, func(), error) {
	if m.failed != nil {
		return nil, nil, m.failed
	}
	if len(m.reads) == 0 {
		return nil, func() {}, nil
	}
	rd, done, err := m.r.files.reader(ctx)
	if err != nil {
		return nil, nil, err
	}
	if err := m.check(rd); err != nil {
		done()
		return nil, nil, err
	}
	slices.SortStableFunc(m.reads, func(a, b read) int {
		return cmp.Or(cmp.Compare(a.entry.Shard, b.entry.Shard), cmp.Compare(a.entry.Offset, b.entry.Offset))
	})
	return rd, done, nil
}

func (m *matching) check(rd *bundle.Reader) error {
	var misfits []error
	for i := range m.reads {
		r := &m.reads[i]
		entry, err := rd.Entry(r.key)
		if errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrCorrupt) {
			misfits = append(misfits, &MismatchError{Key: r.key, Want: describe(r.spec.DType, r.spec.Shape), Got: "no such tensor", Err: err})
			continue
		}
		if err != nil {
			return err
		}
		r.entry = entry
		if err := checkFit(r.key, r.spec, entry); err != nil {
			misfits = append(misfits, err)
		}
	}
	if len(misfits) == 0 {
		return nil
	}
	const shown = 20
	var b strings.Builder
	fmt.Fprintf(&b, "ckpt: %s does not fit the program, nothing was restored (%d of %d values differ)", m.r.files.prefix, len(misfits), len(m.reads))
	for i, err := range misfits {
		if i == shown {
			fmt.Fprintf(&b, "\n  … and %d more", len(misfits)-shown)
			break
		}
		b.WriteString("\n  " + err.Error())
	}
	return &joined{text: b.String(), errs: misfits}
}

// joined is errors.Join with a text of its own.
type joined struct {
	text string
	errs []error
}

func (e *joined) Error() string   { return e.text }
func (e *joined) Unwrap() []error { return e.errs }

func checkFit(key string, spec Spec, entry bundle.Entry) error {
	var why error
	switch {
	case spec.DType != entry.DType:
		why = fmt.Errorf("expected dtype %s does not equal original dtype %s", spec.DType.OpName(), entry.DType.OpName())
	case !spec.Shape.Accepts(entry.Shape):
		why = fmt.Errorf("incompatible tensor with shape %v for a variable with shape %v", entry.Shape, spec.Shape)
	default:
		return nil
	}
	return &MismatchError{Key: key, Want: describe(spec.DType, spec.Shape), Got: describe(entry.DType, entry.Shape), Err: why}
}

func describe(d tensor.DType, s tensor.Shape) string { return d.String() + " " + s.String() }

// maxWorkers bounds the tensors read side by side; more do not help on local disks.
const maxWorkers = 4

// each runs fn over all reads with a few workers and stops at the first error.
func (m *matching) each(ctx context.Context, fn func(ctx context.Context, i int) error) error {
	workers := min(runtime.GOMAXPROCS(0), maxWorkers, len(m.reads))
	if workers <= 1 || m.bytes() < parallelBytes {
		for i := range m.reads {
			if err := m.one(ctx, i, fn); err != nil {
				return err
			}
		}
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	next := make(chan int)
	var wg sync.WaitGroup
	for range workers {
		wg.Go(func() {
			for i := range next {
				if err := m.one(ctx, i, fn); err != nil {
					cancel(err)
					return
				}
			}
		})
	}
feed:
	for i := range m.reads {
		select {
		case next <- i:
		case <-ctx.Done():
			break feed
		}
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// parallelBytes is where starting workers pays.
const parallelBytes = 1 << 20

func (m *matching) bytes() int64 {
	var n int64
	for i := range m.reads {
		n += m.reads[i].entry.Size
	}
	return n
}

func (m *matching) one(ctx context.Context, i int, fn func(ctx context.Context, i int) error) error {
	if err := ctx.Err(); err != nil {
		return context.Cause(ctx)
	}
	if err := fn(ctx, i); err != nil {
		err = fault.Locate(err, "", m.reads[i].key)
		return fmt.Errorf("ckpt: %s: %w", m.r.files.prefix, err)
	}
	return nil
}

// source is a stored tensor as a Value sees it.
type source struct {
	rd    *bundle.Reader
	key   string
	entry bundle.Entry
}

func (s *source) Key() string         { return s.key }
func (s *source) DType() tensor.DType { return s.entry.DType }
func (s *source) Shape() tensor.Shape { return s.entry.Shape }
func (s *source) ReadInto(ctx context.Context, dst []byte) error {
	return s.rd.ReadInto(ctx, s.key, dst)
}
func (s *source) Tensor(ctx context.Context) (*tensor.Tensor, error) { return s.rd.Tensor(ctx, s.key) }
func (s *source) Strings(ctx context.Context) ([][]byte, error)      { return s.rd.Strings(ctx, s.key) }

// siblingKey is the key of an attribute beside the one stored first: TensorFlow
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
	return first[:i+len(marker)] + attribute, nil
}
