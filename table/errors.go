package table

import (
	"errors"
	"fmt"
	"io"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// ErrCorrupt is the class of everything this package finds wrong with a file.
var ErrCorrupt = fault.ErrCorrupt

// CorruptError says where a table is damaged; File is empty, since a Reader
// does not know names, and Key is one that is out of order, if any. Offset and
// Length are those of the block, without its trailer.
type CorruptError = fault.CorruptError

// What can be wrong with a table, in TensorFlow's words where it has some.
var (
	errShort      = errors.New("file is too short to be an sstable")
	errMagic      = errors.New("not an sstable (bad magic number)")
	errHandle     = errors.New("bad block handle")
	errTruncated  = errors.New("truncated block read")
	errChecksum   = errors.New("block checksum mismatch")
	errType       = errors.New("bad block type")
	errCompressed = errors.New("corrupted compressed block contents")
	errContents   = errors.New("bad block contents")
	errEntry      = errors.New("bad entry in block")
	errRestart    = errors.New("bad restart point in block")
	errOrder      = errors.New("keys are not in ascending order")
	errTwice      = errors.New("two entries have the same key")
	errOverlap    = errors.New("blocks are not in ascending order")
	errIndexKey   = errors.New("key in block exceeds its index key")
)

// keyError is what is wrong with the place of one key.
type keyError struct {
	key []byte
	err error
}

func (e *keyError) Error() string { return e.err.Error() }

// Unwrap gives what is wrong.
func (e *keyError) Unwrap() error { return e.err }

// maxErrorKey is the longest key that an error names.
const maxErrorKey = 1 << 10

// corrupt places err at the block h.
func corrupt(kind fault.Kind, h handle, err error) error {
	c := fault.Corrupt(kind, "%w", err)
	var k *keyError
	if errors.As(err, &k) && len(k.key) <= maxErrorKey {
		c.Key = string(k.key)
	}
	c.Offset, c.Length = int64(h.offset), int64(h.size)
	if c.Offset < 0 || c.Length < 0 {
		c.Offset, c.Length = -1, -1 // claims beyond what a file can hold
	}
	return c
}

// readError turns the error of a ReadAt over block h into ours: a file that
// ends early is damaged, everything else is the system's word.
func readError(h handle, err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return corrupt(fault.KindTruncated, h, errTruncated)
	}
	return fmt.Errorf("offset %d, %d bytes: %w", h.offset, h.size, err)
}
