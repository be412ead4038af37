package keras

import (
	"fmt"
	"slices"
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
	p := a.pending
	if p == nil || !slices.Equal(p.variables, variables) {
		var err error
		if p, err = a.newMoments(variables); err != nil {
			return err
		}
	}
	a.pending = p // a second try, after an error, is one with the same objects
	return a.attach(p)
}

// pending is an optimizer that is being built.
type pending struct {
	variables     []*Variable
	slots         map[*Variable]*moments
	own           []child // of the list of all
	ms, vs, vHats *ckpt.List
}

// newMoments makes the moments of variables.
func (a *Adam) newMoments(variables []*Variable) (*pending, error) {
	p := &pending{variables: slices.Clone(variables), slots: make(map[*Variable]*moments), ms: new(ckpt.List), vs: new(ckpt.List), vHats: new(ckpt.List)}
	var hats []child
	next := len(a.Variables())
	add := func(to *ckpt.List, v *Variable, what string) *Variable {
		moment := optimizerVariable(a.momentName(v, what), v.DType(), v.Shape(), 0)
		if err := to.Append(moment); err != nil {
			panic(err) // a new list takes a new variable
		}
		return moment
	}
	for _, v := range variables {
		switch {
		case p.slots[v] != nil:
			return nil, fmt.Errorf("keras: %s was given variable %q twice", a.name, v.path)
		case v.DType() != tensor.Float32:
			return nil, fmt.Errorf("keras: %s cannot train variable %q, which is %v", a.name, v.path, v.DType())
		}
		slot := &moments{m: add(p.ms, v, "momentum"), v: add(p.vs, v, "velocity")}
		p.own = append(p.own, child{strconv.Itoa(next), slot.m}, child{strconv.Itoa(next + 1), slot.v})
		next += 2
		if a.o.AMSGrad {
			slot.vHat = add(p.vHats, v, "velocity_hat")
			hats = append(hats, child{"", slot.vHat})
		}
		p.slots[v] = slot
	}
	for i := range hats {
		hats[i].name = strconv.Itoa(next + i)
	}
	p.own = append(p.own, hats...)
	return p, nil
}

// attach makes new moments children, which restores what waits for them. What is
// most likely not to fit, the order of the variables, comes first, when nothing
// has been tracked.
func (a *Adam) attach(p *pending) error {
	var trained []child
	for i, v := range p.variables {
		trained = append(trained, child{strconv.Itoa(i), v})
	}
	if err := a.trainable.TrackAll(children(trained)); err != nil {
		return err
	}
	if err := a.variables.TrackAll(children(p.own)); err != nil {
		return err
	}
	lists := []child{{"_momentums", p.ms}, {"_velocities", p.vs}}
	if a.o.AMSGrad {
		lists = append(lists, child{"_velocity_hats", p.vHats})
	}
	if err := a.TrackAll(children(lists)); err != nil {
		return err
	}
	a.slots, a.pending = p.slots, nil
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
			a.iterations.unfit = fmt.Errorf("keras: %s was restored after %d iterations, but the checkpoint has no value for %q: it is of another optimizer or model, or was saved before the optimizer was built; to start the optimizer over, call its Reset", a.name, n, v.name)
			return a.iterations.unfit
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
