//go:build unix

package python

import (
	"os"
	"syscall"
)

// lock waits until no other process holds name.
func lock(name string) (unlock func(), err error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		f.Close()
		return nil, err
	}
	// Closing gives the lock up, and so does the end of the process.
	return func() { f.Close() }, nil
}
