package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// collect runs an iteration to its end; each gets every prefix.
func collect(seen iter.Seq2[string, error], each func(prefix string)) (prefixes []string, err error) {
	for prefix, err := range seen {
		if err != nil {
			return prefixes, err
		}
		prefixes = append(prefixes, prefix)
		if each != nil {
			each(prefix)
		}
	}
	return prefixes, nil
}

func wantPrefixes(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// after does something beside the test, after a time of its bubble. Wait for
// done before the same objects are used again.
func after(d time.Duration, act func()) (done chan struct{}) {
	done = make(chan struct{})
	go func() {
		defer close(done)
		time.Sleep(d)
		act()
	}()
	return done
}

func TestIT1Timeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		missing := filepath.Join(t.TempDir(), "missing")
		o := &ckpt.IterateOptions{Timeout: time.Second, Poll: time.Second / 2}
		for _, wait := range []func() error{
			func() error {
				if _, err := ckpt.WaitForNew(t.Context(), missing, "foo", o); !errors.Is(err, ckpt.ErrNoCheckpoint) {
					return fmt.Errorf("WaitForNew: %v", err)
				}
				return nil
			},
			func() error {
				prefixes, err := collect(ckpt.Iterate(t.Context(), missing, o), nil)
				if len(prefixes) > 0 {
					return fmt.Errorf("Iterate: %q", prefixes)
				}
				return err
			},
		} {
			start := time.Now()
			if err := wait(); err != nil {
				t.Error(err)
			}
			if took := time.Since(start); took <= time.Second/2 || took > time.Second {
				t.Errorf("it took %v", took)
			}
		}
	})
}

func TestIT2Iterator(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, b := range []storage.Bucket{nil, newMem()} {
			dir, p := "d", newProgram()
			if b == nil {
				dir = t.TempDir()
			}
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Name: "c", Bucket: b})
			saveSteps(t, p, m, 1)
			o := &ckpt.IterateOptions{Bucket: b, Timeout: 3 * time.Second}
			start := time.Now()
			got, err := collect(ckpt.Iterate(t.Context(), dir, o), func(prefix string) {
				if filepath.Base(prefix) == "c-1" {
					saveSteps(t, p, m, 2, 3)
				}
			})
			if err != nil {
				t.Error(err)
			}
			for i := range got {
				got[i] = filepath.Base(got[i])
			}
			wantPrefixes(t, got, "c-1", "c-3")
			if took := time.Since(start); took != 3*time.Second {
				t.Errorf("it took %v", took)
			}
		}
	})
}

// Ours counts a checkpoint that was written again; both count an older one that
// the state file names again.
func TestIterateRewritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, verify := range []bool{false, true} {
			b, p := newMem(), newProgram()
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
			saveSteps(t, p, m, 1, 2)
			writes := []func(){
				func() { // the same number and size at the same time
					p.setStep(3)
					if _, err := m.SaveNumber(t.Context(), 2, nil); err != nil {
						t.Fatal(err)
					}
				},
				func() { // nothing but the state file
					storagetest.Put(t, b, "checkpoint", storagetest.Get(t, b, "checkpoint"))
				},
				func() { // one the state file names again
					storagetest.Put(t, b, "checkpoint", "model_checkpoint_path: \"ckpt-1\"\n")
				},
			}
			o := &ckpt.IterateOptions{Bucket: b, Verify: verify, Timeout: time.Second, TimeoutFn: func() bool {
				if len(writes) > 0 {
					writes[0]()
					writes = writes[1:]
					return false
				}
				return true
			}}
			var steps []int64
			got, err := collect(ckpt.Iterate(t.Context(), "", o), func(prefix string) {
				q := newProgram()
				if _, err := q.Read(t.Context(), prefix, &ckpt.RestoreOptions{Bucket: b}); err != nil {
					t.Error(err)
				}
				step, err := q.atStep()
				if err != nil {
					t.Error(err)
				}
				steps = append(steps, step)
			})
			if err != nil {
				t.Error(err)
			}
			wantPrefixes(t, got, "ckpt-2", "ckpt-2", "ckpt-1")
			if want := []int64{2, 3, 1}; !slices.Equal(steps, want) {
				t.Errorf("steps %d, want %d", steps, want)
			}
		}
	})
}

// MinInterval counts from when a checkpoint was given out, and leaves out what
// comes meanwhile.
func TestIterateMinInterval(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMem(), newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
		saved := after(0, func() {
			for i := range int64(8) {
				saveSteps(t, p, m, i+1)
				time.Sleep(time.Second)
			}
		})
		synctest.Wait()
		start := time.Now()
		var at []time.Duration
		o := &ckpt.IterateOptions{Bucket: b, Poll: 100 * time.Millisecond, MinInterval: 2300 * time.Millisecond, Timeout: 3 * time.Second}
		got, err := collect(ckpt.Iterate(t.Context(), "", o), func(string) {
			at = append(at, time.Since(start))
			time.Sleep(time.Second)
		})
		if err != nil {
			t.Error(err)
		}
		wantPrefixes(t, got, "ckpt-1", "ckpt-3", "ckpt-5", "ckpt-7", "ckpt-8")
		<-saved
		for i := 1; i < len(at); i++ {
			if at[i]-at[i-1] < o.MinInterval {
				t.Errorf("%v after %v", at[i], at[i-1])
			}
		}
	})
}

// TimeoutFn is asked after each round, as in TensorFlow: after a checkpoint, and
// after a timeout, when false goes on waiting.
func TestIterateTimeoutFn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMem(), newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b})
		asked := 0
		o := &ckpt.IterateOptions{Bucket: b, Timeout: 2 * time.Second, TimeoutFn: func() bool {
			if asked++; asked == 2 {
				saveSteps(t, p, m, 1)
			}
			return asked == 5
		}}
		got, err := collect(ckpt.Iterate(t.Context(), "", o), nil)
		if err != nil {
			t.Error(err)
		}
		wantPrefixes(t, got, "ckpt-1")
		if asked != 5 { // twice without, once after it, twice without
			t.Errorf("asked %d times", asked)
		}
		asked = 4
		got, err = collect(ckpt.Iterate(t.Context(), "", o), nil)
		if err != nil {
			t.Error(err)
		}
		wantPrefixes(t, got, "ckpt-1")
	})
}

// The context ends every kind of waiting with its error.
func TestIterateContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMem(), newProgram()
		saveSteps(t, p, newManager(t, p.Checkpoint, "full", &ckpt.ManagerOptions{Bucket: b}), 1)
		for _, test := range []struct {
			name, dir string
			after     time.Duration
			o         ckpt.IterateOptions
			want      int
		}{
			{"ended before", "full", -1, ckpt.IterateOptions{}, 0},
			{"nothing there", "empty", time.Minute, ckpt.IterateOptions{}, 0},
			{"between polls", "full", 1500 * time.Millisecond, ckpt.IterateOptions{}, 1},
			{"in the interval", "full", time.Minute, ckpt.IterateOptions{MinInterval: time.Hour}, 1},
			{"verified", "full", time.Minute, ckpt.IterateOptions{Verify: true}, 1},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), test.after)
			test.o.Bucket = b
			start := time.Now()
			got, err := collect(ckpt.Iterate(ctx, test.dir, &test.o), nil)
			if !errors.Is(err, context.DeadlineExceeded) || len(got) != test.want || time.Since(start) != max(test.after, 0) {
				t.Errorf("%s: got %q, %v after %v", test.name, got, err, time.Since(start))
			}
			cancel()
		}
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		got, err := collect(ckpt.Iterate(ctx, "full", &ckpt.IterateOptions{Bucket: b}), func(string) { cancel() })
		if !errors.Is(err, context.Canceled) || len(got) != 1 {
			t.Errorf("cancelled by the one who handles: got %q, %v", got, err)
		}
		if _, err := ckpt.WaitForNew(ctx, "full", "full/ckpt-1", &ckpt.IterateOptions{Bucket: b}); !errors.Is(err, context.Canceled) {
			t.Errorf("WaitForNew: %v", err)
		}
	})
}

func TestIterateOptions(t *testing.T) {
	for _, o := range []ckpt.IterateOptions{{Poll: -1}, {MinInterval: -1}, {Timeout: -1}} {
		got, err := collect(ckpt.Iterate(t.Context(), "", &o), nil)
		if len(got) != 0 || err == nil || !strings.Contains(err.Error(), "must not be negative") {
			t.Errorf("got %q, %v", got, err)
		}
		if _, err := ckpt.WaitForNew(t.Context(), "", "", &o); err == nil {
			t.Error("WaitForNew takes it")
		}
	}
}

// A Manager of this process leaves a checkpoint alone while it is handled.
func TestIteratePins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, p := newMem(), newProgram()
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: b})
		saveSteps(t, p, m, 1)
		got, err := collect(ckpt.Iterate(t.Context(), "", &ckpt.IterateOptions{Bucket: b, Timeout: time.Second}), func(prefix string) {
			if prefix == "ckpt-1" {
				saveSteps(t, p, m, 2, 3)
			}
			status, err := newProgram().Read(t.Context(), prefix, &ckpt.RestoreOptions{Bucket: b})
			if err != nil {
				t.Fatal(err)
			}
			status.Close()
		})
		if err != nil {
			t.Error(err)
		}
		wantPrefixes(t, got, "ckpt-1", "ckpt-3")
		saveSteps(t, p, m, 4)
		wantManaged(t, m, "ckpt-4")
		for range ckpt.Iterate(t.Context(), "", &ckpt.IterateOptions{Bucket: b}) {
			break
		}
		saveSteps(t, p, m, 5)
		wantManaged(t, m, "ckpt-5")
	})
}

func TestWaitForNew(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir, p := filepath.Join(t.TempDir(), "d"), newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: 1})
		o := &ckpt.IterateOptions{Timeout: time.Minute}
		last := ""
		for step := int64(1); step <= 3; step++ {
			saved := after(2*time.Second, func() { saveSteps(t, p, m, step) })
			prefix, err := ckpt.WaitForNew(t.Context(), dir, last, o)
			<-saved
			if err != nil || filepath.Base(prefix) != fmt.Sprint("ckpt-", step) {
				t.Fatal(prefix, err)
			}
			last = prefix
		}
		if prefix, err := ckpt.WaitForNew(t.Context(), dir, "", o); err != nil || prefix != last {
			t.Error(prefix, err)
		}
		saved := after(2*time.Second, func() {
			p.setStep(9)
			if _, err := m.SaveNumber(t.Context(), 3, nil); err != nil {
				t.Error(err)
			}
		})
		if prefix, err := ckpt.WaitForNew(t.Context(), dir, last, o); err != nil || prefix != last {
			t.Error(prefix, err)
		}
		<-saved
		if _, err := ckpt.WaitForNew(t.Context(), dir, last, o); !errors.Is(err, ckpt.ErrNoCheckpoint) {
			t.Error(err)
		}
		wantManaged(t, m, "ckpt-3")
	})
}
