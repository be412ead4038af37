package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"syscall"
)

// ResumeOptions are the options of Manager.Resume; nil means the zero value.
type ResumeOptions struct {
	// AllowPartial takes a checkpoint although objects of the program have no
	// value in it, and keep the values they have, and although it has values for
	// fields that a tracked struct does not have, which are left behind. Without
	// it both are errors, because a part of the program would start from scratch
	// unnoticed, or be lost with the next save.
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
	State   error          // why the state file could not be used; nil if it could, or if there is none
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
	if err := m.checkpoint.join(ctx); err != nil {
		return "", err
	}
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
// none is good, or nothing but a state file that cannot be used, that is an
// error: nothing starts from scratch silently.
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
	if err := m.checkpoint.join(ctx); err != nil {
		return nil, err
	}
	// One save counter for all attempts: what one of them overwrote is what the
	// next has to overwrite again.
	made, err := m.checkpoint.addCounter()
	if err != nil {
		return nil, err
	}
	resumed, err := m.resume(ctx, o)
	if made && (err != nil || resumed.Prefix == "") {
		m.checkpoint.removeCounter()
	}
	if err != nil || resumed.Prefix != "" {
		return resumed, err
	}
	resumed.Status = &RestoreStatus{root: m.checkpoint.top()}
	return resumed, m.initialize(ctx)
}

// resume tries one candidate after the other; without any the prefix is empty.
func (m *Manager) resume(ctx context.Context, o *ResumeOptions) (*Resumed, error) {
	resumed := new(Resumed)
	var overwritten []read
	stateError := func(err error) {
		resumed.State = err
		m.log.Warn("the state file cannot be used; looking at the files instead", "error", err)
	}
	for c, err := range m.dir.candidates(ctx, m.name, stateError) {
		if err != nil {
			return nil, unusable(err, overwritten)
		}
		l := &loading{
			c: m.checkpoint, at: c.at, options: &RestoreOptions{SkipSlotVariables: o.SkipSlotVariables}, counted: true,
			inPlace: true, smallStaged: len(overwritten) == 0, keep: true, whole: true, complete: !o.AllowPartial, partial: o.AllowPartial, overwritten: overwritten,
		}
		status, err := l.run(ctx)
		if err == nil {
			resumed.Prefix, resumed.Status = c.at.prefix, status
			return resumed, nil
		}
		overwritten = append(overwritten, l.touched...)
		misfit := c.foreign && errors.Is(err, ErrMismatch)
		if ctx.Err() != nil || !misfit && !refusable(err) {
			return nil, unusable(err, overwritten)
		}
		refusal := &Refusal{c.at.prefix, err}
		if !misfit {
			refusal.Err = problemAt(err, c.at)
		}
		if o.Strict {
			return nil, unusable(fmt.Errorf("ckpt: ResumeOptions.Strict allows no older checkpoint: %w", refusal), overwritten)
		}
		m.log.Warn("checkpoint refused", "checkpoint", c.at.prefix, "error", refusal.Err)
		resumed.Refused = append(resumed.Refused, refusal)
	}
	if len(resumed.Refused) > 0 {
		return nil, unusable(allRefused(m.dir.dir, resumed.Refused), overwritten)
	}
	if resumed.State != nil {
		return nil, fmt.Errorf("%w; and %s holds no checkpoint: put the checkpoints back, or remove the state file to start from scratch",
			resumed.State, m.dir.dir)
	}
	return resumed, nil
}

// unusable says in an error that damaged checkpoints were read over the
// objects' own values, if they were.
func unusable(err error, overwritten []read) error {
	if len(overwritten) == 0 {
		return err
	}
	return fmt.Errorf("%w\nckpt: %d values were overwritten by damaged ones: the objects must not be used until another restore succeeds or they are initialized anew",
		err, len(overwritten))
}

// refusable tells damage, which an older checkpoint may not have, from a
// misfit, which it would have too. What the system cannot read counts as
// damage.
func refusable(err error) bool {
	if errors.Is(err, ErrMismatch) {
		return false
	}
	var c *CorruptError
	var file *fs.PathError
	var system syscall.Errno
	return errors.As(err, &c) || errors.As(err, &file) || errors.As(err, &system) ||
		errors.Is(err, fs.ErrNotExist) || errors.Is(err, errors.ErrUnsupported)
}

func allRefused(dir string, refused []*Refusal) error {
	var b strings.Builder
	fmt.Fprintf(&b, "ckpt: %s holds no checkpoint that can be used. Move the directory away to start from scratch, or repair one:", dir)
	var errs []error
	gone := true
	for _, r := range refused {
		b.WriteString("\n  " + r.Error())
		errs = append(errs, r)
		gone = gone && isGone(ProblemOf(r.Err))
	}
	if gone {
		errs = append(errs, ErrNoCheckpoint)
	}
	return &joined{text: b.String(), errs: errs}
}

// isGone tells a checkpoint that does not exist from one that is damaged: only
// the first may be taken for nothing to restore.
func isGone(p *CorruptError) bool {
	return p.Kind == KindMissing && strings.HasSuffix(p.File, ".index")
}

// candidate is a checkpoint worth trying.
type candidate struct {
	at      place
	foreign bool // found by looking, not by this manager's name
}

// candidates yields the checkpoints of a directory, the likeliest first: the
// state file's latest, its others from the newest to the oldest, what a scan
// finds. It looks no further than asked. name is that of the manager whose
// checkpoints come first; "" means the one that the files suggest. warn hears
// why a state file cannot be used.
func (d *directory) candidates(ctx context.Context, name string, warn func(error)) iter.Seq2[candidate, error] {
	return func(yield func(candidate, error) bool) {
		seen := make(map[any]bool)
		try := func(c candidate) bool {
			id := c.at.identityOf()
			if seen[id] {
				return true
			}
			seen[id] = true
			return yield(c, nil)
		}
		state, err := d.readState(ctx)
		switch {
		case err == nil:
			listed := make(map[string]bool) // a hostile file repeats a path a million times
			for i := len(state.All); i >= 0; i-- {
				stored := state.Latest
				if i < len(state.All) {
					stored = state.All[i]
				}
				if listed[stored] {
					continue
				}
				listed[stored] = true
				if at, _ := d.resolve(ctx, stored); stored != "" && !try(candidate{at: at}) {
					return
				}
			}
		case !errors.Is(err, ErrNoCheckpoint):
			warn(err)
		}
		anyName := name == ""
		if anyName && state != nil {
			name = stemOf(lastElement(state.Latest))
		}
		scanned, _, err := d.scan(ctx, name)
		if err != nil {
			yield(candidate{}, fmt.Errorf("ckpt: directory %s: %w", d.dir, err))
			return
		}
		for _, f := range scanned {
			if !try(candidate{at: d.at(f.name), foreign: !f.own}) {
				return
			}
		}
		if !anyName || len(seen) > 0 {
			return
		}
		for _, old := range d.oldFormat(ctx) {
			if !try(candidate{at: d.at(old), foreign: true}) {
				return
			}
		}
	}
}
