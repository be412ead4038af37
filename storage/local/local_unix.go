//go:build darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd

package local

import (
	"errors"
	"os"
	"syscall"
)

// openFlags keeps a named pipe from blocking whoever opens it.
const openFlags = syscall.O_NONBLOCK

// closeFirst says that an open file cannot be renamed or removed.
const closeFirst = false

// lockFile takes the lock of an open file or returns errLocked at once. The
// lock ends when the file is closed. A file system without locks is
// errors.ErrUnsupported.
func lockFile(f *os.File) error {
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		switch err {
		case syscall.EINTR:
			continue
		case syscall.EWOULDBLOCK:
			return errLocked
		case syscall.ENOLCK, syscall.ENOSYS, syscall.ENOTSUP, syscall.EBADF, syscall.EINVAL:
			return errors.ErrUnsupported // EBADF: a folder of NFS
		}
		return err
	}
}

// cannotSync says that a file system does not offer to sync folders.
func cannotSync(err error) bool {
	return errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENOTSUP) || errors.Is(err, syscall.EOPNOTSUPP)
}

// noLinks says that a file system has no hard links, or allows none here; from
// one file system to another there are none.
func noLinks(err error) bool {
	for _, no := range []error{syscall.EPERM, syscall.ENOTSUP, syscall.EOPNOTSUPP, syscall.ENOSYS, syscall.EMLINK, syscall.EXDEV} {
		if errors.Is(err, no) {
			return true
		}
	}
	return false
}
