package ckpt

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
)

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
	o, err := o.orDefault()
	if err != nil {
		return nil, err
	}
	d := openDirectory(dir, &FindOptions{Bucket: o.Bucket})
	for tried := 0; ; tried++ {
		before, _ := d.readState(ctx)
		f, err := d.findGood(ctx, o)
		if err == nil && len(f.Refused) == 0 || tried == overtaken {
			return f, err
		}
		now, stateErr := d.readState(ctx)
		if stateErr != nil || before == nil || now.Latest == before.Latest {
			return f, err
		}
		// Its program goes on saving: what was refused may be what it removed.
	}
}

func (d *directory) findGood(ctx context.Context, o *VerifyOptions) (*Found, error) {
	f := new(Found)
	for c, err := range d.candidates(ctx, "", func(err error) { f.State = err }) {
		if err != nil {
			return nil, d.misnamed(ctx, err)
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
		return f, &joined{text: fmt.Sprintf("ckpt: none of the %s in %s is good", count(n, "checkpoint"), d.dir), errs: []error{class}}
	}
	if f.State != nil {
		// Somebody saved here: whoever asks must not start from scratch.
		return f, fmt.Errorf("%w; and %s holds no checkpoint", f.State, d.dir)
	}
	return f, d.misnamed(ctx, fmt.Errorf("ckpt: there is no checkpoint in %s: %w", d.dir, ErrNoCheckpoint))
}

// misnamed is the error of a directory without checkpoints, or says that its
// name is that of a checkpoint.
func (d *directory) misnamed(ctx context.Context, err error) error {
	prefix := trimFileSuffix(d.dir)
	if !errors.Is(err, ErrNoCheckpoint) && prefix == d.dir || !isName(prefix) {
		return err
	}
	at := place{d.bucket, prefix, prefix}
	folder := "the folder it is in"
	if d.system {
		at, folder = locate(prefix, nil), filepath.Dir(prefix)
	}
	if there, lookErr := bundle.Exists(ctx, at.bucket, at.name); lookErr != nil || !there {
		return err
	}
	return fmt.Errorf("ckpt: %s is a checkpoint, and a directory of checkpoints is asked for; give %s: %w",
		fault.Printable(prefix), fault.Printable(folder), ErrNoCheckpoint)
}
