package ckpt

import (
	"context"
	"errors"
	"io/fs"
	"math"
	"time"
)

// Listing is what a directory holds.
type Listing struct {
	Checkpoints []Listed        // oldest first
	State       []*CorruptError // what is wrong with the state file
}

// Listed is one checkpoint of a directory.
type Listed struct {
	Verified // its Stored counts tensors and bytes
	// Latest says that the state file names it as the newest, InState that it lists it.
	Latest, InState bool
	// Time is when it was saved, by the state file, or else by the metadata; zero if
	// neither tells.
	Time time.Time
	// Metadata is what stands beside it, nil if there is none.
	Metadata *Metadata
}

// ListDirectory lists the checkpoints of a directory, as VerifyDirectory does, with
// what the state file and the metadata say of them. Here nil options mean
// LevelNames: of each checkpoint the index is read, and the metadata. Metadata that
// cannot be understood is one of the Problems.
func ListDirectory(ctx context.Context, dir string, o *VerifyOptions) (*Listing, error) {
	if o == nil {
		o = &VerifyOptions{Level: LevelNames}
	}
	all, err := VerifyDirectory(ctx, dir, o)
	if err != nil {
		return nil, err
	}
	in := openDirectory(dir, &FindOptions{Bucket: o.Bucket}).stateOf(ctx)
	l := new(Listing)
	for _, v := range all {
		if v.at.bucket == nil {
			l.State = append(l.State, v.Problems...)
			continue
		}
		c := Listed{Verified: *v}
		said := in[v.at.identityOf()]
		c.Latest, c.InState, c.Time = said.latest, said.listed, said.time
		m, err := readMetadata(ctx, v.at)
		switch {
		case ctx.Err() != nil:
			return nil, ctx.Err()
		case err == nil:
			if c.Metadata = m; c.Time.IsZero() {
				c.Time = m.Time
			}
		case !errors.Is(err, fs.ErrNotExist):
			p := *ProblemOf(err)
			if p.File == "" {
				p.File = baseName(v.at.name) + metadataSuffix
			}
			c.Problems = append(c.Problems, &p)
		}
		l.Checkpoints = append(l.Checkpoints, c)
	}
	return l, nil
}

// said is what a state file says of a checkpoint.
type said struct {
	latest, listed bool
	time           time.Time
}

// stateOf is what the state file says of each checkpoint, by identity; nothing if
// it cannot be understood.
func (d *directory) stateOf(ctx context.Context) map[any]said {
	s, err := d.readState(ctx)
	if err != nil {
		return nil
	}
	in := make(map[any]said)
	seen := make(map[string]bool) // a hostile file repeats a path a million times
	for i, stored := range s.All {
		if seen[stored] {
			continue
		}
		seen[stored] = true
		at, _ := d.resolve(ctx, stored)
		c := said{listed: true}
		if len(s.Timestamps) == len(s.All) {
			c.time = timeOf(s.Timestamps[i])
		}
		in[at.identityOf()] = c
	}
	at, _ := d.resolve(ctx, s.Latest)
	c := in[at.identityOf()]
	c.latest = true
	in[at.identityOf()] = c
	return in
}

// timeOf is a time stamp of a state file, to the microsecond; zero if it is none.
func timeOf(seconds float64) time.Time {
	const year9999 = 253402300799
	if !(seconds > 0 && seconds <= year9999) {
		return time.Time{}
	}
	return time.UnixMicro(int64(math.Round(seconds * 1e6))).UTC()
}
