package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
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
