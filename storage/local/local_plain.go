//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd)

package local

import (
	"errors"
	"os"
)

const (
	openFlags  = 0
	closeFirst = true // an open file cannot be renamed or removed
)

// lockFile has no lock to take.
func lockFile(*os.File) error { return errors.ErrUnsupported }

// cannotSync takes any error for a system that does not sync folders: the
// contents are durable, the names as far as the file system keeps a journal.
func cannotSync(error) bool { return true }
