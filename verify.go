package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
)

// OK tells whether nothing is wrong.
func (v *Verified) OK() bool { return len(v.Problems) == 0 }

// Verify reads every byte of a checkpoint and compares it with its checksums;
// it checks the index against itself and against the files, and the object
// graph. The path is what Open takes. What is wrong with the checkpoint is in
// the result; the error says that there is none, or that it cannot be looked at.
// Memory is bounded whatever the size of the tensors. A checkpoint that is written
// over meanwhile, as by Manager.SaveNumber, is verified anew, ten times at most.
//
// Damage to bytes of the index that nothing reads is a problem too, whose text
// says that no value is affected: FindGood, Manager.Resume and everything that
// reads take such a checkpoint. The few bits whose damage nobody can notice are
// listed in docs/verify.md.
func Verify(ctx context.Context, path string, o *VerifyOptions) (*Verified, error) {
	o, err := o.orDefault()
	if err != nil {
		return nil, err
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
// One that is written over meanwhile is looked at again.
func verify(ctx context.Context, at place, o *VerifyOptions, unread bool) (*Verified, error) {
	unpin, err := pin(ctx, at)
	if err != nil {
		return &Verified{Prefix: at.prefix, at: at}, err
	}
	defer unpin()
	for tried := 0; ; tried++ {
		v, again, err := verifyOnce(ctx, at, o, unread, tried < overtaken)
		if !again {
			v.recognise(ctx, at)
			return v, err
		}
	}
}

// verifyOnce checks what is there now. again says that something is wrong with what
// is there no more, and is never set unless mayAgain is.
func verifyOnce(ctx context.Context, at place, o *VerifyOptions, unread, mayAgain bool) (v *Verified, again bool, err error) {
	v = &Verified{Prefix: at.prefix, at: at}
	rd, err := bundle.Open(ctx, at.bucket, at.name, nil)
	if err != nil {
		v.Problems = append(v.Problems, problemAt(err, at))
		err = ctx.Err()
	} else {
		defer rd.Close()
		err = v.check(ctx, rd, at, o, unread)
	}
	if err == nil && mayAgain && v.outdated(ctx, rd) {
		return v, true, nil
	}
	if err == nil && o.Explain {
		err = v.explain(ctx, rd)
	}
	return v, false, err
}

// check does what verify promises for a checkpoint that is open.
func (v *Verified) check(ctx context.Context, rd *bundle.Reader, at place, o *VerifyOptions, unread bool) (err error) {
	layout := rd.CheckLayout
	if o.Level == LevelNames {
		layout = rd.CheckFiles
	}
	bad := make(map[string]bool) // tensors, and files
	for p := range layout(ctx) {
		v.Problems = append(v.Problems, p)
		if bad[p.Key] = true; p.Key == "" {
			bad[p.File] = true
		}
	}
	if unread && o.Level != LevelNames {
		v.Problems = slices.AppendSeq(v.Problems, rd.CheckUnread(ctx))
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if v.Stored, err = countTensors(rd, Sample{}.begin(0)); err != nil {
		return nil // CheckLayout met the same damage
	}
	if o.Level == LevelAll {
		if err := v.checkTensors(ctx, rd, o, bad); err != nil {
			return err
		}
	}
	if o.Level == LevelNames {
		return nil
	}
	if err := v.checkGraph(ctx, rd, at); err != nil || !o.Digests {
		return err
	}
	return v.checkDigests(ctx, at, rd)
}

// checkTensors reads the tensors of the sample that are not known to be bad.
func (v *Verified) checkTensors(ctx context.Context, rd *bundle.Reader, o *VerifyOptions, bad map[string]bool) error {
	total := v.Stored.Bytes
	if o.Sample.Of > 0 {
		sample, err := countTensors(rd, o.Sample.begin(total))
		if err != nil {
			return nil // CheckLayout met the same damage
		}
		total = sample.Bytes
	}
	part := o.Sample.begin(v.Stored.Bytes)
	var done int64
	for it, err := range rd.Entries() {
		if err != nil {
			break
		}
		if !hasBytes(&it) || !part.next(it.Entry.Size) {
			continue
		}
		file := rd.DataFile(it.Entry.Shard)
		if bad[nameOf(&it)] || bad[file] {
			continue
		}
		err := rd.Check(ctx, it.Key)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			p := *ProblemOf(err)
			p.File, p.Key = cmp.Or(p.File, file), cmp.Or(p.Key, nameOf(&it))
			v.Problems = append(v.Problems, &p)
		}
		v.Checked.Tensors++
		v.Checked.Bytes += max(0, it.Entry.Size)
		if done += it.Entry.Size; o.Progress != nil {
			o.Progress(v.Prefix, done, total)
		}
	}
	return nil
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
		file = rd.DataFile(entry.Shard)
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

// countTensors counts the entries with bytes of a sample.
func countTensors(rd *bundle.Reader, part *sampling) (all Coverage, err error) {
	for it, err := range rd.Entries() {
		if err != nil {
			return Coverage{}, err
		}
		if hasBytes(&it) && part.next(it.Entry.Size) {
			all.Tensors++
			// A damaged index may claim more than there is.
			all.Bytes += min(max(0, it.Entry.Size), math.MaxInt64-all.Bytes)
		}
	}
	return all, nil
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
