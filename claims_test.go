package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// hookedStore is an object store, hookedFolder a folder, in which something happens before a
// file gets its name.
type hookedStore struct {
	storage.Bucket
	before func(name string)
}

func (h *hookedStore) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	w, err := h.Bucket.Create(ctx, name, o)
	return &hookedWriter{w, func() { h.before(name) }}, err
}

type hookedFolder struct {
	*local.Bucket
	before func(name string)
}

func (h *hookedFolder) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	w, err := h.Bucket.Create(ctx, name, o)
	return &hookedWriter{w, func() { h.before(name) }}, err
}

type hookedWriter struct {
	storage.Writer
	before func()
}

func (w *hookedWriter) Commit(ctx context.Context) error {
	w.before()
	return w.Writer.Commit(ctx)
}

// onceBefore calls do before a file of that name gets it.
func onceBefore(file string, do func()) func(name string) {
	once := sync.OnceFunc(do)
	return func(name string) {
		if name == file {
			once()
		}
	}
}

// hookedBuckets are the kinds of storage, each with what is below the hook.
var hookedBuckets = map[string]func(t *testing.T, file string, do func(below storage.Bucket)) (with, below storage.Bucket){
	"folder": func(t *testing.T, file string, do func(storage.Bucket)) (with, below storage.Bucket) {
		b := local.Open(t.TempDir(), nil)
		return &hookedFolder{b, onceBefore(file, func() { do(b) })}, b
	},
	"objects": func(_ *testing.T, file string, do func(storage.Bucket)) (with, below storage.Bucket) {
		o := storagetest.NewObjects(newMem())
		return &hookedStore{o, onceBefore(file, func() { do(o) })}, o
	},
}

// besides are what a second program may do.
var besides = map[string]func(m *ckpt.Manager) error{
	"prune": func(m *ckpt.Manager) error { _, err := m.Prune(background, nil); return err },
	"save":  func(m *ckpt.Manager) error { _, err := m.Save(background, nil); return err },
	"pin":   func(m *ckpt.Manager) error { return m.Pin(background, "7", true) },
}

var background = context.Background()

// TestOverwriteBeside has a second program clean up while the first one writes over a
// checkpoint. The first succeeds, or says that it did not; the checkpoint is whole.
func TestOverwriteBeside(t *testing.T) {
	for kind, open := range hookedBuckets {
		for other, do := range besides {
			for _, file := range []string{"ckpt-7.data-00000-of-00001", "ckpt-7.index"} {
				for _, written := range []bool{false, true} {
					t.Run(fmt.Sprintf("%s/%s/%s/write=%v", kind, other, file, written), func(t *testing.T) {
						var work sync.WaitGroup
						defer work.Wait()
						beside := func(below storage.Bucket) {
							if err := do(newManager(t, newProgram().Checkpoint, "", &ckpt.ManagerOptions{Bucket: below})); err != nil {
								t.Log("beside it:", err)
							}
						}
						started := false
						b, below := open(t, file, func(below storage.Bucket) {
							started = true
							if other == "pin" {
								work.Go(func() { beside(below) }) // it may wait for the save
							} else {
								beside(below)
							}
						})
						old := newProgram()
						old.setStep(1)
						if _, err := newManager(t, old.Checkpoint, "", &ckpt.ManagerOptions{Bucket: below}).SaveNumber(t.Context(), 7, nil); err != nil {
							t.Fatal(err)
						}
						p := newProgram()
						p.setStep(2)
						var err error
						if written {
							_, err = p.Write(t.Context(), "ckpt-7", &ckpt.SaveOptions{Bucket: b})
						} else {
							_, err = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}).SaveNumber(t.Context(), 7, nil)
						}
						if !started {
							t.Fatal("nothing happened beside it")
						}
						work.Wait()
						wantStep(t, below, "ckpt-7", err, 1, 2)
					})
				}
			}
		}
	}
}

// wantStep restores a checkpoint whose save returned err: it has the new step, or after
// an error the old one.
func wantStep(t *testing.T, b storage.Bucket, name string, saved error, old, step int64) {
	t.Helper()
	p := newProgram()
	if _, err := p.Restore(t.Context(), name, &ckpt.RestoreOptions{Bucket: b}); err != nil {
		t.Fatalf("after a save that returned %v: %v; files %q", saved, err, inBucket(t, b, ""))
	}
	got, err := p.atStep()
	if err != nil {
		t.Fatal(err)
	}
	if got != step && (saved == nil || got != old) {
		t.Errorf("after a save that returned %v: got step %d, was %d, saved was %d", saved, got, old, step)
	}
}

// TestMetadataBeside has a second Manager of the process clean up between metadata and
// index.
func TestMetadataBeside(t *testing.T) {
	b, below := hookedBuckets["folder"](t, "ckpt-2.index", func(below storage.Bucket) {
		if _, err := newManager(t, ckpt.New(nil), "", &ckpt.ManagerOptions{Bucket: below}).Prune(background, nil); err != nil {
			t.Error(err)
		}
	})
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: below}), 1)
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
	path, err := m.Save(t.Context(), &ckpt.SaveOptions{Metadata: &ckpt.Metadata{Pinned: true}})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := ckpt.ReadMetadata(t.Context(), path, &ckpt.OpenOptions{Bucket: below}); err != nil || !got.Pinned {
		t.Errorf("got %+v, %v, want the pin", got, err)
	}
}

// TestObjectStoreTakenOver has a program hang before it puts a file, and another one
// take its place and save the same number. What the other one was told is there stays.
func TestObjectStoreTakenOver(t *testing.T) {
	for _, file := range []string{".ckpt-save.ckpt-2", "ckpt-2.data-00000-of-00001", "ckpt-2.index"} {
		for _, over := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s/over=%v", file, over), func(t *testing.T) {
				var taken error
				b, below := hookedBuckets["objects"](t, file, func(below storage.Bucket) {
					q := newProgram()
					m := newManager(t, q.Checkpoint, "", &ckpt.ManagerOptions{Bucket: below})
					if _, err := m.Resume(background, nil); err != nil {
						t.Error(err)
					}
					q.setStep(20)
					_, taken = m.SaveNumber(background, 2, nil)
				})
				p := newProgram()
				saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: below}), 0, 1)
				if !over {
					if err := ckpt.Remove(t.Context(), "ckpt-2", &ckpt.FindOptions{Bucket: below}); err != nil {
						t.Fatal(err)
					}
				}
				p.setStep(2)
				_, err := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b}).SaveNumber(t.Context(), 2, nil)
				if err == nil && taken == nil {
					wantStep(t, below, "ckpt-2", nil, 2, 2) // it came later
					return
				}
				if err == nil {
					t.Fatalf("the one that hung was told nothing; the other %v", taken)
				}
				if taken == nil {
					wantStep(t, below, "ckpt-2", nil, 20, 20)
				}
				again := newProgram()
				saveSteps(t, again, newManager(t, again.Checkpoint, "", &ckpt.ManagerOptions{Bucket: below}), 30)
				wantAllWhole(t, below)
			})
		}
	}
}

// TestWritesBeside has several goroutines write over one checkpoint, others remove it
// and clean up: what is there is whole whenever somebody looks.
func TestWritesBeside(t *testing.T) {
	for kind, b := range map[string]storage.Bucket{"folder": local.Open(t.TempDir(), nil), "memory": newMem()} {
		t.Run(kind, func(t *testing.T) {
			var work sync.WaitGroup
			ctx, stop := context.WithCancel(t.Context())
			for i := range int64(3) {
				work.Go(func() {
					for round := range int64(40) {
						p := newProgram()
						p.setStep(100*i + round)
						if _, err := p.Write(t.Context(), "ckpt-7", &ckpt.SaveOptions{Bucket: b, MaxShardSize: 16 << (round % 3)}); err != nil {
							t.Error(err)
						}
						_, err := newProgram().Restore(t.Context(), "ckpt-7", &ckpt.RestoreOptions{Bucket: b})
						if err != nil && !errors.Is(err, fs.ErrNotExist) {
							t.Error(err)
						}
					}
				})
			}
			var beside sync.WaitGroup
			beside.Go(func() {
				for n := 0; ctx.Err() == nil; n++ {
					m := newManager(t, newProgram().Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
					if _, err := m.Prune(t.Context(), nil); err != nil && !errors.Is(err, ckpt.ErrNoCheckpoint) {
						t.Error(err)
					}
					if n%10 == 0 {
						ckpt.Remove(t.Context(), "ckpt-7", &ckpt.FindOptions{Bucket: b})
					}
				}
			})
			work.Wait()
			stop()
			beside.Wait()
			p := newProgram()
			p.setStep(1)
			if _, err := p.Write(t.Context(), "ckpt-7", &ckpt.SaveOptions{Bucket: b}); err != nil {
				t.Fatal(err)
			}
			wantStep(t, b, "ckpt-7", nil, 1, 1)
			if got, want := inBucket(t, b, ""), []string{"ckpt-7.data-00000-of-00001", "ckpt-7.index"}; !slices.Equal(got, want) {
				t.Errorf("files: got %q, want %q", got, want)
			}
		})
	}
}
