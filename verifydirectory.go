package ckpt

import (
	"bytes"
	"context"
	"fmt"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
)

// VerifyDirectory verifies every checkpoint of a directory: those its state
// file names and those that lie there. A state file that cannot be understood,
// or that contradicts itself, is a problem of the directory, listed first with
// the directory as prefix. A directory without any checkpoint is ErrNoCheckpoint.
//
// A manager may be at work meanwhile: where a checkpoint turns out to be gone,
// the directory is looked at again, and what it holds then counts.
func VerifyDirectory(ctx context.Context, dir string, o *VerifyOptions) ([]*Verified, error) {
	o, err := o.orDefault()
	if err != nil {
		return nil, err
	}
	d := openDirectory(dir, &FindOptions{Bucket: o.Bucket})
	checked := make(map[any]*Verified)
	for round := 1; ; round++ {
		list, candidates, err := d.survey(ctx)
		if err != nil {
			return nil, d.misnamed(ctx, err)
		}
		if len(candidates) == 0 && len(list) == 0 {
			return nil, d.misnamed(ctx, fmt.Errorf("ckpt: there is no checkpoint in %s: %w", dir+d.holds(ctx), ErrNoCheckpoint))
		}
		vanished := false
		for _, c := range slices.Backward(candidates) {
			id := c.at.identityOf()
			v := checked[id]
			if v == nil {
				if v, err = verify(ctx, o.follow(c.at), o, true); err != nil {
					return list, err
				}
				checked[id] = v
			}
			list = append(list, v)
			if !v.OK() && round < verifyRounds {
				if there, err := bundle.Exists(ctx, c.at.bucket, c.at.name); err == nil && !there {
					vanished = true
					delete(checked, id)
				}
			}
		}
		if !vanished {
			return list, nil
		}
	}
}

// verifyRounds is how often a directory is looked at when checkpoints vanish
// from it: a manager that saves faster than they are read must not make this endless.
const verifyRounds = 3

// survey lists the candidates of a directory, newest first, and what is wrong
// with its state file.
func (d *directory) survey(ctx context.Context) (list []*Verified, candidates []candidate, err error) {
	for c, err := range d.candidates(ctx, "", func(err error) {
		list = append(list, &Verified{Prefix: d.dir, Problems: []*CorruptError{ProblemOf(err)}})
	}) {
		if err != nil {
			return nil, nil, err
		}
		candidates = append(candidates, c)
	}
	if problems := d.contradictions(ctx); len(problems) > 0 {
		list = append(list, &Verified{Prefix: d.dir, Problems: problems})
	}
	return list, candidates, nil
}

// contradictions lists what a state file that can be understood says wrongly:
// what no TensorFlow writes. One whose checkpoints do not exist is not among
// them, that is a problem of theirs.
func (d *directory) contradictions(ctx context.Context) (problems []*CorruptError) {
	s, err := d.readState(ctx)
	if err != nil {
		return nil // candidates met the same damage
	}
	add := func(format string, args ...any) {
		c := fault.Corrupt(KindState, format, args...)
		c.File = joinPath(d.dir, stateFileName)
		problems = append(problems, c)
	}
	if len(s.All) > 0 && !d.lists(ctx, s) {
		add("the latest checkpoint, %s, is not one of the %d it lists", fault.Printable(s.Latest), len(s.All))
	}
	if text, err := readAll(ctx, d.bucket, d.base+stateFileName); err == nil {
		// Any white space parts the fields, but writers and people use only this.
		if i := bytes.IndexFunc(text, func(r rune) bool { return r < ' ' && r != '\n' && r != '\r' && r != '\t' }); i >= 0 {
			add("control character %#02x at offset %d", text[i], i)
		}
	}
	if n := len(s.Timestamps); n > 0 && n != len(s.All) {
		add("%s for %s", count(n, "timestamp"), count(len(s.All), "checkpoint"))
	}
	return problems
}

// lists tells whether a state's latest checkpoint is one of all, perhaps by
// another path.
func (d *directory) lists(ctx context.Context, s *State) bool {
	if slices.Contains(s.All, s.Latest) {
		return true
	}
	latest, _ := d.resolve(ctx, s.Latest)
	return slices.ContainsFunc(s.All, func(stored string) bool {
		at, _ := d.resolve(ctx, stored)
		return at.identityOf() == latest.identityOf()
	})
}
