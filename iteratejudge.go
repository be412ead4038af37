package ckpt

import (
	"context"
	"fmt"
	"slices"
)

// judgement is what Verify found of a checkpoint with these files.
type judgement struct {
	mark    fingerprint
	refusal *Refusal // nil: it is good
}

// newestGood is what FindGood would find. It has moved if a checkpoint changed
// while it was read, or one is gone that was there or not yet known of: an older
// one counts only if that is still so at a second glance. At the last try one that
// still changes is passed over: somebody is copying it here.
func (w *watch) newestGood(ctx context.Context, last bool) (s sight, ok, moved bool) {
	known := make(map[any]judgement)
	var gone []any
	defer func() { w.known, w.gone = known, gone }()
	for c, err := range w.dir.candidates(ctx, "", func(err error) { w.notes.add(err.Error(), err) }) {
		if err != nil {
			w.notes.add(err.Error(), err)
			break
		}
		s, ok := w.see(ctx, c.at)
		if !ok {
			gone = append(gone, s.id)
			continue
		}
		j := w.known[s.id]
		if j.mark != s.mark {
			if j, ok = w.judge(ctx, s); !ok {
				s.unpin()
				if last && ctx.Err() == nil {
					continue
				}
				return sight{}, false, ctx.Err() == nil
			}
		}
		known[s.id] = j
		if j.refusal == nil && !slices.Equal(gone, w.gone) {
			s.unpin()
			return sight{}, false, true
		}
		if j.refusal == nil {
			return s, true, false
		}
		w.notes.add(c.at.prefix+"\x00"+string(s.mark), j.refusal)
		s.unpin()
	}
	return sight{}, false, false
}

// judge reads a checkpoint. It is not ok if that was interrupted.
func (w *watch) judge(ctx context.Context, s sight) (j judgement, ok bool) {
	v, err := verify(ctx, s.at, new(VerifyOptions), false)
	if err != nil || ctx.Err() != nil {
		return j, false
	}
	if after, err := fingerprintOf(ctx, s.at, true); err != nil || after != s.mark {
		return j, false
	}
	j.mark = s.mark
	if v.OK() {
		return j, true
	}
	j.refusal = &Refusal{Prefix: v.Prefix, Err: v.Problems[0]}
	if n := len(v.Problems) - 1; n > 0 {
		errs := make([]error, 0, n+1)
		for _, p := range v.Problems {
			errs = append(errs, p)
		}
		j.refusal.Err = &joined{text: fmt.Sprintf("%v (and %s)", errs[0], count(n, "more problem")), errs: errs}
	}
	return j, true
}
