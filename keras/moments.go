package keras

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/tensor"
)

// moments are an optimizer's variables for one variable of the model.
type moments struct{ m, v, vHat *Variable }

// Build makes the moments of the variables that Apply will be given, as
// optimizer.build does; Apply builds by itself. Restored values that wait for
// the moments are read now. If the iterations were restored and a moment has no
// restored value, the optimizer would go on from a state it never had: that is
// an error; see Reset.
func (a *Adam) Build(variables []*Variable) error {
	if a.slots != nil {
		if err := a.checkKnown(variables); err != nil {
			return err
		}
		return a.checkRestored()
	}
	slots := make(map[*Variable]*moments)
	trained := make(map[*Variable]bool)
	var own, hats []child // of the list of all
	ms, vs, vHats := new(ckpt.List), new(ckpt.List), new(ckpt.List)
	next := len(a.Variables())
	add := func(to *ckpt.List, v *Variable, what string) *Variable {
		moment := optimizerVariable(a.momentName(v, what), v.DType(), v.Shape(), 0)
		if err := to.Append(moment); err != nil {
			panic(err) // a new list takes a new variable
		}
		return moment
	}
	for _, v := range variables {
		if trained[v] || v.DType() != tensor.Float32 {
			return fmt.Errorf("keras: %s cannot train variable %q, which is %v or given twice", a.name, v.path, v.DType())
		}
		trained[v] = true
		slot := &moments{m: add(ms, v, "momentum"), v: add(vs, v, "velocity")}
		own = append(own, child{strconv.Itoa(next), slot.m}, child{strconv.Itoa(next + 1), slot.v})
		next += 2
		if a.o.AMSGrad {
			slot.vHat = add(vHats, v, "velocity_hat")
			hats = append(hats, child{"", slot.vHat})
		}
		slots[v] = slot
	}
	for i := range hats {
		hats[i].name = strconv.Itoa(next + i)
	}
	return a.attach(variables, slots, append(own, hats...), ms, vs, vHats)
}

// attach makes new moments children, which restores what waits for them.
func (a *Adam) attach(variables []*Variable, slots map[*Variable]*moments, own []child, ms, vs, vHats *ckpt.List) error {
	if err := a.variables.TrackAll(children(own)); err != nil {
		return err
	}
	var trained []child
	for i, v := range variables {
		trained = append(trained, child{strconv.Itoa(i), v})
	}
	if err := a.trainable.TrackAll(children(trained)); err != nil {
		return err
	}
	lists := []child{{"_momentums", ms}, {"_velocities", vs}}
	if a.o.AMSGrad {
		lists = append(lists, child{"_velocity_hats", vHats})
	}
	if err := a.TrackAll(children(lists)); err != nil {
		return err
	}
	a.slots = slots
	if a.reset {
		return a.zero()
	}
	return a.checkRestored()
}

// Reset starts the optimizer over: no iterations, and moments of zero, those
// that a checkpoint still has for it included. The learning rate stays. A model
// that was changed since the checkpoint was saved resumes with
// ResumeOptions.AllowPartial and a Reset.
func (a *Adam) Reset() error {
	a.reset = a.slots == nil // else there is nothing to come
	return a.zero()
}

// zero assigns zeros to all but the learning rate.
func (a *Adam) zero() error {
	for _, v := range a.Variables() {
		if v == a.learningRate {
			continue
		}
		n, _ := v.Shape().Elements()
		t, err := tensor.New(v.DType(), v.Shape().Clone(), make([]byte, n*int64(v.DType().Size())))
		if err == nil {
			err = v.Assign(t)
		}
		if err != nil {
			return err
		}
	}
	a.whole = true
	return nil
}

// checkRestored refuses moments that start at zero beside iterations that a
// checkpoint says were made.
func (a *Adam) checkRestored() error {
	n := a.iterations.Int64()
	if a.whole || !a.iterations.restored || n == 0 {
		a.whole = true
		return nil
	}
	for _, v := range a.Variables() {
		if v != a.iterations && v != a.learningRate && !v.restored {
			return fmt.Errorf("keras: %s was restored after %d iterations, but the checkpoint has no value for %q: it is of another optimizer or model, or was saved before the optimizer was built; to start the optimizer over, call its Reset", a.name, n, v.name)
		}
	}
	a.whole = true
	return nil
}

// checkKnown refuses variables the optimizer has no moments for.
func (a *Adam) checkKnown(variables []*Variable) error {
	for _, v := range variables {
		if a.slots[v] == nil {
			return fmt.Errorf("keras: %s was built for other variables and knows no %q; an optimizer takes the variables of its first Apply only", a.name, v.path)
		}
	}
	return nil
}

// momentName is the full name of a moment.
func (a *Adam) momentName(v *Variable, what string) string {
	return a.name + "/" + strings.ReplaceAll(strings.ReplaceAll(v.path, "/", "_"), ":", "_") + "_" + what
}
