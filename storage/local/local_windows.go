package local

import (
	"errors"
	"os"
	"syscall"
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

// What Windows says where it cannot make a hard link: a file system without
// them, and another volume.
const (
	errorInvalidFunction = syscall.Errno(1)
	errorNotSameDevice   = syscall.Errno(17)
)

// noLinks says that a file system has no hard links; from one volume to another
// there are none.
func noLinks(err error) bool {
	return errors.Is(err, errors.ErrUnsupported) || errors.Is(err, errorInvalidFunction) || errors.Is(err, errorNotSameDevice)
}
