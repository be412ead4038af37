package ckpt_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/storagetest"
)

// saves are the three ways to save, each with the prefix that Done hears.
var saves = map[string]func(t *testing.T, p *program, m *ckpt.Manager, o *ckpt.SaveOptions) (string, error){
	"Manager.Save": func(t *testing.T, _ *program, m *ckpt.Manager, o *ckpt.SaveOptions) (string, error) {
		return m.Save(t.Context(), o)
	},
	"Checkpoint.Save": func(t *testing.T, p *program, m *ckpt.Manager, o *ckpt.SaveOptions) (string, error) {
		return p.Save(t.Context(), filepath.Join(m.Directory(), "ckpt"), o)
	},
	"Checkpoint.Write": func(t *testing.T, p *program, m *ckpt.Manager, o *ckpt.SaveOptions) (string, error) {
		return p.Write(t.Context(), filepath.Join(m.Directory(), "ckpt-1"), o)
	},
}

// TestForegroundDone has Done called once, after the save and before Save returns.
func TestForegroundDone(t *testing.T) {
	for name, save := range saves {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			p := newProgram()
			m := newManager(t, p.Checkpoint, dir, nil)
			var heard []string
			prefix, err := save(t, p, m, &ckpt.SaveOptions{
				AfterWrite: []func(string) error{func(string) error { heard = append(heard, "written"); return nil }},
				Done: func(prefix string, err error) {
					heard = append(heard, fmt.Sprint(filepath.Base(prefix), " ", err))
					if there := fileExists(filepath.Join(dir, "checkpoint")); there != (name != "Checkpoint.Write") {
						t.Errorf("a state file when Done is called: %v", there)
					}
				},
			})
			if want := filepath.Join(dir, "ckpt-1"); err != nil || prefix != want {
				t.Errorf("got %q, %v, want %q", prefix, err, want)
			}
			if want := []string{"written", "ckpt-1 <nil>"}; !slices.Equal(heard, want) {
				t.Errorf("heard %q, want %q", heard, want)
			}
		})
	}
}

// TestForegroundDoneFails tells Done of a failure what Save returns, with the prefix,
// and nothing of a save that did not begin.
func TestForegroundDoneFails(t *testing.T) {
	for _, background := range []bool{false, true} {
		p := newProgram()
		f := storagetest.NewFaulty(newMem())
		m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: f})
		var heard []error
		o := &ckpt.SaveOptions{Background: background, Done: func(prefix string, err error) {
			if prefix != "ckpt-1" {
				t.Errorf("background %v: Done of %q, want ckpt-1", background, prefix)
			}
			heard = append(heard, err)
		}}
		o.AfterWrite = []func(string) error{func(string) error { return syscall.ENOSPC }}
		_, err := m.Save(t.Context(), o)
		if background {
			err = m.Wait(t.Context())
		}
		if !errors.Is(err, syscall.ENOSPC) || len(heard) != 1 || heard[0] == nil || heard[0].Error() != err.Error() {
			t.Errorf("background %v: got %v, Done heard %v", background, err, heard)
		}
		o.Bucket = f // of a Manager: refused
		if _, err := m.Save(t.Context(), o); err == nil || len(heard) != 1 {
			t.Errorf("background %v: got %v, Done heard %v of a save that was refused", background, err, heard)
		}
	}
}
