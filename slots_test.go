package ckpt_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ckpt-go/ckpt"
)

// adam is an optimizer of the old kind: two scalars that it makes with its
// first slot, and slots m and v.
type adam struct {
	ckpt.Node
	slots map[string]map[ckpt.Trackable]*ckpt.Variable[float32]
}

func newAdam(vars ...ckpt.Trackable) *adam {
	a := new(adam)
	for i, v := range vars {
		for k, name := range a.SlotNames() {
			a.set(v, name, float32(10*(i+1)+k))
		}
	}
	if len(vars) > 0 {
		a.build(0.9, 0.99)
	}
	return a
}

func (a *adam) build(beta1, beta2 float32) error {
	return errors.Join(a.Track("beta1_power", scalar(beta1)), a.Track("beta2_power", scalar(beta2)))
}

func (a *adam) set(variable ckpt.Trackable, name string, x float32) *ckpt.Variable[float32] {
	if a.slots == nil {
		a.slots = map[string]map[ckpt.Trackable]*ckpt.Variable[float32]{"m": {}, "v": {}}
	}
	a.slots[name][variable] = scalar(x)
	return a.slots[name][variable]
}

func (a *adam) SlotNames() []string { return []string{"m", "v"} }

// Slot returns a nil pointer for slots that do not exist, as a map does.
func (a *adam) Slot(variable ckpt.Trackable, name string) ckpt.Trackable {
	return a.slots[name][variable]
}

// creator makes slots when a checkpoint has values for them.
type creator struct {
	adam
	made []ckpt.Spec
	err  error
}

func (c *creator) CreateSlot(variable ckpt.Trackable, name string, spec ckpt.Spec) (ckpt.Trackable, error) {
	c.made = append(c.made, spec)
	if c.err != nil || name == "unwanted" {
		return nil, c.err
	}
	return c.set(variable, name, 0), nil
}

func TestOG11Slots(t *testing.T) {
	v := scalar(1)
	c, err := ckpt.NewRooted(branch("var", v), ckpt.Objects{"optimizer": newAdam(v)})
	if err != nil {
		t.Fatal(err)
	}
	s := save(t, c)
	wantKeys(t, s, "optimizer/beta1_power", "optimizer/beta2_power", "save_counter", "var", "var/.OPTIMIZER_SLOT/optimizer/m", "var/.OPTIMIZER_SLOT/optimizer/v")
	g := s.graph(t)
	wantEdges(t, g, 0, "var→1 optimizer→2 root→0 save_counter→3")
	slots := g.Nodes[2].Slots
	if len(slots) != 2 || slots[0].Name != "m" || slots[0].Original != 1 || slots[0].Node != 6 || slots[1].Name != "v" || slots[1].Node != 7 {
		t.Errorf("got slots %+v", slots)
	}
}

// All m first, then all v; slots of variables that are not reachable are left
// out.
func TestSlotOrder(t *testing.T) {
	a, b, lost := scalar(1), scalar(2), scalar(3)
	g := write(t, ckpt.New(ckpt.Objects{"a": a, "b": b, "o": newAdam(a, b, lost)})).graph(t)
	var got []string
	for _, s := range g.Nodes[3].Slots {
		got = append(got, g.Path(s.Node))
	}
	const want = "(root).o's state 'm' for (root).a, (root).o's state 'm' for (root).b, (root).o's state 'v' for (root).a, (root).o's state 'v' for (root).b"
	if strings.Join(got, ", ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}

func slotFiles(t *testing.T) (with, without saved) {
	v := scalar(13)
	o := newAdam(v)
	o.set(v, "m", 14)
	with = write(t, ckpt.New(ckpt.Objects{"var": v, "optimizer": o}))
	without = write(t, ckpt.New(ckpt.Objects{"var": scalar(12)}))
	return with, without
}

func TestRS29DeferredSlots(t *testing.T) {
	with, without := slotFiles(t)
	c := ckpt.New(nil)
	slotStatus, plainStatus := with.read(t, c), without.read(t, c)
	v := scalar(0)
	if err := c.Track("var", v); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "var", v, 12)
	wantError(t, "without: CheckConsumed", plainStatus.CheckConsumed(), "")
	o := new(creator)
	if err := c.Track("optimizer", o); err != nil {
		t.Fatal(err)
	}
	wantError(t, "with: CheckExistingObjectsMatched", slotStatus.CheckExistingObjectsMatched(), "")
	wantError(t, "with: CheckConsumed", slotStatus.CheckConsumed(), "beta1_power")
	wantValues(t, "m", o.slots["m"][v], 14)
	wantValues(t, "var", v, 12)
	if err := o.build(0, 0); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "beta2_power", o.Child("beta2_power").(*ckpt.Variable[float32]), 0.99)
	wantChecks(t, slotStatus, "", "", "")
	write(t, c)
}

// The optimizer first, then the variable; and both there at once.
func TestSlotsEitherOrder(t *testing.T) {
	with, _ := slotFiles(t)
	for _, order := range []string{"optimizer var", "var optimizer", ""} {
		t.Run(order, func(t *testing.T) {
			v, o := scalar(0), new(creator)
			c := ckpt.New(nil)
			if order == "" {
				c = ckpt.New(ckpt.Objects{"var": v, "optimizer": o})
			}
			status := with.read(t, c)
			for name := range strings.FieldsSeq(order) {
				if err := c.Track(name, map[string]ckpt.Trackable{"var": v, "optimizer": o}[name]); err != nil {
					t.Fatal(err)
				}
			}
			wantValues(t, "m", o.slots["m"][v], 14)
			wantValues(t, "v", o.slots["v"][v], 11)
			if len(o.made) != 2 || o.made[0].FullName != "v" || o.made[0].Attribute != ckpt.VariableValue {
				t.Errorf("got %+v", o.made)
			}
			if err := o.build(0, 0); err != nil {
				t.Fatal(err)
			}
			wantChecks(t, status, "", "", "")
		})
	}
}

// An optimizer that makes its slots by itself: they wait until Fill.
func TestSlotsWaitForFill(t *testing.T) {
	with, _ := slotFiles(t)
	v, o := scalar(0), new(adam)
	c := ckpt.New(ckpt.Objects{"var": v, "optimizer": o})
	status := with.read(t, c)
	if err := o.build(0, 0); err != nil {
		t.Fatal(err)
	}
	_, err := c.Write(t.Context(), "x", &ckpt.SaveOptions{Bucket: with.bucket})
	wantError(t, "Write", err, "(root).optimizer's state 'm' for (root).var")
	m, s := o.set(v, "m", 0), o.set(v, "v", 0)
	if err := status.Fill(t.Context()); err != nil {
		t.Fatal(err)
	}
	wantValues(t, "m", m, 14)
	wantValues(t, "v", s, 11)
	wantChecks(t, status, "", "", "")
	write(t, c)
}

// moreSlots is an optimizer with a slot that others do not know.
type moreSlots struct{ adam }

func (o *moreSlots) SlotNames() []string { return append(o.adam.SlotNames(), "../x") }

// A file may name any slot; an optimizer is asked to make those it has.
func TestSlotsOfUnknownNames(t *testing.T) {
	v := scalar(13)
	from := &moreSlots{*newAdam(v)}
	from.slots["../x"] = map[ckpt.Trackable]*ckpt.Variable[float32]{v: scalar(7)}
	file := write(t, ckpt.New(ckpt.Objects{"var": v, "optimizer": from}))
	v, o := scalar(0), new(creator)
	if err := o.build(0, 0); err != nil {
		t.Fatal(err)
	}
	status := file.read(t, ckpt.New(ckpt.Objects{"var": v, "optimizer": o}))
	if len(o.made) != 2 {
		t.Errorf("%d slots were made, want m and v", len(o.made))
	}
	wantError(t, "CheckConsumed", status.CheckConsumed(), "(root).optimizer's state '../x' for (root).var")
}

func TestRS30SlotsWithoutOptimizer(t *testing.T) {
	with, _ := slotFiles(t)
	v := scalar(0)
	c := ckpt.New(ckpt.Objects{"var": v, "optimizer": branch()})
	status := with.read(t, c)
	wantValues(t, "var", v, 13)
	err := status.CheckConsumed()
	wantError(t, "CheckConsumed", err, "Unresolved object in checkpoint: (root).optimizer.beta1_power")
}

func TestSkipSlotVariables(t *testing.T) {
	with, _ := slotFiles(t)
	v, o := scalar(0), new(creator)
	c := ckpt.New(ckpt.Objects{"var": v, "optimizer": o})
	status, err := c.Read(t.Context(), with.prefix, &ckpt.RestoreOptions{Bucket: with.bucket, SkipSlotVariables: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := o.build(0, 0); err != nil {
		t.Fatal(err)
	}
	if len(o.made) > 0 {
		t.Error("slots were made")
	}
	wantChecks(t, status, "", "", "")
}

// TestSkipSlotsThatExist leaves the program's slot variables as they are, which is
// no fault: not for the checks, and not for Resume, which demands a value for
// every other object.
func TestSkipSlotsThatExist(t *testing.T) {
	b, v := newMem(), scalar(13)
	o := newAdam(v)
	m := newManager(t, ckpt.New(ckpt.Objects{"var": v, "optimizer": o}), "d", &ckpt.ManagerOptions{Bucket: b})
	prefix, err := m.Save(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	check := func(t *testing.T, restore func(c *ckpt.Checkpoint) (*ckpt.RestoreStatus, error)) {
		v := scalar(0)
		o := newAdam(v)
		o.set(v, "m", 7)
		status, err := restore(ckpt.New(ckpt.Objects{"var": v, "optimizer": o}))
		if err != nil {
			t.Fatal(err)
		}
		wantValues(t, "var", v, 13)
		wantValues(t, "m", o.slots["m"][v], 7)
		wantChecks(t, status, "", "", "")
	}
	t.Run("Restore", func(t *testing.T) {
		check(t, func(c *ckpt.Checkpoint) (*ckpt.RestoreStatus, error) {
			return c.Restore(t.Context(), prefix, &ckpt.RestoreOptions{Bucket: b, SkipSlotVariables: true})
		})
	})
	t.Run("Resume", func(t *testing.T) {
		check(t, func(c *ckpt.Checkpoint) (*ckpt.RestoreStatus, error) {
			resumed, err := newManager(t, c, "d", &ckpt.ManagerOptions{Bucket: b}).Resume(t.Context(), &ckpt.ResumeOptions{SkipSlotVariables: true})
			if err != nil {
				return nil, err
			}
			return resumed.Status, nil
		})
	})
}

// Slots are made only when everything else fits.
func TestSlotsAndMisfits(t *testing.T) {
	with, _ := slotFiles(t)
	o := new(creator)
	c := ckpt.New(ckpt.Objects{"var": vector(1, 2), "optimizer": o})
	if _, err := c.Read(t.Context(), with.prefix, &ckpt.RestoreOptions{Bucket: with.bucket}); !errors.Is(err, ckpt.ErrMismatch) {
		t.Errorf("got %v, want ErrMismatch", err)
	}
	if len(o.made) > 0 {
		t.Error("slots were made")
	}
	o.err = errors.New("no memory")
	c = ckpt.New(ckpt.Objects{"var": scalar(1), "optimizer": o})
	_, err := c.Read(t.Context(), with.prefix, &ckpt.RestoreOptions{Bucket: with.bucket})
	wantError(t, "Read", err, "(root).optimizer's state 'm' for (root).var: no memory")
}

func TestSlotsThatCannotBeSaved(t *testing.T) {
	v := scalar(1)
	tracked := newAdam(v)
	for name, c := range map[string]*ckpt.Checkpoint{
		"tracked as an object": ckpt.New(ckpt.Objects{"v": v, "o": tracked, "m": tracked.slots["m"][v]}),
		"leaves":               ckpt.New(ckpt.Objects{"v": v, "o": &leafless{branch("x", scalar(1))}}),
	} {
		_, err := c.Write(t.Context(), "c", &ckpt.SaveOptions{Bucket: newMem()})
		wantError(t, name, err, name)
	}
}

// leafless has one slot for everything, which has a child.
type leafless struct{ *ckpt.Node }

func (*leafless) SlotNames() []string                          { return []string{"s"} }
func (l *leafless) Slot(ckpt.Trackable, string) ckpt.Trackable { return branch("x", scalar(1)) }

// legacyAdam is the optimizer of OG-12: five numbers as children and two slots for
// every variable.
type legacyAdam struct{ adam }

func TestOG12NamingWithOptimizer(t *testing.T) {
	dense := func(bias bool) *ckpt.Node {
		n := branch("kernel", vector(1))
		if bias {
			if err := n.Track("bias", vector(2)); err != nil {
				t.Fatal(err)
			}
		}
		return n
	}
	model := branch("_named_dense", dense(true), "_second", dense(false))
	o := new(legacyAdam)
	for _, name := range []string{"iter", "beta_1", "beta_2", "decay", "learning_rate"} {
		if err := o.Track(name, scalar(1)); err != nil {
			t.Fatal(err)
		}
	}
	for _, layer := range []string{"_named_dense", "_second"} {
		for _, v := range model.Child(layer).Children() {
			o.set(v, "m", 1)
			o.set(v, "v", 2)
		}
	}
	s := write(t, ckpt.New(ckpt.Objects{"optimizer": o, "model": model, "step": scalar(1)}))
	g := s.graph(t)
	wantEdges(t, g, 0, "model→1 optimizer→2 step→3")
	if n := len(g.Nodes[2].Children); n != 5 {
		t.Errorf("got %d children of the optimizer, want 5", n)
	}
	if n := len(g.Nodes[2].Slots); n != 6 {
		t.Errorf("got %d slot variables, want 6", n)
	}
	slot := func(variable, name string) string { return variable + "/.OPTIMIZER_SLOT/optimizer/" + name }
	bias, first, second := "model/_named_dense/bias", "model/_named_dense/kernel", "model/_second/kernel"
	wantKeys(t, s, bias, slot(bias, "m"), slot(bias, "v"), first, slot(first, "m"), slot(first, "v"), second, slot(second, "m"), slot(second, "v"),
		"optimizer/beta_1", "optimizer/beta_2", "optimizer/decay", "optimizer/iter", "optimizer/learning_rate", "step")
}
