package ckpt

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/ckpt-go/ckpt/storage/fsys"
)

// OpenFS opens a checkpoint of an fs.FS, such as files embedded in the binary
// or a zip. The name is what Open takes as a path; "." is the whole of it. The
// options do not apply to an fs.FS.
func OpenFS(fsystem fs.FS, name string, o *OpenOptions) (*Reader, error) {
	if fsystem == nil {
		return nil, fmt.Errorf("ckpt: %s: there is no file system: %w", name, fs.ErrInvalid)
	}
	clean := path.Clean(name)
	if !fs.ValidPath(clean) {
		return nil, fmt.Errorf("ckpt: %w", &fs.PathError{Op: "open", Path: name, Err: fs.ErrInvalid})
	}
	if clean == "." {
		clean = ""
	}
	return Open(background, clean, &OpenOptions{Bucket: fsys.New(fsystem)})
}
