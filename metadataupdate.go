package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
)

// UpdateMetadata changes what stands beside a checkpoint that exists, such as a
// pin, or metrics that were measured later. The path is what Open takes; update
// gets what is there, or an empty Metadata, and what it leaves replaces the file
// as a whole, durably. If it leaves nothing to say the file goes. Updates of one
// checkpoint wait for each other, and for its removal, so update must make none of it;
// where storage cannot be claimed (storage.Claimer) of those of two processes at once one may be
// lost. Where the index is damaged, and so no longer the one that
// the metadata was written for, what was there is kept all the same.
func UpdateMetadata(ctx context.Context, path string, update func(m *Metadata), o *OpenOptions) error {
	at, err := o.find(ctx, path)
	if err != nil {
		return err
	}
	return updateMetadata(ctx, at, update)
}

func updateMetadata(ctx context.Context, at place, update func(m *Metadata)) error {
	said := func(err error) error {
		return fmt.Errorf("ckpt: metadata of %s: %w", fault.Printable(at.prefix), err)
	}
	unpin, err := pinAlone(ctx, at) // retention looks at it before or afterwards
	if err != nil {
		return said(err)
	}
	defer unpin()
	claim, err := bundle.ClaimPrefix(ctx, at.bucket, at.name)
	if err != nil {
		return said(err)
	}
	defer claim.Release()
	index, err := bundle.DigestIndex(ctx, at.bucket, at.name)
	if err != nil {
		return said(err)
	}
	m, err := keptMetadata(ctx, at)
	if errors.Is(err, fs.ErrNotExist) {
		m, err = &Metadata{index: hexOf(index)}, nil
	}
	if err != nil {
		return said(err) // it may pin the checkpoint
	}
	if update(m); !m.says() && len(m.unknown) == 0 {
		if err := at.bucket.Remove(ctx, at.name+metadataSuffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return said(err)
		}
		if s, ok := at.bucket.(storage.Syncer); ok {
			if err := s.Sync(ctx); err != nil && !errors.Is(err, errors.ErrUnsupported) {
				return said(err)
			}
		}
		return nil
	}
	if err := writeMetadata(ctx, at, m); err != nil {
		return said(err)
	}
	if there, err := bundle.Exists(ctx, at.bucket, at.name); err == nil && !there { // nothing can be claimed here
		return said(errors.Join(fmt.Errorf("the checkpoint was removed meanwhile: %w", fs.ErrNotExist), dropMetadata(ctx, at)))
	}
	return nil
}

// Pin keeps a checkpoint from retention, that of this Manager and of later ones, or
// lets it go again. The checkpoint is a number, a name in the directory or a path.
// Pin waits for a background save, which may be removing it.
func (m *Manager) Pin(ctx context.Context, checkpoint string, pinned bool) error {
	if err := m.checkpoint.join(ctx); err != nil {
		return err
	}
	at, err := m.choose(ctx, checkpoint)
	if err != nil {
		return err
	}
	if err := updateMetadata(ctx, at, func(said *Metadata) { said.Pinned = pinned }); err != nil {
		return err
	}
	if i := m.listed(at); i >= 0 {
		m.list[i].Pinned = pinned
	}
	return nil
}
