package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// A state file that is missing, garbage or leads nowhere never ends an
// iteration; one with paths of another system or place is understood.
func TestIterateStateFiles(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := savedDir(t, 3)
		elsewhere := savedDir(t, 1)
		state := func(path string) []byte { return fmt.Appendf(nil, "model_checkpoint_path: %q\n", path) }
		for _, test := range []struct {
			name    string
			text    []byte // nil: no file
			want    string // what the state file alone leads to
			good    string // with Verify
			problem string
			always  bool // the problem is one with Verify, too
		}{
			{"missing", nil, "", "ckpt-3", "", false},
			{"empty", []byte{}, "", "ckpt-3", "checkpoint", true},
			{"garbage", []byte("\x00garbage"), "", "ckpt-3", "checkpoint", true},
			{"absolute", state(filepath.Join(dir, "ckpt-2")), "ckpt-2", "ckpt-2", "", false},
			{"moved", state("/long/gone/ckpt-2"), "ckpt-2", "ckpt-2", "", false},
			{"windows", state(`C:\runs\7\ckpt-2`), "ckpt-2", "ckpt-2", "", false},
			{"another folder", state(filepath.Join(elsewhere, "ckpt-1")), "ckpt-1", "ckpt-1", "", false},
			{"gone", state("ckpt-77"), "", "ckpt-3", "ckpt-77", false},
			{"impossible", state("ckpt-2\x00"), "", "ckpt-3", "ckpt-2", false},
		} {
			for _, verify := range []bool{false, true} {
				folder := filepath.Join(t.TempDir(), "d")
				if err := os.CopyFS(folder, os.DirFS(dir)); err != nil {
					t.Fatal(err)
				}
				removeFile(t, filepath.Join(folder, "checkpoint"))
				if test.text != nil {
					writeFile(t, filepath.Join(folder, "checkpoint"), test.text)
				}
				got, problems, err := iterateUntilSaved(t, folder, verify)
				if err != nil {
					t.Errorf("%s: %v", test.name, err)
				}
				var want []string
				if first := test.want; first != "" || verify {
					if verify {
						first = test.good
					}
					want = append(want, first)
				}
				if n := len(got); n != len(want)+1 || !strings.HasPrefix(got[n-1], "ckpt-") || !slices.Equal(got[:n-1], want) {
					t.Errorf("%s, verify %v: got %q, want %q and a new one", test.name, verify, got, want)
				}
				quiet := test.problem == "" || verify && !test.always
				if quiet != (len(problems) == 0) || len(problems) > 1 || !quiet && !strings.Contains(problems[0], test.problem) {
					t.Errorf("%s, verify %v: heard %q", test.name, verify, problems)
				}
			}
		}
	})
}

// iterateUntilSaved iterates over a folder into which somebody saves ckpt-9 after a
// while, and goes on for as long. The names have no folder.
func iterateUntilSaved(t *testing.T, folder string, verify bool) (got, problems []string, err error) {
	rounds := 0
	o := &ckpt.IterateOptions{
		Verify: verify, Timeout: 3 * time.Second,
		Problem: func(err error) { problems = append(problems, err.Error()) },
		TimeoutFn: func() bool {
			if rounds++; rounds == 2 {
				p := newProgram()
				saveSteps(t, p, newManager(t, p.Checkpoint, folder, nil), 9)
			}
			return rounds == 4
		},
	}
	got, err = collect(ckpt.Iterate(t.Context(), folder, o), nil)
	for i := range got {
		got[i] = filepath.Base(got[i])
	}
	return got, problems, err
}

// With Verify a damaged checkpoint is passed over and told of once, until it
// changes; nothing is read twice.
func TestIterateVerify(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		inner, p := newMem(), newProgram()
		b := &opens{Bucket: inner, count: make(map[string]int)}
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: inner})
		saveSteps(t, p, m, 1)
		var problems []error
		var good string
		acts := []func(){
			func() {
				saveSteps(t, p, m, 2)
				good = storagetest.Get(t, inner, dataOf("ckpt-2"))
				damageIn(t, inner, dataOf("ckpt-2"), 3)
			},
			func() { storagetest.Put(t, inner, dataOf("ckpt-2"), good[:len(good)-1]) },
			func() { storagetest.Put(t, inner, dataOf("ckpt-2"), good) },
		}
		round := 0
		o := &ckpt.IterateOptions{Bucket: b, Verify: true, Timeout: 5 * time.Second, Problem: func(err error) { problems = append(problems, err) },
			TimeoutFn: func() bool {
				if round < len(acts) && len(problems) != round {
					t.Errorf("round %d: heard %v", round, problems)
				}
				if round == len(acts) {
					return true
				}
				acts[round]()
				round++
				return false
			}}
		got, err := collect(ckpt.Iterate(t.Context(), "", o), nil)
		if err != nil {
			t.Error(err)
		}
		wantPrefixes(t, got, "ckpt-1", "ckpt-2")
		if len(problems) != 2 {
			t.Errorf("heard %v", problems)
		}
		for _, err := range problems {
			var refusal *ckpt.Refusal
			if !errors.As(err, &refusal) || refusal.Prefix != "ckpt-2" || !errors.Is(err, ckpt.ErrCorrupt) {
				t.Errorf("heard %v", err)
			}
		}
		if first, second := b.count[dataOf("ckpt-1")], b.count[dataOf("ckpt-2")]; first != 1 || second > 6 {
			t.Errorf("ckpt-1 was opened %d times, ckpt-2 %d", first, second) // of more than ten looks
		}
	})
}

// opens counts what is opened.
type opens struct {
	storage.Bucket
	count map[string]int
}

func (b *opens) Open(ctx context.Context, name string) (storage.File, error) {
	b.count[name]++
	return b.Bucket.Open(ctx, name)
}

// between is a bucket in which something happens after a file was read.
type between struct {
	storage.Bucket
	after map[string]func()
}

func (b *between) Open(ctx context.Context, name string) (storage.File, error) {
	f, err := b.Bucket.Open(ctx, name)
	if act := b.after[name]; act != nil {
		delete(b.after, name)
		act()
	}
	return f, err
}

// Saves and removals between the steps of a look do not lead back to an older
// checkpoint, and are no damage.
func TestIterateMoves(t *testing.T) {
	for _, verify := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p, b := newProgram(), &between{Bucket: newMem(), after: make(map[string]func())}
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b.Bucket})
			saveSteps(t, p, m, 1)
			r, err := ckpt.Open(t.Context(), "ckpt-1", &ckpt.OpenOptions{Bucket: b.Bucket})
			if err != nil {
				t.Fatal(err)
			}
			defer r.Close() // until then retention leaves ckpt-1 alone
			saveSteps(t, p, m, 2)
			// Each is removed after it was found in the state file, or while it is read.
			b.after["checkpoint"] = func() { saveSteps(t, p, m, 3) }
			o := &ckpt.IterateOptions{Bucket: b, Verify: verify, Timeout: 3 * time.Second, Problem: func(err error) { t.Error(err) }}
			got, err := collect(ckpt.Iterate(t.Context(), "", o), func(prefix string) {
				if prefix == "ckpt-3" {
					saveSteps(t, p, m, 4)
					b.after["checkpoint"] = func() { saveSteps(t, p, m, 5) }
					b.after["ckpt-5.index"] = func() { b.Remove(t.Context(), "ckpt-5.index"); saveSteps(t, p, m, 6) }
				}
			})
			if err != nil {
				t.Error(err)
			}
			wantPrefixes(t, got, "ckpt-3", "ckpt-6")
		})
	}
}

// A bucket that fails for a while does not end an iteration.
func TestIterateUnreadable(t *testing.T) {
	for _, verify := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			p, f := newProgram(), storagetest.NewFaulty(newMem())
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: f})
			saveSteps(t, p, m, 1)
			f.Set(storagetest.Fault{N: 1, Err: syscall.EIO, Sticky: true})
			var problems []error
			rounds := 0
			o := &ckpt.IterateOptions{Bucket: f, Verify: verify, Timeout: 5 * time.Second, Problem: func(err error) { problems = append(problems, err) },
				TimeoutFn: func() bool {
					f.Set(storagetest.Fault{})
					rounds++
					return rounds == 2
				}}
			got, err := collect(ckpt.Iterate(t.Context(), "", o), nil)
			if err != nil {
				t.Error(err)
			}
			wantPrefixes(t, got, "ckpt-1")
			if len(problems) == 0 || len(problems) > 2 || !errors.Is(problems[0], syscall.EIO) {
				t.Errorf("heard %v", problems)
			}
		})
	}
}
