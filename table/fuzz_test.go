package table_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/internal/crc32c"
	"github.com/ckpt-go/ckpt/table"
	"github.com/golang/snappy"
)

// v1Goldens are the names of tables in testdata that are whole V1 checkpoints.
var v1Goldens = []string{"old", "v1", "v1-sharded-00000-of-00001", "h"}

// goldenFiles returns the tables of the goldens and the small ones in testdata.
func goldenFiles(t testing.TB) [][]byte {
	t.Helper()
	var files [][]byte
	for _, g := range goldens {
		files = append(files, unhex(t, g.file))
	}
	root := filepath.Join("..", "testdata")
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(name) != ".index" && !slices.Contains(v1Goldens, d.Name()) {
			return err
		}
		file, err := os.ReadFile(name)
		if len(file) <= 8<<10 { // fuzzing changes them again and again
			files = append(files, file)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(files) < len(goldens)+40 {
		t.Fatalf("only %d tables, those of %s are missing", len(files), root)
	}
	return files
}

func FuzzReader(f *testing.F) {
	for _, file := range goldenFiles(f) {
		f.Add(file)
		f.Add(compress(f, file))
	}
	f.Add(twoBlocks(f))
	f.Add(oneBlock(contents(nil), 0))
	f.Fuzz(func(t *testing.T, in []byte) {
		file := bytes.Clone(in)
		repair(file)
		r, err := open(file)
		if err != nil {
			return
		}
		entries, err := scan(r)
		for i, e := range entries {
			if i > 0 && e.key <= entries[i-1].key {
				t.Fatalf("key %q after %q", e.key, entries[i-1].key)
			}
			v, ok, getErr := r.Get([]byte(e.key))
			if err == nil && (!ok || string(v) != e.value || getErr != nil) {
				t.Fatalf("Get(%q) = %q, %v, %v, want %q", e.key, v, ok, getErr, e.value)
			}
		}
		if err != nil {
			if !errors.Is(err, table.ErrCorrupt) {
				t.Fatalf("%v is not ErrCorrupt", err)
			}
			return
		}
		again, err := scan(mustOpen(t, build(t, nil, entries)))
		if err != nil || len(again) != len(entries) {
			t.Fatalf("written again: %d entries, %v, want %d", len(again), err, len(entries))
		}
		for i := range again {
			if again[i] != entries[i] {
				t.Fatalf("written again: %q, want %q", again[i], entries[i])
			}
		}
	})
}

// FuzzBlock compares what the package makes of block contents, plain,
// compressed and as an index, with naiveBlock, and Seek with a look at all keys.
func FuzzBlock(f *testing.F) {
	for _, file := range goldenFiles(f) {
		for _, s := range layout(f, file) {
			f.Add(file[s.offset:s.offset+s.size], []byte(s.key))
		}
		h, _, _ := naiveHandle(file[len(file)-48:])
		f.Add(file[h[0]:h[0]+h[1]], []byte{})
	}
	abc := []rawEntry{{0, "a", "1"}, {1, "b", "2"}, {0, "b", "3"}, {1, "b", ""}}
	f.Add(contents(abc, 0, 10), []byte("b"))
	f.Add(contents(abc, 0), []byte("aa"))
	f.Add(fewRestarts([]string{"", strings.Repeat("k", 3000) + "a", strings.Repeat("k", 3000) + "b"}, strings.Repeat("v", 3000)), []byte("k"))
	f.Add(append([]byte("\x80\x00\x81\x00\x80\x00a"), contents(nil, 0)...), []byte("a"))
	f.Add(append([]byte("\x00\x81\x80\x80\x80\x80\x00\x00a"), contents(nil, 0)...), []byte("a"))
	f.Fuzz(func(t *testing.T, stored, target []byte) {
		want, sound := naiveBlock(stored)
		last := lastKey(want, sound)
		for typ, form := range [][]byte{stored, snappyEncode(stored)} {
			var file rawFile
			r := mustOpen(t, file.finish(index(last, file.block(form, byte(typ))), 0))
			got, err := scan(r)
			if sound != (err == nil) || sound && !slices.Equal(got, want) {
				t.Fatalf("type %d: got %q, %v, want %q, sound: %v", typ, got, err, want, sound)
			}
			if !sound {
				if !errors.Is(err, table.ErrCorrupt) || !errors.Is(r.Seek([]byte(last)).Err(), table.ErrCorrupt) {
					t.Fatalf("type %d: %v is not ErrCorrupt, or Seek says nothing", typ, err)
				}
				continue
			}
			seekAll(t, r, want, target)
		}
		var file rawFile
		if _, err := open(file.finish(stored, 0)); sound != (err == nil) {
			t.Fatalf("as an index: %v, want sound: %v", err, sound)
		}
	})
}

// lastKey returns the last key, which is what an index may say of a block. Of an
// unsound block it may say more, so that nothing else is refused first.
func lastKey(entries []kv, sound bool) string {
	switch {
	case !sound:
		return strings.Repeat("\xff", 300)
	case len(entries) == 0:
		return ""
	}
	return entries[len(entries)-1].key
}

// seekAll looks for every key, for what lies right behind it and right before
// it, and for target.
func seekAll(t *testing.T, r *table.Reader, want []kv, target []byte) {
	t.Helper()
	targets := []string{"", string(target)}
	for _, e := range want[:min(len(want), 200)] {
		targets = append(targets, e.key, e.key+"\x00")
		if n := len(e.key); n > 0 {
			targets = append(targets, e.key[:n-1])
		}
	}
	for _, target := range targets {
		n := sort.Search(len(want), func(i int) bool { return want[i].key >= target })
		it := r.Seek([]byte(target))
		for _, e := range want[n:min(len(want), n+3)] {
			if !it.Valid() || string(it.Key()) != e.key || string(it.Value()) != e.value {
				t.Fatalf("from %q: got %v %q %q, %v, want %q %q", target, it.Valid(), it.Key(), it.Value(), it.Err(), e.key, e.value)
			}
			it.Next()
		}
		if n+3 >= len(want) && (it.Valid() || it.Err() != nil) {
			t.Fatalf("from %q: %q, %v behind the last key", target, it.Key(), it.Err())
		}
		found := n < len(want) && want[n].key == target
		if v, ok, err := r.Get([]byte(target)); ok != found || err != nil || found && string(v) != want[n].value {
			t.Fatalf("Get(%q) = %q, %v, %v, want it found: %v", target, v, ok, err, found)
		}
	}
}

// FuzzFooter puts 48 bytes behind sound blocks, and says for itself what the
// handles in them lead to.
func FuzzFooter(f *testing.F) {
	files := goldenFiles(f)
	for i, file := range files {
		f.Add(file[len(file)-48:], uint8(i), false)
	}
	for _, claim := range [][]byte{rawHandle(0, 1<<33), rawHandle(1<<63, 1<<63), rawHandle(1<<64-1, 8), rawHandle(0, 9)} {
		f.Add(append([]byte{0, 0}, claim...), uint8(0), true)
		f.Add(append(claim, 0, 0), uint8(2), true)
	}
	f.Add(bytes.Repeat([]byte{0xff}, 48), uint8(1), true)
	for i, file := range files {
		for _, s := range layout(f, file) { // a data block as the index
			f.Add(append([]byte{0, 0}, rawHandle(s.offset, s.size)...), uint8(i), true)
		}
		metaindex, _, _ := naiveHandle(file[len(file)-48:]) // and the metaindex
		f.Add(append([]byte{0, 0}, rawHandle(metaindex[0], metaindex[1])...), uint8(i), true)
	}
	f.Fuzz(func(t *testing.T, footer []byte, which uint8, magic bool) {
		whole := files[int(which)%len(files)]
		blocks := whole[:len(whole)-48]
		footer = append(bytes.Clone(footer), make([]byte, 48)...)[:48]
		if magic {
			copy(footer[40:], "\x57\xfb\x80\x8b\x24\x75\x47\xdb")
		}
		file := slices.Concat(blocks, footer)
		at, sound := naiveIndex(blocks, footer)
		var r *table.Reader
		var err error
		used := allocated(func() { r, err = open(file) })
		if limit := uint64(4*len(file) + 1<<20); used > limit {
			t.Fatalf("%d bytes are allocated for a file of %d", used, len(file))
		}
		if sound != (err == nil) || err != nil && !errors.Is(err, table.ErrCorrupt) {
			t.Fatalf("got %v, want the index to be sound: %v", err, sound)
		}
		if !sound {
			return
		}
		entries, err := scan(r)
		if err != nil && !errors.Is(err, table.ErrCorrupt) {
			t.Fatalf("%v is not ErrCorrupt", err)
		}
		findings := 0
		for err := range r.CheckUnread() {
			if findings++; !errors.Is(err, table.ErrCorrupt) {
				t.Fatalf("%v is not ErrCorrupt", err)
			}
		}
		// Only reading says so if the index leads nowhere.
		if same := bytes.Equal(file, whole); same && findings > 0 || !same && findings == 0 && err == nil {
			t.Fatalf("%d findings in footer %x, want some only if it is not %x", findings, footer, whole[len(whole)-48:])
		}
		_, rest, _ := naiveHandle(whole[len(whole)-48:])
		if want, _, _ := naiveHandle(rest); at == want {
			if all, wantErr := scan(mustOpen(t, whole)); err != nil || wantErr != nil || !slices.Equal(entries, all) {
				t.Fatalf("got %d entries, %v, want %d, %v", len(entries), err, len(all), wantErr)
			}
		}
	})
}

// naiveIndex follows a footer to the index block and reports whether that is
// one: in the file, plain, with a sound checksum and sound contents.
func naiveIndex(blocks, footer []byte) (at [2]uint64, sound bool) {
	if string(footer[40:]) != "\x57\xfb\x80\x8b\x24\x75\x47\xdb" {
		return at, false
	}
	_, rest, ok := naiveHandle(footer[:40])
	if !ok {
		return at, false
	}
	if at, _, ok = naiveHandle(rest); !ok {
		return at, false
	}
	size := uint64(len(blocks))
	if at[0] > size || at[1] > size || at[0]+at[1]+5 > size {
		return at, false
	}
	end := at[0] + at[1]
	if blocks[end] != 0 || binary.LittleEndian.Uint32(blocks[end+1:]) != crc32c.Mask(crc32c.Value(blocks[at[0]:end+1])) {
		return at, false
	}
	_, ok = naiveBlock(blocks[at[0]:end])
	return at, ok
}

// FuzzSnappy compares compressed blocks with what golang/snappy says of them,
// and the memory they take with the ceiling.
func FuzzSnappy(f *testing.F) {
	for _, file := range goldenFiles(f) {
		for _, s := range layout(f, file) {
			f.Add(snappyEncode(file[s.offset:s.offset+s.size]), uint32(s.size), []byte(s.key))
			f.Add(snappyEncode(file[s.offset:s.offset+s.size]), uint32(s.size)-1, []byte{})
			f.Add(snappy.Encode(nil, file[s.offset:s.offset+s.size]), uint32(0), []byte("x"))
		}
	}
	f.Add(snappyEncode(contents([]rawEntry{{0, "k", strings.Repeat("x", 5000)}}, 0)), uint32(5020), []byte("bomb"))
	f.Add(append(binary.AppendUvarint(nil, 1<<31-1), make([]byte, 80)...), uint32(1<<31), []byte{})
	f.Add(append(binary.AppendUvarint(nil, 23*80), make([]byte, 80)...), uint32(0), []byte{})
	f.Fuzz(func(t *testing.T, stored []byte, limit uint32, value []byte) {
		plain, ok := naiveSnappy(stored, limit)
		want, sound := naiveBlock(plain)
		last := lastKey(want, sound)
		var file rawFile
		whole := file.finish(index(last, file.block(stored, 1)), 0)
		r := withCeiling(t, whole, limit)
		var got []kv
		var err error
		used := allocated(func() { got, err = scan(r) })
		if (ok && sound) != (err == nil) || err == nil && !slices.Equal(got, want) {
			t.Fatalf("got %q, %v, want %q, sound: %v, %v", got, err, want, ok, sound)
		}
		if err != nil && !errors.Is(err, table.ErrCorrupt) {
			t.Fatalf("%v is not ErrCorrupt", err)
		}
		// The decoded block and what the scan keeps of it, which is more if keys
		// share much.
		kept := uint64(0)
		for _, e := range got {
			kept += uint64(len(e.key) + len(e.value) + 4*32)
		}
		most := min(maxBlock(limit), 22*uint64(len(stored)))
		if used > 4*most+2*uint64(len(whole))+kept+1<<20 {
			t.Fatalf("%d bytes are allocated for %d and a ceiling of %d", used, len(whole), maxBlock(limit))
		}
		compressed(t, value)
	})
}

// compressed reads back what golang/snappy compresses.
func compressed(t *testing.T, value []byte) {
	t.Helper()
	plain := contents([]rawEntry{{0, "k", string(value)}}, 0)
	got, err := scan(mustOpen(t, oneBlock(snappy.Encode(nil, plain), 1)))
	if err != nil || len(got) != 1 || got[0].value != string(value) {
		t.Fatalf("got %q, %v, want %q", got, err, value)
	}
}

func maxBlock(limit uint32) uint64 {
	if limit == 0 {
		return 64 << 20
	}
	return uint64(limit)
}

func withCeiling(t *testing.T, file []byte, limit uint32) *table.Reader {
	t.Helper()
	r, err := table.NewReader(bytes.NewReader(file), int64(len(file)), &table.ReaderOptions{MaxBlock: int64(limit)})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// naiveSnappy is golang/snappy's verdict. What claims to be longer than
// any stored form can give is not tried: it would take the memory.
func naiveSnappy(stored []byte, limit uint32) (plain []byte, ok bool) {
	n, err := snappy.DecodedLen(stored)
	if err != nil || uint64(n) > maxBlock(limit) || n > 100*len(stored) {
		return nil, false
	}
	plain, err = snappy.Decode(nil, stored)
	return plain, err == nil
}
