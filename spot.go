package ckpt

import (
	"errors"
	"io/fs"
	"os"
	"strings"

	"github.com/ckpt-go/ckpt/storage"
)

// spot is where something lies, whatever its folder is called: a symbolic link, a
// mount or `a/../b` is one more name of it. The folder is as it was when one looked.
type spot struct {
	id     any    // what it is called: see identityOf
	name   string // in its folder
	folder fs.FileInfo
	gone   bool // there is no such folder
}

// spot is where a checkpoint lies, or with the name "" or one that ends with a slash,
// what lies in a folder.
func (p place) spot() spot {
	s := spot{id: p.identityOf(), name: baseName(p.name)}
	if known, ok := p.bucket.(storage.Identifier); ok {
		var err error
		s.folder, err = known.Identify(background, strings.TrimSuffix(p.name[:len(p.name)-len(s.name)], "/"))
		s.gone = errors.Is(err, fs.ErrNotExist)
	}
	return s
}

// is tells whether two are one, by name or by folder: for what lies there that is
// the careful answer. Folders of some file systems in user space change their
// identity while nobody has them open.
func (s spot) is(other spot) bool {
	return s.id == other.id || s.name == other.name && s.sameFolder(other)
}

func (s spot) sameFolder(other spot) bool {
	return s.folder != nil && other.folder != nil && os.SameFile(s.folder, other.folder)
}
