package ckpt

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
)

// VerifyOptions are the options of Verify, VerifyAll, VerifyDirectory and
// FindGood; nil means the zero value.
type VerifyOptions struct {
	// Bucket is where the files are. Nil means the local file system.
	Bucket storage.Bucket
	// FollowLinks allows symbolic links that lead out of the checkpoint's folder,
	// as the caches of model hubs have them. Without it they are refused.
	FollowLinks bool
	// Digests compares the files with the SHA-256 that SaveOptions.Digests noted
	// beside them: it finds what checksums of 32 bits may miss. A checkpoint
	// without digests is not good then.
	Digests bool
	// Progress is called as tensors are checked, with the bytes done so far of
	// one checkpoint and in all; nil is silent.
	Progress func(prefix string, done, total int64)
}

// Verified is what a check of one checkpoint found.
type Verified struct {
	Prefix   string
	Problems []*CorruptError // empty: every byte that was checked is as it was written
}

// follow gives a place the leave to follow links.
func (o *VerifyOptions) follow(at place) place {
	if o.FollowLinks {
		return at.followed()
	}
	return at
}

// OK tells whether nothing is wrong.
func (v *Verified) OK() bool { return len(v.Problems) == 0 }

// Verify reads every byte of a checkpoint and compares it with its checksums;
// it checks the index against itself and against the files, and the object
// graph. The path is what Open takes. What is wrong with the checkpoint is in
// the result; the error says that there is none, or that it cannot be looked at.
// Memory is bounded whatever the size of the tensors.
//
// Damage to bytes of the index that nothing reads is a problem too, whose text
// says that no value is affected: FindGood, Manager.Resume and everything that
// reads take such a checkpoint. The few bits whose damage nobody can notice are
// listed in docs/verify.md.
func Verify(ctx context.Context, path string, o *VerifyOptions) (*Verified, error) {
	if o == nil {
		o = new(VerifyOptions)
	}
	at, err := find(ctx, path, o.Bucket)
	if err != nil {
		return nil, err
	}
	at = o.follow(at)
	if ok, err := bundle.Exists(ctx, at.bucket, at.name); err == nil && !ok {
		rd, err := bundle.Open(ctx, at.bucket, at.name, nil)
		if err != nil {
			return nil, fmt.Errorf("ckpt: %s: %w", at.prefix, recognise(ctx, at, err))
		}
		rd.Close() // it appeared in between
	}
	return verify(ctx, at, o, true)
}

// VerifyDirectory verifies every checkpoint of a directory: those its state
// file names and those that lie there. A state file that cannot be understood,
// or that contradicts itself, is a problem of the directory, listed first with
// the directory as prefix. A directory without any checkpoint is ErrNoCheckpoint.
func VerifyDirectory(ctx context.Context, dir string, o *VerifyOptions) ([]*Verified, error) {
	if o == nil {
		o = new(VerifyOptions)
	}
	d := openDirectory(dir, &FindOptions{Bucket: o.Bucket})
	var candidates []candidate
	var list []*Verified
	for c, err := range d.candidates(ctx, "", func(err error) {
		list = append(list, &Verified{Prefix: dir, Problems: []*CorruptError{ProblemOf(err)}})
	}) {
		if err != nil {
			return nil, err
		}
		candidates = append(candidates, c)
	}
	if len(candidates) == 0 && len(list) == 0 {
		return nil, fmt.Errorf("ckpt: there is no checkpoint in %s: %w", dir+d.holds(ctx), ErrNoCheckpoint)
	}
	if problems := d.contradictions(ctx); len(problems) > 0 {
		list = append(list, &Verified{Prefix: dir, Problems: problems})
	}
	for _, c := range slices.Backward(candidates) {
		v, err := verify(ctx, o.follow(c.at), o, true)
		if err != nil {
			return list, err
		}
		list = append(list, v)
	}
	return list, nil
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

// verify checks one checkpoint, with the bytes that nothing reads if unread is set.
func verify(ctx context.Context, at place, o *VerifyOptions, unread bool) (*Verified, error) {
	v := &Verified{Prefix: at.prefix}
	defer v.recognise(ctx, at)
	defer pin(at)()
	rd, err := bundle.Open(ctx, at.bucket, at.name, nil)
	if err != nil {
		v.Problems = append(v.Problems, problemAt(err, at))
		return v, ctx.Err()
	}
	defer rd.Close()
	bad := make(map[string]bool) // tensors, and files
	for p := range rd.CheckLayout(ctx) {
		v.Problems = append(v.Problems, p)
		if bad[p.Key] = true; p.Key == "" {
			bad[p.File] = true
		}
	}
	if unread {
		v.Problems = slices.AppendSeq(v.Problems, rd.CheckUnread(ctx))
	}
	if ctx.Err() != nil {
		return v, ctx.Err()
	}
	total, err := storedBytes(rd)
	if err != nil {
		return v, nil // CheckLayout met the same damage
	}
	var done int64
	for it, err := range rd.Entries() {
		if err != nil {
			break
		}
		file := baseName(bundle.DataName(at.name, int(it.Entry.Shard), int(rd.Header().NumShards)))
		if !hasBytes(&it) || bad[nameOf(&it)] || bad[file] {
			continue
		}
		err := rd.Check(ctx, it.Key)
		if ctx.Err() != nil {
			return v, ctx.Err()
		}
		if err != nil {
			p := *ProblemOf(err)
			p.File, p.Key = cmp.Or(p.File, file), cmp.Or(p.Key, nameOf(&it))
			v.Problems = append(v.Problems, &p)
		}
		if done += it.Entry.Size; o.Progress != nil {
			o.Progress(at.prefix, done, total)
		}
	}
	if err := v.checkGraph(ctx, rd, at); err != nil || !o.Digests {
		return v, err
	}
	return v, v.checkDigests(ctx, at, rd)
}

// hasBytes tells an entry with bytes of its own from that of a tensor whose bytes
// are those of its slices. V1 files have no entries of slices.
func hasBytes(it *bundle.Item) bool {
	return it.Entry.Shard < 0 && !it.IsSlice || len(it.Entry.Slices) == 0
}

// nameOf is the key of an entry as errors have it.
func nameOf(it *bundle.Item) string {
	if name, s, ok := bundle.DecodeSliceKey(it.Key); it.IsSlice && ok {
		return name + " slice " + s.String()
	}
	return it.Key
}

// checkGraph decodes the object graph, unless its bytes are known to be bad.
func (v *Verified) checkGraph(ctx context.Context, rd *bundle.Reader, at place) error {
	file := ""
	if entry, err := rd.Entry(graphKey); err == nil {
		file = baseName(bundle.DataName(at.name, int(entry.Shard), int(rd.Header().NumShards)))
	} else if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if slices.ContainsFunc(v.Problems, func(p *CorruptError) bool { return p.Key == graphKey || p.Key == "" && p.File == file }) {
		return nil
	}
	if _, err := readGraph(ctx, rd, at); err != nil && ctx.Err() == nil {
		v.Problems = append(v.Problems, problemAt(err, at))
	}
	return ctx.Err()
}

func storedBytes(rd *bundle.Reader) (total int64, err error) {
	for it, err := range rd.Entries() {
		if err != nil {
			return 0, err
		}
		total += max(0, it.Entry.Size)
	}
	return total, nil
}

// ProblemOf describes an error as a damage, which is what `verify --json`
// prints: a *CorruptError comes back as it is, others get the kind that fits.
func ProblemOf(err error) *CorruptError {
	var c *CorruptError
	if errors.As(err, &c) {
		return c
	}
	kind := KindUnreadable
	switch {
	case errors.Is(err, fs.ErrNotExist):
		kind = KindMissing
	case errors.Is(err, errors.ErrUnsupported):
		kind = KindUnsupported
	}
	p := &CorruptError{Offset: -1, Length: -1, Kind: kind, Err: err}
	var pathErr *fs.PathError
	if errors.As(err, &pathErr) {
		p.File = baseName(pathErr.Path)
	}
	return p
}

// problemAt is ProblemOf for a checkpoint whose error names no file: then it is
// the index that could not be opened.
func problemAt(err error, at place) *CorruptError {
	p := ProblemOf(err)
	if p.File == "" {
		named := *p
		named.File = baseName(bundle.IndexName(at.name))
		return &named
	}
	return p
}

// Found is the newest good checkpoint of a directory.
type Found struct {
	Prefix  string      // "" if there is none
	Refused []*Verified // newer ones that are not good, newest first
	State   error       // why the state file could not be used; nil if it could, or if there is none
}

// FindGood looks for the newest checkpoint of a directory that is good, in the
// order Manager.Resume tries them, without any objects to restore. If none is
// good Found still lists what was refused, and the error is that of the newest
// damaged one, or ErrNoCheckpoint if none of them exists any more.
func FindGood(ctx context.Context, dir string, o *VerifyOptions) (*Found, error) {
	if o == nil {
		o = new(VerifyOptions)
	}
	d := openDirectory(dir, &FindOptions{Bucket: o.Bucket})
	f := new(Found)
	for c, err := range d.candidates(ctx, "", func(err error) { f.State = err }) {
		if err != nil {
			return nil, err
		}
		v, err := verify(ctx, o.follow(c.at), o, false)
		if err != nil {
			return nil, err
		}
		if v.OK() {
			f.Prefix = c.at.prefix
			return f, nil
		}
		f.Refused = append(f.Refused, v)
	}
	if n := len(f.Refused); n > 0 {
		class := ErrNoCheckpoint
		for _, v := range f.Refused {
			if p := v.Problems[0]; !isGone(p) {
				class = p
				break
			}
		}
		return f, &joined{text: fmt.Sprintf("ckpt: none of the %s in %s is good", count(n, "checkpoint"), dir), errs: []error{class}}
	}
	if f.State != nil {
		// Somebody saved here: whoever asks must not start from scratch.
		return f, fmt.Errorf("%w; and %s holds no checkpoint", f.State, dir)
	}
	return f, fmt.Errorf("ckpt: there is no checkpoint in %s: %w", dir, ErrNoCheckpoint)
}
