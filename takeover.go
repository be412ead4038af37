package ckpt

import "bytes"

// adopt keeps a restoration for as long as something of it waits. One of the
// same graph replaces its predecessor wholly, if it waits at the same objects.
func (c *Checkpoint) adopt(r *restoration) {
	kept := c.restores[:0]
	var graph []byte
	for _, old := range c.restores {
		if old.closed || old.byName == nil && len(old.waiting()) == 0 {
			continue
		}
		if old.byName != nil && r.byName != nil {
			old.close() // whatever appears is offered to the new one first, and is its then
			continue
		}
		if old.comparable(r) {
			if graph == nil {
				graph = r.graph.Append(nil)
			}
			if bytes.Equal(graph, old.graph.Append(nil)) && old.servedBy(r) {
				old.close()
				old.next = r
				continue
			}
		}
		kept = append(kept, old)
	}
	clear(c.restores[len(kept):])
	c.restores = append(kept, r)
}

// comparable tells whether two restorations may be of the same graph, and are
// about as much of it.
func (r *restoration) comparable(newer *restoration) bool {
	return r.byName == nil && newer.byName == nil && r.only == nil && newer.only == nil &&
		len(r.graph.Nodes) == len(newer.graph.Nodes) && r.skipSlots == newer.skipSlots
}

// servedBy tells whether a newer restoration of the same graph waits for all that
// this one waits for. It does not where an object was replaced in between:
// what hangs below the old one waits on.
func (r *restoration) servedBy(newer *restoration) bool {
	waits := make(map[parking]bool, len(newer.parks))
	for _, p := range newer.parks {
		waits[p] = true
	}
	for _, p := range r.parks {
		if r.bound[p.node] != nil || waits[p] {
			continue
		}
		if object := newer.bound[p.node]; object == nil || childOf(p.object, p.name) != object {
			return false
		}
	}
	for _, list := range r.slotWait {
		for _, s := range list {
			if r.bound[s.slot] == nil && (r.bound[s.optimizer] != newer.bound[s.optimizer] || r.bound[s.original] != newer.bound[s.original]) {
				return false
			}
		}
	}
	return true
}
