package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// MergeOptions are the options of Merge; nil means the zero value.
type MergeOptions struct {
	// Bucket is where the files are; prefixes are then names in it. Nil means the
	// local file system, where the folders may differ: data gets its new names by
	// links, or by copies where it lies on another volume than the output.
	Bucket storage.Bucket
	// Keep leaves the inputs as they are. Data is shared with them where the
	// storage has links, otherwise copied.
	Keep bool
	// AllowMissing passes over inputs that do not exist, as long as one does
	// (allow_missing_files).
	AllowMissing bool
}

// Merge makes one checkpoint of several that were written apart, such as by the
// workers of a training that each hold some of the variables, or some slices of
// them: MergeV2Checkpoints. Data files become the output's shards in the order
// of the inputs, and are not read. What does not fit together is refused before
// any file is touched: a tensor that two inputs have, and so two object graphs;
// slices that overlap; other dtypes, shapes, byte orders or versions.
//
// The inputs stay until the output is durable, and then go, unless Keep is set;
// their folders stay. An output that exists is replaced so that a crash leaves
// the old or the new one; it may be one of the inputs. State files are not
// touched: inputs should not be checkpoints that a Manager lists.
func Merge(ctx context.Context, out string, inputs []string, o *MergeOptions) error {
	if o == nil {
		o = new(MergeOptions)
	}
	bucket, names, err := together(append([]string{out}, inputs...), o.Bucket)
	if err != nil {
		return err
	}
	for _, input := range inputs {
		unpin, err := pin(ctx, locate(input, o.Bucket))
		if err != nil {
			return err
		}
		defer unpin()
	}
	err = bundle.Merge(ctx, bucket, names[0], names[1:], &bundle.MergeOptions{Keep: o.Keep, AllowMissing: o.AllowMissing})
	if err != nil {
		return fmt.Errorf("ckpt: %s: %w", out, err)
	}
	return nil
}

// together finds a bucket that has all of the prefixes, and their names in it:
// that of the caller, or the folder that holds all of theirs.
func together(prefixes []string, bucket storage.Bucket) (storage.Bucket, []string, error) {
	names := make([]string, len(prefixes))
	folders := make([]string, len(prefixes))
	common := ""
	for i, prefix := range prefixes {
		at := locate(prefix, bucket)
		if names[i] = at.name; baseName(at.name) == "" {
			return nil, nil, fmt.Errorf("ckpt: %q is no prefix: a file name must follow the folder", prefix)
		}
		if bucket != nil {
			continue
		}
		dir, _ := splitPath(prefix)
		var err error
		if folders[i], err = realFolder(dir); err != nil {
			return nil, nil, fmt.Errorf("ckpt: %s: %w", prefix, err)
		}
		if i == 0 {
			common = folders[0]
		}
		for !filepath.IsLocal(relative(common, folders[i])) {
			up := filepath.Dir(common)
			if up == common {
				return nil, nil, fmt.Errorf("ckpt: %s and %s have no folder in common", prefixes[0], prefix)
			}
			common = up
		}
	}
	if bucket != nil {
		return bucket, names, nil
	}
	for i, folder := range folders {
		if below := relative(common, folder); below != "." {
			names[i] = filepath.ToSlash(below) + "/" + names[i]
		}
	}
	return local.Open(common, nil), names, nil
}

// relative is the way from one folder to another; where there is none it is
// empty, which is not local.
func relative(from, to string) string {
	way, err := filepath.Rel(from, to)
	if err != nil {
		return ""
	}
	return way
}

// realFolder is a folder without symbolic links, as far as it exists: those that
// a caller names are followed, and a bucket refuses what leads out of it.
func realFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	rest := ""
	for {
		real, err := filepath.EvalSymlinks(dir)
		if err == nil {
			return filepath.Join(real, rest), nil
		}
		up := filepath.Dir(dir)
		if !errors.Is(err, fs.ErrNotExist) || up == dir {
			return "", err
		}
		rest = filepath.Join(filepath.Base(dir), rest)
		dir = up
	}
}
