package ckpt

import (
	"context"
	"crypto/sha256"
	"errors"

	"github.com/ckpt-go/ckpt/bundle"
)

// outdated tells whether what is wrong may be so only because the checkpoint was
// written over while it was read: another one has its name now, or it was away at
// that moment and is there again. rd is nil if it could not be opened.
func (v *Verified) outdated(ctx context.Context, rd *bundle.Reader) bool {
	if v.OK() {
		return false
	}
	for _, p := range v.Problems {
		if errors.Is(p, bundle.ErrReplaced) {
			return true
		}
	}
	if rd == nil {
		there, err := bundle.Exists(ctx, v.at.bucket, v.at.name)
		return err == nil && there && isGone(v.Problems[0])
	}
	now, err := bundle.Open(ctx, v.at.bucket, v.at.name, nil)
	if err != nil {
		return false // what it was is all that can be told
	}
	defer now.Close()
	return indexSum(rd) != indexSum(now)
}

// indexSum is what identify gives, or zero for an index that cannot be read.
func indexSum(rd *bundle.Reader) [sha256.Size]byte {
	sum, err := identify(rd)
	if err != nil {
		return [sha256.Size]byte{}
	}
	return sum
}
