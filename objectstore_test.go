package ckpt_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// TestObjectStoreCrashes ends a program that keeps its checkpoints in a store
// without renames, links and locks after each of its requests.
func TestObjectStoreCrashes(t *testing.T) {
	for n := 0; ; n++ {
		o := storagetest.NewObjects(newMem())
		o.CrashAfter(n)
		acknowledged, tried, err := train(t, o, 1, 2, 3, 4)
		if !o.Crashed() {
			if err != nil || acknowledged != 4 {
				t.Fatalf("without a crash: step %d, %v", acknowledged, err)
			}
			t.Logf("%d requests, each followed by a crash", n)
			return
		}
		t.Run(fmt.Sprint("request ", n), func(t *testing.T) {
			defer func() {
				if t.Failed() {
					t.Logf("requests: %q", o.Requests())
				}
			}()
			checkDisk(t, o.Restart(), acknowledged, tried)
		})
	}
}

// TestObjectStoreReplace ends it while it writes over a checkpoint.
func TestObjectStoreReplace(t *testing.T) {
	write := func(p *program, o *storagetest.Objects, step int64) error {
		p.setStep(step)
		_, err := p.Write(t.Context(), "ckpt-7", &ckpt.SaveOptions{Bucket: o})
		return err
	}
	for n := 0; ; n++ {
		o := storagetest.NewObjects(newMem())
		if err := write(newProgram(), o, 1); err != nil {
			t.Fatal(err)
		}
		o.CrashAfter(n)
		err := write(newProgram(), o, 2)
		if !o.Crashed() {
			if err != nil {
				t.Fatal(err)
			}
			return
		}
		p := newProgram()
		if _, err := p.Restore(t.Context(), "ckpt-7", &ckpt.RestoreOptions{Bucket: o.Restart()}); err != nil {
			t.Fatalf("request %d: %v", n, err)
		}
		if step, err := p.atStep(); err != nil || step != 1 && step != 2 {
			t.Errorf("request %d: step %d, %v", n, step, err)
		}
		again := o.Restart()
		if err := write(newProgram(), again, 3); err != nil {
			t.Fatal(err)
		}
		if got, want := inBucket(t, again, ""), []string{"ckpt-7.data-00000-of-00001", "ckpt-7.index"}; !slices.Equal(got, want) {
			t.Errorf("request %d: files after one more write: got %q, want %q", n, got, want)
		}
	}
}

// TestObjectStoreTwoManagers has a second program start, by mistake, while the
// first saves. It takes the save for one that died, and the first notices.
func TestObjectStoreTwoManagers(t *testing.T) {
	for _, before := range []string{"ckpt-1.data-00000-of-00001", "ckpt-1.index"} {
		t.Run(before, func(t *testing.T) {
			o := storagetest.NewObjects(newMem())
			second := newProgram()
			other := newManager(t, second.Checkpoint, "", &ckpt.ManagerOptions{Bucket: o})
			p := newProgram()
			p.setStep(1)
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: &interrupting{Objects: o, name: before, first: func() { saveSteps(t, second, other, 2) }}})
			if _, err := m.Save(t.Context(), nil); err == nil || !strings.Contains(err.Error(), "one at a time") {
				t.Errorf("Save of the first: got %v, want to hear of the second", err)
			}
			if got, want := inBucket(t, o, ""), filesOf("ckpt-2"); !slices.Equal(got, want) {
				t.Errorf("files: got %q, want %q", got, want)
			}
			saveSteps(t, p, m, 3)
			wantAllWhole(t, o)
		})
	}
}

// interrupting is a store in which something happens before a file is put.
type interrupting struct {
	*storagetest.Objects
	name  string
	first func()
}

func (c *interrupting) Create(ctx context.Context, name string, o *storage.CreateOptions) (storage.Writer, error) {
	w, err := c.Objects.Create(ctx, name, o)
	if name != c.name {
		return w, err
	}
	return &interrupter{w, sync.OnceFunc(c.first)}, err
}

type interrupter struct {
	storage.Writer
	first func()
}

func (c *interrupter) Commit(ctx context.Context) error {
	c.first()
	return c.Writer.Commit(ctx)
}

// TestObjectStoreOwnMark cannot remove a mark, and saves that number again all the
// same: the mark is its own.
func TestObjectStoreOwnMark(t *testing.T) {
	f := storagetest.NewFaulty(newMem())
	o := storagetest.NewObjects(&denying{Bucket: f, remove: ".ckpt-save.ckpt-5"})
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: o})
	for step := range int64(3) {
		p.setStep(step)
		if _, err := m.SaveNumber(t.Context(), 5, nil); err != nil {
			t.Fatal(err)
		}
	}
	wantAllWhole(t, o)
}
