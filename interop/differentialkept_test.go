package interop_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// differentialSeeds are those that have failed, each with the reason beside it.
// What they stand for changes with the generator: the program itself is kept
// in differentialPrograms.
var differentialSeeds = []uint64{}

// differentialPrograms are programs that have failed, made as small as they get,
// and the deviations that may end them now; "" if both sides agree.
var differentialPrograms = []struct {
	name, deviation string
	operations      string
}{
	{"an index that somebody took away", "", `
{"op":"variable","id":1,"dtype":"float32","shape":[0,2],"fill":20,"name":"kernel"}
{"op":"node","id":2,"class":"auto"}
{"op":"checkpoint","id":9,"root":2,"objects":[["root_",1],["ünï",2]]}
{"op":"manager","id":10,"name":"model-x","checkpoint":9,"folder":"n","keep":1}
{"op":"managersave","id":23,"manager":10,"number":3}
{"op":"delete","id":26,"from":23,"suffix":".index"}
{"op":"managersave","id":35,"manager":10,"number":0}`},
	{"a waiting counter, then a file without one", "", `
{"op":"checkpoint","id":2}
{"op":"save","id":11,"checkpoint":2,"prefix":"q/c"}
{"op":"checkpoint","id":13}
{"op":"variable","id":15,"dtype":"int32","shape":[2],"name":"kernel"}
{"op":"node","id":17,"class":"auto"}
{"op":"checkpoint","id":20,"root":17,"objects":[["kernel",15]]}
{"op":"read","id":21,"checkpoint":13,"from":11}
{"op":"write","id":22,"checkpoint":20,"prefix":"w/b"}
{"op":"restore","id":27,"checkpoint":13,"from":22}`},
	{"a waiting counter, then a file with one", "", `
{"op":"checkpoint","id":1}
{"op":"dict","id":2}
{"op":"track","id":3,"name":"..","parent":1,"child":2}
{"op":"checkpoint","id":12}
{"op":"manager","id":15,"name":"ckpt","checkpoint":12,"folder":"m","hours":1}
{"op":"save","id":16,"checkpoint":1,"prefix":"p/c"}
{"op":"checkpoint","id":34}
{"op":"read","id":42,"checkpoint":34,"from":16}
{"op":"managersave","id":44,"manager":15,"number":5}
{"op":"restore","id":48,"checkpoint":34,"from":44}
{"op":"check","id":51,"status":42}`},
	{"two Checkpoints with one root", "first counter", `
{"op":"variable","id":2,"dtype":"bool","fill":3,"name":"kernel"}
{"op":"node","id":8,"class":"auto"}
{"op":"checkpoint","id":10,"root":8,"objects":[["-x",2]]}
{"op":"save","id":11,"checkpoint":10,"prefix":"p/c"}
{"op":"restore","id":16,"checkpoint":10,"from":11}
{"op":"save","id":23,"checkpoint":10,"prefix":"q/deep/c"}
{"op":"checkpoint","id":24,"root":8}
{"op":"restore","id":26,"checkpoint":24,"from":23}`},
	{"a root read before it was restored", "first counter", `
{"op":"dict","id":2}
{"op":"node","id":4,"class":"auto"}
{"op":"checkpoint","id":8,"root":4,"objects":[["ünï",2]]}
{"op":"save","id":10,"checkpoint":8,"prefix":"p/c"}
{"op":"checkpoint","id":11,"root":4,"objects":[[".ATTR",4]]}
{"op":"read","id":13,"checkpoint":11,"from":10}
{"op":"restore","id":19,"checkpoint":11,"from":10}
{"op":"check","id":22,"status":19}`},
	{"no file for what has no values", "no file", `
{"op":"variable","id":2,"dtype":"int32","shape":[2],"fill":32,"name":"a_b"}
{"op":"variable","id":3,"dtype":"string","shape":[0],"fill":16,"name":"scope/w"}
{"op":"dict","id":4}
{"op":"checkpoint","id":5,"objects":[["ünï",2],[".S",4],[".ATTR",3]]}
{"op":"save","id":8,"checkpoint":5,"prefix":"p/d"}
{"op":"checkpoint","id":10}
{"op":"read","id":11,"checkpoint":10,"from":8}
{"op":"delete","id":14,"from":8,"suffix":".index"}
{"op":"node","id":17,"class":"module"}
{"op":"track","id":18,"name":".ATTR","parent":10,"child":17}`},
	{"an object that was checked and is gone", "gone", `
{"op":"state","id":2,"fill":13}
{"op":"checkpoint","id":6,"objects":[["kernel",2]]}
{"op":"save","id":7,"checkpoint":6,"prefix":"p/c"}
{"op":"variable","id":8,"dtype":"string","fill":6}
{"op":"track","id":9,"name":"d/e","parent":6,"child":8}
{"op":"read","id":12,"checkpoint":6,"from":7}
{"op":"check","id":13,"status":12}
{"op":"track","id":16,"name":"d/e","parent":6,"child":2,"replace":true}
{"op":"check","id":18,"status":12}`},
	{"a counter that waits for a file that was replaced", "replaced", `
{"op":"variable","id":2,"dtype":"float64","shape":[3],"fill":35,"name":"w:0"}
{"op":"checkpoint","id":3,"objects":[["-x",2],["1",2]]}
{"op":"save","id":4,"checkpoint":3,"prefix":"m/ckpt"}
{"op":"checkpoint","id":9}
{"op":"read","id":11,"checkpoint":9,"from":4}
{"op":"manager","id":12,"name":"ckpt","checkpoint":9,"folder":"m","hours":1}
{"op":"checkpoint","id":18}
{"op":"save","id":19,"checkpoint":18,"prefix":"m/ckpt"}
{"op":"managersave","id":22,"manager":12,"number":10}`},
	{"a root that got another object", "attached", `
{"op":"variable","id":9,"dtype":"int64","name":"a_b"}
{"op":"variable","id":10,"dtype":"int64","name":"kernel"}
{"op":"node","id":11,"class":"auto"}
{"op":"node","id":12,"class":"auto"}
{"op":"checkpoint","id":13,"root":11,"objects":[["root_",9],["b.c",12],["kernel",10]]}
{"op":"track","id":14,"name":"root_","parent":11,"child":12}
{"op":"save","id":18,"checkpoint":13,"prefix":"p/d"}`},
	{"an object that the root has", "same child", `
{"op":"node","id":1,"class":"module"}
{"op":"variable","id":2,"dtype":"string","shape":[2],"fill":3,"name":"kernel"}
{"op":"track","id":3,"name":"a","parent":1,"child":2,"replace":true}
{"op":"variable","id":11,"dtype":"string","shape":[2],"fill":36}
{"op":"checkpoint","id":14,"root":1,"objects":[["saved",11],["a",2],["b.c",1]]}`},
	{"a waiting counter whose file is gone", "no file", `
{"op":"checkpoint","id":9}
{"op":"save","id":11,"checkpoint":9,"prefix":"q/deep/c"}
{"op":"write","id":13,"checkpoint":9,"prefix":"w/b"}
{"op":"checkpoint","id":23}
{"op":"read","id":25,"checkpoint":23,"from":13}
{"op":"delete","id":34,"from":13,"suffix":".index"}
{"op":"restore","id":37,"checkpoint":23,"from":11}`},
	{"a counter of a save, whose file is gone", "no file", `
{"op":"checkpoint","id":5}
{"op":"save","id":6,"checkpoint":5,"prefix":"p/d"}
{"op":"write","id":7,"checkpoint":5,"prefix":"w/b"}
{"op":"write","id":10,"checkpoint":5,"prefix":"w/c"}
{"op":"checkpoint","id":22}
{"op":"read","id":23,"checkpoint":22,"from":7}
{"op":"delete","id":26,"from":7,"suffix":".index"}
{"op":"read","id":27,"checkpoint":22,"from":10}
{"op":"save","id":32,"checkpoint":22,"prefix":"p/d"}`},
	{"values that wait from restore_or_initialize", "waiting", `
{"op":"list","id":1}
{"op":"node","id":2,"class":"auto"}
{"op":"variable","id":4,"dtype":"bool","fill":6,"name":"scope/w"}
{"op":"track","id":5,"name":"b","parent":2,"child":4}
{"op":"checkpoint","id":10,"objects":[["root_",2],["b.c",1]]}
{"op":"node","id":22,"class":"auto"}
{"op":"checkpoint","id":29,"objects":[["root_",22]]}
{"op":"manager","id":35,"name":"model-x","checkpoint":29,"folder":"n","keep":3,"hours":1}
{"op":"track","id":41,"name":"kernel","parent":22,"child":10,"replace":true}
{"op":"managersave","id":45,"manager":35,"number":0}
{"op":"manager","id":48,"name":"model-x","checkpoint":10,"folder":"n","keep":2,"hours":0.5}
{"op":"initialize","id":49,"manager":48}
{"op":"managersave","id":50,"manager":48}
{"op":"managersave","id":52,"manager":48}`},
	{"a status of values that were restored again", "taken over", `
{"op":"dict","id":2}
{"op":"checkpoint","id":4,"objects":[["a",2]]}
{"op":"save","id":8,"checkpoint":4,"prefix":"p/d"}
{"op":"write","id":9,"checkpoint":4,"prefix":"w/c"}
{"op":"dict","id":11}
{"op":"checkpoint","id":13}
{"op":"read","id":14,"checkpoint":13,"from":9}
{"op":"track","id":16,"name":"a","parent":13,"child":11}
{"op":"read","id":18,"checkpoint":13,"from":8}
{"op":"check","id":19,"status":14}`},
	{"a shared object under a name with a dot", "", `
{"op":"variable","id":2,"dtype":"bool","shape":[3],"fill":38}
{"op":"variable","id":3,"dtype":"bool","shape":[3],"fill":12,"name":"w:0"}
{"op":"checkpoint","id":4,"objects":[[".S",3],["..",2],["0",3]]}
{"op":"manager","id":5,"name":"model-x","checkpoint":4,"folder":"n","hours":0.5}
{"op":"managersave","id":21,"manager":5,"number":10}
{"op":"initialize","id":23,"manager":5}`},
	{"no file for what a newer restore serves", "no file", `
{"op":"variable","id":2,"dtype":"int64","fill":24,"name":"scope/w"}
{"op":"optimizer","id":12,"class":"creator"}
{"op":"variable","id":17,"dtype":"int64","fill":27,"name":"a_b"}
{"op":"track","id":18,"name":".ATTR","parent":12,"child":17}
{"op":"checkpoint","id":19,"root":12,"objects":[["ünï",2]]}
{"op":"manager","id":28,"fill":24,"name":"ckpt","child":17,"checkpoint":19,"folder":"m","keep":2,"hours":1}
{"op":"wait","id":31,"seconds":3600}
{"op":"managersave","id":32,"manager":28}
{"op":"managersave","id":34,"manager":28}
{"op":"variable","id":37,"dtype":"int64","name":"scope/w"}
{"op":"optimizer","id":43,"class":"creator"}
{"op":"variable","id":46,"dtype":"int64","name":"a_b"}
{"op":"checkpoint","id":47,"root":43,"objects":[["ünï",37]]}
{"op":"restore","id":57,"checkpoint":47,"from":34}
{"op":"restore","id":66,"checkpoint":47,"from":32}
{"op":"managersave","id":67,"manager":28}
{"op":"managersave","id":69,"manager":28}
{"op":"track","id":76,"name":".ATTR","parent":43,"child":46}`},
	{"slot variables that are skipped", "", `
{"op":"variable","id":1,"dtype":"string","shape":[0],"fill":35,"name":"scope/w"}
{"op":"optimizer","id":2,"class":"creator"}
{"op":"checkpoint","id":5,"objects":[["root_",2],["b",2],["ünï",1]]}
{"op":"save","id":11,"checkpoint":5,"prefix":"q/deep/c"}
{"op":"slot","id":19,"fill":16,"name":"m","parent":2,"object":1}
{"op":"restore","id":20,"checkpoint":5,"from":11,"skip_slots":true}
{"op":"check","id":21,"status":20}`},
	{"values that wait below an object that was replaced", "", `
{"op":"node","id":1,"class":"auto"}
{"op":"variable","id":4,"dtype":"bool","fill":37,"name":"w:0"}
{"op":"node","id":6,"class":"module"}
{"op":"track","id":7,"name":"root_","parent":1,"child":6}
{"op":"list","id":8}
{"op":"track","id":9,"name":".ATTR","parent":6,"child":8}
{"op":"variable","id":13,"dtype":"string","shape":[2],"fill":10,"name":"a_b"}
{"op":"append","id":14,"parent":8,"child":13}
{"op":"checkpoint","id":15,"objects":[["b",1],["root_",4]]}
{"op":"save","id":23,"checkpoint":15,"prefix":"q/c"}
{"op":"node","id":27,"class":"auto"}
{"op":"variable","id":30,"dtype":"bool","name":"w:0"}
{"op":"node","id":31,"class":"module"}
{"op":"list","id":32}
{"op":"track","id":33,"name":".ATTR","parent":31,"child":32}
{"op":"optimizer","id":34,"class":"plain"}
{"op":"variable","id":35,"dtype":"string","shape":[2],"name":"a_b"}
{"op":"append","id":36,"parent":32,"child":35}
{"op":"checkpoint","id":37,"objects":[["b",27],["root_",30]]}
{"op":"restore","id":39,"checkpoint":37,"from":23}
{"op":"track","id":42,"name":"b","parent":37,"child":34,"replace":true}
{"op":"read","id":43,"checkpoint":37,"from":23}
{"op":"track","id":46,"name":"root_","parent":27,"child":31}`},
}

func parseProgram(t *testing.T, text string) []operation {
	t.Helper()
	var ops []operation
	for line := range strings.Lines(strings.TrimSpace(text)) {
		var op operation
		if err := json.Unmarshal([]byte(line), &op); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		ops = append(ops, op)
	}
	return ops
}

// TestDifferentialKept runs the programs that have failed. One that does not
// end as it is said to has a reason to be struck off, in most cases.
func TestDifferentialKept(t *testing.T) {
	tensorflow.Require(t)
	var programs [][]operation
	for _, kept := range differentialPrograms {
		programs = append(programs, parseProgram(t, kept.operations))
	}
	ours, theirs := runBoth(t, filepath.Join(t.TempDir(), "kept"), programs)
	for i, kept := range differentialPrograms {
		t.Run(kept.name, func(t *testing.T) {
			c := newTally()
			if diff := c.compare(programs[i], ours[i], theirs[i]); diff != "" {
				t.Fatal(diff)
			}
			if got := strings.Join(slices.Sorted(maps.Keys(c.ended)), ", "); got != kept.deviation {
				t.Errorf("the program ended with %q, want %q", got, kept.deviation)
			}
		})
	}
}
