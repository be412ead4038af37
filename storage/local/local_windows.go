package local

import (
	"errors"
	"syscall"
)

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
