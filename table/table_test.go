package table_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"slices"
	"sort"
	"strings"
	"sync"
	"testing"

	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/table"
)

// intervals are the restart intervals of TensorFlow's own table test.
var intervals = []int{1, 16, 1024}

func TestTB1Empty(t *testing.T) {
	for _, interval := range intervals {
		file := build(t, &table.WriterOptions{RestartInterval: interval}, nil)
		if len(file) != 74 {
			t.Errorf("interval %d: %d bytes, want 74", interval, len(file))
		}
		r := mustOpen(t, file)
		if got, err := scan(r); len(got) != 0 || err != nil {
			t.Errorf("interval %d: got %v, %v, want nothing", interval, got, err)
		}
		if it := r.Seek([]byte("foo")); it.Valid() || it.Err() != nil || it.Key() != nil || it.Value() != nil {
			t.Errorf("interval %d: Seek(foo) is valid or failed: %v", interval, it.Err())
		}
		if _, ok, err := r.Get(nil); ok || err != nil {
			t.Errorf("interval %d: Get of the empty key: %v, %v", interval, ok, err)
		}
	}
}

// checkSeek checks where Seek(target) ends up; want "" is the end.
func checkSeek(t *testing.T, r *table.Reader, target, want string) {
	t.Helper()
	it := r.Seek([]byte(target))
	got := "end"
	if it.Valid() {
		got = fmt.Sprintf("%q=%q", it.Key(), it.Value())
	}
	if got != want || it.Err() != nil {
		t.Errorf("Seek(%q) = %s, %v, want %s", target, got, it.Err(), want)
	}
}

func TestTB2SimpleEmptyKey(t *testing.T) {
	for _, interval := range intervals {
		r := mustOpen(t, build(t, &table.WriterOptions{RestartInterval: interval}, []kv{{"", "v"}}))
		if got, err := scan(r); !slices.Equal(got, []kv{{"", "v"}}) || err != nil {
			t.Errorf("scan = %v, %v", got, err)
		}
		checkSeek(t, r, "", `""="v"`)
		checkSeek(t, r, "\x00", "end")
	}
}

func TestTB3SimpleMulti(t *testing.T) {
	for _, interval := range intervals {
		r := mustOpen(t, build(t, &table.WriterOptions{RestartInterval: interval},
			[]kv{{"abc", "v"}, {"abcd", "v"}, {"ac", "v2"}}))
		checkSeek(t, r, "", `"abc"="v"`)
		checkSeek(t, r, "abcc", `"abcd"="v"`)
		checkSeek(t, r, "abd", `"ac"="v2"`)
		checkSeek(t, r, "ad", "end")
	}
}

func TestTB4SimpleSpecialKey(t *testing.T) {
	for _, interval := range intervals {
		file := build(t, &table.WriterOptions{RestartInterval: interval}, []kv{{"\xff\xff", "v3"}})
		if got := layout(t, file); len(got) != 1 || got[0].key != "\xff\xff" {
			t.Errorf("index = %v, want the key ff ff", got)
		}
		checkSeek(t, mustOpen(t, file), "\xff", `"\xff\xff"="v3"`)
	}
}

func TestTB5Randomized(t *testing.T) {
	rng := rand.New(rand.NewPCG(301, 17))
	const letters = "\x00\x01abcde\xfd\xfe\xff"
	randomKey := func() string {
		b := make([]byte, rng.IntN(13))
		for i := range b {
			b[i] = letters[rng.IntN(len(letters))]
		}
		return string(b)
	}
	for _, interval := range intervals {
		for n := 0; n < 2000; {
			model := map[string]string{}
			for range n {
				model[randomKey()] = randomKey() + strings.Repeat("v", rng.IntN(5))
			}
			keys := make([]string, 0, len(model))
			var entries []kv
			for k := range model {
				keys = append(keys, k)
			}
			sort.Strings(keys)
			for _, k := range keys {
				entries = append(entries, kv{k, model[k]})
			}
			file := build(t, &table.WriterOptions{BlockSize: 256, RestartInterval: interval}, entries)
			for _, f := range [][]byte{file, compress(t, file)} {
				checkRandomly(t, rng, mustOpen(t, f), keys, entries, randomKey)
			}
			if n < 50 {
				n++
			} else {
				n += 200
			}
		}
	}
}

// checkRandomly compares r with the sorted entries in a scan and 200 steps.
func checkRandomly(t *testing.T, rng *rand.Rand, r *table.Reader, keys []string, entries []kv, randomKey func() string) {
	t.Helper()
	if got, err := scan(r); !slices.Equal(got, entries) || err != nil {
		t.Fatalf("%d entries: scan gives %d, %v", len(entries), len(got), err)
	}
	it, at := r.First(), 0
	for range 200 {
		switch rng.IntN(4) {
		case 0:
			it.Next()
			at = min(at+1, len(keys))
		case 1:
			it, at = r.First(), 0
		default:
			target := randomKey()
			if len(keys) > 0 && rng.IntN(2) == 0 {
				target = keys[rng.IntN(len(keys))]
				switch rng.IntN(3) {
				case 1: // slightly smaller
					if n := len(target); n > 0 && target[n-1] > 0 {
						target = target[:n-1] + string([]byte{target[n-1] - 1})
					}
				case 2: // slightly larger
					target += "\x00"
				}
			}
			it, at = r.Seek([]byte(target)), sort.SearchStrings(keys, target)
			_, ok, err := r.Get([]byte(target))
			if want := at < len(keys) && keys[at] == target; ok != want || err != nil {
				t.Fatalf("Get(%q) = %v, %v, want %v", target, ok, err, want)
			}
		}
		switch {
		case it.Err() != nil:
			t.Fatal(it.Err())
		case at == len(keys):
			if it.Valid() {
				t.Fatalf("at %q, want the end", it.Key())
			}
		case !it.Valid() || string(it.Key()) != keys[at] || string(it.Value()) != entries[at].value:
			t.Fatalf("at %q=%q, want %q=%q", it.Key(), it.Value(), keys[at], entries[at].value)
		}
	}
}

func TestTB6Compressed(t *testing.T) {
	rng := rand.New(rand.NewPCG(301, 6))
	compressible := func() string {
		quarter := make([]byte, 2500)
		for i := range quarter {
			quarter[i] = ' ' + byte(rng.IntN(95))
		}
		return strings.Repeat(string(quarter), 4)
	}
	want := []kv{{"k01", "hello"}, {"k02", compressible()}, {"k03", "hello3"}, {"k04", compressible()}}
	plain := build(t, &table.WriterOptions{BlockSize: 1024}, want)
	file := compress(t, plain)
	if got := len(file); got < 4000 || got > 7000 {
		t.Errorf("compressed table has %d bytes, want 4000 to 7000", got)
	}
	r := mustOpen(t, file)
	if got, err := scan(r); !slices.Equal(got, want) || err != nil {
		t.Errorf("scan gives %d entries, %v", len(got), err)
	}
	checkSeek(t, r, "k03", `"k03"="hello3"`)

	t.Run("MaxBlock", func(t *testing.T) {
		r, err := table.NewReader(bytes.NewReader(file), int64(len(file)), &table.ReaderOptions{MaxBlock: 9999})
		if err != nil {
			t.Fatal(err)
		}
		_, err = scan(r)
		wantCorrupt(t, err, fault.KindFormat, "corrupted compressed block contents")
	})
}

// counter counts the bytes and calls that reach a file.
type counter struct {
	r     io.ReaderAt
	bytes int
	calls int
}

func (c *counter) ReadAt(p []byte, off int64) (int, error) {
	c.bytes += len(p)
	c.calls++
	return c.r.ReadAt(p, off)
}

func TestTB7FirstKeyReadsLittle(t *testing.T) {
	file := build(t, &table.WriterOptions{BlockSize: 1024},
		[]kv{{"k01", "firstvalue"}, {"k03", strings.Repeat("x", 1000000)}, {"k04", "abc"}})
	c := &counter{r: bytes.NewReader(file)}
	r, err := table.NewReader(c, int64(len(file)), nil)
	if err != nil {
		t.Fatal(err)
	}
	checkSeek(t, r, "", `"k01"="firstvalue"`)
	if c.bytes >= 200 {
		t.Errorf("reading k01 took %d bytes of the file, want fewer than 200", c.bytes)
	}
	calls := c.calls
	if it := r.First(); string(it.Key()) != "k01" || c.calls != calls {
		t.Errorf("the block read last was read again: %d reads, want %d", c.calls, calls)
	}
}

func TestTB8CutIndex(t *testing.T) {
	file := build(t, nil, []kv{{"", "\x08\x01\x1a\x02\x08\x01"}, {"v", strings.Repeat("x", 49)}})
	if len(file) != 155 {
		t.Fatalf("the whole file has %d bytes, want 155", len(file))
	}
	mustOpen(t, file)
	for _, tc := range []struct {
		size int
		kind fault.Kind
		text string
	}{
		{0, fault.KindTruncated, "file is too short to be an sstable"},
		{47, fault.KindTruncated, "file is too short to be an sstable"},
		{48, fault.KindFormat, "not an sstable (bad magic number)"},
		{100, fault.KindFormat, "not an sstable (bad magic number)"},
		{154, fault.KindFormat, "not an sstable (bad magic number)"},
	} {
		_, err := open(file[:tc.size])
		wantCorrupt(t, err, tc.kind, tc.text)
	}
}

func TestTB9Order(t *testing.T) {
	for _, tc := range []struct {
		name string
		keys []string
	}{
		{"descending", []string{"b", "a"}},
		{"twice", []string{"a", "a"}},
		{"empty twice", []string{"", ""}},
		{"empty later", []string{"a", ""}},
		{"unsigned", []string{"\xff", "a"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			var buf bytes.Buffer
			w := table.NewWriter(&buf, nil)
			if err := w.Add([]byte(tc.keys[0]), nil); err != nil {
				t.Fatal(err)
			}
			first := w.Add([]byte(tc.keys[1]), nil)
			if first == nil {
				t.Fatalf("Add(%q) after %q succeeded", tc.keys[1], tc.keys[0])
			}
			if err := w.Add([]byte("zzz"), nil); !errors.Is(err, first) {
				t.Errorf("later Add: %v, want %v", err, first)
			}
			if err := w.Close(); !errors.Is(err, first) {
				t.Errorf("Close: %v, want %v", err, first)
			}
			if buf.Len() != 0 {
				t.Errorf("%d bytes were written", buf.Len())
			}
		})
	}
}

// limited fails when more than n bytes are written.
type limited struct{ n int }

var errFull = errors.New("disk full")

func (l *limited) Write(p []byte) (int, error) {
	if len(p) > l.n {
		n := l.n
		l.n = 0
		return n, errFull
	}
	l.n -= len(p)
	return len(p), nil
}

func TestWriterErrors(t *testing.T) {
	size := len(build(t, &table.WriterOptions{BlockSize: 10}, []kv{{"a", "123456"}, {"b", "123456"}}))
	for n := range size + 1 {
		w := table.NewWriter(&limited{n}, &table.WriterOptions{BlockSize: 10})
		w.Add([]byte("a"), []byte("123456"))
		w.Add([]byte("b"), []byte("123456"))
		err := w.Close()
		if n < size && (!errors.Is(err, errFull) || w.Size() != int64(n)) {
			t.Errorf("room for %d bytes: %v after %d bytes", n, err, w.Size())
		}
		if again := w.Close(); again != err {
			t.Errorf("second Close: %v, want %v", again, err)
		}
		if n == size && err != nil {
			t.Errorf("room for all bytes: %v", err)
		}
		if w.Add([]byte("c"), nil) == nil {
			t.Error("Add after Close succeeded")
		}
	}
}

// lossy claims success for half of each write and read.
type lossy struct{}

func (lossy) Write(p []byte) (int, error)             { return len(p) / 2, nil }
func (lossy) ReadAt(p []byte, off int64) (int, error) { return len(p) / 2, nil }

func TestShortWithoutError(t *testing.T) {
	if err := table.NewWriter(lossy{}, nil).Close(); !errors.Is(err, io.ErrShortWrite) {
		t.Errorf("writing: %v, want %v", err, io.ErrShortWrite)
	}
	_, err := table.NewReader(lossy{}, 100, nil)
	wantCorrupt(t, err, fault.KindTruncated, "truncated block read")
}

func TestAllStops(t *testing.T) {
	r := mustOpen(t, build(t, nil, []kv{{"a", "1"}, {"b", "2"}}))
	for e, err := range r.All() {
		if string(e.Key) != "a" || err != nil {
			t.Fatalf("got %q, %v, want a alone", e.Key, err)
		}
		break
	}
}

func TestConcurrentReaders(t *testing.T) {
	var entries []kv
	for i := range 2000 {
		entries = append(entries, kv{fmt.Sprintf("%06d", i), fmt.Sprint(i)})
	}
	r := mustOpen(t, build(t, &table.WriterOptions{BlockSize: 512}, entries))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := g; i < len(entries); i += 7 {
				value, ok, err := r.Get([]byte(entries[i].key))
				if !ok || err != nil || string(value) != entries[i].value {
					t.Errorf("Get(%s) = %q, %v, %v", entries[i].key, value, ok, err)
				}
			}
		})
	}
	wg.Wait()
}
