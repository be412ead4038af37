package storagetest_test

import (
	"errors"
	"io/fs"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

var errFault = errors.New("fault")

func TestFaultyContract(t *testing.T) {
	t.Run("mem", func(t *testing.T) {
		storagetest.Run(t, func(*testing.T) storage.Bucket { return storagetest.NewFaulty(mem.New()) })
	})
	t.Run("local", func(t *testing.T) {
		storagetest.Run(t, func(t *testing.T) storage.Bucket {
			return storagetest.NewFaulty(local.Open(t.TempDir(), nil))
		})
	})
}

// bare hides the optional interfaces of a bucket.
type bare struct{ storage.Bucket }

func TestFaultyLacksInterfaces(t *testing.T) {
	f := storagetest.NewFaulty(bare{mem.New()})
	ctx := t.Context()
	_, lock := f.Lock(ctx, "a")
	for name, err := range map[string]error{
		"CommitAll": f.CommitAll(ctx, nil), "Link": f.Link(ctx, "a", "b"), "Lock": lock, "Sync": f.Sync(ctx),
		"RemoveLeftover": f.RemoveLeftover(ctx, storage.Leftover{Name: "a"}),
	} {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("%s: got %v, want errors.ErrUnsupported", name, err)
		}
	}
	for _, err := range f.Leftovers(ctx) {
		if !errors.Is(err, errors.ErrUnsupported) {
			t.Errorf("Leftovers: got %v, want errors.ErrUnsupported", err)
		}
	}
	if got := f.Count(); got != 0 {
		t.Errorf("Count: got %d, want 0", got)
	}
}

// save publishes a, links it to b, and removes a.
func save(t *testing.T, f *storagetest.Faulty) error {
	ctx := t.Context()
	w, err := f.Create(ctx, "a", nil)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write([]byte("0123456789")); err != nil {
		return err
	}
	if err := w.Commit(ctx); err != nil {
		return err
	}
	if err := f.Link(ctx, "a", "b"); err != nil {
		return err
	}
	if err := f.Remove(ctx, "a"); err != nil {
		return err
	}
	if err := f.Sync(ctx); err != nil {
		return err
	}
	for _, err := range f.List(ctx, "") {
		if err != nil {
			return err
		}
	}
	file, err := f.Open(ctx, "b")
	if err != nil {
		return err
	}
	defer file.Close()
	_, err = file.ReadAt(make([]byte, 10), 0)
	return err
}

var allOperations = []string{"create a", "write a", "commit a", "link a b", "remove a", "sync", "list ", "open b", "read b"}

func TestFaultyFailsEach(t *testing.T) {
	for _, late := range []bool{false, true} {
		for n := 1; n <= len(allOperations); n++ {
			inner := mem.New()
			f := storagetest.NewFaulty(inner)
			f.Set(storagetest.Fault{N: n, Err: errFault, Late: late})
			if err := save(t, f); !errors.Is(err, errFault) || !f.Fired() {
				t.Errorf("late %v, operation %d: got %v, fired %v, want the fault", late, n, err, f.Fired())
			}
			want := slices.Clone(allOperations[:n])
			if n == 2 {
				want = append(want, "abort a")
			}
			if got := f.Operations(); !slices.Equal(got, want) {
				t.Errorf("late %v, operation %d: got %q, want %q", late, n, got, want)
			}
			published := storagetest.List(t, inner, "")
			if there := len(published) > 0; there != (n > 3 || (n == 3 && late)) {
				t.Errorf("late %v, operation %d: published %q", late, n, published)
			}
		}
	}
	f := storagetest.NewFaulty(mem.New())
	f.Set(storagetest.Fault{N: len(allOperations) + 1, Err: errFault, Sticky: true})
	if err := save(t, f); err != nil || f.Fired() || f.Count() != len(allOperations) {
		t.Errorf("no operation left to fail: got %v, fired %v, %d operations", err, f.Fired(), f.Count())
	}
}

func TestFaultySticky(t *testing.T) {
	for sticky, want := range map[bool]error{false: fs.ErrNotExist, true: errFault} {
		f := storagetest.NewFaulty(mem.New())
		f.Set(storagetest.Fault{N: 2, Err: errFault, Sticky: sticky})
		for i, want := range []error{fs.ErrNotExist, errFault, want} {
			if _, err := f.Open(t.Context(), "a"); !errors.Is(err, want) {
				t.Errorf("sticky %v, Open %d: got %v, want %v", sticky, i+1, err, want)
			}
		}
	}
}

func TestFaultyWriteIsTorn(t *testing.T) {
	f := storagetest.NewFaulty(mem.New())
	f.Set(storagetest.Fault{N: 2, Err: errFault})
	w, err := f.Create(t.Context(), "a", nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := w.Write([]byte("0123456789")); n != 5 || err != errFault {
		t.Errorf("Write: got %d, %v, want 5, %v", n, err, errFault)
	}
	if err := w.Commit(t.Context()); !errors.Is(err, errFault) {
		t.Errorf("Commit of a torn file: got %v, want %v", err, errFault)
	}
	f = storagetest.NewFaulty(storagetest.NewCrashable())
	f.Set(storagetest.Fault{N: 2, Err: errFault})
	if w, err = f.Create(t.Context(), "a", nil); err != nil {
		t.Fatal(err)
	}
	w.Write([]byte("0123456789"))
	if err := f.CommitAll(t.Context(), []storage.Writer{w}); !errors.Is(err, errFault) {
		t.Errorf("CommitAll of a torn file: got %v, want %v", err, errFault)
	}
	if got := storagetest.List(t, f, ""); len(got) != 0 {
		t.Errorf("List: got %q, want nothing", got)
	}
}

func TestFaultyCommitAll(t *testing.T) {
	for _, late := range []bool{false, true} {
		inner := storagetest.NewCrashable()
		f := storagetest.NewFaulty(inner)
		f.Set(storagetest.Fault{N: 3, Err: errFault, Late: late})
		var group []storage.Writer
		for _, name := range []string{"a", "b"} {
			w, err := f.Create(t.Context(), name, nil)
			if err != nil {
				t.Fatal(err)
			}
			group = append(group, w)
		}
		if err := f.CommitAll(t.Context(), group); err != errFault {
			t.Errorf("CommitAll: got %v, want %v", err, errFault)
		}
		if got, want := f.Operations(), []string{"create a", "create b", "commit a b"}; !slices.Equal(got, want) {
			t.Errorf("Operations: got %q, want %q", got, want)
		}
		if got := storagetest.List(t, inner, ""); (len(got) == 2) != late {
			t.Errorf("late %v: published %q", late, got)
		}
		for l := range inner.Leftovers(t.Context()) {
			t.Errorf("late %v: leftover %+v", late, l)
		}
	}
}
