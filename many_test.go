package ckpt_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage/local"
)

// TestThousandCheckpoints resumes among a thousand and tells how long that takes
// beside reading the state file and one index.
func TestThousandCheckpoints(t *testing.T) {
	const count = 1000
	dir := savedDir(t, 1)
	for i := 2; i <= count; i++ {
		for _, suffix := range []string{".index", ".data-00000-of-00001"} {
			if err := os.Link(filepath.Join(dir, "ckpt-1"+suffix), filepath.Join(dir, fmt.Sprintf("ckpt-%d%s", i, suffix))); err != nil {
				t.Skip("no hard links: ", err)
			}
		}
	}
	s := new(ckpt.State)
	for i := 1; i <= count; i++ {
		s.Latest = fmt.Sprintf("ckpt-%d", i)
		s.All, s.Timestamps = append(s.All, s.Latest), append(s.Timestamps, float64(1000+i))
	}
	writeFile(t, filepath.Join(dir, "checkpoint"), s.AppendText(nil))

	var m *ckpt.Manager
	var p *program
	fastest := func(run func()) time.Duration {
		best := time.Hour
		for range 20 {
			start := time.Now()
			run()
			best = min(best, time.Since(start))
		}
		return best
	}
	limit := fastest(func() {
		s := readState(t, dir, nil)
		r, err := bundle.Open(t.Context(), local.Open(dir, nil), filepath.Base(s.Latest), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Close()
	})
	opening := fastest(func() {
		p = newProgram()
		m = newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: ckpt.KeepAll})
	})
	resuming := fastest(func() {
		if r, err := m.Resume(t.Context(), nil); err != nil || len(m.Checkpoints()) != count || filepath.Base(r.Prefix) != s.Latest {
			t.Fatalf("Resume: got %+v, %v", r, err)
		}
	})
	t.Logf("state file and one index: %v; NewManager %v; Resume %v; together %.1f times", limit, opening, resuming, float64(opening+resuming)/float64(limit))
	saveSteps(t, p, m, 7)
	if want := fmt.Sprintf("ckpt-%d", count+1); filepath.Base(m.Latest()) != want {
		t.Errorf("Save: got %q, want %s", m.Latest(), want)
	}
}
