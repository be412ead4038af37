package interop_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt"
)

// slotOptimizer has slot variables "m" and "v".
type slotOptimizer struct {
	ckpt.Node
	r     *runner
	slots map[slotOf]holder
}

type slotOf struct {
	name     string
	variable int
}

// slotted is an optimizer of either class.
type slotted interface {
	ckpt.SlotOwner
	own() *slotOptimizer
}

func (o *slotOptimizer) own() *slotOptimizer { return o }
func (o *slotOptimizer) SlotNames() []string { return []string{"m", "v"} }

func (o *slotOptimizer) Slot(variable ckpt.Trackable, name string) ckpt.Trackable {
	if h, ok := o.slots[slotOf{name, o.r.variable(variable)}]; ok {
		return h.trackable()
	}
	return nil
}

func (o *slotOptimizer) make(key slotOf, fill int) holder {
	of := o.r.declared[key.variable]
	h := newHolder(&operation{ID: of.ID, DType: of.DType, Shape: of.Shape, Fill: fill, Name: "slot"})
	o.slots[key] = h
	return h
}

func (o *slotOptimizer) show() string {
	var words []string
	for key, h := range o.slots {
		words = append(words, fmt.Sprintf("%s of %d %s", key.name, key.variable, h.show()))
	}
	slices.Sort(words)
	return strings.Join(words, ", ")
}

// slotCreator is an optimizer that makes slot variables when they are restored.
type slotCreator struct{ slotOptimizer }

func (c *slotCreator) CreateSlot(variable ckpt.Trackable, name string, _ ckpt.Spec) (ckpt.Trackable, error) {
	if id := c.r.variable(variable); id != 0 {
		return c.make(slotOf{name, id}, 0).trackable(), nil
	}
	return nil, nil
}

func (r *runner) optimizer(op *operation) ckpt.Trackable {
	o := slotOptimizer{r: r, slots: make(map[slotOf]holder)}
	if op.Class == "creator" {
		return &slotCreator{o}
	}
	return &o
}

// variable is the ID of a variable, 0 if it is something else.
func (r *runner) variable(object ckpt.Trackable) int {
	for _, id := range slices.Sorted(maps.Keys(r.declared)) {
		if r.objects[id] == object {
			return id
		}
	}
	return 0
}

// slot makes a slot variable, or gives it another value.
func (r *runner) slot(op *operation) error {
	o, ok := r.objects[op.Parent].(slotted)
	if _, declared := r.declared[op.Object]; !ok || !declared {
		return errSkip
	}
	key := slotOf{op.Name, op.Object}
	if h, ok := o.own().slots[key]; ok {
		h.assign(op.Fill)
		return nil
	}
	o.own().make(key, op.Fill)
	// What waits for it is found by those who look.
	for _, id := range slices.Backward(slices.Sorted(maps.Keys(r.statuses))) {
		if err := r.late(r.statuses[id].Fill(r.ctx)); err != nil {
			return err
		}
	}
	if len(r.initialized) > 0 {
		r.excuse("fill")
	}
	return nil
}
