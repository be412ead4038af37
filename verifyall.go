package ckpt

import (
	"context"
	"os"
)

// VerifyAll verifies whatever a person may name: every checkpoint of a
// directory, as VerifyDirectory does, or the one that Verify would take. That
// of a SavedModel directory is its variables.
func VerifyAll(ctx context.Context, path string, o *VerifyOptions) ([]*Verified, error) {
	if o == nil || o.Bucket == nil {
		info, err := os.Stat(path)
		_, indexErr := os.Stat(path + ".index")
		if err == nil && info.IsDir() && indexErr != nil && !isSavedModel(path) {
			return VerifyDirectory(ctx, path, o)
		}
	}
	v, err := Verify(ctx, path, o)
	if err != nil {
		return nil, err
	}
	return []*Verified{v}, nil
}
