package interop_test

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// containerCase is a case of containers.py: the same objects in Go.
type containerCase struct {
	objects ckpt.Objects
	change  func()     // makes values one larger, and puts "!" behind words
	show    func() any // as containers.py shows them; nil where Go cannot
}

// registered is an object of the saver that containers.py registers.
type registered struct{ *ckpt.Variable[float32] }

func (registered) Saver() string                            { return "Custom.pp" }
func (registered) SaverKey(path string, _ ckpt.Spec) string { return path + "/value" }

func containerCases(t *testing.T) map[string]containerCase {
	numbers := func(n int) (list []*ckpt.Variable[float32]) {
		for range n {
			list = append(list, ckpt.NewScalar("v", float32(0)))
		}
		return list
	}
	variables := func(objects ckpt.Objects, list []*ckpt.Variable[float32]) containerCase {
		return containerCase{objects,
			func() {
				for _, v := range list {
					v.Assign(v.Value() + 1)
				}
			},
			func() any {
				var shown []any
				for _, v := range list {
					shown = append(shown, float64(v.Value()))
				}
				return shown
			}}
	}
	// list takes objects, and numbers of places to skip.
	list := func(elements ...any) *ckpt.List {
		l := new(ckpt.List)
		for _, e := range elements {
			if n, ok := e.(int); ok {
				l.Skip(n)
			} else if err := l.Append(e.(ckpt.Trackable)); err != nil {
				t.Fatal(err)
			}
		}
		return l
	}
	dict := func(pairs ...any) *ckpt.Map {
		m := new(ckpt.Map)
		for i := 0; i < len(pairs); i += 2 {
			if err := m.Set(pairs[i].(string), pairs[i+1].(ckpt.Trackable)); err != nil {
				t.Fatal(err)
			}
		}
		return m
	}

	l, d := numbers(4), numbers(3)
	lists := ckpt.Objects{
		"gaps":    list(2, l[0], 1, l[1]),
		"nested":  list(list(l[2], l[0], 1, l[3])),
		"twice":   list(2, l[0], 2, l[0]),
		"group":   list(l[1], 1, l[3]),
		"named":   dict("x", l[2], "y", l[3], "0", l[2], "1", l[3]), // a namedtuple
		"empty":   list(),
		"numbers": list(3),
	}
	dicts := ckpt.Objects{"m": dict("later", d[2], "d", dict("b", d[0], "a", d[1], "list", list(d[2]), "x/y.z", dict("in", d[0])))}

	state := ckpt.NewVariable[int64]("StateVar", []int64{3}, nil)
	var text string
	v := numbers(1)
	words := variables(ckpt.Objects{"v": v[0], "s": ckpt.NewPythonState(
		func() ([]byte, error) { return []byte(text), nil },
		func(data []byte) (func(), error) { return func() { text = string(data) }, nil })}, v)
	addOne := words.change
	words.change = func() { addOne(); text += "!" }
	words.show = func() any { return []any{text, float64(v[0].Value())} }

	r := numbers(3)
	return map[string]containerCase{
		"lists":  variables(lists, l),
		"dicts":  variables(dicts, d),
		"tables": tableCase(),
		"generator": {ckpt.Objects{"g": dict("_state_var", state)},
			func() { state.Data()[0]++ },
			func() any { return []any{float64(state.Data()[0]), float64(state.Data()[1]), float64(state.Data()[2])} }},
		"state":      words,
		"iterator":   {objects: ckpt.Objects{"it": new(ckpt.IteratorState)}, change: func() {}},
		"registered": variables(ckpt.Objects{"a": registered{r[0]}.pointer(), "m": dict("r", registered{r[1]}.pointer()), "v": r[2]}, r),
	}
}

func (r registered) pointer() *registered { return &r }

func tableCase() containerCase {
	counts, names := ckpt.NewTable[string, int64](), ckpt.NewTable[int64, string]()
	points, flags := ckpt.NewTable[int64, [2]float32](), ckpt.NewTable[string, bool]()
	return containerCase{
		ckpt.Objects{"counts": counts, "names": names, "points": points, "flags": flags},
		func() {
			for k, v := range counts.All() {
				counts.Insert(k, v+1)
			}
			for k, v := range names.All() {
				names.Insert(k, v+"!")
			}
			for k, v := range points.All() {
				points.Insert(k, [2]float32{v[0] + 1, v[1] + 1})
			}
			counts.Insert("new", 9)
			flags.Remove("yes")
		},
		func() any {
			return map[string]any{"counts": shownTable(counts), "names": shownTable(names), "points": shownTable(points), "flags": shownTable(flags)}
		},
	}
}

// shownTable lists the entries, sorted by their keys as text.
func shownTable[K comparable, V any](table *ckpt.Table[K, V]) any {
	shown := []any{}
	for k, v := range table.All() {
		shown = append(shown, []any{fmt.Sprint(k), plain(v)})
	}
	slices.SortFunc(shown, func(a, b any) int { return strings.Compare(a.([]any)[0].(string), b.([]any)[0].(string)) })
	return shown
}

// plain is a value as encoding/json would give it back.
func plain(v any) (p any) {
	b, err := json.Marshal(v)
	if err == nil {
		err = json.Unmarshal(b, &p)
	}
	if err != nil {
		panic(err)
	}
	return p
}

// TestContainers restores what Python saved of lists, dicts, tuples, tables,
// states, an iterator and objects of a registered saver, saves it again with the
// same bytes, and lets Python restore what Go changed.
func TestContainers(t *testing.T) {
	tensorflow.Require(t)
	dir := t.TempDir()
	theirs := callContainers(t, dir, "save")
	want := make(map[string]any)
	for name, c := range containerCases(t) {
		prefix := filepath.Join(dir, "theirs", name)
		checkpoint := ckpt.New(c.objects)
		status, err := checkpoint.Read(t.Context(), prefix, nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := status.CheckConsumed(); err != nil {
			t.Error(err)
		}
		again := filepath.Join(dir, "again", name)
		if _, err := checkpoint.Write(t.Context(), again, nil); err != nil {
			t.Fatal(err)
		}
		sameFolder(t, again+".", prefix+".")
		want[name] = theirs[name]
		if c.show != nil {
			if diff := cmp.Diff(plain(c.show()), theirs[name]); diff != "" {
				t.Errorf("%s: Go restored: -got +want:\n%s", name, diff)
			}
			c.change()
			want[name] = plain(c.show())
		}
		if _, err := checkpoint.Write(t.Context(), filepath.Join(dir, "ours", name), nil); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(callContainers(t, dir, "load"), want); diff != "" {
		t.Errorf("TensorFlow restored: -got +want:\n%s", diff)
	}
}

func callContainers(t *testing.T, dir, what string) (shown map[string]any) {
	t.Helper()
	output := tensorflow.Script(t, dir, "containers.py", what)
	if err := json.Unmarshal([]byte(output), &shown); err != nil {
		t.Fatalf("%v: %s", err, output)
	}
	return shown
}
