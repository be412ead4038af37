package edit_test

import (
	"errors"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/edit"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// managed saves ckpt-1 to ckpt-4 with a Manager that keeps all.
func managed(t *testing.T, b storage.Bucket) {
	t.Helper()
	seconds := int64(1000)
	step := ckpt.NewScalar("step", int64(0))
	m, err := ckpt.NewManager(ckpt.New(ckpt.Objects{"step": step}), "d", &ckpt.ManagerOptions{
		Bucket: b, MaxToKeep: ckpt.KeepAll, Now: func() time.Time { seconds++; return time.Unix(seconds, 0) },
	})
	if err != nil {
		t.Fatal(err)
	}
	for i := range int64(4) {
		step.Assign(i + 1)
		if _, err := m.Save(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
}

func wantLatest(t *testing.T, b storage.Bucket, want string) {
	t.Helper()
	if got, err := ckpt.Latest(t.Context(), "d", &ckpt.FindOptions{Bucket: b}); err != nil || got != want {
		t.Errorf("latest: got %q, %v, want %q", got, err, want)
	}
}

// TestRebuildState rebuilds state files that are damaged, lost or wrong.
func TestRebuildState(t *testing.T) {
	for _, c := range []struct {
		name    string
		spoil   func(t *testing.T, b storage.Bucket)
		options edit.StateOptions
		latest  string
		listed  int
		skipped int
		same    bool // as the Manager wrote it
		old     string
	}{
		{name: "nothing wrong", spoil: func(*testing.T, storage.Bucket) {}, latest: "d/ckpt-4", listed: 4, same: true},
		{name: "lost", spoil: func(t *testing.T, b storage.Bucket) {
			if err := b.Remove(t.Context(), "d/checkpoint"); err != nil {
				t.Fatal(err)
			}
		}, latest: "d/ckpt-4", listed: 4},
		{name: "garbage", spoil: func(t *testing.T, b storage.Bucket) {
			storagetest.Put(t, b, "d/checkpoint", "model_checkpoint_path: \"ckpt-")
		}, latest: "d/ckpt-4", listed: 4, old: "checkpoint.old"},
		{name: "empty, second time", spoil: func(t *testing.T, b storage.Bucket) {
			storagetest.Put(t, b, "d/checkpoint", "")
			storagetest.Put(t, b, "d/checkpoint.old", "before")
		}, latest: "d/ckpt-4", listed: 4, old: "checkpoint.old-2"},
		{name: "stale", spoil: func(t *testing.T, b storage.Bucket) {
			storagetest.Put(t, b, "d/checkpoint", "model_checkpoint_path: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-2\"\n")
		}, latest: "d/ckpt-4", listed: 3, skipped: 1, old: "checkpoint.old"},
		{name: "stale, all", spoil: func(t *testing.T, b storage.Bucket) {
			storagetest.Put(t, b, "d/checkpoint", "model_checkpoint_path: \"ckpt-2\"\nall_model_checkpoint_paths: \"ckpt-2\"\n")
		}, options: edit.StateOptions{All: true}, latest: "d/ckpt-4", listed: 4, old: "checkpoint.old"},
		{name: "newest damaged", spoil: func(t *testing.T, b storage.Bucket) {
			change(t, b, "d/ckpt-4.data-00000-of-00001", flip(3))
			change(t, b, "d/ckpt-3.index", func([]byte) []byte { return nil })
		}, latest: "d/ckpt-2", listed: 2, skipped: 2, old: "checkpoint.old"},
		{name: "bytes that nobody reads", spoil: func(t *testing.T, b storage.Bucket) {
			change(t, b, "d/ckpt-4.index", func(data []byte) []byte { data[len(data)-12] = 1; return data })
		}, latest: "d/ckpt-4", listed: 4, same: true},
		{name: "another name", spoil: func(t *testing.T, b storage.Bucket) {
			storagetest.Put(t, b, "d/checkpoint", "")
			save(t, b, "d/best", 9, nil)
		}, latest: "d/ckpt-4", listed: 4, skipped: 1, old: "checkpoint.old"},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBucket()
			managed(t, b)
			whole := storagetest.Get(t, b, "d/checkpoint")
			c.spoil(t, b)
			before := everything(t, b)
			was := "" // of the state file
			for _, name := range storagetest.List(t, b, "d/") {
				if name == "d/checkpoint" {
					was = storagetest.Get(t, b, name)
				}
			}
			c.options.Bucket, c.options.DryRun = b, true
			planned, err := edit.RebuildState(t.Context(), "d", &c.options)
			if err != nil || planned.Written {
				t.Errorf("dry run: %+v, %v", planned, err)
			}
			wantSame(t, everything(t, b), before)
			c.options.DryRun = false
			r, err := edit.RebuildState(t.Context(), "d", &c.options)
			if err != nil {
				t.Fatal(err)
			}
			got := storagetest.Get(t, b, "d/checkpoint")
			if got != string(r.State.AppendText(nil)) || string(planned.State.AppendText(nil)) != got || r.Written != (got != was) {
				t.Errorf("written %v:\n%s", r.Written, got)
			}
			if len(r.State.All) != c.listed || len(r.Skipped) != c.skipped || c.same && got != whole || len(r.State.Timestamps) != c.listed {
				t.Errorf("skipped %+v, state\n%s", r.Skipped, got)
			}
			if r.Old != c.old || c.old != "" && storagetest.Get(t, b, "d/"+c.old) != was {
				t.Errorf("the old file is %q, want %q", r.Old, c.old)
			}
			wantLatest(t, b, c.latest)
		})
	}
}

// TestRebuildStateRefuses has directories of which nothing can be said.
func TestRebuildStateRefuses(t *testing.T) {
	b := newBucket()
	if _, err := edit.RebuildState(t.Context(), "d", &edit.StateOptions{Bucket: b}); !errors.Is(err, ckpt.ErrNoCheckpoint) {
		t.Errorf("empty: got %v, want ErrNoCheckpoint", err)
	}
	save(t, b, "d/ckpt-1", 1, nil)
	change(t, b, "d/ckpt-1.data-00000-of-00001", flip(3))
	before := everything(t, b)
	if _, err := edit.RebuildState(t.Context(), "d", &edit.StateOptions{Bucket: b}); !errors.Is(err, ckpt.ErrCorrupt) {
		t.Errorf("nothing good: got %v, want ErrCorrupt", err)
	}
	wantSame(t, everything(t, b), before)

	dir := t.TempDir()
	save(t, local.Open(dir, nil), "ckpt-1", 1, nil)
	m, err := ckpt.NewManager(ckpt.New(nil), dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if _, err := m.Save(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	var held *storage.LockedError
	if _, err := edit.RebuildState(t.Context(), dir, &edit.StateOptions{All: true}); !errors.As(err, &held) {
		t.Errorf("while a program saves: got %v, want a LockedError", err)
	}
}
