package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
)

// Exists tells whether there is a checkpoint of exactly this prefix:
// tf.compat.v1.train.checkpoint_exists. Whether it is a good one is not looked
// at; Verify does.
func Exists(ctx context.Context, prefix string, o *FindOptions) (bool, error) {
	at := o.locate(prefix)
	if !isName(at.name) {
		return false, nil
	}
	there, err := bundle.Exists(ctx, at.bucket, at.name)
	if err != nil && !there && !impossible(err) {
		return false, fmt.Errorf("ckpt: %s: %w", at.prefix, err)
	}
	return there, nil
}

// Remove removes the checkpoint of exactly this prefix, its index first, and its
// metadata: tf.compat.v1.train.remove_checkpoint. The state file stays as it is. It is an
// error if there is none (fs.ErrNotExist), where TensorFlow says nothing, and if
// this process reads it or waits for its values.
func Remove(ctx context.Context, prefix string, o *FindOptions) error {
	at := o.locate(prefix)
	if !isName(at.name) {
		return fmt.Errorf("ckpt: %q is no prefix: a file name must follow the folder", prefix)
	}
	release, ok := claim(at)
	if !ok {
		return fmt.Errorf("ckpt: %s is in use: close what reads it, or the RestoreStatus whose values still wait", at.prefix)
	}
	defer release()
	err := bundle.Remove(ctx, at.bucket, at.name)
	if errors.Is(err, fs.ErrNotExist) {
		if old, oldErr := bundle.Exists(ctx, at.bucket, at.name); old && oldErr == nil {
			err = removeOld(ctx, at)
		}
	}
	if err == nil {
		err = dropMetadata(ctx, at)
	}
	if err != nil {
		return fmt.Errorf("ckpt: removing %s: %w", at.prefix, err)
	}
	return nil
}

// removeOld removes a V1 checkpoint: the file of that name, or all that its
// pattern stands for.
func removeOld(ctx context.Context, at place) error {
	if !strings.Contains(baseName(at.name), "-?????-of-") {
		return at.bucket.Remove(ctx, at.name)
	}
	folder := strings.TrimSuffix(at.name, baseName(at.name))
	var names []string
	for info, err := range at.bucket.List(ctx, folder) {
		if err != nil {
			return err
		}
		m := v1Shard.FindStringSubmatch(baseName(info.Name))
		if m != nil && folder+m[1]+"-?????"+m[2] == at.name {
			names = append(names, info.Name)
		}
	}
	for _, name := range names {
		if err := at.bucket.Remove(ctx, name); err != nil {
			return err
		}
	}
	return nil
}

// locate is the place of a prefix.
func (o *FindOptions) locate(prefix string) place {
	if o == nil {
		return locate(prefix, nil)
	}
	return locate(prefix, o.Bucket)
}
