package table_test

import (
	"bytes"
	"errors"
	"io"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/table"
)

// unread joins what CheckUnread says of a table.
func unread(r *table.Reader) string {
	var all []string
	for err := range r.CheckUnread() {
		all = append(all, err.Error())
	}
	return strings.Join(all, "\n")
}

// TestUnreadBits flips each bit of tables: what reading does not notice has
// changed no entry, and CheckUnread notices it.
func TestUnreadBits(t *testing.T) {
	for name, file := range map[string][]byte{
		"empty": build(t, nil, nil), "two blocks": twoBlocks(t), "Snappy": compress(t, twoBlocks(t)),
		"long handles": build(t, nil, []kv{{"a", strings.Repeat("x", 300)}}),
	} {
		t.Run(name, func(t *testing.T) {
			want, err := scan(mustOpen(t, file))
			if err != nil || unread(mustOpen(t, file)) != "" {
				t.Fatalf("before: got %v, %q", err, unread(mustOpen(t, file)))
			}
			only := 0
			for i := range 8 * len(file) {
				bad := bytes.Clone(file)
				bad[i/8] ^= 1 << (i % 8)
				r, err := open(bad)
				var got []kv
				if err == nil {
					got, err = scan(r)
				}
				if err != nil {
					continue
				}
				only++
				if unread(r) == "" || !slices.Equal(got, want) {
					t.Errorf("byte %d, bit %d: found %q, got %v, want %v", i/8, i%8, unread(r), got, want)
				}
				for err := range r.CheckUnread() {
					var c *table.CorruptError
					if !errors.As(err, &c) || c.Offset < 0 || c.Offset+c.Length > int64(len(file)) {
						t.Errorf("byte %d, bit %d: got %+v, want a place in the file", i/8, i%8, err)
					}
				}
			}
			t.Logf("%d of %d bits matter to CheckUnread only", only, 8*len(file))
		})
	}
}

// raw assembles a table in which n bytes lie before the data block, in front of
// and behind the metaindex, and in front of the footer.
func raw(before, front, behind, last int, footer func(metaindex, index string) string) []byte {
	junk := func(f *rawFile, n int) { f.buf = append(f.buf, strings.Repeat("j", n)...) }
	var f rawFile
	junk(&f, before)
	h := f.block(contents([]rawEntry{{0, "a", "1"}}, 0), 0)
	junk(&f, front)
	metaindex := f.block(contents(nil, 0), 0)
	junk(&f, behind)
	i := f.block(index("a", h), 0)
	junk(&f, last)
	foot := footer(metaindex, i)
	foot += string(make([]byte, 40-len(foot))) + "\x57\xfb\x80\x8b\x24\x75\x47\xdb"
	return append(f.buf, foot...)
}

func TestCheckUnread(t *testing.T) {
	plain := func(metaindex, index string) string { return metaindex + index }
	for name, test := range map[string]struct {
		file []byte
		want []string // of each finding
	}{
		"sound":         {raw(0, 0, 0, 0, plain), nil},
		"in front":      {raw(7, 0, 0, 0, plain), []string{"offset 0, 7 bytes: 7 bytes belong to no block"}},
		"before footer": {raw(0, 0, 0, 9, plain), []string{"9 bytes belong to no block"}},
		"beside the metaindex": {raw(0, 3, 2, 0, plain), []string{
			"the footer says that the metaindex block has offset 21 and 8 bytes; it has offset 18 and 13 bytes", "offset 18, 13 bytes: metaindex: block checksum mismatch"}},
		"padding":     {raw(0, 0, 0, 0, func(m, i string) string { return m + i + "\x00\x01" }), []string{"the padding of the footer is not zero"}},
		"long number": {raw(0, 0, 0, 0, func(m, i string) string { return m[:1] + "\x88\x00" + i }), []string{"a number in the footer takes more bytes than it needs"}},
		"no handle":   {raw(0, 0, 0, 0, func(m, i string) string { return "\x00\x00" + i }), []string{"the footer says that the metaindex block has offset 0 and 0 bytes; it has offset 18 and 8 bytes"}},
	} {
		t.Run(name, func(t *testing.T) {
			r := mustOpen(t, test.file)
			if got, err := scan(r); err != nil || len(got) != 1 {
				t.Fatalf("got %v, %v, want one entry", got, err)
			}
			got := strings.Split(unread(r), "\n")
			if test.want == nil {
				test.want = []string{""}
			}
			if len(got) != len(test.want) {
				t.Fatalf("got %q, want %q", got, test.want)
			}
			for i := range got {
				if !strings.Contains(got[i], test.want[i]) || test.want[i] != "" && !strings.HasSuffix(got[i], "; nothing reads these bytes: no value is affected") {
					t.Errorf("got %q, want %q", got[i], test.want[i])
				}
			}
			for range r.CheckUnread() {
				break // stopping early must be possible
			}
		})
	}
}

// TestCheckUnreadNoMetaindex has the index in the place of the metaindex.
func TestCheckUnreadNoMetaindex(t *testing.T) {
	var f rawFile
	h := f.block(contents([]rawEntry{{0, "a", "1"}}, 0), 0)
	foot := "\x00\x00" + f.block(index("a", h), 0)
	file := append(f.buf, foot+string(make([]byte, 40-len(foot)))+"\x57\xfb\x80\x8b\x24\x75\x47\xdb"...)
	if got := unread(mustOpen(t, file)); !strings.Contains(got, "there is no metaindex block between the data blocks, which end at 18, and the index at 18") {
		t.Errorf("got %q", got)
	}
}

// What reading reports is not said again, and nothing is allocated for claims.
func TestCheckUnreadHostile(t *testing.T) {
	for _, claim := range [][]byte{
		rawHandle(0, 1<<33), rawHandle(0, math.MaxUint64), rawHandle(math.MaxUint64, 8), rawHandle(1<<63, 1<<63), nil,
	} {
		var f rawFile
		r := mustOpen(t, f.finish(index("a", string(claim)), 0))
		used := allocated(func() {
			if got := unread(r); got != "" {
				t.Errorf("claim %x: got %q", claim, got)
			}
		})
		if used > 16<<10 {
			t.Errorf("claim %x: %d bytes were allocated", claim, used)
		}
	}
}

// failsLater is a file that can be read only so many times.
type failsLater struct {
	io.ReaderAt
	left int
}

func (f *failsLater) ReadAt(p []byte, off int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, io.ErrClosedPipe
	}
	return f.ReaderAt.ReadAt(p, off)
}

func TestCheckUnreadReadError(t *testing.T) {
	file := twoBlocks(t)
	r, err := table.NewReader(&failsLater{bytes.NewReader(file), 2}, int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	for err := range r.CheckUnread() {
		var c *fault.CorruptError
		if !errors.Is(err, io.ErrClosedPipe) || errors.As(err, &c) {
			t.Errorf("got %v, want what the file says", err)
		}
		return
	}
	t.Error("got nothing, want what the file says")
}
