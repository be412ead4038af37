package ckpt

import (
	"context"
	"fmt"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
)

// slotVariables restores the slot variables that become possible when an
// object is bound: as an optimizer, or as the variable they belong to.
func (m *matching) slotVariables(node int) {
	if m.r.slots == nil && m.r.slotWait == nil {
		return
	}
	if m.slots == nil {
		m.slots, m.taken, m.slotWait = make(map[int]bool), make(map[int]bool), make(map[int][]slotRestoration)
	}
	var pending []slotRestoration
	if !m.taken[node] {
		m.taken[node] = true
		pending = append(pending, m.r.slotWait[node]...)
	}
	pending = append(pending, m.slotWait[node]...)
	delete(m.slotWait, node)
	if !m.slots[node] {
		m.slots[node] = true
		pending = append(pending, m.r.slots[node]...)
	}
	for _, s := range pending {
		m.slotVariable(s)
	}
}

// slotVariable matches one slot variable whose variable is bound.
func (m *matching) slotVariable(s slotRestoration) {
	optimizer := m.r.bound[s.optimizer]
	if optimizer == nil {
		m.slotWait[s.optimizer] = append(m.slotWait[s.optimizer], s)
		return
	}
	owner, ok := optimizer.(SlotOwner)
	if !ok {
		return // a program that keeps no slots there: CheckConsumed tells
	}
	slot := owner.Slot(m.r.bound[s.original], s.name)
	if !absent(slot) {
		m.bindSlot(s, slot)
		return
	}
	// Names come from the file: only those that the optimizer has are asked for.
	if _, ok := optimizer.(SlotCreator); ok && slices.Contains(owner.SlotNames(), s.name) {
		m.create = append(m.create, s)
		return
	}
	// The optimizer may make it by itself, some day: RestoreStatus.Fill looks again.
	m.slotWait[s.optimizer] = append(m.slotWait[s.optimizer], s)
}

func (m *matching) bindSlot(s slotRestoration, slot Trackable) {
	if err := identity(slot); err != nil {
		m.failed = fmt.Errorf("ckpt: %s: %w", fault.Printable(m.r.name(s.slot)), err)
		return
	}
	if m.bind(s.slot, slot) {
		m.queue = append(m.queue, pair{s.slot, slot})
	}
}

// createSlots lets optimizers make the slot variables that the checkpoint has
// values for. It is the last thing before bytes are read, because it cannot be
// taken back.
func (m *matching) createSlots(ctx context.Context, rd *bundle.Reader) error {
	for len(m.create) > 0 && m.failed == nil {
		pending := m.create
		m.create = nil
		for _, s := range pending {
			if m.r.bound[s.slot] != nil {
				continue
			}
			if err := m.createSlot(ctx, rd, s); err != nil {
				return fmt.Errorf("ckpt: %s: %w", fault.Printable(m.r.name(s.slot)), err)
			}
		}
		m.drain()
		m.settle()
	}
	return m.failed
}

func (m *matching) createSlot(ctx context.Context, rd *bundle.Reader, s slotRestoration) error {
	creator, variable := m.r.bound[s.optimizer].(SlotCreator), m.r.bound[s.original]
	slot := creator.Slot(variable, s.name)
	if absent(slot) {
		stored := m.r.graph.Nodes[s.slot]
		if len(stored.Attributes) == 0 {
			return fault.Corrupt(fault.KindGraph, "slot variable without a tensor")
		}
		a := stored.Attributes[0]
		entry, err := rd.Entry(a.Key)
		if err != nil {
			return err
		}
		if err := rd.CheckEntry(ctx, a.Key, &entry); err != nil {
			return err
		}
		spec := Spec{Attribute: a.Name, DType: entry.DType, Shape: entry.Shape, FullName: a.FullName}
		if slot, err = creator.CreateSlot(variable, s.name, spec); err != nil || absent(slot) {
			return err
		}
	}
	m.bindSlot(s, slot)
	return nil
}
