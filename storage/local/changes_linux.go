package local

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"syscall"
)

// What is told: a file that got its name, one that was written in place, and the
// end of the folder itself.
const changesMask = syscall.IN_MOVED_TO | syscall.IN_CLOSE_WRITE | syscall.IN_DELETE_SELF | syscall.IN_MOVE_SELF | syscall.IN_ONLYDIR

// Changes implements storage.Notifier with inotify, which does not tell what other
// machines do in a folder that is shared. It is errors.ErrUnsupported on other
// systems than Linux.
func (b *Bucket) Changes(folder string) (changed <-chan struct{}, stop func(), err error) {
	fd, err := syscall.InotifyInit1(syscall.IN_CLOEXEC | syscall.IN_NONBLOCK)
	if err != nil {
		return nil, nil, b.fail("watch", folder, err)
	}
	// Not a blocking descriptor, so that Close ends a Read.
	f := os.NewFile(uintptr(fd), "inotify")
	if _, err := syscall.InotifyAddWatch(fd, filepath.Join(b.path, filepath.FromSlash(folder)), changesMask); err != nil {
		f.Close()
		return nil, nil, b.fail("watch", folder, err)
	}
	news := make(chan struct{}, 1)
	go tell(f, news)
	return news, sync.OnceFunc(func() { f.Close() }), nil
}

// tell passes on that there was news, until there will be no more.
func tell(f *os.File, news chan<- struct{}) {
	defer close(news)
	defer f.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		if err != nil {
			return
		}
		select {
		case news <- struct{}{}:
		default: // there is news already
		}
		for b := buf[:n]; len(b) >= syscall.SizeofInotifyEvent; {
			mask, length := binary.NativeEndian.Uint32(b[4:]), binary.NativeEndian.Uint32(b[12:])
			if mask&(syscall.IN_DELETE_SELF|syscall.IN_MOVE_SELF|syscall.IN_IGNORED|syscall.IN_UNMOUNT) != 0 {
				return
			}
			b = b[min(len(b), syscall.SizeofInotifyEvent+int(length)):]
		}
	}
}
