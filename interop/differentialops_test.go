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
	Interval   int64   `json:"interval,omitempty"` // of a manager whose step counter is Object
	SkipSlots  bool    `json:"skip_slots,omitempty"`
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
	optimizers                             []int // nodes, too
	steps                                  []int // int64 scalars
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
		if op.DType == "int64" && op.Shape == nil {
			g.steps = append(g.steps, op.ID)
		}
	case "state":
		g.states = append(g.states, op.ID)
	case "node":
		g.nodes = append(g.nodes, op.ID)
	case "optimizer":
		g.nodes, g.optimizers = append(g.nodes, op.ID), append(g.optimizers, op.ID)
	case "list":
		g.lists = append(g.lists, op.ID)
	case "dict":
		g.dicts = append(g.dicts, op.ID)
	case "checkpoint":
		g.checkpoints = append(g.checkpoints, op.ID)
		g.rooted[op.ID] = op.Root != 0
	case "save", "write", "managersave", "due":
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
		{3, g.wait}, {1, g.remove}, {1, g.forget}, {6, g.slot}, {10, g.due},
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
	case n < 14:
		id = g.emit(operation{Op: "node", Class: []string{"module", "auto"}[g.r.IntN(2)]})
		g.counter(id)
	case n < 15:
		id = g.emit(operation{Op: "optimizer", Class: []string{"creator", "plain"}[g.r.IntN(2)]})
	case n < 17:
		id = g.emit(operation{Op: "list"})
	case n < 19:
		id = g.emit(operation{Op: "dict"})
	default:
		id = g.emit(operation{Op: "checkpoint"})
	}
	if slices.Contains(g.optimizers, id) {
		g.slot()
	}
	if len(parents) > 0 && !g.one(8) {
		g.hang(g.pick(parents), id, g.one(10))
	}
}

// counter is a save counter of a node's own.
func (g *generator) counter(node int) {
	if g.one(20) {
		g.emit(operation{Op: "track", Parent: node, Child: g.emit(operation{Op: "variable", DType: "int64", Fill: g.fill(), Name: "save_counter"}), Name: "save_counter"})
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
		if op.Op == "track" && op.Name != "save_counter" {
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
