package storagetest_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/mem"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

func TestObjectsContract(t *testing.T) {
	storagetest.Run(t, func(*testing.T) storage.Bucket { return storagetest.NewObjects(mem.New()) })
}

func TestObjectsCrash(t *testing.T) {
	o := storagetest.NewObjects(mem.New())
	storagetest.Put(t, o, "a", "1")
	w, err := o.Create(t.Context(), "a", &storage.CreateOptions{Exclusive: true})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte("2")); err != nil {
		t.Fatal(err)
	}
	o.CrashAfter(0)
	if err := w.Commit(t.Context()); !errors.Is(err, storagetest.ErrCrashed) || !o.Crashed() {
		t.Errorf("Commit: got %v, want ErrCrashed", err)
	}
	if _, err := o.Open(t.Context(), "a"); !errors.Is(err, storagetest.ErrCrashed) {
		t.Errorf("Open after the crash: got %v, want ErrCrashed", err)
	}
	again := o.Restart()
	if got := storagetest.Get(t, again, "a"); got != "1" {
		t.Errorf("after the crash: got %q, want what was put", got)
	}
	if got, want := again.Requests(), []string{"get a"}; !slices.Equal(got, want) {
		t.Errorf("requests: got %q, want %q", got, want)
	}
}
