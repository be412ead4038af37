package bundle

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"runtime"
	"sync"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/tensor"
)

// readChunk is how much is read, and its checksum taken, at once; a multiple of
// every element size. Parts of parallelPart bytes are worth a goroutine each.
const (
	readChunk    = 512 << 10
	parallelPart = 8 << 20
	maxParts     = 8
)

var chunks = sync.Pool{New: func() any { return new([readChunk]byte) }}

// span is the bytes of one entry in its data file, known to be there.
type span struct {
	file  storage.File
	name  string // base name of the file
	key   string // for errors
	entry *Entry
	ahead *window
	n     int64 // elements
	big   bool  // big-endian
}

// span checks an entry against its shape and its data file, so that its size
// may be allocated.
func (r *Reader) span(ctx context.Context, key string, e *Entry) (*span, error) {
	n, err := r.checkEntry(key, e)
	if err != nil {
		return nil, err
	}
	f, err := r.shard(ctx, e.Shard)
	if err != nil {
		return nil, openError(err, path.Base(r.dataName(e.Shard)), errKey(key))
	}
	s := &span{file: f.File, name: f.name, key: errKey(key), entry: e, ahead: &r.ahead, n: n, big: r.header.BigEndian}
	if e.Offset > f.Size()-e.Size && e.Size > 0 {
		return nil, s.truncated()
	}
	return s, nil
}

// openError says that a file is missing, or that the system does not let us
// read it.
func openError(err error, file, key string) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) || errors.Is(err, fs.ErrClosed) {
		return err
	}
	kind := fault.KindUnreadable
	if errors.Is(err, fs.ErrNotExist) {
		kind = fault.KindMissing
	}
	return fault.Locate(fault.Corrupt(kind, "%w", err), file, key)
}

// checkEntry compares what an entry says of a tensor's bytes with its dtype
// and shape and with the header, and returns the number of elements.
func (r *Reader) checkEntry(key string, e *Entry) (n int64, err error) {
	corrupt := func(format string, args ...any) error {
		return r.locate(fault.Corrupt(fault.KindEntry, format, args...), errKey(key))
	}
	if err := checkShape(e.Shape); err != nil {
		return 0, corrupt("%w", err)
	}
	n, _ = e.Shape.Elements()
	switch {
	case e.DType.Fixed():
		if size, ok := byteSize(n, e.DType); !ok || size != e.Size {
			return 0, corrupt("invalid size in bundle entry: stored size %d; expected size %d", e.Size, size)
		}
	case e.DType == tensor.String:
		if e.Size < lengthChecksumSize || n > e.Size-lengthChecksumSize {
			return 0, corrupt("invalid size in bundle entry: stored size %d; expected size is at least %d", e.Size, n)
		}
	case e.DType == tensor.Variant:
		if e.Size < 0 || n > e.Size/(1+lengthChecksumSize) {
			return 0, corrupt("invalid size in bundle entry: stored size %d; expected size is at least %d", e.Size, n)
		}
	default:
		text := fmt.Sprintf("dtype %s cannot be read", e.DType)
		return 0, r.locate(fault.Corrupt(fault.KindUnsupported, "%w", &unsupportedError{text}), errKey(key))
	}
	if e.Shard < 0 || e.Shard >= r.header.NumShards {
		return 0, corrupt("shard %d of a checkpoint that has %d", e.Shard, r.header.NumShards)
	}
	if e.Offset < 0 {
		return 0, corrupt("seeking to a negative position: %d", e.Offset)
	}
	return n, nil
}

// corrupt makes an error about the bytes of the span.
func (s *span) corrupt(kind fault.Kind, format string, args ...any) error {
	c := fault.Corrupt(kind, format, args...)
	c.File, c.Key, c.Offset, c.Length = s.name, s.key, s.entry.Offset, s.entry.Size
	return c
}

func (s *span) truncated() error {
	return s.corrupt(fault.KindTruncated, "read less bytes than requested: the file has %d", s.file.Size())
}

// readAt fills p from an offset within the span.
func (s *span) readAt(ctx context.Context, p []byte, off int64) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	var n int
	var err error
	if len(p) <= windowRead {
		n, err = s.ahead.readAt(s.file, p, s.entry.Offset+off)
	} else {
		n, err = s.file.ReadAt(p, s.entry.Offset+off)
	}
	switch {
	case n == len(p):
		return nil
	case err == nil || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF):
		return s.truncated()
	}
	return s.corrupt(fault.KindUnreadable, "%w", err)
}

// stream reads the range [off, end) of the span in order and extends crc by it.
// The bytes go to dst if that is not nil, and each chunk to sink if that is
// not.
func (s *span) stream(ctx context.Context, crc uint32, off, end int64, dst []byte, sink func(p []byte)) (uint32, error) {
	var scratch []byte
	if dst == nil {
		chunk := chunks.Get().(*[readChunk]byte)
		defer chunks.Put(chunk)
		scratch = chunk[:]
	}
	for off < end {
		n := min(readChunk, end-off)
		p := scratch
		if dst != nil {
			p, dst = dst[:n], dst[n:]
		}
		p = p[:n]
		if err := s.readAt(ctx, p, off); err != nil {
			return crc, err
		}
		crc = crc32c.Update(crc, p)
		if sink != nil {
			sink(p)
		}
		off += n
	}
	return crc, nil
}

// read fills dst with the whole span, or only verifies it if dst is nil, and
// checks the checksum in the same pass. Large spans are read in parts side by
// side.
func (s *span) read(ctx context.Context, dst []byte) error {
	size := s.entry.Size
	parts := min(size/parallelPart, int64(runtime.GOMAXPROCS(0)), maxParts)
	if parts < 2 {
		crc, err := s.stream(ctx, 0, 0, size, dst, nil)
		return errOr(err, s.check(crc))
	}
	length := (size/parts + readChunk - 1) / readChunk * readChunk
	crcs := make([]uint32, parts)
	errs := make([]error, parts)
	ends := make([]int64, parts)
	var wg sync.WaitGroup
	for i := range parts {
		off := min(i*length, size)
		ends[i] = min(off+length, size)
		if i == parts-1 {
			ends[i] = size
		}
		wg.Go(func() {
			var part []byte
			if dst != nil {
				part = dst[off:ends[i]]
			}
			crcs[i], errs[i] = s.stream(ctx, 0, off, ends[i], part, nil)
		})
	}
	wg.Wait()
	crc, end := uint32(0), int64(0)
	for i := range parts {
		if errs[i] != nil {
			return errs[i]
		}
		crc = crc32c.Combine(crc, crcs[i], ends[i]-end)
		end = ends[i]
	}
	return s.check(crc)
}

func errOr(first, second error) error {
	if first != nil {
		return first
	}
	return second
}

// check compares the checksum of the whole span with that of its entry.
func (s *span) check(crc uint32) error { return s.checkTail(crc, 0) }

// checkTail is check where the checksum covers the file's bytes as they are only
// from an offset within the span.
func (s *span) checkTail(crc uint32, off int64) error {
	if crc == s.entry.CRC {
		return nil
	}
	return s.checksum(s.entry.CRC, crc, off, s.entry.Size, -1, "Checksum does not match: stored %d vs. calculated on the restored bytes %d", s.entry.CRC, crc)
}

// checksum is the error of a checksum that covers the bytes from off to end of
// the span, and that stands at an offset of it or, if that is −1, in the entry.
func (s *span) checksum(stored, calculated uint32, off, end, at int64, format string, args ...any) error {
	if at >= 0 {
		at += s.entry.Offset
	}
	return s.corrupt(fault.KindChecksum, "%w", &fault.ChecksumError{
		Stored: stored, Calculated: calculated, Offset: s.entry.Offset + off, Length: end - off,
		At: at, BigEndian: s.big, Text: fmt.Sprintf(format, args...),
	})
}

// readFixed reads the elements of a fixed-size dtype as little-endian bytes.
func (s *span) readFixed(ctx context.Context, dst []byte) error {
	if err := s.read(ctx, dst); err != nil {
		return err
	}
	if s.big {
		tensor.Swap(dst, s.entry.DType)
	}
	return nil
}

// verify reads the span and checks all its checksums.
func (s *span) verify(ctx context.Context) error {
	switch s.entry.DType {
	case tensor.String:
		return s.scanStrings(ctx, nil)
	case tensor.Variant:
		return s.scanVariants(ctx, nil)
	}
	return s.read(ctx, nil)
}
