package ckpt_test

import (
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/ckpt-go/ckpt"
)

// managedAt is a list of checkpoints a, b, … with steps and metrics known.
func managedAt(seconds ...float64) []ckpt.Managed {
	list := make([]ckpt.Managed, len(seconds))
	for i, s := range seconds {
		list[i] = ckpt.Managed{Name: string(rune('a' + i)), Number: int64(i + 1), Time: s, Step: int64(i + 1), StepKnown: true, Metrics: map[string]float64{}}
	}
	return list
}

// losses is a list of checkpoints of which each has one metric.
func losses(values ...float64) []ckpt.Managed {
	list := managedAt(make([]float64, len(values))...)
	for i, v := range values {
		list[i].Metrics["loss"] = v
	}
	return list
}

// marked sets the marks of some checkpoints.
func marked(list []ckpt.Managed, set func(c *ckpt.Managed), names ...string) []ckpt.Managed {
	for i := range list {
		if slices.Contains(names, list[i].Name) {
			set(&list[i])
		}
	}
	return list
}

func damaged(c *ckpt.Managed)   { c.Damaged = true }
func elsewhere(c *ckpt.Managed) { c.OtherBranch = true }
func pinnedOne(c *ckpt.Managed) { c.Pinned = true }
func inUse(c *ckpt.Managed)     { c.InUse = true }
func foreign(c *ckpt.Managed)   { c.Foreign = true }
func unknown(c *ckpt.Managed)   { c.StepKnown, c.Metrics = false, nil }

// TestRetain has for each checkpoint one letter: k for keep, p for preserve, r
// for remove.
func TestRetain(t *testing.T) {
	lowest := func(count int) []ckpt.Best { return []ckpt.Best{{Metric: "loss", Count: count}} }
	highest := func(count int) []ckpt.Best { return []ckpt.Best{{Metric: "loss", Count: count, Highest: true}} }
	nan := math.NaN()
	for _, test := range []struct {
		name     string
		list     []ckpt.Managed
		rules    ckpt.Retention
		last     float64
		want     string
		wantLast float64
	}{
		{"none", nil, ckpt.Retention{MaxToKeep: 1}, 7, "", 7},
		{"zero is five", managedAt(1, 2, 3, 4, 5, 6), ckpt.Retention{}, 0, "rkkkkk", 0},
		{"keep all", managedAt(1, 2, 3), ckpt.Retention{MaxToKeep: ckpt.KeepAll}, 0, "kkk", 0},
		{"as many as allowed", managedAt(1, 2), ckpt.Retention{MaxToKeep: 2}, 0, "kk", 0},
		{"oldest go", managedAt(1, 2, 3, 4), ckpt.Retention{MaxToKeep: 2}, 0, "rrkk", 0},
		{"preserve at exactly the interval", managedAt(3600, 3601), ckpt.Retention{MaxToKeep: 1, KeepEvery: time.Hour}, 0, "pk", 3600},
		{"remove just before it", managedAt(3599.5, 3601), ckpt.Retention{MaxToKeep: 1, KeepEvery: time.Hour}, 0, "rk", 0},
		{"each preserved one starts anew", managedAt(10000, 12000, 13600, 20000), ckpt.Retention{MaxToKeep: 1, KeepEvery: time.Hour}, 5000, "prpk", 13600},
		{"order is that of the list, not of time", managedAt(9, 1), ckpt.Retention{MaxToKeep: 1}, 0, "rk", 0},
		{"keep all preserves none", managedAt(1e9), ckpt.Retention{MaxToKeep: ckpt.KeepAll, KeepEvery: time.Hour}, 0, "k", 0},

		{"multiples of steps", managedAt(1, 2, 3, 4, 5, 6, 7), ckpt.Retention{MaxToKeep: 1, KeepEverySteps: 3}, 0, "rrkrrkk", 0},
		{"step 0 is a multiple", marked(managedAt(1, 2, 3), func(c *ckpt.Managed) { c.Step -= 2 }, "a", "b"), ckpt.Retention{MaxToKeep: 1, KeepEverySteps: 5}, 0, "rkk", 0},
		{"a step that is not known", marked(managedAt(1, 2, 3), unknown, "b"), ckpt.Retention{MaxToKeep: 1, KeepEverySteps: 50}, 0, "rkk", 0},
		{"preserved and a multiple: for good", managedAt(3600, 3601), ckpt.Retention{MaxToKeep: 1, KeepEvery: time.Hour, KeepEverySteps: 1}, 0, "pk", 3600},
		{"a multiple that is not preserved", managedAt(3600, 3601, 3602), ckpt.Retention{MaxToKeep: 1, KeepEvery: time.Hour, KeepEverySteps: 2}, 0, "pkk", 3600},

		{"lowest", losses(3, 1, 2, 4, 5), ckpt.Retention{MaxToKeep: 1, KeepBest: lowest(2)}, 0, "rkkrk", 0},
		{"highest", losses(3, 1, 2, 4, 5), ckpt.Retention{MaxToKeep: 1, KeepBest: highest(2)}, 0, "rrrkk", 0},
		{"the newer of equals", losses(1, 1, 1, 2), ckpt.Retention{MaxToKeep: 1, KeepBest: lowest(1)}, 0, "rrkk", 0},
		{"NaN is the best of nothing", losses(nan, 7, nan, 8), ckpt.Retention{MaxToKeep: 1, KeepBest: lowest(2)}, 0, "rkrk", 0},
		{"infinity is a value", losses(math.Inf(1), 7, math.Inf(-1), 8), ckpt.Retention{MaxToKeep: 1, KeepBest: lowest(1)}, 0, "rrkk", 0},
		{"not measured", managedAt(1, 2, 3), ckpt.Retention{MaxToKeep: 1, KeepBest: lowest(2)}, 0, "rrk", 0},
		{"metrics that are not known", marked(losses(5, 4, 3), unknown, "a"), ckpt.Retention{MaxToKeep: 1, KeepBest: lowest(1)}, 0, "krk", 0},
		{"fewer than asked for", losses(1, 2), ckpt.Retention{MaxToKeep: 1, KeepBest: lowest(9)}, 0, "kk", 0},
		{"lowest and highest", losses(5, 1, 9, 6, 7), ckpt.Retention{MaxToKeep: 1, KeepBest: append(lowest(1), highest(1)...)}, 0, "rkkrk", 0},

		{"pinned", marked(managedAt(1, 2, 3), pinnedOne, "a"), ckpt.Retention{MaxToKeep: 1}, 0, "krk", 0},
		{"pinned counts among the newest", marked(managedAt(1, 2, 3), pinnedOne, "c"), ckpt.Retention{MaxToKeep: 1}, 0, "rrk", 0},
		{"pinned and damaged", marked(marked(managedAt(1, 2), damaged, "a"), pinnedOne, "a"), ckpt.Retention{MaxToKeep: 1}, 0, "kk", 0},
		{"in use", marked(managedAt(1, 2, 3), inUse, "a"), ckpt.Retention{MaxToKeep: 1}, 0, "krk", 0},
		{"another name", marked(managedAt(1, 2, 3), foreign, "a"), ckpt.Retention{MaxToKeep: 1}, 0, "prk", 0},

		{"damaged go first and do not count", marked(managedAt(1, 2, 3, 4), damaged, "c"), ckpt.Retention{MaxToKeep: 3}, 0, "kkrk", 0},
		{"not before a newer one is good", marked(managedAt(1, 2, 3), damaged, "b", "c"), ckpt.Retention{MaxToKeep: 1}, 0, "kkk", 0},
		{"nothing but damaged ones", marked(managedAt(1, 2), damaged, "a", "b"), ckpt.Retention{MaxToKeep: 1}, 0, "kk", 0},
		{"the last good one is old", marked(managedAt(1, 2, 3), damaged, "c"), ckpt.Retention{MaxToKeep: 1}, 0, "rkk", 0},
		{"damaged ones are not the best", marked(losses(1, 2, 3, 4), damaged, "a"), ckpt.Retention{MaxToKeep: 1, KeepBest: lowest(1)}, 0, "rkrk", 0},
		{"damaged ones are not preserved", marked(managedAt(3600, 3601, 9000), damaged, "a"), ckpt.Retention{MaxToKeep: 1, KeepEvery: time.Hour}, 0, "rpk", 3601},
		{"damaged, of all", marked(managedAt(1, 2), damaged, "a"), ckpt.Retention{MaxToKeep: ckpt.KeepAll}, 0, "kk", 0},
		{"damaged and in use", marked(marked(managedAt(1, 2), damaged, "a"), inUse, "a"), ckpt.Retention{MaxToKeep: 1}, 0, "kk", 0},

		{"another branch stays and does not count", marked(managedAt(1, 2, 3, 4, 5, 6), elsewhere, "c", "d"), ckpt.Retention{MaxToKeep: 2}, 0, "rrkkkk", 0},
		{"another branch is no newer good one", marked(marked(managedAt(1, 2, 3), damaged, "b"), elsewhere, "c"), ckpt.Retention{MaxToKeep: 1}, 0, "kkk", 0},
		{"another branch is not the best", marked(losses(5, 1, 4, 6), elsewhere, "b"), ckpt.Retention{MaxToKeep: 1, KeepBest: lowest(1)}, 0, "rkkk", 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := fmt.Sprint(test.list)
			verdicts, last := ckpt.Retain(test.list, test.rules, test.last)
			var got strings.Builder
			for i, v := range verdicts {
				got.WriteString(v.Action.String()[:1])
				if v.Name != test.list[i].Name || len(v.Reasons) == 0 || slices.Contains(v.Reasons, "") {
					t.Errorf("verdict %d: got %+v for %+v", i, v, test.list[i])
				}
			}
			if got.String() != test.want || last != test.wantLast {
				t.Errorf("got %q, last preserved %v, want %q, %v\n%v", got.String(), last, test.want, test.wantLast, verdicts)
			}
			if after := fmt.Sprint(test.list); after != before {
				t.Errorf("the list was changed: got %s, want %s", after, before)
			}
		})
	}
}

// TestRetainReasons spells the reasons out.
func TestRetainReasons(t *testing.T) {
	list := append(losses(5, 1, 9, 2), managedAt(1, 2, 3, 4, 5, 6)[4:]...)
	list[0].Damaged, list[1].Pinned, list[4].OtherBranch = true, true, true
	list[5].Step = 12
	verdicts, _ := ckpt.Retain(list, ckpt.Retention{MaxToKeep: 1, KeepEverySteps: 4, KeepBest: []ckpt.Best{{Metric: "loss", Count: 2}}}, 0)
	var got []string
	for _, v := range verdicts {
		got = append(got, v.Name+" "+v.Action.String()+": "+strings.Join(v.Reasons, "; "))
	}
	want := []string{
		"a remove: damaged, and a newer good one is there",
		"b keep: pinned; loss 1, number 1 of the lowest 2",
		"c remove: older than the newest 1",
		"d keep: step 4 is a multiple of 4; loss 2, number 2 of the lowest 2",
		"e keep: on another branch than this run",
		"f keep: one of the newest 1; step 12 is a multiple of 4",
	}
	if diff := cmp.Diff(got, want); diff != "" {
		t.Errorf("(-got +want):\n%s", diff)
	}
	if got := ckpt.Action(9).String(); got != "Action(9)" {
		t.Errorf("String: got %q", got)
	}
}

// TestRetainNeverTheLastGood tries every list of four checkpoints with every
// mark under strict rules: a good one always stays, if there is one.
func TestRetainNeverTheLastGood(t *testing.T) {
	marks := []func(*ckpt.Managed){func(*ckpt.Managed) {}, damaged, elsewhere, pinnedOne, inUse}
	for n := range 5 * 5 * 5 * 5 {
		list := managedAt(1, 2, 3, 4)
		good := false
		for i, code := 0, n; i < 4; i, code = i+1, code/5 {
			marks[code%5](&list[i])
			good = good || !list[i].Damaged
		}
		verdicts, _ := ckpt.Retain(list, ckpt.Retention{MaxToKeep: 1}, 0)
		stays := 0
		for _, v := range verdicts {
			if v.Action == ckpt.ActionRemove && (v.Pinned || v.InUse || v.OtherBranch) {
				t.Errorf("%v: removes %+v", list, v)
			}
			if v.Action == ckpt.ActionKeep && (!v.Damaged || !good) {
				stays++
			}
		}
		if stays == 0 {
			t.Errorf("%v: removes the last good one", list)
		}
	}
}
