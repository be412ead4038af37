package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"
	"syscall"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
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
	// Rename is for objects that moved or changed names: see RestoreOptions.Rename.
	// It may stay when the program saves under the new names, unless names are swapped:
	// then it must go after the first save. A new name that no tracked struct has a
	// field for is an error, also with AllowPartial.
	Rename map[string]string
	// Cast takes numbers of another dtype: see RestoreOptions.Cast.
	Cast bool
	// Only goes on with parts of the program, and with the numbers of its saves: see
	// RestoreOptions.Only. Everything else keeps the values it has, and may be missing
	// in the checkpoint; what is stored of it and not in the program is gone with the
	// next save. The parts must be whole, unless AllowPartial is set.
	Only []string
	// Prefix goes on from this checkpoint and no other: a number of this Manager,
	// the name of a checkpoint in its directory, or a path that Open takes. Those of
	// the directory that are newer are then on another branch: nobody counts or
	// removes them, which their metadata tells later runs once this one has saved,
	// and numbers are above theirs. Choosing one of them takes its branch up again.
	Prefix string
	// From is where to go on from while the Manager's own directory has no
	// checkpoint: another directory, whose newest good one is taken as from its own,
	// or a prefix. Nothing there is changed. If there is none either, that is an
	// error: ErrNoCheckpoint.
	From string
	// FromBucket is where From is. Nil means the local file system.
	FromBucket storage.Bucket
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
//
// There is no status to close: values that wait keep retention from their
// checkpoint until their objects have taken them, the same objects are restored
// again, or the Checkpoint is garbage.
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
	m.restored(at)
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
// error: nothing starts from scratch silently. While the files of a damaged
// checkpoint stay as they are, by names, sizes and times, a later Resume of this
// Manager refuses it without reading it again.
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
	if err != nil {
		return nil, err
	}
	if resumed.Prefix != "" {
		return resumed, nil
	}
	resumed.Status = &RestoreStatus{root: m.checkpoint.top()}
	return resumed, m.initialize(ctx)
}

// resume tries one candidate after the other; without any the prefix is empty.
func (m *Manager) resume(ctx context.Context, o *ResumeOptions) (*Resumed, error) {
	if o.Prefix != "" && o.From != "" {
		return nil, errors.New("ckpt: ResumeOptions.Prefix and From exclude each other: Prefix says which checkpoint, From where to look if the Manager's directory has none")
	}
	a := &attempts{m: m, o: o, resumed: new(Resumed), refusals: newRefusals()}
	if o.Prefix != "" {
		return a.chosen(ctx)
	}
	own := m.dir.candidates(ctx, m.name, a.stateError)
	done, err := a.first(ctx, m.dir, own)
	if done {
		a.hintAdoption(ctx)
	}
	if done || err != nil || o.From == "" {
		return a.resumed, err
	}
	d, from := o.from(ctx, a.stateError)
	done, err = a.first(ctx, d, from)
	if err != nil {
		return nil, err
	}
	if !done {
		return nil, fmt.Errorf("ckpt: there is no checkpoint in %s, nor in ResumeOptions.From, %s: %w", m.dir.dir, fault.Printable(o.From), ErrNoCheckpoint)
	}
	return a.resumed, nil
}

// attempts are the candidates that Resume has tried so far.
type attempts struct {
	m           *Manager
	o           *ResumeOptions
	resumed     *Resumed
	overwritten []read
	refusals
}

func (a *attempts) stateError(err error) {
	a.resumed.State = err
	if known := a.m.stateErr; known != nil && known.Error() == err.Error() {
		a.m.log.Info("looking at the files instead of the state file") // the log has the error
		return
	}
	a.m.log.Warn("the state file cannot be used; looking at the files instead", "error", err)
}

// first restores the first candidate of a directory that is good. Without any
// candidate it is not done.
func (a *attempts) first(ctx context.Context, d *directory, all iter.Seq2[candidate, error]) (done bool, err error) {
	for c, err := range all {
		if err != nil {
			return false, unusable(err, a.overwritten)
		}
		refusal, err := a.try(ctx, c)
		if refusal == nil || err != nil {
			return err == nil, err
		}
		if a.o.Strict {
			return false, unusable(fmt.Errorf("ckpt: ResumeOptions.Strict allows no older checkpoint: %w", refusal), a.overwritten)
		}
		a.m.log.Warn("checkpoint refused", "checkpoint", refusal.Prefix, "error", refusal.Err)
		a.resumed.Refused = append(a.resumed.Refused, refusal)
	}
	if len(a.resumed.Refused) > 0 {
		return false, unusable(allRefused(d.dir, a.resumed.Refused), a.overwritten)
	}
	if a.resumed.State != nil {
		return false, fmt.Errorf("%w; and %s holds no checkpoint: put the checkpoints back, or remove the state file to start from scratch",
			a.resumed.State, d.dir)
	}
	return false, nil
}

// try restores one candidate. A refusal says that it cannot be had, but another
// one may; an error, that no other would do.
func (a *attempts) try(ctx context.Context, c candidate) (*Refusal, error) {
	mark := settledMark(ctx, c.at)
	if d, ok := a.m.known(c.at, mark); ok {
		a.overwritten = append(a.overwritten, d.touched...)
		a.refused(c.at, d.problem)
		return &Refusal{c.at.prefix, d.problem}, nil
	}
	l := &loading{
		c: a.m.checkpoint, at: c.at, options: &RestoreOptions{SkipSlotVariables: a.o.SkipSlotVariables, Rename: a.o.Rename, Cast: a.o.Cast, Only: a.o.Only}, counted: true, resumes: true,
		inPlace: true, smallStaged: len(a.overwritten) == 0, keep: true, whole: true, complete: !a.o.AllowPartial, partial: a.o.AllowPartial, overwritten: a.overwritten,
	}
	status, err := l.run(ctx)
	if err == nil {
		a.resumed.Prefix, a.resumed.Status = c.at.prefix, status
		a.m.restored(c.at)
		a.m.whole()
		a.m.refusals, a.m.branches = a.refusals, branches{}
		return nil, nil
	}
	a.overwritten = append(a.overwritten, l.touched...)
	misfit := c.foreign && errors.Is(err, ErrMismatch)
	if ctx.Err() != nil || !misfit && !refusable(err) {
		return nil, unusable(err, a.overwritten)
	}
	refusal := &Refusal{c.at.prefix, err}
	if !misfit {
		p := problemAt(err, c.at)
		refusal.Err = p
		a.refused(c.at, p)
		a.m.remember(ctx, c.at, knownDamage{mark, p, l.touched})
	}
	return refusal, nil
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
	fmt.Fprintf(&b, "ckpt: %s holds no checkpoint that can be used. Move the directory away to start from scratch, or repair one:", cmp.Or(dir, "the bucket"))
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
