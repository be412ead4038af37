//go:build darwin || linux

package local

import (
	"os"
	"syscall"
)

// free is how many bytes this program may still write to the file system of a
// folder: root may use what is reserved. It is not ok where it does not say.
func free(dir string) (n int64, ok bool, err error) {
	var s syscall.Statfs_t
	for {
		err := syscall.Statfs(dir, &s)
		if err == nil {
			break
		}
		if err != syscall.EINTR {
			return 0, false, err
		}
	}
	blocks := s.Bavail
	if os.Geteuid() == 0 {
		blocks = s.Bfree
	}
	return int64(blocks) * int64(s.Bsize), s.Blocks > 0, nil
}
