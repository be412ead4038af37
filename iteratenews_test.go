package ckpt_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// TestIterateNotify waits for checkpoints that no look at the directory would find
// within the test's life: the file system tells.
func TestIterateNotify(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a")
	p := newProgram()
	m := newManager(t, p.Checkpoint, dir, nil)
	saveSteps(t, p, m, 1)
	var b storage.Notifier = local.Open(dir, nil)
	if _, stop, err := b.Changes(""); errors.Is(err, errors.ErrUnsupported) {
		t.Skip(err)
	} else if err != nil {
		t.Fatal(err)
	} else {
		stop()
	}
	step, saved := int64(1), make(chan error, 1)
	saved <- nil
	for prefix, err := range ckpt.Iterate(t.Context(), dir, &ckpt.IterateOptions{Poll: 1000 * time.Hour, Notify: true}) {
		if want := fmt.Sprint("ckpt-", step); err != nil || filepath.Base(prefix) != want {
			t.Fatalf("got %q, %v, want %s", prefix, err, want)
		}
		if err := <-saved; err != nil {
			t.Fatal(err)
		}
		if step++; step == 5 {
			break
		}
		p.setStep(step)
		go func() {
			_, err := m.Save(context.Background(), nil)
			saved <- err
		}()
	}
}
