package ckpt_test

import (
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// Of the defects that users of TensorFlow meet, those of background saves and of
// size. The numbers are those of the project's list.
//
//	24  background saves number anew      TestPain24BackgroundNumbers, TestAS5Counter, TestAS6Manager
//	37  the second background save fails  TestPain37BackgroundAgain, keras TestBackgroundSave
//	38  100,000 variables take a minute   TestPain38ManyVariables, BenchmarkMany

// Background saves go on from the numbers of those in the foreground and of the
// run before, overwrite nothing, and store the number they have.
func TestPain24BackgroundNumbers(t *testing.T) {
	dir := t.TempDir()
	save := func(first int64) {
		p := newProgram()
		m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{MaxToKeep: ckpt.KeepAll})
		if _, err := m.Resume(t.Context(), nil); err != nil {
			t.Fatal(err)
		}
		for i, o := range []*ckpt.SaveOptions{nil, behind, {Background: true, Busy: ckpt.BusyReplace}, nil} {
			n := first + int64(i)
			p.setStep(n)
			if got, err := m.Save(t.Context(), o); err != nil || filepath.Base(got) != fmt.Sprint("ckpt-", n) {
				t.Fatalf("got %s, %v, want ckpt-%d", got, err, n)
			}
			if i == 1 { // BusyReplace replaces nothing then
				if err := m.Wait(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := m.Close(); err != nil {
			t.Fatal(err)
		}
	}
	save(1)
	save(5)
	for n := int64(1); n <= 8; n++ {
		r, err := ckpt.Open(t.Context(), filepath.Join(dir, fmt.Sprint("ckpt-", n)), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, key := range []string{"save_counter", "step"} {
			if got, err := ckpt.Read[int64](t.Context(), r, key+"/.ATTRIBUTES/VARIABLE_VALUE"); err != nil || got[0] != n {
				t.Errorf("ckpt-%d: %s is %v, %v", n, key, got, err)
			}
		}
		r.Close()
	}
}

// Many background saves in one process, of objects that appear meanwhile, too.
func TestPain37BackgroundAgain(t *testing.T) {
	b, p := newMem(), newProgram()
	m := newManager(t, p.Checkpoint, "", &ckpt.ManagerOptions{Bucket: b, MaxToKeep: 2})
	for i := range int64(10) {
		late := ckpt.NewScalar("late", i)
		if err := p.Track(fmt.Sprint("late", i), late); err != nil {
			t.Fatal(err)
		}
		p.setStep(i)
		if _, err := m.Save(t.Context(), behind); err != nil {
			t.Fatal(err)
		}
		late.Assign(-1) // not what is saved
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	r, err := ckpt.Open(t.Context(), m.Latest(), &ckpt.OpenOptions{Bucket: b})
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for i := range int64(10) {
		want := int64(-1)
		if i == 9 {
			want = i
		}
		if got, err := ckpt.Read[int64](t.Context(), r, fmt.Sprintf("late%d/.ATTRIBUTES/VARIABLE_VALUE", i)); err != nil || got[0] != want {
			t.Errorf("late%d: got %v, %v, want %d", i, got, err, want)
		}
	}
}

// A hundred thousand variables are saved, listed and restored; each costs a
// bounded number of allocations.
func TestPain38ManyVariables(t *testing.T) {
	b := newMem()
	c, vars := many(0)
	const most = 60 // for each variable
	n := float64(len(vars))
	check := func(what string, run func() error) {
		t.Helper()
		allocations := testing.AllocsPerRun(1, func() {
			if err := run(); err != nil {
				t.Fatalf("%s: %v", what, err)
			}
		})
		t.Logf("%s: %.1f allocations for each variable", what, allocations/n)
		if allocations > most*n {
			t.Errorf("%s: %.0f allocations for %.0f variables", what, allocations, n)
		}
	}
	for _, background := range []bool{false, true} {
		check(fmt.Sprint("save, background ", background), func() error {
			if _, err := c.Write(t.Context(), "many", &ckpt.SaveOptions{Bucket: b, Background: background}); err != nil {
				return err
			}
			return c.Wait(t.Context())
		})
	}
	for i, v := range vars {
		v.Assign(float32(-i))
	}
	check("restore", func() error {
		_, err := c.Read(t.Context(), "many", &ckpt.RestoreOptions{Bucket: b})
		return err
	})
	for i, v := range vars {
		if v.Value() != float32(i) {
			t.Fatalf("variable %d is %v", i, v.Value())
		}
	}
	check("list", func() error {
		r, err := ckpt.Open(t.Context(), "many", &ckpt.OpenOptions{Bucket: b})
		if err != nil {
			return err
		}
		defer r.Close()
		listed := 0
		for _, err := range r.Variables() {
			if err != nil {
				return err
			}
			listed++
		}
		if listed != len(vars)+1 {
			return fmt.Errorf("%d tensors", listed)
		}
		return nil
	})
}

// AS-1: what a background save of 42 wrote comes back.
func TestAS1Background(t *testing.T) {
	v := ckpt.NewScalar("v", int64(42))
	c := ckpt.New(ckpt.Objects{"v": v})
	path, err := c.Save(t.Context(), filepath.Join(t.TempDir(), "c"), behind)
	if err == nil {
		err = c.Wait(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	v.Assign(43)
	status, err := c.Restore(t.Context(), path, nil)
	if err == nil {
		err = status.CheckConsumed()
	}
	if err != nil || v.Value() != 42 {
		t.Errorf("got %d, %v, want 42", v.Value(), err)
	}
}

// IT-8: tensors read by a map of names; one may feed two targets.
func TestIT8NameMap(t *testing.T) {
	prefix, err := ckpt.New(ckpt.Objects{
		"var1":         ckpt.NewVariable("var1", tensor.Shape{2}, []float32{1, 2}),
		"useful_scope": ckpt.New(ckpt.Objects{"var4": ckpt.NewVariable("var4", tensor.Shape{2}, []float32{4, 5})}),
	}).Write(t.Context(), filepath.Join(t.TempDir(), "c"), nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := ckpt.Open(t.Context(), prefix, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	for target, test := range map[string]struct {
		source string
		want   []float32
	}{
		"my1":        {"var1", []float32{1, 2}},
		"again":      {"var1", []float32{1, 2}},
		"other/var4": {"useful_scope/var4", []float32{4, 5}},
	} {
		got, err := ckpt.Read[float32](t.Context(), r, test.source+"/.ATTRIBUTES/VARIABLE_VALUE")
		if err != nil || !slices.Equal(got, test.want) {
			t.Errorf("%s: got %v, %v, want %v", target, got, err, test.want)
		}
	}
}
