package ckpt_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/storage/mem"
)

const value = "/.ATTRIBUTES/VARIABLE_VALUE"

func TestRS1CustomNumbering(t *testing.T) {
	dir := t.TempDir()
	step := ckpt.NewScalar("step", int64(0))
	c := ckpt.New(ckpt.Objects{"step": step})
	for range 5 {
		prefix := filepath.Join(dir, fmt.Sprintf("prefix-%d", step.Value()))
		got, err := c.Write(t.Context(), prefix, nil)
		if err != nil || got != prefix {
			t.Errorf("got %q, %v, want %q", got, err, prefix)
		}
		step.Assign(step.Value() + 2)
	}
	if _, err := os.Stat(filepath.Join(dir, "checkpoint")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("state file: got %v, want none", err)
	}
	r, err := ckpt.Open(t.Context(), filepath.Join(dir, "prefix-8"), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if r.Has("save_counter" + value) {
		t.Error("Write wrote a save_counter")
	}
}

func TestRS2WriteAndRead(t *testing.T) {
	v := scalar(1)
	c := ckpt.New(ckpt.Objects{"v": v})
	s := write(t, c)
	fresh := scalar(0)
	d := ckpt.New(ckpt.Objects{"v": fresh})
	wantChecks(t, s.read(t, d), "", "", "")
	wantValues(t, "v", fresh, 1)
	v.Assign(3)
	if _, err := c.Write(t.Context(), s.prefix, &ckpt.SaveOptions{Bucket: s.bucket}); err != nil {
		t.Fatal(err)
	}
	s.read(t, d)
	wantValues(t, "v", fresh, 3)
}

func TestRS3RestoreOfWritten(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"v": scalar(1)}))
	wantChecks(t, s.read(t, ckpt.New(ckpt.Objects{"v": scalar(0)})), "", "", "")
	c := ckpt.New(ckpt.Objects{"v": scalar(0)})
	wantChecks(t, s.restore(t, c), "(root).save_counter", "(root).save_counter", "")
	if got := c.SaveCounter(); got != 0 {
		t.Errorf("got counter %d, want 0", got)
	}
	// The other way round: what Save wrote, read.
	saved := save(t, ckpt.New(ckpt.Objects{"v": scalar(1)}))
	wantChecks(t, saved.read(t, ckpt.New(ckpt.Objects{"v": scalar(0)})), "(root).save_counter", "", "")
}

func TestRS4StatusOutlivesCheckpoint(t *testing.T) {
	status := save(t, ckpt.New(ckpt.Objects{"v": scalar(0)})).restore(t, ckpt.New(ckpt.Objects{"v": scalar(1)}))
	runtime.GC()
	wantChecks(t, status, "", "", "")
}

func TestRS9EmptyPath(t *testing.T) {
	v := scalar(5)
	c := ckpt.New(ckpt.Objects{"v": v})
	status, err := c.Restore(t.Context(), "", nil)
	if err != nil {
		t.Fatal(err)
	}
	const nothing = "no checkpoint specified"
	wantChecks(t, status, nothing, nothing, nothing)
	if len(status.Waiting())+len(status.Unused())+len(status.Warnings()) != 0 || status.Prefix() != "" {
		t.Error("the status of nothing lists something")
	}
	if err := errors.Join(status.Fill(t.Context()), status.Close()); err != nil {
		t.Error(err)
	}
	wantValues(t, "v", v, 5)
	wantKeys(t, write(t, c), "v")
}

func TestRS12AmbiguousLoad(t *testing.T) {
	shared := branch("var", scalar(7))
	s := write(t, ckpt.New(ckpt.Objects{"a": shared, "b": shared}))
	for _, deferred := range []bool{false, true} {
		t.Run(fmt.Sprintf("deferred=%v", deferred), func(t *testing.T) {
			x, y := scalar(0), scalar(0)
			a, b := branch("var", x), branch("var", y)
			c := ckpt.New(nil)
			if !deferred {
				c = ckpt.New(ckpt.Objects{"a": a, "b": b})
			}
			status := s.read(t, c)
			if deferred {
				if err := errors.Join(c.Track("a", a), c.Track("b", b)); err != nil {
					t.Fatal(err)
				}
			}
			wantValues(t, "first", x, 7)
			wantValues(t, "second", y, 0)
			wantChecks(t, status, "Found 1 objects", "Found 1 objects", "")
			if w := status.Warnings(); len(w) != 1 || !strings.Contains(w[0], "Inconsistent references") {
				t.Errorf("got warnings %q, want one", w)
			}
		})
	}
}

// Two stored objects and one live one: the first node's value.
func TestTwoNodesOneObject(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"a": scalar(1), "b": scalar(2)}))
	v := scalar(0)
	wantChecks(t, s.read(t, ckpt.New(ckpt.Objects{"a": v, "b": v})), "", "", "")
	wantValues(t, "v", v, 1)
}

func TestRS14Loop(t *testing.T) {
	first, _ := loop(vector(3, 1, 4), vector(1, 1, 2, 3))
	saveRoot, err := ckpt.NewRooted(first, nil)
	if err != nil {
		t.Fatal(err)
	}
	s := save(t, saveRoot)

	one, two := branch(), branch()
	c, err := ckpt.NewRooted(one, nil)
	if err != nil {
		t.Fatal(err)
	}
	status := s.restore(t, c)
	if err := errors.Join(one.Track("second", two), two.Track("first", one)); err != nil {
		t.Fatal(err)
	}
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).v, (root).second.v")
	v, w := vector(0, 0, 0), vector(0, 0, 0, 0)
	if err := one.Track("v", v); err != nil {
		t.Fatal(err)
	}
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).second.v")
	if err := two.Track("v", w); err != nil {
		t.Fatal(err)
	}
	wantChecks(t, status, "", "", "")
	for range 2 {
		wantValues(t, "v", v, 3, 1, 4)
		wantValues(t, "second.v", w, 1, 1, 2, 3)
		v.Assign(0, 0, 0)
		w.Assign(0, 0, 0, 0)
		wantChecks(t, s.restore(t, c), "", "", "")
	}
}

func TestRS15TenSaves(t *testing.T) {
	dir := t.TempDir()
	c := ckpt.New(ckpt.Objects{"v": scalar(1)})
	for i := range 10 {
		want := filepath.Join(dir, fmt.Sprintf("ckpt-%d", i+1))
		if got, err := c.Save(t.Context(), filepath.Join(dir, "ckpt"), nil); err != nil || got != want {
			t.Errorf("got %q, %v, want %q", got, err, want)
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != 21 {
		t.Errorf("got %d files, %v, want 21", len(list), err)
	}
}

func TestRS16ChangingVariables(t *testing.T) {
	b := mem.New()
	o := &ckpt.SaveOptions{Bucket: b}
	c := ckpt.New(nil)
	var vars []*ckpt.Variable[float32]
	for i := range 10 {
		vars = append(vars, scalar(float32(i)))
		if err := c.Track(fmt.Sprintf("var_%d", i), vars[i]); err != nil {
			t.Fatal(err)
		}
		if _, err := c.Save(t.Context(), "ckpt", o); err != nil {
			t.Fatal(err)
		}
	}
	for _, test := range []struct{ number, restored int }{{6, 6}, {10, 10}} {
		for _, v := range vars {
			v.Assign(314)
		}
		saved{b, fmt.Sprintf("ckpt-%d", test.number)}.restore(t, c)
		for i, v := range vars {
			want := float32(i)
			if i >= test.restored {
				want = 314
			}
			wantValues(t, fmt.Sprintf("ckpt-%d: var_%d", test.number, i), v, want)
		}
		if got := c.SaveCounter(); got != int64(test.number) {
			t.Errorf("got counter %d, want %d", got, test.number)
		}
	}
}

func TestRS19Layouts(t *testing.T) {
	m := branch("v", scalar(3))
	c, err := ckpt.NewRooted(m, ckpt.Objects{"separate_variable": scalar(5)})
	if err != nil {
		t.Fatal(err)
	}
	s := save(t, c)
	v, separate := scalar(0), scalar(0)
	for name, make := range map[string]func() (*ckpt.Checkpoint, error){
		"same": func() (*ckpt.Checkpoint, error) {
			return ckpt.NewRooted(branch("v", v), ckpt.Objects{"separate_variable": separate})
		},
		"the other way round": func() (*ckpt.Checkpoint, error) {
			return ckpt.NewRooted(branch("separate_variable", separate), ckpt.Objects{"v": v})
		},
		"no root": func() (*ckpt.Checkpoint, error) {
			return ckpt.New(ckpt.Objects{"v": v, "separate_variable": separate}), nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			v, separate = scalar(0), scalar(0)
			c, err := make()
			if err != nil {
				t.Fatal(err)
			}
			status := s.restore(t, c)
			wantChecks(t, status, "", "", "")
			if len(status.Waiting()) != 0 {
				t.Errorf("waiting: %v", status.Waiting())
			}
			wantValues(t, "v", v, 3)
			wantValues(t, "separate_variable", separate, 5)
			if got := c.SaveCounter(); got != 1 {
				t.Errorf("got counter %d, want 1", got)
			}
			save(t, c)
		})
	}
}

// What hangs below the root comes before what is attached to it, however deep.
func TestRootBeforeAttached(t *testing.T) {
	shared := scalar(5)
	c, err := ckpt.NewRooted(branch("a", branch("deep", shared)), ckpt.Objects{"z": shared})
	if err != nil {
		t.Fatal(err)
	}
	s := write(t, c)
	deep, attached := scalar(0), scalar(0)
	if c, err = ckpt.NewRooted(branch("a", branch("deep", deep)), ckpt.Objects{"z": attached}); err != nil {
		t.Fatal(err)
	}
	s.read(t, c)
	wantValues(t, "deep", deep, 5)
	wantValues(t, "attached", attached, 0)
}

func TestRS24SeveralTensors(t *testing.T) {
	s := write(t, ckpt.New(ckpt.Objects{"p": newPair(1, 2)}))
	one := newPair(0)
	wantChecks(t, s.read(t, ckpt.New(ckpt.Objects{"p": one})), "", "", "")
	wantValues(t, "v1", one.vars[0], 1)
	three := newPair(0, 0, 0)
	_, err := ckpt.New(ckpt.Objects{"p": three}).Read(t.Context(), s.prefix, &ckpt.RestoreOptions{Bucket: s.bucket})
	wantError(t, "three tensors", err, "p/.ATTRIBUTES/v3")
	if !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
	wantValues(t, "v1", three.vars[0], 0)
}

func TestRS31TwoCheckpointsOneObject(t *testing.T) {
	model := write(t, ckpt.New(ckpt.Objects{"model": branch("w", scalar(1))}))
	optimizer := write(t, ckpt.New(ckpt.Objects{"optimizer": branch("m", scalar(2))}))
	w, m := scalar(0), scalar(0)
	o := branch("m", m)
	wantChecks(t, model.read(t, ckpt.New(ckpt.Objects{"model": branch("w", w), "optimizer": o})), "(root).optimizer.m", "(root).optimizer.m", "")
	wantValues(t, "w", w, 1)
	wantValues(t, "m", m, 0)
	wantChecks(t, optimizer.read(t, ckpt.New(ckpt.Objects{"optimizer": o})), "", "", "")
	wantValues(t, "m", m, 2)
}
