package interop_test

import "slices"

// recent mostly picks what was made last.
func (g *generator) recent(ids []int) int {
	if g.one(3) {
		return g.pick(ids)
	}
	return ids[len(ids)-1-g.r.IntN(min(2, len(ids)))]
}

func (g *generator) save() {
	if len(g.checkpoints) > 0 {
		g.emit(operation{Op: "save", Checkpoint: g.recent(g.checkpoints), Prefix: g.prefixes[g.r.IntN(len(g.prefixes))]})
	}
}

func (g *generator) write() {
	if len(g.checkpoints) == 0 {
		return
	}
	g.written++
	prefix := "w/" + string(rune('a'+g.written%26))
	switch {
	case g.one(10):
		prefix = "w/a"
	case g.one(8): // where saves and managers write
		prefix = []string{"p/c-1", "m/ckpt-2", "n/model-x-1", "n/model-x-5", "m/other"}[g.r.IntN(5)]
	}
	g.emit(operation{Op: "write", Checkpoint: g.recent(g.checkpoints), Prefix: prefix})
}

func (g *generator) restore() {
	if len(g.checkpoints) == 0 || len(g.saved) == 0 {
		return
	}
	op := "restore"
	if g.one(3) {
		op = "read"
	}
	g.emit(operation{Op: op, Checkpoint: g.recent(g.checkpoints), From: g.recent(g.saved), SkipSlots: len(g.optimizers) > 0 && g.one(12)})
	if g.one(2) {
		g.check()
	}
}

func (g *generator) check() {
	if len(g.statuses) > 0 {
		g.emit(operation{Op: "check", Status: g.recent(g.statuses)})
	}
}

// copy makes all objects again, as another run of a program would, with some
// edges left for later.
func (g *generator) copy() {
	if len(g.ops) > 70 {
		return
	}
	begin := g.copied
	g.copied = len(g.ops)
	again := make(map[int]int)
	late := make(map[int]bool) // parents whose edges come late
	for _, op := range slices.Clone(g.ops)[begin:] {
		old := op.ID
		op.Fill = 0
		switch op.Op {
		case "variable", "state", "node", "optimizer", "list", "dict":
		case "slot":
			op.Parent, op.Object = again[op.Parent], again[op.Object]
			if op.Parent == 0 || op.Object == 0 || g.one(3) {
				continue
			}
			if g.one(2) {
				g.pending = append(g.pending, op)
				continue
			}
		case "checkpoint":
			op.Root = again[op.Root]
			var kept []named
			var left []operation
			for _, n := range op.Objects {
				n.child = again[n.child]
				if n.child == 0 {
					continue
				}
				if op.Root == 0 && g.one(5) {
					left = append(left, operation{Op: "track", Name: n.name, Child: n.child})
				} else {
					kept = append(kept, n)
				}
			}
			op.Objects = kept
			again[old] = g.emit(op)
			for _, l := range left {
				l.Parent = again[old]
				g.pending = append(g.pending, l)
			}
			continue
		case "track", "append", "skip":
			op.Parent, op.Child = again[op.Parent], again[op.Child]
			if op.Parent == 0 || op.Child == 0 && op.Op != "skip" {
				continue
			}
			if late[op.Parent] || g.one(4) {
				late[op.Parent] = op.Op != "track" || g.one(2)
				g.pending = append(g.pending, op)
				continue
			}
		default:
			continue
		}
		again[old] = g.emit(op)
	}
	g.resume(again)
}

// resume restores into a copy what its original saved.
func (g *generator) resume(again map[int]int) {
	var saves []operation
	for _, op := range g.ops {
		if (op.Op == "save" || op.Op == "write") && again[op.Checkpoint] != 0 {
			saves = append(saves, op)
		}
	}
	if len(saves) == 0 {
		return
	}
	from := saves[g.r.IntN(len(saves))]
	g.emit(operation{Op: map[string]string{"save": "restore", "write": "read"}[from.Op], Checkpoint: again[from.Checkpoint], From: from.ID})
	g.check()
	for range min(len(g.pending), 1+g.r.IntN(6)) {
		g.late()
		if g.one(3) {
			g.check()
		}
	}
}

// late tracks what a copy left for later.
func (g *generator) late() {
	if len(g.pending) > 0 {
		g.emit(g.pending[0])
		g.pending = g.pending[1:]
	}
}

// manager begins one in a folder, in the place of the last one there.
func (g *generator) manager() {
	if len(g.checkpoints) == 0 {
		return
	}
	folder := []string{"m", "n"}[g.r.IntN(2)]
	name := map[string]string{"m": "ckpt", "n": "model-x"}[folder]
	if g.one(40) {
		name = "other"
	}
	if old := g.folders[folder]; old != 0 && !g.one(6) {
		g.managers = slices.DeleteFunc(g.managers, func(id int) bool { return id == old })
	}
	op := operation{
		Op: "manager", Checkpoint: g.recent(g.checkpoints), Folder: folder, Name: name,
		Keep: g.r.IntN(4), Hours: []float64{0, 0, 0.5, 1}[g.r.IntN(4)],
	}
	if g.one(4) {
		if len(g.steps) == 0 {
			g.emit(operation{Op: "variable", DType: "int64", Fill: g.fill()})
		}
		op.Object, op.Interval = g.pick(g.steps), int64(1+g.r.IntN(20))
	}
	if holders := slices.Concat(g.variables, g.states); len(holders) > 0 && g.one(3) {
		op.Child, op.Fill = g.pick(holders), g.fill() // what the init function sets
	}
	g.folders[folder] = g.emit(op)
}

// due saves where that is due by a manager's interval.
func (g *generator) due() {
	for _, op := range slices.Clone(g.ops) {
		if op.Op != "manager" || op.Interval == 0 || !slices.Contains(g.managers, op.ID) {
			continue
		}
		for range 1 + g.r.IntN(3) {
			if g.one(2) {
				g.emit(operation{Op: "assign", Object: op.Object, Fill: g.fill()})
			}
			g.emit(operation{Op: "due", Manager: op.ID})
		}
	}
}

// slot gives optimizers slot variables, or those other values.
func (g *generator) slot() {
	if len(g.optimizers) == 0 || len(g.variables) == 0 {
		return
	}
	for range 1 + g.r.IntN(3) {
		g.emit(operation{Op: "slot", Parent: g.pick(g.optimizers), Object: g.pick(g.variables), Name: []string{"m", "v"}[g.r.IntN(2)], Fill: g.fill()})
	}
}

func (g *generator) managerSave() {
	if len(g.managers) == 0 {
		return
	}
	for range 1 + g.r.IntN(3) {
		op := operation{Op: "managersave", Manager: g.pick(g.managers)}
		if g.numbered != g.one(20) {
			number := int64(g.r.IntN(3 + len(g.saved)*2))
			op.Number = &number
		}
		g.emit(op)
		if g.one(2) {
			g.wait()
		}
	}
}

func (g *generator) initialize() {
	if len(g.managers) > 0 {
		g.emit(operation{Op: "initialize", Manager: g.pick(g.managers)})
	}
}

func (g *generator) latest() {
	g.emit(operation{Op: "latest", Folder: []string{"m", "n", "p", "q", "none"}[g.r.IntN(5)]})
}

func (g *generator) wait() {
	seconds := []float64{0.5, 60, 900, 1800, 3600, 7200}[g.r.IntN(6)]
	if g.one(60) {
		seconds = -3600
	}
	g.emit(operation{Op: "wait", Seconds: seconds})
}

// remove takes away a file, as a person would.
func (g *generator) remove() {
	if len(g.saved) > 0 {
		op := operation{Op: "delete", From: g.pick(g.saved), Suffix: []string{".index", ".index", ".data-00000-of-00001"}[g.r.IntN(3)]}
		g.emit(op)
		if op.Suffix == ".index" && g.one(2) {
			op.Suffix = ".data-00000-of-00001"
			g.emit(op)
		}
	}
}

// forget takes away a state file.
func (g *generator) forget() {
	if g.one(2) {
		g.emit(operation{Op: "forget", Folder: []string{"m", "n", "p"}[g.r.IntN(3)]})
	}
}
