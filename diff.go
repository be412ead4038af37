package ckpt

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/internal/fault"
)

// Diff is how the stored objects of a checkpoint and live ones differ. The first
// three fields are what CheckpointView.diff returns; the others, which count
// slot variables too, say what that means for a restore.
type Diff struct {
	Matched    map[int]Trackable // live objects by stored node, as Match finds them
	OnlyStored []int             // stored nodes without a live object, breadth first
	OnlyLive   []Trackable       // live objects without a stored one, breadth first

	Missing []string          // live objects with values that are not stored, by path
	Unused  []string          // stored objects with values that have no live one, by path
	Misfits []*MismatchError  // stored values that differ from the live ones in dtype or shape
	Doubles []string          // stored objects that are two in the program, by path
	Renamed map[string]string // what looks renamed: as RestoreOptions.Rename takes it
}

// Diff compares the checkpoint with live objects, by the names of edges from the
// root: CheckpointView.diff, and whether a restore would fit. It reads the
// index, no values, and changes nothing.
func (v *View) Diff(ctx context.Context, root Trackable) (*Diff, error) {
	m, err := v.match(root)
	if err != nil {
		return nil, err
	}
	w, err := walk(m.r.root)
	if err != nil {
		return nil, err
	}
	d := new(Diff)
	d.compare(m, w)
	m.settle() // what a restore makes
	defer m.cancelGrowths()
	if m.failed != nil {
		return nil, m.failed
	}
	objects, err := w.withSlots()
	if err != nil {
		return nil, err
	}
	d.Missing = unboundNames(w, objects, m.r.objects(), nil)
	creates := make(map[int]bool, len(m.create)) // what a restore makes: slot variables
	for _, s := range m.create {
		creates[s.slot] = true
	}
	if _, ok := root.(*Checkpoint); ok { // and the save counter
		if node, ok := v.graph.Child(0, counterName); ok {
			creates[node] = true
		}
	}
	for _, node := range m.r.unusedNodes() {
		if !creates[node] {
			d.Unused = append(d.Unused, v.Path(node))
		}
	}
	for _, node := range m.doubles {
		d.Doubles = append(d.Doubles, v.Path(node))
	}
	for _, guess := range m.r.likelyRenamed(w, v.r.rd) {
		if d.Renamed == nil {
			d.Renamed = make(map[string]string)
		}
		d.Renamed[guess.from] = guess.to
	}
	misfits, err := m.misfits(ctx, v.r.rd, m.reads)
	if err != nil {
		return nil, err
	}
	d.Misfits = append(m.foreign, misfits...)
	for _, u := range m.unused {
		for _, a := range v.graph.Nodes[u.node].Attributes {
			if a.Name == configAttribute {
				continue
			}
			got := "a tensor"
			if entry, err := v.r.rd.Entry(a.Key); err == nil {
				got = describe(entry.DType, entry.Shape)
			}
			d.Misfits = append(d.Misfits, &MismatchError{Key: a.Key, Want: "an object with children and no value", Got: got, Err: errors.New("the live object takes no value")})
		}
	}
	return d, nil
}

// compare fills in what CheckpointView.diff returns.
func (d *Diff) compare(m *matching, w *walker) {
	descendants := m.r.graph.Descendants()
	d.Matched = m.byNode(descendants)
	matched := make(map[Trackable]bool, len(d.Matched))
	for _, object := range d.Matched {
		matched[object] = true
	}
	for _, node := range descendants {
		if d.Matched[node] == nil {
			d.OnlyStored = append(d.OnlyStored, node)
		}
	}
	for _, object := range w.objects {
		if !matched[object] {
			d.OnlyLive = append(d.OnlyLive, object)
		}
	}
}

// Fits tells whether a restore would set every value, of both sides.
func (d *Diff) Fits() bool {
	return len(d.Missing)+len(d.Unused)+len(d.Misfits)+len(d.Doubles) == 0
}

// String tells what matters of it, one finding a line.
func (d *Diff) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s of program and checkpoint match\n", count(len(d.Matched), "object"))
	for _, m := range d.Misfits {
		fmt.Fprintf(&b, "differs: %v\n", m)
	}
	for _, name := range d.Missing {
		fmt.Fprintf(&b, "missing in the checkpoint: %s\n", fault.Printable(name))
	}
	for _, name := range d.Unused {
		fmt.Fprintf(&b, "missing in the program: %s\n", fault.Printable(name))
	}
	for _, name := range d.Doubles {
		fmt.Fprintf(&b, "one object in the checkpoint and two in the program: %s\n", fault.Printable(name))
	}
	for _, from := range slices.Sorted(maps.Keys(d.Renamed)) {
		fmt.Fprintf(&b, "likely renamed: %s is %s now\n", fault.Printable(from), fault.Printable(d.Renamed[from]))
	}
	return b.String()
}
