package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// ResumeOptions are the options of Manager.Resume; nil means the zero value.
type ResumeOptions struct {
	// AllowPartial takes a checkpoint although objects of the program have no
	// value in it, and keep the values they have. Without it that is an error,
	// because a part of the program would start from scratch unnoticed.
	AllowPartial bool
	// Strict fails on the first checkpoint that is damaged instead of going back
	// to an older one.
	Strict bool
	// SkipSlotVariables leaves the slot variables of optimizers alone.
	SkipSlotVariables bool
}

// Resumed is what Resume found.
type Resumed struct {
	Prefix  string         // "" if there is no checkpoint: start from scratch
	Refused []*Refusal     // newer ones that are damaged, newest first
	Status  *RestoreStatus // never nil
}

// Refusal is a checkpoint that Resume did not take, and why.
type Refusal struct {
	Prefix string
	Err    error // usually a *CorruptError: file, tensor, offset, kind
}

func (r *Refusal) Error() string { return fmt.Sprintf("refused %s: %v", r.Prefix, r.Err) }

// Unwrap gives the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// RestoreOrInitialize restores the state file's latest checkpoint, or calls
// Init if there is none; it returns the prefix that was restored or "". It does
// as TensorFlow's, except that a state file that cannot be understood is an
// error, never a start from scratch. Resume is the one that finds its way.
func (m *Manager) RestoreOrInitialize(ctx context.Context) (string, error) {
	if m.stateErr != nil {
		return "", m.stateErr
	}
	if m.latest == "" {
		return "", m.initialize(ctx)
	}
	at, _ := m.dir.resolve(ctx, m.latest)
	l := &loading{c: m.checkpoint, at: at, options: new(RestoreOptions), counted: true}
	if _, err := l.run(ctx); err != nil {
		return "", err
	}
	return at.prefix, nil
}

func (m *Manager) initialize(ctx context.Context) error {
	if m.init == nil {
		return nil
	}
	return m.init(ctx)
}

// Resume restores the newest checkpoint that is really good: every byte of it
// is read and checked. Candidates are the state file's latest, its older ones,
// then whatever a look at the directory finds, so a state file that is missing,
// damaged, stale or from another system is no obstacle. Damaged checkpoints are
// refused, with the reason, and the next older one is tried. If there is no
// checkpoint at all, Init is called and Prefix is empty; if there are some and
// none is good, that is an error: nothing starts from scratch silently.
//
// A checkpoint that does not fit the program (dtype, shape, objects without a
// value) is an error, not a reason to go back; nothing is changed then. Values
// are set all or none; large ones are read straight into the objects, which
// must not be in use yet, and if that fails the error says that they are
// unusable.
func (m *Manager) Resume(ctx context.Context, o *ResumeOptions) (*Resumed, error) {
	if o == nil {
		o = new(ResumeOptions)
	}
	candidates, err := m.candidates(ctx)
	if err != nil {
		return nil, err
	}
	resumed := &Resumed{Status: &RestoreStatus{root: m.checkpoint.top()}}
	var overwritten []read
	for _, c := range candidates {
		l := &loading{
			c: m.checkpoint, at: c.at, options: &RestoreOptions{SkipSlotVariables: o.SkipSlotVariables}, counted: true,
			inPlace: true, smallStaged: len(overwritten) == 0, keep: true, whole: true, complete: !o.AllowPartial, overwritten: overwritten,
		}
		status, err := l.run(ctx)
		if err == nil {
			resumed.Prefix, resumed.Status = c.at.prefix, status
			return resumed, nil
		}
		if ctx.Err() != nil {
			return nil, err
		}
		if !refusable(err) && !(c.foreign && errors.Is(err, ErrMismatch)) {
			return nil, err
		}
		refusal := &Refusal{c.at.prefix, causeOf(err)}
		m.log.Warn("checkpoint refused", "checkpoint", c.at.prefix, "error", refusal.Err)
		resumed.Refused = append(resumed.Refused, refusal)
		overwritten = append(overwritten, l.touched...)
		if o.Strict {
			break
		}
	}
	if len(resumed.Refused) > 0 {
		return nil, allRefused(m.dir.dir, resumed.Refused)
	}
	return resumed, m.initialize(ctx)
}

// refusable tells damage, which an older checkpoint may not have, from a
// misfit, which it would have too.
func refusable(err error) bool {
	if errors.Is(err, ErrMismatch) {
		return false
	}
	var c *CorruptError
	return errors.As(err, &c) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrPermission) || errors.Is(err, errors.ErrUnsupported)
}

// causeOf is the typed error inside, whose text says file, tensor and offset
// without repeating the prefix.
func causeOf(err error) error {
	var c *CorruptError
	if errors.As(err, &c) {
		return c
	}
	return err
}

func allRefused(dir string, refused []*Refusal) error {
	var b strings.Builder
	fmt.Fprintf(&b, "ckpt: %s holds no checkpoint that can be used; nothing was restored. Move the directory away to start from scratch, or repair one:", dir)
	errs := []error{ErrNoCheckpoint}
	for _, r := range refused {
		b.WriteString("\n  " + r.Error())
		errs = append(errs, r)
	}
	return &joined{text: b.String(), errs: errs}
}

// candidate is a checkpoint worth trying.
type candidate struct {
	at      place
	foreign bool // found by looking, not by this manager's name
}

// candidates lists what Resume tries, in order.
func (m *Manager) candidates(ctx context.Context) ([]candidate, error) {
	return m.dir.candidates(ctx, m.name, m.log.Warn)
}

// candidates lists the checkpoints of a directory, the likeliest first: the
// state file's latest, its others from the newest to the oldest, what a scan
// finds.
func (d *directory) candidates(ctx context.Context, name string, warn func(string, ...any)) ([]candidate, error) {
	var list []candidate
	seen := make(map[string]bool)
	add := func(c candidate) {
		if key := fmt.Sprint(c.at.identityOf()); !seen[key] {
			seen[key] = true
			list = append(list, c)
		}
	}
	state, err := d.readState(ctx)
	if err == nil {
		at, _ := d.resolve(ctx, state.Latest)
		add(candidate{at: at})
		for i := len(state.All) - 1; i >= 0; i-- {
			at, _ := d.resolve(ctx, state.All[i])
			add(candidate{at: at})
		}
	} else if !errors.Is(err, ErrNoCheckpoint) {
		warn("the state file cannot be used; looking at the files instead", "error", err)
	}
	scanned, _, err := d.scan(ctx, name)
	if err != nil {
		return nil, fmt.Errorf("ckpt: directory %s: %w", d.dir, err)
	}
	for _, f := range scanned {
		add(candidate{at: d.at(f.name), foreign: !f.own})
	}
	return list, nil
}
