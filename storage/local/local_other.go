//go:build !(darwin || dragonfly || freebsd || illumos || linux || netbsd || openbsd || windows)

package local

import "errors"

// noLinks says that a file system has no hard links.
func noLinks(err error) bool { return errors.Is(err, errors.ErrUnsupported) }
