package interop_test

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
)

// operation is one step of a random program, which python/differential.py and
// this package carry out alike. What it makes is known by its ID; an operation
// that needs what is not there, because that was dropped or refused, is skipped
// on both sides, so any part of a program is a program.
type operation struct {
	Op         string  `json:"op"`
	ID         int     `json:"id"` // from 1
	DType      string  `json:"dtype,omitempty"`
	Shape      []int64 `json:"shape,omitempty"`
	Fill       int     `json:"fill,omitempty"` // stands for values
	Class      string  `json:"class,omitempty"`
	Name       string  `json:"name,omitempty"`
	Parent     int     `json:"parent,omitempty"`
	Child      int     `json:"child,omitempty"`
	Replace    bool    `json:"replace,omitempty"`
	Object     int     `json:"object,omitempty"`
	Root       int     `json:"root,omitempty"`
	Objects    []named `json:"objects,omitempty"`
	Checkpoint int     `json:"checkpoint,omitempty"`
	Prefix     string  `json:"prefix,omitempty"`
	From       int     `json:"from,omitempty"` // the operation that saved
	Status     int     `json:"status,omitempty"`
	Manager    int     `json:"manager,omitempty"`
	Folder     string  `json:"folder,omitempty"`
	Keep       int     `json:"keep,omitempty"`
	Hours      float64 `json:"hours,omitempty"`
	Number     *int64  `json:"number,omitempty"`
	Seconds    float64 `json:"seconds,omitempty"`
	Suffix     string  `json:"suffix,omitempty"`
}

type named struct {
	name  string
	child int
}

func (n named) MarshalJSON() ([]byte, error)  { return json.Marshal([]any{n.name, n.child}) }
func (n *named) UnmarshalJSON(b []byte) error { return json.Unmarshal(b, &[]any{&n.name, &n.child}) }

// generator makes a random program from a seed.
type generator struct {
	r   *rand.Rand
	ops []operation

	variables, states, nodes, lists, dicts []int // ids, all that were made
	checkpoints                            []int
	rooted                                 map[int]bool
	statuses, managers                     []int
	saved                                  []int // operations that save
	folders                                map[string]int
	written                                int
	pending                                []operation // edges of copies that come late
	copied                                 int         // operations that a copy has been made of
	kinds                                  []variableKind
	prefixes                               []string
	numbered                               bool // saves of managers have numbers
}

type variableKind struct {
	dtype string
	shape []int64
}

var (
	differentialKinds = []variableKind{
		{"float32", nil}, {"float32", []int64{2, 2}}, {"float64", []int64{3}}, {"int64", nil}, {"int32", []int64{2}},
		{"bool", []int64{3}}, {"string", []int64{2}}, {"string", nil}, {"float32", []int64{0, 2}}, {"string", []int64{0}}, {"bool", nil},
	}
	differentialNames    = []string{"a", "b", "kernel", "b.c", "d/e", ".S", ".ATTR", "ünï", "0", "1", "..", "-x", "saved", "root_"}
	differentialPrefixes = []string{"p/c", "p/d", "q/c", "q/deep/c", "m/ckpt"}
)

func (g *generator) pick(ids []int) int { return ids[g.r.IntN(len(ids))] }

// one tells whether something happens that happens once in n times.
func (g *generator) one(n int) bool { return g.r.IntN(n) == 0 }

func (g *generator) emit(op operation) int {
	op.ID = len(g.ops) + 1
	g.ops = append(g.ops, op)
	switch op.Op {
	case "variable":
		g.variables = append(g.variables, op.ID)
	case "state":
		g.states = append(g.states, op.ID)
	case "node":
		g.nodes = append(g.nodes, op.ID)
	case "list":
		g.lists = append(g.lists, op.ID)
	case "dict":
		g.dicts = append(g.dicts, op.ID)
	case "checkpoint":
		g.checkpoints = append(g.checkpoints, op.ID)
		g.rooted[op.ID] = op.Root != 0
	case "save", "write", "managersave":
		g.saved = append(g.saved, op.ID)
	case "restore", "read":
		g.statuses = append(g.statuses, op.ID)
	case "manager":
		g.managers = append(g.managers, op.ID)
	}
	return op.ID
}

// generate is the program of a seed.
func generate(seed uint64) []operation {
	g := &generator{
		r: rand.New(rand.NewPCG(seed, 8)), rooted: make(map[int]bool), folders: make(map[string]int),
	}
	g.numbered = g.one(2)
	g.prefixes = differentialPrefixes
	if g.one(2) {
		g.prefixes = g.prefixes[g.r.IntN(len(g.prefixes)):][:1] // Checkpoints overwrite each other's
	}
	for range 1 + g.r.IntN(4)/3*2 {
		g.kinds = append(g.kinds, differentialKinds[g.r.IntN(len(differentialKinds))])
	}
	for range 2 + g.r.IntN(7) {
		g.object()
	}
	g.checkpoint()
	if g.one(2) {
		g.manager()
	}
	g.save()
	for range 4 + g.r.IntN(10) {
		g.step()
	}
	g.copy()
	for range 4 + g.r.IntN(14) {
		g.step()
	}
	for range min(len(g.pending), 8) {
		g.late()
	}
	g.check()
	return g.ops
}

func (g *generator) step() {
	actions := []struct {
		weight int
		do     func()
	}{
		{6, g.object}, {5, g.edge}, {3, g.replace}, {8, g.assign}, {8, g.save}, {5, g.write}, {11, g.restore}, {4, g.check},
		{3, g.checkpoint}, {4, g.copy}, {10, g.late}, {2, g.manager}, {10, g.managerSave}, {3, g.initialize}, {2, g.latest},
		{3, g.wait}, {1, g.remove}, {1, g.forget},
	}
	total := 0
	for _, a := range actions {
		total += a.weight
	}
	n := g.r.IntN(total)
	for _, a := range actions {
		if n -= a.weight; n < 0 {
			a.do()
			return
		}
	}
}

func (g *generator) name() string { return differentialNames[g.r.IntN(len(differentialNames))] }

// object makes an object and mostly hangs it somewhere.
func (g *generator) object() {
	parents := g.parents()
	var id int
	switch n := g.r.IntN(20); {
	case n < 9:
		kind := g.kinds[g.r.IntN(len(g.kinds))]
		id = g.emit(operation{
			Op: "variable", DType: kind.dtype, Shape: kind.shape, Fill: g.fill(),
			Name: []string{"", "", "kernel", "a_b", "scope/w", "w:0"}[g.r.IntN(6)],
		})
	case n < 10:
		id = g.emit(operation{Op: "state", Fill: g.fill()})
	case n < 15:
		id = g.emit(operation{Op: "node", Class: []string{"module", "auto"}[g.r.IntN(2)]})
	case n < 17:
		id = g.emit(operation{Op: "list"})
	case n < 19:
		id = g.emit(operation{Op: "dict"})
	default:
		id = g.emit(operation{Op: "checkpoint"})
	}
	if len(parents) > 0 && !g.one(8) {
		g.hang(g.pick(parents), id, g.one(10))
	}
}

func (g *generator) fill() int { return g.r.IntN(40) }

// parents are the objects that take children.
func (g *generator) parents() []int {
	all := slices.Concat(g.nodes, g.lists, g.dicts)
	for _, id := range g.checkpoints {
		if !g.rooted[id] {
			all = append(all, id)
		}
	}
	return all
}

func (g *generator) children() []int {
	return slices.Concat(g.variables, g.states, g.nodes, g.lists, g.dicts, g.checkpoints)
}

func (g *generator) hang(parent, child int, replace bool) {
	if g.cyclic(parent, child) {
		return
	}
	if slices.Contains(g.lists, parent) {
		if g.one(6) {
			g.emit(operation{Op: "skip", Parent: parent})
		}
		g.emit(operation{Op: "append", Parent: parent, Child: child})
		return
	}
	g.emit(operation{Op: "track", Parent: parent, Child: child, Name: g.name(), Replace: replace})
}

// cyclic tells whether an edge could make a cycle of nothing but lists and dicts.
func (g *generator) cyclic(parent, child int) bool {
	wrapper := func(id int) bool { return slices.Contains(g.lists, id) || slices.Contains(g.dicts, id) }
	return child <= parent && wrapper(parent) && wrapper(child)
}

// edge is one more way to an object, perhaps upwards.
func (g *generator) edge() {
	if parents := g.parents(); len(parents) > 0 {
		g.hang(g.pick(parents), g.pick(g.children()), g.one(4))
	}
}

// replace puts another object in the place of one.
func (g *generator) replace() {
	var edges []operation
	for _, op := range g.ops {
		if op.Op == "track" {
			edges = append(edges, op)
		}
	}
	if len(edges) == 0 {
		return
	}
	e := edges[g.r.IntN(len(edges))]
	e.Child, e.Replace = g.pick(g.children()), true
	if !g.cyclic(e.Parent, e.Child) {
		g.emit(e)
	}
}

func (g *generator) assign() {
	holders := slices.Concat(g.variables, g.states)
	if len(holders) == 0 {
		return
	}
	for range 1 + g.r.IntN(3) {
		g.emit(operation{Op: "assign", Object: g.pick(holders), Fill: g.fill()})
	}
}

func (g *generator) checkpoint() {
	op := operation{Op: "checkpoint"}
	if len(g.nodes) > 0 && g.one(3) {
		op.Root = g.pick(g.nodes)
	}
	if roots := g.unrooted(); len(roots) > 0 && g.one(15) {
		op.Root = g.pick(roots)
	}
	names := slices.Clone(differentialNames)
	g.r.Shuffle(len(names), func(i, j int) { names[i], names[j] = names[j], names[i] })
	for i := range g.r.IntN(4) {
		op.Objects = append(op.Objects, named{names[i], g.pick(g.children())})
	}
	g.emit(op)
}

func (g *generator) unrooted() []int {
	return slices.DeleteFunc(slices.Clone(g.checkpoints), func(id int) bool { return g.rooted[id] })
}

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
	if g.one(10) {
		prefix = "w/a"
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
	g.emit(operation{Op: op, Checkpoint: g.recent(g.checkpoints), From: g.recent(g.saved)})
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
		case "variable", "state", "node", "list", "dict":
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
	if old := g.folders[folder]; old != 0 {
		g.managers = slices.DeleteFunc(g.managers, func(id int) bool { return id == old })
	}
	g.folders[folder] = g.emit(operation{
		Op: "manager", Checkpoint: g.recent(g.checkpoints), Folder: folder, Name: name,
		Keep: g.r.IntN(4), Hours: []float64{0, 0, 0.5, 1}[g.r.IntN(4)],
	})
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
		g.emit(operation{Op: "delete", From: g.pick(g.saved), Suffix: []string{".index", ".index", ".data-00000-of-00001"}[g.r.IntN(3)]})
	}
}

// forget takes away a state file.
func (g *generator) forget() {
	if g.one(2) {
		g.emit(operation{Op: "forget", Folder: []string{"m", "n", "p"}[g.r.IntN(3)]})
	}
}
