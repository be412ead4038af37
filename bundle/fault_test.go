package bundle_test

import (
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
	"github.com/ckpt-go/ckpt/tensor"
)

var errDisk = errors.New("no space left on device")

// plain hides the optional interfaces of a bucket.
type plain struct{ storage.Bucket }

// state is a small checkpoint whose values tell it from others.
func state(t testing.TB, value float32) []named {
	return []named{
		add(t, "x", tensor.Shape{2}, value, value+0.5),
		addStrings(t, "s", nil, fmt.Sprint(value)),
	}
}

// stateOf reads what state wrote: all of it must be of one checkpoint.
func stateOf(t testing.TB, b storage.Bucket, prefix string) (float32, error) {
	t.Helper()
	r, err := bundle.Open(t.Context(), b, prefix, nil)
	if err != nil {
		return 0, err
	}
	defer r.Close()
	for c := range r.CheckLayout(t.Context()) {
		// An index whose data is missing is worse than no checkpoint.
		return 0, fmt.Errorf("damaged: %v", c)
	}
	x := values[float32](t, r, "x")
	s, err := r.Strings(t.Context(), "s")
	if err != nil {
		return 0, err
	}
	if x[1] != x[0]+0.5 || string(s[0]) != fmt.Sprint(x[0]) {
		t.Errorf("got a mixture: x = %v, s = %q", x, s)
	}
	return x[0], nil
}

// TestAW5NewPrefix fails each operation of a first save in turn.
func TestAW5NewPrefix(t *testing.T) {
	for _, shards := range []int{1, 3} {
		for _, late := range []bool{false, true} {
			t.Run(fmt.Sprintf("shards=%d/late=%v", shards, late), func(t *testing.T) {
				for n := 1; failFirstSave(t, shards, storagetest.Fault{N: n, Err: errDisk, Late: late}); n++ {
				}
			})
		}
	}
}

// failFirstSave says whether the fault happened.
func failFirstSave(t *testing.T, shards int, fault storagetest.Fault) bool {
	t.Helper()
	inner := mem.New()
	f := storagetest.NewFaulty(inner)
	f.Set(fault)
	err := savers[shards](t.Context(), f, "p", state(t, 1)...)
	if !f.Fired() {
		if err != nil {
			t.Fatal(err)
		}
		return false
	}
	if got, readErr := stateOf(t, inner, "p"); err == nil && got == 1 && readErr == nil {
		return true // what failed late had failed anyway: nothing was there
	}
	wantErr(t, err, errDisk)
	if got := files(t, inner); len(got) > 0 {
		t.Errorf("after %q: got files %q, want none", f.Operations(), got)
	}
	wantNoLeftovers(t, inner)
	return true
}

func wantNoLeftovers(t *testing.T, b storage.Bucket) {
	t.Helper()
	s, ok := b.(storage.Sweeper)
	if !ok {
		return
	}
	for l, err := range s.Leftovers(t.Context()) {
		t.Errorf("leftover %v, %v", l, err)
	}
}

// buckets are the kinds of storage an overwrite must work on.
var buckets = []struct {
	name string
	wrap func(b storage.Bucket) storage.Bucket
}{
	{"links", func(b storage.Bucket) storage.Bucket { return b }},
	{"copies", func(b storage.Bucket) storage.Bucket { return plain{b} }},
}

// TestAW5Overwrite fails each operation of a save over a checkpoint in turn:
// the old one or the new one can be read at once, and again after Recover, which
// leaves nothing else.
func TestAW5Overwrite(t *testing.T) {
	for _, kind := range buckets {
		for _, fault := range []storagetest.Fault{{}, {Late: true}, {Sticky: true}, {Sticky: true, Late: true}} {
			t.Run(fmt.Sprintf("%s/late=%v/sticky=%v", kind.name, fault.Late, fault.Sticky), func(t *testing.T) {
				for shards, save := range savers {
					for n := 1; ; n++ {
						inner := mem.New()
						putTwoShards(t, inner)
						f := storagetest.NewFaulty(inner)
						fault.N, fault.Err = n, errDisk
						f.Set(fault)
						err := save(t.Context(), kind.wrap(f), "p", state(t, 2)...)
						if !f.Fired() {
							if err != nil {
								t.Fatalf("%d shards: %v", shards, err)
							}
							break
						}
						checkAfterFault(t, inner, f, err)
					}
				}
			})
		}
	}
}

// putTwoShards stores state(1) in two shards, and beside it what a stranger
// left of four.
func putTwoShards(t *testing.T, b storage.Bucket) {
	t.Helper()
	mustSave(t, b, "one", state(t, 1)[:1]...)
	mustSave(t, b, "two", state(t, 1)[1:]...)
	entries := make(map[string]bundle.Entry)
	for shard, prefix := range []string{"one", "two"} {
		for item, err := range open(t, b, prefix).Entries() {
			if err != nil {
				t.Fatal(err)
			}
			item.Entry.Shard = int32(shard)
			entries[item.Key] = item.Entry
		}
		put(t, b, bundle.DataName("p", shard, 2), get(t, b, bundle.DataName(prefix, 0, 1)))
		if err := bundle.Remove(t.Context(), b, prefix); err != nil {
			t.Fatal(err)
		}
	}
	putIndex(t, b, "p.index", bundle.Header{NumShards: 2, Producer: 1}, entries)
	put(t, b, "p.data-00000-of-00004", []byte("not ours"))
}

func checkAfterFault(t *testing.T, inner storage.Bucket, f *storagetest.Faulty, err error) {
	t.Helper()
	if err == nil {
		return // what failed was not needed
	}
	operations := f.Operations()
	now, err := stateOf(t, inner, "p")
	if err != nil {
		t.Errorf("after %q: %v", operations, err)
		return
	}
	if err := bundle.Recover(t.Context(), inner, "p"); err != nil {
		t.Errorf("after %q: Recover: %v", operations, err)
	}
	later, err := stateOf(t, inner, "p")
	if err != nil || later != now {
		t.Errorf("after %q: Recover turned %v into %v, %v", operations, now, later, err)
	}
	for _, name := range files(t, inner) {
		if strings.HasPrefix(name, ".") {
			t.Errorf("after %q: Recover left %s", operations, name)
		}
	}
	if got := string(get(t, inner, "p.data-00000-of-00004")); got != "not ours" {
		t.Errorf("after %q: a stranger's file was touched", operations)
	}
}

func TestOverwrite(t *testing.T) {
	for _, kind := range buckets {
		t.Run(kind.name, func(t *testing.T) {
			b := mem.New()
			putTwoShards(t, b)
			before := open(t, b, "p")
			mustSave(t, kind.wrap(b), "p", state(t, 2)...)
			if got, err := stateOf(t, b, "p"); got != 2 || err != nil {
				t.Errorf("got %v, %v, want 2", got, err)
			}
			want := []string{"p.data-00000-of-00001", "p.data-00000-of-00004", "p.index"}
			if got := files(t, b); !slices.Equal(got, want) {
				t.Errorf("got files %q, want %q", got, want)
			}
			if got := keys(t, before); len(got) != 2 {
				t.Errorf("a reader of the old index lost it: %q", got)
			}
		})
	}
}

// TestOverwriteDamaged saves over checkpoints that cannot be read.
func TestOverwriteDamaged(t *testing.T) {
	for _, c := range []struct{ name, file string }{
		{"index", "p.index"},
		{"data", "p.data-00000-of-00001"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			mustSave(t, b, "p", state(t, 1)...)
			put(t, b, c.file, []byte("damaged"))
			mustSave(t, b, "p", state(t, 2)...)
			if got, err := stateOf(t, b, "p"); got != 2 || err != nil {
				t.Errorf("got %v, %v, want 2", got, err)
			}
			if got := files(t, b); len(got) != 2 {
				t.Errorf("got files %q", got)
			}
		})
	}
}

func TestOpenThroughUndo(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "dir/.ckpt-undo.p", state(t, 1)...)
	before := files(t, b)
	r := open(t, b, "dir/p")
	if r.Prefix() != "dir/p" {
		t.Errorf("got prefix %q, want dir/p", r.Prefix())
	}
	if got, err := stateOf(t, b, "dir/p"); got != 1 || err != nil {
		t.Errorf("got %v, %v, want 1", got, err)
	}
	if found, err := bundle.Exists(t.Context(), b, "dir/p"); !found || err != nil {
		t.Errorf("Exists: got %v, %v, want true", found, err)
	}
	if got := files(t, b); !slices.Equal(got, before) {
		t.Errorf("got files %q, want %q", got, before)
	}
	if err := b.Remove(t.Context(), "dir/.ckpt-undo.p.data-00000-of-00001"); err != nil {
		t.Fatal(err)
	}
	_, err := open(t, b, "dir/p").Tensor(t.Context(), "x")
	wantErr(t, err, fs.ErrNotExist, ".ckpt-undo.p.data-00000-of-00001")
}

// TestRecoverUnderReader settles an overwrite while its old checkpoint is read.
func TestRecoverUnderReader(t *testing.T) {
	b := mem.New()
	mustSave(t, b, ".ckpt-undo.p", state(t, 1)...)
	r := open(t, b, "p")
	if err := bundle.Recover(t.Context(), b, "p"); err != nil {
		t.Fatal(err)
	}
	if got := values[float32](t, r, "x"); got[0] != 1 {
		t.Errorf("got %v, want 1", got)
	}
}

// TestUnreadable fails each operation of opening and reading in turn: that is
// no damage.
func TestUnreadable(t *testing.T) {
	for n := 1; ; n++ {
		f := storagetest.NewFaulty(mem.New())
		mustSave(t, f, "p", state(t, 1)...)
		f.Set(storagetest.Fault{N: n, Err: errDisk})
		r, err := bundle.Open(t.Context(), f, "p", nil)
		if err == nil {
			defer r.Close()
			for _, key := range []string{"x", "s"} {
				if err == nil {
					_, err = r.Tensor(t.Context(), key)
				}
			}
			if err == nil {
				err = r.Check(t.Context(), "x")
			}
		}
		if !f.Fired() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		wantErr(t, err, errDisk)
		var c *bundle.CorruptError
		if errors.Is(err, bundle.ErrCorrupt) || !errors.As(err, &c) || c.Kind != "unreadable" || !strings.HasPrefix(c.File, "p.") {
			t.Errorf("operation %d of %q: got %#v, want an unreadable file", n, f.Operations(), err)
		}
	}
}

func TestRecover(t *testing.T) {
	type files = map[string]float32 // prefix → state
	for _, c := range []struct {
		name   string
		have   files
		damage string // a file to overwrite with noise
		want   float32
		left   int // files
	}{
		{"nothing", nil, "", 0, 0},
		{"no traces", files{"p": 2}, "", 2, 2},
		{"both good", files{"p": 2, ".ckpt-undo.p": 1}, "", 2, 2},
		{"new index missing", files{".ckpt-undo.p": 1}, "", 1, 2},
		{"new index damaged", files{"p": 2, ".ckpt-undo.p": 1}, "p.index", 1, 2},
		{"new data damaged", files{"p": 2, ".ckpt-undo.p": 1}, "p.data-00000-of-00001", 1, 2},
		{"undo damaged", files{"p": 2, ".ckpt-undo.p": 1}, ".ckpt-undo.p.index", 2, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := mem.New()
			// The other way round, saving p would settle what it finds.
			for _, prefix := range []string{"p", ".ckpt-undo.p"} {
				if value, ok := c.have[prefix]; ok {
					mustSave(t, b, prefix, state(t, value)...)
				}
			}
			if c.damage != "" {
				put(t, b, c.damage, []byte("damaged"))
			}
			for range 2 { // the second time there is nothing to do
				if err := bundle.Recover(t.Context(), b, "p"); err != nil {
					t.Fatal(err)
				}
				if c.want != 0 {
					if got, err := stateOf(t, b, "p"); got != c.want || err != nil {
						t.Errorf("got %v, %v, want %v", got, err, c.want)
					}
				}
				if got := storagetest.List(t, b, ""); len(got) != c.left {
					t.Errorf("got files %q, want %d", got, c.left)
				}
			}
		})
	}
}

func TestRecoverDropsDataWithoutIndex(t *testing.T) {
	b := mem.New()
	mustSave(t, b, "p", state(t, 1)...)
	put(t, b, ".ckpt-undo.p.data-00000-of-00001", []byte("linked, then the power went"))
	if err := bundle.Recover(t.Context(), b, "p"); err != nil {
		t.Fatal(err)
	}
	if got := files(t, b); len(got) != 2 {
		t.Errorf("got files %q", got)
	}
}

func TestRemove(t *testing.T) {
	for _, kind := range buckets {
		t.Run(kind.name, func(t *testing.T) {
			b := mem.New()
			mustSave(t, b, "dir/p", state(t, 1)...)
			mustSave(t, b, "dir/p-1", state(t, 1)...)
			mustSave(t, b, "dir/.ckpt-undo.p", state(t, 2)...)
			put(t, b, "dir/p.data-00001-of-00007", nil)
			put(t, b, "dir/p.data-00001-of-00007.bak", nil)
			if err := bundle.Remove(t.Context(), kind.wrap(b), "dir/p"); err != nil {
				t.Fatal(err)
			}
			want := []string{"dir/p-1.data-00000-of-00001", "dir/p-1.index", "dir/p.data-00001-of-00007.bak"}
			if got := storagetest.List(t, b, "dir/"); !slices.Equal(got, want) {
				t.Errorf("got files %q, want %q", got, want)
			}
			wantErr(t, bundle.Remove(t.Context(), kind.wrap(b), "dir/p"), fs.ErrNotExist, "dir/p")
		})
	}
}

// TestRemoveFails fails each operation of a removal in turn: the checkpoint is
// whole or no longer there, and Clean finishes what was begun.
func TestRemoveFails(t *testing.T) {
	for n := 1; ; n++ {
		b := mem.New()
		putTwoShards(t, b)
		f := storagetest.NewFaulty(b)
		f.Set(storagetest.Fault{N: n, Err: errDisk, Sticky: true})
		err := bundle.Remove(t.Context(), f, "p")
		if !f.Fired() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		wantErr(t, err, errDisk)
		value, err := stateOf(t, b, "p")
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("operation %d: %v", n, err)
		}
		if _, err := bundle.Clean(t.Context(), b, func(prefix string) bool { return prefix == "p" }); err != nil {
			t.Fatal(err)
		}
		want := 0
		if value == 1 {
			want = 4 // index, two shards, a stranger's
		}
		if got := files(t, b); len(got) != want {
			t.Errorf("operation %d: got files %q, want %d", n, got, want)
		}
	}
}

func TestClean(t *testing.T) {
	dir := t.TempDir()
	b := local.Open(dir, nil)
	mustSave(t, b, "ckpt-1", state(t, 1)...)
	put(t, b, "ckpt-2.data-00000-of-00001", []byte("a stranger's"))
	put(t, b, ".ckpt-gone.ckpt-3.index", nil)
	put(t, b, "ckpt-3.data-00000-of-00001", nil)
	put(t, b, ".ckpt-gone.ckpt-1.index", nil)
	mustSave(t, b, ".ckpt-undo.ckpt-4", state(t, 4)...)
	put(t, b, ".ckpt-undo.other-1.data-00000-of-00001", nil)
	put(t, b, ".ckpt-gone.other-2.index", nil)
	removed, err := bundle.Clean(t.Context(), b, func(prefix string) bool { return strings.HasPrefix(prefix, "ckpt-") })
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		".ckpt-gone.other-2.index", ".ckpt-undo.other-1.data-00000-of-00001",
		"ckpt-1.data-00000-of-00001", "ckpt-1.index", "ckpt-2.data-00000-of-00001",
		"ckpt-4.data-00000-of-00001", "ckpt-4.index",
	}
	if got := files(t, b); !slices.Equal(got, want) {
		t.Errorf("got files %q, want %q", got, want)
	}
	for _, name := range []string{"ckpt-3.data-00000-of-00001", ".ckpt-gone.ckpt-3.index", ".ckpt-undo.ckpt-4.index"} {
		if !slices.Contains(removed, name) {
			t.Errorf("got removed %q without %s", removed, name)
		}
	}
	if got, err := stateOf(t, b, "ckpt-4"); got != 4 || err != nil {
		t.Errorf("got %v, %v, want 4", got, err)
	}
	again, err := bundle.Clean(t.Context(), b, func(string) bool { return false })
	if err != nil || len(again) > 0 {
		t.Errorf("a Clean that matches nothing removed %q, %v", again, err)
	}
	none, err := bundle.Clean(t.Context(), local.Open(dir+"/none", nil), func(string) bool { return true })
	if err != nil || len(none) > 0 {
		t.Errorf("a Clean of no folder: %q, %v", none, err)
	}
}
