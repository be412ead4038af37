package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ckpt-go/ckpt"
)

// TestReaderBesideRetention opens a checkpoint after retention has decided to
// remove it: the reader keeps its files, and they go later.
func TestReaderBesideRetention(t *testing.T) {
	h := &hooked{Bucket: newMem()}
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: h})
	saveSteps(t, p, m, 1)
	var r *ckpt.Reader
	h.before = map[string]func(){"open ckpt-1.meta.json": func() {
		var err error
		if r, err = ckpt.Open(t.Context(), "ckpt-1", &ckpt.OpenOptions{Bucket: h}); err != nil {
			t.Fatal(err)
		}
	}}
	saveSteps(t, p, m, 2)
	if r == nil {
		t.Fatal("retention asked for no pin")
	}
	if _, err := r.Tensor(t.Context(), "step/.ATTRIBUTES/VARIABLE_VALUE"); err != nil {
		t.Errorf("an open reader lost its files: %v", err)
	}
	wantHere(t, h, true, "ckpt-1", "ckpt-2")
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 3)
	wantHere(t, h, false, "ckpt-1", "ckpt-2")
}

// TestOpenBesideRemoval opens a checkpoint that is just being removed, by
// retention or by Remove: that waits, and then says that there is none.
func TestOpenBesideRemoval(t *testing.T) {
	for _, by := range []string{"retention", "Remove"} {
		t.Run(by, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hooked{Bucket: newMem()}
				p, q := newProgram(), newProgram()
				m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: h})
				saveSteps(t, p, m, 1)
				waits := map[string]func(ctx context.Context) error{
					"Open": func(ctx context.Context) error {
						_, err := ckpt.Open(ctx, "ckpt-1", &ckpt.OpenOptions{Bucket: h})
						return err
					},
					"Read": func(ctx context.Context) error {
						_, err := q.Read(ctx, "ckpt-1", &ckpt.RestoreOptions{Bucket: h})
						return err
					},
					"UpdateMetadata": func(ctx context.Context) error {
						return ckpt.UpdateMetadata(ctx, "ckpt-1", func(m *ckpt.Metadata) { m.Pinned = true }, &ckpt.OpenOptions{Bucket: h})
					},
				}
				errs := make(map[string]chan error)
				cancelled := make(chan error, 1)
				h.before = map[string]func(){"remove ckpt-1.index": func() {
					for name, wait := range waits {
						c := make(chan error, 1)
						errs[name] = c
						go func() { c <- wait(t.Context()) }()
					}
					ctx, cancel := context.WithCancel(t.Context())
					go func() { cancelled <- waits["Open"](ctx) }()
					synctest.Wait()
					for name, c := range errs {
						if len(c) > 0 {
							t.Errorf("%s did not wait: %v", name, <-c)
						}
					}
					cancel()
					if err := <-cancelled; !errors.Is(err, context.Canceled) {
						t.Errorf("got %v, want the end of the context", err)
					}
				}}
				if by == "Remove" {
					if err := ckpt.Remove(t.Context(), "ckpt-1", &ckpt.FindOptions{Bucket: h}); err != nil {
						t.Fatal(err)
					}
				} else {
					saveSteps(t, p, m, 2)
				}
				if len(errs) != len(waits) {
					t.Fatal("nothing was removed")
				}
				for name, c := range errs {
					if err := <-c; !errors.Is(err, fs.ErrNotExist) || errors.Is(err, ckpt.ErrCorrupt) {
						t.Errorf("%s: got %v, want that it does not exist", name, err)
					}
				}
				wantHere(t, h, false, "ckpt-1")
			})
		})
	}
}

// TestPinBesideRetention pins while a background save removes: Pin waits, and
// says that it came too late.
func TestPinBesideRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hooked{Bucket: newMem()}
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: h})
		saveSteps(t, p, m, 1)
		reached, goOn := make(chan bool), make(chan bool)
		h.before = map[string]func(){"remove ckpt-1.index": func() { close(reached); <-goOn }}
		if _, err := m.Save(t.Context(), behind); err != nil {
			t.Fatal(err)
		}
		<-reached
		pinned := make(chan error, 1)
		go func() { pinned <- m.Pin(t.Context(), "1", true) }()
		synctest.Wait()
		if len(pinned) > 0 {
			t.Errorf("Pin did not wait: %v", <-pinned)
		}
		close(goOn)
		if err := <-pinned; !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("Pin: got %v, want that there is no such checkpoint", err)
		}
	})
}

// TestPinDuringRetention pins a checkpoint while retention removes another one, and
// would have removed it next.
func TestPinDuringRetention(t *testing.T) {
	h := &hooked{Bucket: newMem()}
	p := newProgram()
	saveSteps(t, p, newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: h}), 1, 2)
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: h})
	h.before = map[string]func(){"remove ckpt-1.index": func() {
		if err := ckpt.UpdateMetadata(t.Context(), "ckpt-2", func(m *ckpt.Metadata) { m.Pinned = true }, &ckpt.OpenOptions{Bucket: h}); err != nil {
			t.Fatal(err)
		}
	}}
	saveSteps(t, p, m, 3)
	wantHere(t, h, false, "ckpt-1")
	wantHere(t, h, true, "ckpt-2")
	if got, want := m.Checkpoints(), []string{"ckpt-2", "ckpt-3"}; !slices.Equal(got, want) {
		t.Errorf("Checkpoints: got %q, want %q", got, want)
	}
}

// TestUpdatesAtOnce has two updates of one checkpoint wait for each other: neither
// is lost, not even that which notes a branch.
func TestUpdatesAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &hooked{Bucket: newMem()}
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: h})
		saveSteps(t, p, m, 1, 2)
		if _, err := m.Resume(t.Context(), &ckpt.ResumeOptions{Prefix: "1"}); err != nil {
			t.Fatal(err)
		}
		pinned := make(chan error, 1)
		h.before = map[string]func(){"create ckpt-2.meta.json": func() {
			go func() {
				pinned <- ckpt.UpdateMetadata(t.Context(), "ckpt-2", func(m *ckpt.Metadata) { m.Pinned = true }, &ckpt.OpenOptions{Bucket: h})
			}()
			synctest.Wait()
		}}
		saveSteps(t, p, m, 3)
		if err := <-pinned; err != nil {
			t.Fatal(err)
		}
		got, err := ckpt.ReadMetadata(t.Context(), "ckpt-2", &ckpt.OpenOptions{Bucket: h})
		if err != nil || !got.Pinned || got.Branch != "ckpt-3" {
			t.Errorf("got %+v, %v, want a pin and the branch ckpt-3", got, err)
		}
	})
}

// TestPlanSeesPins has Plan and retention see pins that came, and went, since the
// Manager looked.
func TestPlanSeesPins(t *testing.T) {
	b := newMem()
	p := newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b})
	saveSteps(t, p, m, 1)
	r, err := ckpt.Open(t.Context(), "ckpt-1", &ckpt.OpenOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 2)
	update := func(pinned bool) {
		t.Helper()
		if err := ckpt.UpdateMetadata(t.Context(), "ckpt-1", func(m *ckpt.Metadata) { m.Pinned = pinned }, &ckpt.OpenOptions{Bucket: b}); err != nil {
			t.Fatal(err)
		}
	}
	update(true)
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	for _, pinned := range []bool{true, false, true} {
		update(pinned)
		want := ckpt.ActionRemove
		if pinned {
			want = ckpt.ActionKeep
		}
		plan, err := m.Plan(t.Context())
		if err != nil || plan[0].Action != want || plan[0].Pinned != pinned {
			t.Errorf("pinned %v: got %+v, %v", pinned, plan[0], err)
		}
	}
	saveSteps(t, p, m, 3)
	wantHere(t, b, true, "ckpt-1")
	if err := m.Pin(t.Context(), "1", false); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 4)
	wantHere(t, b, false, "ckpt-1")
}

// TestPinnedDamagedIndex flips each byte of the index of a pinned checkpoint that
// nobody has found to be damaged: it stays, and so does the pin when its metadata
// is updated.
func TestPinnedDamagedIndex(t *testing.T) {
	dir := t.TempDir()
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	saveSteps(t, p, m, 1)
	if err := m.Pin(t.Context(), "1", true); err != nil {
		t.Fatal(err)
	}
	saveSteps(t, p, m, 2)
	index := filepath.Join(dir, "ckpt-1.index")
	state := readFile(t, filepath.Join(dir, "checkpoint"))
	whole := readFile(t, index)
	for i := range whole {
		damaged := slices.Clone(whole)
		damaged[i] ^= 1
		writeFile(t, index, damaged)
		writeFile(t, filepath.Join(dir, "checkpoint"), state)
		m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
		if _, err := m.SaveNumber(t.Context(), 3, nil); err != nil {
			t.Fatal(err)
		}
		if !fileExists(index) || !fileExists(filepath.Join(dir, dataOf("ckpt-1"))) {
			t.Fatalf("byte %d: a pinned checkpoint was removed", i)
		}
		if err := ckpt.UpdateMetadata(t.Context(), index, func(m *ckpt.Metadata) { m.Branch = fmt.Sprint("of byte ", i) }, nil); err != nil {
			t.Fatalf("byte %d: %v", i, err)
		}
	}
	// Repaired, it still has what was said meanwhile.
	writeFile(t, index, whole)
	got, err := ckpt.ReadMetadata(t.Context(), index, nil)
	if err != nil || !got.Pinned || !strings.HasPrefix(got.Branch, "of byte") {
		t.Errorf("got %+v, %v", got, err)
	}
}

// TestIndexGone has retention meet listed checkpoints whose index somebody
// removed: their data files go, as with TensorFlow, but for those of other names,
// and those of a pinned one stay.
func TestIndexGone(t *testing.T) {
	dir := savedDir(t, 3)
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	if err := m.Pin(t.Context(), "2", true); err != nil {
		t.Fatal(err)
	}
	strangers := []string{dataOf("ckpt-1x"), dataOf("ckpt-10"), "ckpt-1.data-of-mine", "ckpt-1.data-0-of-1"}
	for _, name := range strangers {
		writeFile(t, filepath.Join(dir, name), []byte("mine"))
	}
	removeFile(t, filepath.Join(dir, "ckpt-1.index"))
	removeFile(t, filepath.Join(dir, "ckpt-2.index"))
	m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
	if _, err := m.SaveNumber(t.Context(), 4, nil); err != nil {
		t.Fatal(err)
	}
	wantManaged(t, m, "ckpt-2", "ckpt-4")
	wantFiles(t, dir, slices.Sorted(slices.Values(slices.Concat(filesOf("ckpt-4"), strangers, []string{dataOf("ckpt-2"), "ckpt-2.meta.json"})))...)

	// What TensorFlow removed but for the metadata is gone.
	removeFile(t, filepath.Join(dir, dataOf("ckpt-2")))
	if _, err := m.SaveNumber(t.Context(), 5, nil); err != nil {
		t.Fatal(err)
	}
	wantManaged(t, m, "ckpt-5")
	wantFiles(t, dir, slices.Sorted(slices.Values(slices.Concat(filesOf("ckpt-5"), strangers)))...)
}

// TestPinAfterFailedRemoval pins a checkpoint that retention tried to remove in
// vain: no later run finishes that.
func TestPinAfterFailedRemoval(t *testing.T) {
	for _, file := range []string{"ckpt-1.index", dataOf("ckpt-1")} {
		b := &denying{Bucket: newMem(), remove: file}
		p := newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b})
		saveSteps(t, p, m, 1, 2)
		there, err := ckpt.Exists(t.Context(), "ckpt-1", &ckpt.FindOptions{Bucket: b})
		if err != nil {
			t.Fatal(err)
		}
		b.remove = ""
		if err := m.Pin(t.Context(), "1", true); there != (err == nil) {
			t.Errorf("%s: Pin: %v, although the index is there: %v", file, err, there)
		}
		m = newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b})
		saveSteps(t, p, m, 3)
		wantHere(t, b, there, "ckpt-1")
		if v, err := ckpt.Verify(t.Context(), "ckpt-1", &ckpt.VerifyOptions{Bucket: b}); there && (err != nil || !v.OK()) {
			t.Errorf("%s: %v, %v", file, v, err)
		}
	}
}
