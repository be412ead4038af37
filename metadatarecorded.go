package ckpt

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// RecordedMetadata reads what stands beside a checkpoint whether or not it belongs
// to the index that is there: the index may be damaged, or gone. The prefix is an
// exact one. The first is that of the checkpoint that was written last; one that was
// replaced may follow. Metadata.IndexSHA256 says which index each belongs to. Where
// there is no such file the error is fs.ErrNotExist.
func RecordedMetadata(ctx context.Context, prefix string, o *OpenOptions) ([]*Metadata, error) {
	all, err := loadMetadata(ctx, o.exactly(prefix))
	if err != nil {
		return nil, fmt.Errorf("ckpt: metadata of %s: %w", fault.Printable(prefix), err)
	}
	return all, nil
}

// WriteMetadata makes m durable as that of the checkpoint of exactly this prefix
// whose index has, or will have, that SHA-256: for a program that publishes an index
// itself, which calls it before (see bundle.BeforeIndex). What m has of an index that
// it was read with counts no longer.
func WriteMetadata(ctx context.Context, prefix string, m *Metadata, index [sha256.Size]byte, o *OpenOptions) error {
	m.index = hex.EncodeToString(index[:])
	if err := writeMetadata(ctx, o.exactly(prefix), m); err != nil {
		return fmt.Errorf("ckpt: metadata of %s: %w", fault.Printable(prefix), err)
	}
	return nil
}

// IndexSHA256 is that of the index that metadata belongs to; ok is false if it was
// not read from a file.
func (m *Metadata) IndexSHA256() (sum [sha256.Size]byte, ok bool) {
	b, err := hex.DecodeString(m.index)
	if err != nil || len(b) != len(sum) {
		return sum, false
	}
	return [sha256.Size]byte(b), true
}

// exactly is the place of a prefix, without looking for what else it may mean.
func (o *OpenOptions) exactly(prefix string) place {
	if o == nil {
		o = new(OpenOptions)
	}
	at := locate(prefix, o.Bucket)
	if o.FollowLinks {
		at = at.followed()
	}
	return at
}
