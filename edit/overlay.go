package edit

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"iter"
	"slices"

	"github.com/ckpt-go/ckpt/storage"
)

// overlay shows the files of a bucket with changes that are in memory only: what
// the library reads through it is what a repaired checkpoint would hold. Nothing
// can be written. It is for one goroutine, but for reading open files.
type overlay struct {
	below storage.Bucket
	files map[string]*patched
}

var errReadOnly = errors.New("the source of a repair is not written to")

// Open implements storage.Bucket.
func (o *overlay) Open(ctx context.Context, name string) (storage.File, error) {
	p := o.files[name]
	if p == nil {
		return o.below.Open(ctx, name)
	}
	if p.base == nil && !p.lent {
		return nil, p.err
	}
	return view{p}, nil
}

// Create implements storage.Bucket.
func (o *overlay) Create(context.Context, string, *storage.CreateOptions) (storage.Writer, error) {
	return nil, errReadOnly
}

// List implements storage.Bucket.
func (o *overlay) List(ctx context.Context, prefix string) iter.Seq2[storage.Info, error] {
	return o.below.List(ctx, prefix)
}

// Remove implements storage.Bucket.
func (o *overlay) Remove(context.Context, string) error { return errReadOnly }

// add opens a file for patching. One that cannot be opened has no bytes yet.
func (o *overlay) add(ctx context.Context, name string) *patched {
	p := o.files[name]
	if p != nil {
		return p
	}
	p = &patched{flips: make(map[int64]byte)}
	if p.base, p.err = o.below.Open(ctx, name); p.err == nil {
		p.size = p.base.Size()
	} else {
		p.base = nil
	}
	o.files[name] = p
	return p
}

// put shows bytes as a file.
func (o *overlay) put(name string, data []byte) {
	o.files[name] = &patched{base: memory(data), size: int64(len(data))}
}

func (o *overlay) close() {
	for _, p := range o.files {
		if p.base != nil {
			p.base.Close()
		}
	}
}

// patched is a file with changes.
type patched struct {
	base     storage.File // nil if it cannot be opened, then err says why
	err      error
	lent     bool // bytes came from elsewhere: it is there now
	size     int64
	replaced []replacement // sorted by offset, not overlapping
	flips    map[int64]byte
}

// replacement is a range of bytes that come from elsewhere.
type replacement struct {
	off, n int64
	from   io.ReaderAt
	at     int64 // in from
}

// equal tells whether two ranges that may replace each other have the same bytes. One
// that cannot be read has not.
func (r *replacement) equal(ctx context.Context, other replacement) bool {
	if r.from == other.from && r.at == other.at {
		return true
	}
	a, b := make([]byte, min(r.n, 64<<10)), make([]byte, min(r.n, 64<<10))
	for off := int64(0); off < r.n; {
		n := min(int64(len(a)), r.n-off)
		for _, from := range []struct {
			io.ReaderAt
			p  []byte
			at int64
		}{{r.from, a, r.at}, {other.from, b, other.at}} {
			if got, _ := from.ReadAt(from.p[:n], from.at+off); int64(got) < n || ctx.Err() != nil {
				return false
			}
		}
		if !bytes.Equal(a[:n], b[:n]) {
			return false
		}
		off += n
	}
	return true
}

// view is an open patched file.
type view struct{ *patched }

func (v view) Close() error { return nil }
func (v view) Size() int64  { return v.size }

// replace puts a range in place, and returns what takes it away again. ok is false
// if another one is in the way.
func (p *patched) replace(r replacement) (undo func(), ok bool) {
	i := p.from(r.off)
	if r.n > 0 && (i > 0 && p.replaced[i-1].off+p.replaced[i-1].n > r.off || i < len(p.replaced) && r.off+r.n > p.replaced[i].off) {
		return nil, false
	}
	size, lent := p.size, p.lent
	if r.n > 0 {
		p.replaced = slices.Insert(p.replaced, i, r)
	}
	p.lent, p.size = true, max(p.size, r.off+r.n)
	return func() {
		if r.n > 0 {
			p.replaced = slices.Delete(p.replaced, i, i+1)
		}
		p.size, p.lent = size, lent
	}, true
}

// room is how many bytes there are: of the file, and of what was lent, with a gap
// before each.
func (p *patched) room() (n int64) {
	if p.base != nil {
		n = p.base.Size()
	}
	for _, r := range p.replaced {
		n += r.n + gap
	}
	return n
}

// flip flips a bit, or flips it back; bits are counted from the beginning of the
// file.
func (p *patched) flip(bit int64) {
	if p.flips[bit/8] ^= 1 << (bit % 8); p.flips[bit/8] == 0 {
		delete(p.flips, bit/8)
	}
}

// ReadAt reads the changed bytes. Those that were replaced are not read from the
// file, whose disk may refuse it.
func (v view) ReadAt(b []byte, off int64) (n int, err error) {
	if off < 0 {
		return 0, fs.ErrInvalid
	}
	if off >= v.size {
		return 0, io.EOF
	}
	want := b[:min(int64(len(b)), v.size-off)]
	for n < len(want) {
		pos := off + int64(n)
		part, r := v.part(want[n:], pos)
		var got int
		if r == nil {
			got, err = v.readBase(part, pos)
		} else {
			got, err = r.from.ReadAt(part, r.at+pos-r.off)
		}
		n += got
		if got < len(part) {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return n, err
		}
	}
	for at, mask := range v.flips {
		if at >= off && at < off+int64(n) {
			b[at-off] ^= mask
		}
	}
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

// from is the first replaced range that does not begin before an offset.
func (p *patched) from(off int64) int {
	i, _ := slices.BinarySearchFunc(p.replaced, off, func(r replacement, off int64) int {
		if r.off < off {
			return -1
		}
		return 1
	})
	return i
}

// part is what of b comes from one place, and which; nil is the file itself.
func (p *patched) part(b []byte, pos int64) ([]byte, *replacement) {
	i := p.from(pos + 1)
	if i > 0 {
		if r := &p.replaced[i-1]; r.off+r.n > pos {
			return b[:min(int64(len(b)), r.off+r.n-pos)], r
		}
	}
	if i < len(p.replaced) {
		b = b[:min(int64(len(b)), p.replaced[i].off-pos)]
	}
	return b, nil
}

// readBase reads the file; bytes that it lacks and nobody claims are zero.
func (p *patched) readBase(b []byte, pos int64) (int, error) {
	have := int64(0)
	if p.base != nil {
		have = max(0, min(int64(len(b)), p.base.Size()-pos))
	}
	if have > 0 {
		if n, err := p.base.ReadAt(b[:have], pos); int64(n) < have {
			return n, err
		}
	}
	clear(b[have:])
	return len(b), nil
}

// memory is bytes as a file.
type memory []byte

func (m memory) Close() error { return nil }
func (m memory) Size() int64  { return int64(len(m)) }

func (m memory) ReadAt(b []byte, off int64) (int, error) {
	if off < 0 || off >= int64(len(m)) {
		return 0, io.EOF
	}
	n := copy(b, m[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}
