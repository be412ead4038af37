package ckpt

import (
	"fmt"
	"io/fs"
	"path"

	"github.com/ckpt-go/ckpt/storage/fsys"
)

// openFS is OpenFS.
func openFS(fsystem fs.FS, name string) (*Reader, error) {
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
	return openIn(background, fsys.New(fsystem), clean)
}
