package ckpt_test

import (
	"errors"
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// saveIfDue tells whether a save was due.
func saveIfDue(t *testing.T, m *ckpt.Manager, o *ckpt.SaveOptions) bool {
	t.Helper()
	prefix, err := m.SaveIfDue(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if prefix != "" && prefix != m.Latest() && (o == nil || !o.Background) {
		t.Errorf("SaveIfDue: got %q, Latest %q", prefix, m.Latest())
	}
	return prefix != ""
}

func TestCM12Interval(t *testing.T) {
	p := newProgram()
	m := newManager(t, p.Checkpoint, t.TempDir(), &ckpt.ManagerOptions{Step: p.step.Value, Interval: 2})
	for i, test := range []struct {
		step int64
		due  bool
	}{{0, true}, {1, false}, {2, true}, {2, false}, {3, false}} {
		p.setStep(test.step)
		if got := saveIfDue(t, m, nil); got != test.due {
			t.Errorf("call %d, step %d: got %v, want %v", i, test.step, got, test.due)
		}
	}
	saveSteps(t, p, m, 3)
	if got := p.SaveCounter(); got != 3 {
		t.Errorf("SaveCounter: got %d, want 3", got)
	}
	saveSteps(t, p, m, 3) // Save always saves, where TensorFlow does not twice at one step
	if got := p.SaveCounter(); got != 4 {
		t.Errorf("SaveCounter: got %d, want 4", got)
	}
}

// TestCM12IntervalTable is the example of spec/manager.md §3, made by TensorFlow;
// but where it refuses to save the same step again, Save does.
func TestCM12IntervalTable(t *testing.T) {
	type call struct {
		step     int64
		always   bool // Save, else SaveIfDue
		want     bool
		deviates bool
	}
	for _, test := range []struct {
		name  string
		last  *int64
		calls []call
	}{
		{"last step not known", nil, []call{
			{0, false, true, false}, {0, false, false, false}, {3, false, false, false}, {4, false, false, false}, {5, false, true, false},
			{6, false, false, false}, {9, false, false, false}, {10, false, true, false}, {11, false, false, false},
			{12, true, true, false}, {12, true, true, true}, {2, false, false, false}, {2, true, true, false},
		}},
		{"last step 0", new(int64(0)), []call{{0, false, false, false}, {3, false, false, false}, {5, false, true, false}}},
		{"last step below zero", new(int64(-3)), []call{{1, false, false, false}, {2, false, true, false}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := newProgram()
			m := newManager(t, p.Checkpoint, t.TempDir(), &ckpt.ManagerOptions{Step: p.step.Value, Interval: 5, LastStep: test.last})
			for i, c := range test.calls {
				p.setStep(c.step)
				save := m.SaveIfDue
				if c.always {
					save = m.Save
				}
				if prefix, err := save(t.Context(), nil); err != nil || (prefix != "") != c.want {
					t.Errorf("call %d, step %d: got %q, %v, want a save %v", i, c.step, prefix, err, c.want)
				}
			}
		})
	}
}

func TestCM13IntervalWithRestore(t *testing.T) {
	for name, restore := range map[string]func(m *ckpt.Manager) error{
		"RestoreOrInitialize": func(m *ckpt.Manager) error { _, err := m.RestoreOrInitialize(t.Context()); return err },
		"Resume":              func(m *ckpt.Manager) error { _, err := m.Resume(t.Context(), nil); return err },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if _, err := newProgram().Save(t.Context(), filepath.Join(dir, "ckpt"), nil); err != nil {
				t.Fatal(err)
			}
			p := newProgram()
			m := newManager(t, p.Checkpoint, dir, &ckpt.ManagerOptions{Step: p.step.Value, Interval: 2})
			if err := restore(m); err != nil {
				t.Fatal(err)
			}
			for _, want := range []bool{false, false, true} {
				if got := saveIfDue(t, m, nil); got != want {
					t.Errorf("step %d: got %v, want %v", p.step.Value(), got, want)
				}
				p.setStep(p.step.Value() + 1)
			}
		})
	}
}

// TestCM14IntervalOptions are the errors of the options about intervals.
func TestCM14IntervalOptions(t *testing.T) {
	step := func() int64 { return 0 }
	for name, o := range map[string]ckpt.ManagerOptions{
		"Interval without Step":   {Interval: 5},
		"negative Interval":       {Step: step, Interval: -1},
		"LastStep without Step":   {LastStep: new(int64(1))},
		"negative IntervalTime":   {IntervalTime: -1},
		"negative Overhead":       {Overhead: -0.1},
		"Overhead of all":         {Overhead: 1},
		"negative KeepEverySteps": {KeepEverySteps: -1},
		"KeepBest without metric": {KeepBest: []ckpt.Best{{Count: 1}}},
		"KeepBest of none":        {KeepBest: []ckpt.Best{{Metric: "loss"}}},
		"unknown Adopt":           {Adopt: 3},
	} {
		if _, err := ckpt.NewManager(ckpt.New(nil), t.TempDir(), &o); err == nil {
			t.Errorf("%s: got no error", name)
		}
	}
}

// TestDueAgainAfterFailure checks that a save that failed does not count, in the
// foreground and in the background (spec/manager.md §10, rows 21 and 36).
func TestDueAgainAfterFailure(t *testing.T) {
	for _, background := range []bool{false, true} {
		t.Run(fmt.Sprintf("background %v", background), func(t *testing.T) {
			fail := errors.New("a full disk")
			failing := false
			p := newProgram()
			m := newManager(t, p.Checkpoint, t.TempDir(), &ckpt.ManagerOptions{Step: p.step.Value, Interval: 10})
			save := func(step int64) (string, error) {
				p.setStep(step)
				fails := failing
				prefix, err := m.SaveIfDue(t.Context(), &ckpt.SaveOptions{Background: background, AfterWrite: []func(string) error{func(string) error {
					if fails {
						return fail
					}
					return nil
				}}})
				if waitErr := m.Wait(t.Context()); err == nil {
					err = waitErr
				}
				return prefix, err
			}
			if prefix, err := save(0); prefix == "" || err != nil {
				t.Fatalf("step 0: got %q, %v", prefix, err)
			}
			failing = true
			for step := int64(10); step < 13; step++ {
				if _, err := save(step); !errors.Is(err, fail) {
					t.Errorf("step %d: got %v, want %v", step, err, fail)
				}
			}
			failing = false
			for step := int64(12); step < 22; step++ {
				if prefix, err := save(step); err != nil || (prefix != "") != (step == 12) {
					t.Errorf("step %d: got %q, %v", step, prefix, err)
				}
			}
			if prefix, err := save(22); prefix == "" || err != nil {
				t.Errorf("step 22: got %q, %v", prefix, err)
			}
		})
	}
}

// TestDueInFlight checks that a background save counts while it is under way,
// and that its error comes with the next save, which is due then.
func TestDueInFlight(t *testing.T) {
	hold, fail := make(chan struct{}), errors.New("a full disk")
	p := newProgram()
	m := newManager(t, p.Checkpoint, t.TempDir(), &ckpt.ManagerOptions{Step: p.step.Value, Interval: 5})
	saveSteps(t, p, m, 0)
	p.setStep(5)
	done := make(chan error, 1)
	o := &ckpt.SaveOptions{
		Background: true,
		AfterWrite: []func(string) error{func(string) error { <-hold; return fail }},
		Done:       func(_ string, err error) { done <- err },
	}
	if !saveIfDue(t, m, o) {
		t.Error("step 5: not due")
	}
	for p.step.Value() < 9 {
		p.setStep(p.step.Value() + 1)
		if saveIfDue(t, m, nil) {
			t.Errorf("step %d: due while the save of step 5 is under way", p.step.Value())
		}
	}
	close(hold)
	if err := <-done; !errors.Is(err, fail) {
		t.Errorf("Done: got %v, want %v", err, fail)
	}
	if prefix, err := m.SaveIfDue(t.Context(), nil); prefix != "" || !errors.Is(err, fail) {
		t.Errorf("after the failure: got %q, %v, want %v", prefix, err, fail)
	}
	if !saveIfDue(t, m, nil) {
		t.Error("step 9: not due after the failure")
	}
	if err := m.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := m.SaveIfDue(t.Context(), nil); err == nil {
		t.Error("SaveIfDue of a closed Manager: got no error")
	}
}

// TestDueWithoutInterval checks that without conditions it always saves, as in
// TensorFlow.
func TestDueWithoutInterval(t *testing.T) {
	p := newProgram()
	m := newManager(t, p.Checkpoint, t.TempDir(), &ckpt.ManagerOptions{Step: p.step.Value})
	for range 3 {
		if !saveIfDue(t, m, nil) {
			t.Error("not due")
		}
	}
}
