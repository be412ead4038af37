package interop_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// differentialDeviations are where TensorFlow does something else on purpose, or
// by mistake. Where a random program may come to that, its case ends, which is
// counted; the keys are what a runner excuses. The last ones it never comes to.
var differentialDeviations = map[string]string{
	"refused":       "a restore that fails sets nothing, TensorFlow sets a part: only the failure is compared",
	"container":     "a value that does not fit is an error where it waits in a list or map, too; TensorFlow's wrappers swallow it",
	"replaced":      "what waits is bound to the checkpoint it came from; TensorFlow reads what has its name now",
	"waiting":       "retention removes no checkpoint from which values still wait",
	"number":        "a Manager numbers above every number in its directory; TensorFlow overwrites after a rewind",
	"clock":         "a Manager keeps its list when the clock went back; TensorFlow forgets it",
	"other name":    "a Manager removes nothing under other names",
	"attached":      "it is an error that a root got another object under a name that NewRooted was given; TensorFlow writes two edges of one name",
	"first counter": "a save counter that is made for a root takes the newest of the values that wait; TensorFlow takes the oldest, or none if that is known",
	"same child":    "NewRooted compares objects; TensorFlow compares variables and lists by value, which fails for more than one element",
	"gone":          "the checks of a status look at the objects of now; TensorFlow's also at those they have seen before, for as long as these are not collected",
	"no file":       "what gets no value from a checkpoint needs no file of it when it appears late, such as an object with none, or one that a newer restore serves; TensorFlow opens it all the same",
	"taken over":    "a restore of the same objects takes the place of one that still waits, whose status speaks of the later one then; TensorFlow keeps both",
	"fill":          "a slot variable that a SlotOwner makes takes what waits for it when RestoreStatus.Fill is called; there is no status of what a Manager's RestoreOrInitialize left waiting",
	"no owner":      "a restored object that is no optimizer and has slots waiting is passed over; TensorFlow fails if it appears after the variable",

	// Programs do not come to these.
	"root counter": "a Checkpoint with another one for its root always counts with the counter of that; TensorFlow's makes a second one unless the root had it before",
	"cycle":        "a list or dict may be in itself; TensorFlow's wrappers recurse for ever",
	"attribute":    "TensorFlow cannot restore what is called .ATTRIBUTES",
	"due":          "a Manager saves whenever Save is called, and leaves the interval to SaveIfDue; TensorFlow does not save twice at one step",
	"drop":         "a save that would drop values that wait is an error; here SaveOptions.DropWaiting is set",
	"path":         "paths may end in .index and hold *, ? and [ ]; TensorFlow's may not",
}

// tally is what a run has done, to show that its cases are not trivial.
type tally struct {
	cases, operations, compared int
	ops, verdicts, checks       map[string]int
	ended                       map[string]int // by deviation; a case may have to do with several
	late                        int            // values that waited and were set when something was tracked
}

func newTally() *tally {
	return &tally{ops: make(map[string]int), verdicts: make(map[string]int), checks: make(map[string]int), ended: make(map[string]int)}
}

func (c *tally) String() string {
	list := func(counts map[string]int) string {
		var words []string
		for _, name := range slices.Sorted(maps.Keys(counts)) {
			words = append(words, fmt.Sprintf("%s %d", name, counts[name]))
		}
		return strings.Join(words, ", ")
	}
	var text strings.Builder
	text.WriteString(fmt.Sprintf("%d cases, %d of %d operations compared\noperations: %s\nverdicts: %s\nchecks: %s\ntracked with values that waited: %d\ncases that ended with a deviation:",
		c.cases, c.compared, c.operations, list(c.ops), list(c.verdicts), list(c.checks), c.late))
	for _, name := range slices.Sorted(maps.Keys(c.ended)) {
		text.WriteString(fmt.Sprintf("\n%5d %s: %s", c.ended[name], name, differentialDeviations[name]))
	}
	return text.String()
}

// compare tells where the outcomes differ; "" if they agree or may differ.
func (c *tally) compare(ops []operation, got, want []outcome) string {
	c.cases++
	c.operations += len(ops)
	for i, op := range ops[:len(got)] {
		g, w := &got[i], &want[i]
		c.compared++
		c.ops[op.Op]++
		c.verdicts[op.Op+" "+g.Verdict]++
		if i > 0 && (op.Op == "track" || op.Op == "append") && g.Values != got[i-1].Values {
			c.late++
		}
		for line := range strings.Lines(g.Checks) {
			c.checks[strings.TrimSpace(line)]++
		}
		if g.final && g.Verdict != "ok" && (w.Verdict == "error" || w.Verdict == "missing") {
			c.ended["refused"]++
			return ""
		}
		diff := cmp.Diff(g, w, cmpopts.IgnoreUnexported(outcome{}), cmpopts.IgnoreFields(outcome{}, "Words"))
		if diff == "" {
			continue
		}
		if strings.Contains(w.Words, "has no attribute '_create_or_restore_slot_variable'") {
			c.ended["no owner"]++
			return ""
		}
		if g.Verdict != "missing" && w.Verdict != "missing" {
			g.excuses = slices.DeleteFunc(g.excuses, func(name string) bool { return name == "no file" })
		}
		if len(g.excuses) > 0 {
			for _, name := range slices.Compact(slices.Sorted(slices.Values(g.excuses))) {
				c.ended[name]++
			}
			return ""
		}
		return fmt.Sprintf("operation %d, %s: -got +want (TensorFlow):\n%s\nGo says: %s\nTensorFlow says: %s", i, op.show(), diff, g.Words, w.Words)
	}
	return ""
}

func (op *operation) show() string {
	b, err := json.Marshal(op)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

func showAll(ops []operation) string {
	var b strings.Builder
	for i := range ops {
		fmt.Fprintf(&b, "%s\n", ops[i].show())
	}
	return b.String()
}

// runBoth runs programs on both sides.
func runBoth(t *testing.T, dir string, programs [][]operation) (ours, theirs [][]outcome) {
	t.Helper()
	var cases []map[string]any
	for i, ops := range programs {
		folder := filepath.Join(dir, fmt.Sprint(i))
		ours = append(ours, runGo(context.WithoutCancel(t.Context()), filepath.Join(folder, "go"), ops))
		cases = append(cases, map[string]any{"folder": filepath.Join(folder, "python"), "operations": ops[:len(ours[i])]})
	}
	tensorflow.Call(t, "differential", map[string]any{"cases": cases}, &theirs)
	if err := os.RemoveAll(dir); err != nil {
		t.Fatal(err)
	}
	return ours, theirs
}

// shrink drops operations for as long as the sides still differ.
func shrink(t *testing.T, ops []operation) (smallest []operation, diff string) {
	t.Helper()
	run := 0
	differs := func(ops []operation) string {
		run++
		ours, theirs := runBoth(t, filepath.Join(t.TempDir(), fmt.Sprint(run)), [][]operation{ops})
		return newTally().compare(ops, ours[0], theirs[0])
	}
	diff = differs(ops)
	for size := max(1, len(ops)/2); ; size = max(1, size/2) {
		smaller := false
		for begin := len(ops) - size; begin >= 0; begin -= size {
			candidate := slices.Delete(slices.Clone(ops), begin, begin+size)
			if d := differs(candidate); d != "" {
				ops, diff, smaller = candidate, d, true
				begin = min(begin+size, len(ops))
			}
		}
		if size == 1 && !smaller {
			return ops, diff
		}
	}
}

// TestDifferential lets TensorFlow and ckpt carry out the same random programs.
// CKPT_DIFFERENTIAL_CASES is how many, CKPT_DIFFERENTIAL_SEED the first seed.
func TestDifferential(t *testing.T) {
	tensorflow.Require(t)
	const batch = 25
	first, count := environmentNumber(t, "CKPT_DIFFERENTIAL_SEED", 0), environmentNumber(t, "CKPT_DIFFERENTIAL_CASES", 120)
	var seeds []uint64
	seeds = append(seeds, differentialSeeds...)
	for i := range count {
		seeds = append(seeds, first+i)
	}
	total, failed := newTally(), 0
	for done := 0; done < len(seeds); done += batch {
		some := seeds[done:min(done+batch, len(seeds))]
		var programs [][]operation
		for _, seed := range some {
			programs = append(programs, generate(seed))
		}
		ours, theirs := runBoth(t, filepath.Join(t.TempDir(), fmt.Sprint(done)), programs)
		for i, seed := range some {
			diff := total.compare(programs[i], ours[i], theirs[i])
			if diff == "" {
				continue
			}
			t.Run(fmt.Sprint(seed), func(t *testing.T) {
				if failed++; failed > 5 {
					t.Fatal(diff)
				}
				ops, diff := shrink(t, programs[i])
				t.Errorf("%s\n%s", diff, showAll(ops))
			})
		}
		if n := done + len(some); n/1000 > done/1000 {
			t.Logf("after %d cases: %s", n, total)
		}
	}
	t.Log(total)
	for name := range total.ended {
		if differentialDeviations[name] == "" {
			t.Errorf("the deviation %q is not in the table", name)
		}
	}
}
