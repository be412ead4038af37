package bundle

import (
	"context"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/storage"
)

// appender writes bytes behind each other into a data file.
type appender struct {
	file   storage.Writer
	offset int64 // in the file, behind what was added
	buf    []byte
	room   int     // how much is collected before it is written
	shared bool    // others write to the file too, so each write names its place
	sum    *summer // of the file; nil if nobody asks
}

// append adds bytes and returns the checksum of what crc stands for and them.
// What is as large as the buffer bypasses it.
func (a *appender) append(ctx context.Context, crc uint32, p []byte) (uint32, error) {
	for len(p) > 0 {
		if err := ctx.Err(); err != nil {
			return crc, err
		}
		n := min(len(p), a.room-len(a.buf))
		if len(a.buf) == 0 && len(p) >= a.room {
			n = min(len(p), max(a.room, chunkSize))
		}
		piece := p[:n]
		p = p[n:]
		crc = crc32c.Update(crc, piece)
		if n >= a.room {
			if err := a.write(piece); err != nil {
				return crc, err
			}
			a.offset += int64(n)
			continue
		}
		if a.buf == nil {
			a.buf = make([]byte, 0, a.room)
		}
		a.buf = append(a.buf, piece...)
		a.offset += int64(n)
		if len(a.buf) == a.room {
			if err := a.flush(); err != nil {
				return crc, err
			}
		}
	}
	return crc, nil
}

// flush writes what was collected.
func (a *appender) flush() error {
	if len(a.buf) == 0 {
		return nil
	}
	p := a.buf
	a.offset -= int64(len(p))
	a.buf = a.buf[:0]
	err := a.write(p)
	a.offset += int64(len(p))
	return err
}

// write writes p at the offset, which it leaves.
func (a *appender) write(p []byte) error {
	if a.sum != nil {
		return a.sum.beside(p, func() error { return a.writeFile(p) })
	}
	return a.writeFile(p)
}

func (a *appender) writeFile(p []byte) error {
	var err error
	if a.shared {
		_, err = a.file.WriteAt(p, a.offset)
	} else {
		_, err = a.file.Write(p)
	}
	return err
}
