package bundle

import (
	"sync"

	"github.com/ckpt-go/ckpt/storage"
)

// Small reads that follow each other in a file, as restoring many scalars makes
// them, are served from a window that is read at once. The first of them, and
// those here and there, read what they need and no more.
const (
	windowSize = 128 << 10
	windowRead = 8 << 10  // reads up to this size use the window
	windowGap  = 32 << 10 // how far from the last one a read may begin to follow it
)

// window is the read-ahead of one Reader.
type window struct {
	mu   sync.Mutex
	file storage.File
	off  int64
	data []byte // of file from off on
	next int64  // where the last small read of file ended

	chunk *[readChunk]byte // memory of data
}

// readAt is file.ReadAt for a small read that lies within the file.
func (w *window) readAt(file storage.File, p []byte, off int64) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	end := off + int64(len(p))
	if w.file == file && off >= w.off && end <= w.off+int64(len(w.data)) {
		w.next = end
		return copy(p, w.data[off-w.off:]), nil
	}
	follows := w.file == file && off >= w.next-windowGap && off <= w.next+windowGap
	if w.file != file {
		w.file, w.data = file, nil
	}
	w.next = end
	size := min(windowSize, file.Size()-off)
	if !follows || size < int64(len(p)) {
		return file.ReadAt(p, off)
	}
	if w.chunk == nil {
		w.chunk = chunks.Get().(*[readChunk]byte)
	}
	w.off, w.data = off, nil
	n, err := file.ReadAt(w.chunk[:size], off)
	if n < len(p) {
		return copy(p, w.chunk[:n]), err
	}
	w.data = w.chunk[:n]
	return copy(p, w.data), nil
}

// release gives the memory back.
func (w *window) release() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.file, w.data = nil, nil
	if w.chunk != nil {
		chunks.Put(w.chunk)
		w.chunk = nil
	}
}
