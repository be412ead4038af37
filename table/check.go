package table

import (
	"bytes"
	"fmt"
	"iter"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/wire"
)

// CheckUnread yields what is wrong with the bytes of the file that no reader
// looks at, TensorFlow's included: the metaindex block, its handle in the footer,
// the padding of the footer, and bytes between blocks that belong to none. The
// values of a table are what they were whatever is found here, so reading does
// not ask for it; but the file is not as it was written. Every table that
// TensorFlow writes is clean.
//
// The findings are *CorruptErrors, and what the system says when it cannot read.
// What stands in the data blocks is not checked: reading the table does that.
//
// Memory: one block, as for reading.
func (t *Reader) CheckUnread() iter.Seq[error] {
	return func(yield func(error) bool) {
		for _, check := range []func(yield func(error) bool) bool{t.checkFooter, t.checkBlocks} {
			if !check(yield) {
				return
			}
		}
	}
}

// unread makes a finding about bytes that nobody reads.
func unread(kind fault.Kind, h handle, format string, args ...any) error {
	return corrupt(kind, h, fmt.Errorf("%w; nothing reads these bytes: no value is affected", fmt.Errorf(format, args...)))
}

// footerAt is where the footer lies.
func (t *Reader) footerAt() handle { return handle{uint64(t.size - footerLen), footerLen} }

// checkFooter compares the footer with the one and only way to write its two
// handles: shortest varints, then zeros. It says whether to go on.
func (t *Reader) checkFooter(yield func(error) bool) bool {
	d := wire.NewDecoder(t.footer[:handlesLen])
	if bytes.Equal(t.footer[:], appendFooter(nil, decodeHandle(d), decodeHandle(d))) {
		return true
	}
	for _, c := range t.footer[d.Offset():handlesLen] {
		if c != 0 {
			return yield(unread(fault.KindFormat, t.footerAt(), "the padding of the footer is not zero"))
		}
	}
	return yield(unread(fault.KindFormat, t.footerAt(), "a number in the footer takes more bytes than it needs"))
}

// checkBlocks follows the blocks through the file, which lie one behind the
// other: data blocks, metaindex, index. It says whether to go on.
func (t *Reader) checkBlocks(yield func(error) bool) bool {
	end, ok := uint64(0), true
	var c cursor
	for c.reset(t.index); c.advance(); {
		d := wire.NewDecoder(c.value)
		h := decodeHandle(d)
		if d.Err() != nil || h.offset < end || !t.holds(h) {
			ok = false // reading says so
			break
		}
		if !t.checkGap(end, h.offset, yield) {
			return false
		}
		end = h.end()
	}
	return (!ok || t.checkMetaindex(end, yield)) && t.checkGap(t.indexAt.end(), uint64(t.size-footerLen), yield)
}

// checkGap reports bytes between two blocks.
func (t *Reader) checkGap(from, to uint64, yield func(error) bool) bool {
	return from >= to || yield(unread(fault.KindFormat, handle{from, to - from}, "%d bytes belong to no block", to-from))
}

// checkMetaindex checks the block that stands between the last data block, which
// ends at end, and the index, and its handle in the footer.
func (t *Reader) checkMetaindex(end uint64, yield func(error) bool) bool {
	if t.indexAt.offset < end+trailerLen {
		return yield(unread(fault.KindFormat, t.footerAt(), "there is no metaindex block between the data blocks, which end at %d, and the index at %d", end, t.indexAt.offset))
	}
	want := handle{end, t.indexAt.offset - end - trailerLen}
	said, _, _ := decodeFooter(t.footer[:]) // NewReader decoded it before
	if said != want && !yield(unread(fault.KindFormat, t.footerAt(),
		"the footer says that the metaindex block has offset %d and %d bytes; it has offset %d and %d bytes", said.offset, said.size, want.offset, want.size)) {
		return false
	}
	_, err := t.readBlock(want)
	if c, ok := err.(*CorruptError); ok {
		return yield(unread(c.Kind, want, "metaindex: %w", c.Err))
	}
	return err == nil || yield(err)
}
