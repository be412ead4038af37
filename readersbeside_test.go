package ckpt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage"
)

// TestReadersBesideAnotherProgram reads what is newest, again and again, while
// another process saves without pause and keeps one. What is read is a whole
// checkpoint, never older than the one read before; or it is said to be gone.
func TestReadersBesideAnotherProgram(t *testing.T) {
	for _, mode := range []string{"each step", "background metadata", "over one checkpoint"} {
		t.Run(mode, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "checkpoints")
			c := exec.Command(os.Args[0], "-test.run=^TestKilledProgram$")
			c.Env = append(os.Environ(), killsDir+"="+dir, killsMode+"="+mode)
			out, err := c.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				c.Process.Kill()
				c.Wait()
			})
			lines := bufio.NewScanner(out)
			for lines.Scan() && lines.Text() != "saved 1" {
			}
			go func() { // it must not wait for us
				for lines.Scan() {
				}
			}()
			var read, gone, newest int64
			for read < 100 || newest < 80 {
				step, err := readNewest(t, dir)
				switch {
				case errors.Is(err, fs.ErrNotExist):
					if gone++; gone > 1000*(read+1) {
						t.Fatalf("gone %d times, read %d times: %v", gone, read, err)
					}
					continue
				case err != nil:
					t.Fatal(err)
				case step < newest:
					t.Errorf("read step %d after step %d", step, newest)
				}
				read, newest = read+1, step
			}
			t.Logf("%d read, %d gone, up to step %d", read, gone, newest)
		})
	}
}

// readNewest restores the newest checkpoint.
func readNewest(t *testing.T, dir string) (int64, error) {
	prefix, err := ckpt.Latest(t.Context(), dir, nil)
	if err != nil {
		return 0, err
	}
	k := newKillable()
	s, err := k.Read(t.Context(), prefix, nil)
	if err != nil {
		return 0, err
	}
	defer s.Close()
	return k.atStep()
}

// savingMeanwhile is a bucket whose program saves whenever a file is about to be opened,
// some times.
type savingMeanwhile struct {
	storage.Bucket
	name string
	save func()
}

func (b *savingMeanwhile) Open(ctx context.Context, name string) (storage.File, error) {
	if name == b.name {
		b.save()
	}
	return b.Bucket.Open(ctx, name)
}

// TestLatestOvertaken looks for the newest checkpoint while its program saves the
// next one and removes it.
func TestLatestOvertaken(t *testing.T) {
	for _, find := range []struct {
		name string
		run  func(b storage.Bucket) (string, error)
	}{
		{"Latest", func(b storage.Bucket) (string, error) {
			return ckpt.Latest(t.Context(), "", &ckpt.FindOptions{Bucket: b})
		}},
		{"FindGood", func(b storage.Bucket) (string, error) {
			f, err := ckpt.FindGood(t.Context(), "", &ckpt.VerifyOptions{Bucket: b})
			if err == nil && len(f.Refused) > 0 {
				t.Errorf("FindGood refused %v", f.Refused[0].Problems)
			}
			return f.Prefix, err
		}},
	} {
		t.Run(find.name, func(t *testing.T) {
			inner := newMem()
			p := newProgram()
			m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{MaxToKeep: 1, Bucket: inner})
			saveSteps(t, p, m, 1)
			step := int64(1)
			b := &savingMeanwhile{Bucket: inner, name: "ckpt-1.index"}
			b.save = func() {
				step++
				saveSteps(t, p, m, step)
				b.name = fmt.Sprintf("ckpt-%d.index", step)
				if step == 4 {
					b.name = ""
				}
			}
			got, err := find.run(b)
			if err != nil || got != "ckpt-4" {
				t.Errorf("got %q, %v, want ckpt-4", got, err)
			}
		})
	}
}
