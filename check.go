package ckpt

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/tensor"
)

// manyReads is where going through the index once becomes cheaper than looking
// entries up, which jumps between its blocks.
const manyReads = 256

// lookUp finds the entries of the reads. Those that are not there keep the
// zero Entry.
func lookUp(rd *bundle.Reader, reads []read) error {
	if len(reads) < manyReads {
		for i := range reads {
			entry, err := rd.Entry(reads[i].key)
			if err != nil && !isAbsent(err) {
				return err
			}
			reads[i].entry = entry
		}
		return nil
	}
	wanted := make(map[string]int, len(reads)) // the last read of a key
	same := make([]int, len(reads))            // the read before it of the same key, plus one
	for i := range reads {
		if before, twice := wanted[reads[i].key]; twice {
			same[i] = before + 1
		}
		wanted[reads[i].key] = i
	}
	for it, err := range rd.Entries() {
		if err != nil {
			return err
		}
		if it.IsSlice {
			continue
		}
		if i, ok := wanted[it.Key]; ok {
			for i++; i > 0; i = same[i-1] {
				reads[i-1].entry = it.Entry
			}
		}
	}
	return nil
}

// checkFit tells in what a stored tensor differs from what the program has; nil
// is nothing.
func (r *restoration) checkFit(key string, spec Spec, entry bundle.Entry) *MismatchError {
	var why error
	switch {
	case spec.DType != entry.DType && !(r.cast && castable(entry.DType, spec.DType)):
		why = fmt.Errorf("expected dtype %s does not equal original dtype %s%s",
			spec.DType.OpName(), entry.DType.OpName(), castHint(entry.DType, spec.DType, r.cast))
	case !spec.Shape.Accepts(entry.Shape):
		why = fmt.Errorf("incompatible tensor with shape %v for a variable with shape %v", entry.Shape, spec.Shape)
	default:
		return nil
	}
	return &MismatchError{Key: key, Want: describe(spec.DType, spec.Shape), Got: describe(entry.DType, entry.Shape), Err: why}
}

// misfits looks every tensor up and compares dtypes and shapes, all of them,
// before a byte is read.
func (m *matching) misfits(ctx context.Context, rd *bundle.Reader, reads []read) ([]*MismatchError, error) {
	if err := lookUp(rd, reads); err != nil {
		return nil, fmt.Errorf("ckpt: %s: %w", m.r.files.prefix, err)
	}
	var misfits []*MismatchError
	for i := range reads {
		r := &reads[i]
		if r.entry.DType == tensor.Invalid {
			if _, err := rd.Entry(r.key); err != nil {
				misfits = append(misfits, &MismatchError{Key: r.key, Want: describe(r.spec.DType, r.spec.Shape), Got: "no such tensor", Err: errors.New(err.Error())})
				continue
			}
		}
		if misfit := m.r.checkFit(r.key, r.spec, r.entry); misfit != nil {
			misfits = append(misfits, misfit)
		} else if slices.Contains(r.spec.Shape, -1) {
			// The value will allocate what the file claims.
			if err := rd.CheckEntry(ctx, r.key, &r.entry); err != nil {
				return nil, fmt.Errorf("ckpt: %s: %w", m.r.files.prefix, err)
			}
		}
	}
	return misfits, nil
}

// check refuses what does not fit.
func (m *matching) check(ctx context.Context, rd *bundle.Reader, reads []read) error {
	misfits, err := m.misfits(ctx, rd, reads)
	if err != nil || len(misfits) == 0 {
		return err
	}
	const shown = 20
	var b strings.Builder
	nothing := "nothing was restored"
	if m.late {
		nothing = "none of the objects that appeared now was set"
	}
	fmt.Fprintf(&b, "ckpt: %s does not fit the program, %s (%d of %d values differ)", m.r.files.prefix, nothing, len(misfits), len(reads))
	for i, err := range misfits {
		if i == shown {
			fmt.Fprintf(&b, "\n  … and %d more", len(misfits)-shown)
			break
		}
		b.WriteString("\n  " + err.Error())
	}
	errs := make([]error, len(misfits))
	for i, misfit := range misfits {
		errs[i] = misfit
	}
	return &joined{text: b.String(), errs: errs}
}

// prepare checks everything the round found and sorts the reads into file
// order. A round that reads nothing opens nothing: rd is nil then.
func (m *matching) prepare(ctx context.Context) (rd *bundle.Reader, err error) {
	if m.failed != nil || len(m.reads) == 0 && len(m.create) == 0 {
		return nil, m.failed
	}
	if rd, err = m.r.files.open(ctx); err != nil {
		return nil, err
	}
	if err = m.check(ctx, rd, m.reads); err == nil {
		old := len(m.reads)
		if err = m.createSlots(ctx, rd); err == nil {
			err = m.check(ctx, rd, m.reads[old:])
		}
	}
	if err != nil {
		m.r.files.close()
		return nil, err
	}
	sortReads(m.reads)
	return rd, nil
}
