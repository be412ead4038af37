package ckpt

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Retention is the rules by which checkpoints are kept. Each rule says on its
// own what it keeps; a checkpoint stays if any of them keeps it. The zero value
// keeps the newest five.
type Retention struct {
	MaxToKeep      int           // as ManagerOptions.MaxToKeep
	KeepEvery      time.Duration // as ManagerOptions.KeepEvery
	KeepEverySteps int64         // as ManagerOptions.KeepEverySteps
	KeepBest       []Best        // as ManagerOptions.KeepBest
}

// Best keeps the Count checkpoints with the lowest value of a metric, or the
// highest. Of equal ones the newer is better; NaN is no value.
type Best struct {
	Metric  string
	Highest bool
	Count   int // at least 1
}

// Managed is a checkpoint as retention sees it.
type Managed struct {
	Name   string  // inside the directory
	Number int64   // 0 if the name has none
	Time   float64 // seconds since 1970, when it was saved, as State has it

	Step      int64 // of the program, if StepKnown
	StepKnown bool
	// Metrics are what was measured when it was saved; nil if that is not known,
	// empty if nothing was.
	Metrics map[string]float64

	Pinned      bool // stays whatever the rules say
	InUse       bool // read or waited for by this process: not to be removed now
	Damaged     bool // refused by Resume
	Unreadable  bool // refused by Resume because it could not be read then: it may be good
	OtherBranch bool // newer than the checkpoint that this run chose to go on from
	Foreign     bool // listed, but not of the Manager's name
}

// counts tells whether a checkpoint is one of those that rules count.
func (c *Managed) counts() bool { return !c.Damaged && !c.Unreadable && !c.OtherBranch }

// Action is what retention does with a checkpoint.
type Action int

const (
	ActionKeep     Action = iota // stays, on disk and in the state file's list
	ActionPreserve               // stays on disk for good and leaves the list
	ActionRemove                 // its files are removed, and it leaves the list
)

// String gives keep, preserve or remove.
func (a Action) String() string {
	switch a {
	case ActionKeep:
		return "keep"
	case ActionPreserve:
		return "preserve"
	case ActionRemove:
		return "remove"
	}
	return fmt.Sprintf("Action(%d)", int(a))
}

// Verdict is what retention says of one checkpoint.
type Verdict struct {
	Managed
	Action  Action
	Reasons []string // at least one; for ActionKeep one for each rule that keeps it
}

// Retain decides which checkpoints of a list, oldest first, stay: the sweep of
// tf.train.CheckpointManager, with more rules. It changes nothing. There is one
// verdict for each checkpoint, in the same order; last is the time stamp of the
// one that KeepEvery preserved last, lastPreserved if it preserves none.
//
// Damaged and unreadable ones and those on another branch are not counted, whatever
// the rule. The damaged are removed once the list has a newer one that is not; the
// unreadable once it has MaxToKeep newer ones; those on another branch stay.
// KeepEvery is asked about those that are not among the newest; as in TensorFlow,
// what it preserves is looked after no longer. A checkpoint whose step or metrics
// are not known is kept by the rules that would have to know them.
func Retain(list []Managed, r Retention, lastPreserved float64) (verdicts []Verdict, last float64) {
	keep := cmp.Or(r.MaxToKeep, defaultMaxToKeep)
	last = lastPreserved
	best := r.best(list)
	counted, newestGood := 0, -1
	for i := range list {
		if list[i].counts() {
			counted, newestGood = counted+1, i
		}
	}
	for i := range list {
		c := &list[i]
		v := Verdict{Managed: *c}
		newest := false
		if c.counts() {
			newest = counted <= keep
			counted--
		}
		switch {
		case keep < 0:
			v.Reasons = []string{"all are kept"}
		case c.counts() && !newest && r.preserves(c, last):
			v.Action, last = ActionPreserve, c.Time
			v.Reasons = []string{fmt.Sprintf("kept for good: the last one kept is %v older or more", r.KeepEvery)}
		default:
			v.Reasons = r.reasons(c, newest, keep, best[i])
			if c.Damaged && i > newestGood {
				v.Reasons = append(v.Reasons, "damaged, but nothing good was saved since")
			}
			if c.Unreadable && !c.Damaged && counted < keep {
				v.Reasons = append(v.Reasons, fmt.Sprintf("could not be read, but may be good, and fewer than %d were saved since", keep))
			}
			v.settle(keep)
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, last
}

// preserves is TensorFlow's rule, in its arithmetic.
func (r *Retention) preserves(c *Managed, last float64) bool {
	return r.KeepEvery > 0 && c.Time-r.KeepEvery.Seconds() >= last
}

// reasons lists why a checkpoint stays.
func (r *Retention) reasons(c *Managed, newest bool, keep int, best []string) (reasons []string) {
	if c.Pinned {
		reasons = append(reasons, "pinned")
	}
	if c.OtherBranch {
		reasons = append(reasons, "on another branch than this run")
	}
	if !c.counts() {
		return reasons
	}
	if newest {
		reasons = append(reasons, fmt.Sprintf("one of the newest %d", keep))
	}
	switch {
	case r.KeepEverySteps <= 0:
	case !c.StepKnown:
		reasons = append(reasons, "its step is not known")
	case c.Step%r.KeepEverySteps == 0:
		reasons = append(reasons, fmt.Sprintf("step %d is a multiple of %d", c.Step, r.KeepEverySteps))
	}
	return append(reasons, best...)
}

// settle is for a checkpoint of which KeepEvery makes no exception.
func (v *Verdict) settle(keep int) {
	switch {
	case len(v.Reasons) > 0:
	case v.Foreign:
		v.Action, v.Reasons = ActionPreserve, []string{"of another name: no longer managed, and not removed"}
	case v.InUse:
		v.Reasons = []string{"in use, to be removed later"}
	case v.Damaged:
		v.Action, v.Reasons = ActionRemove, []string{"damaged, and a newer good one is there"}
	default:
		v.Action, v.Reasons = ActionRemove, []string{fmt.Sprintf("older than the newest %d", keep)}
	}
}

// best gives the reasons of KeepBest by the position in the list.
func (r *Retention) best(list []Managed) map[int][]string {
	reasons := make(map[int][]string)
	for _, b := range r.KeepBest {
		var ranked []int
		for i, c := range list {
			switch value, measured := c.Metrics[b.Metric]; {
			case !c.counts():
			case c.Metrics == nil:
				reasons[i] = append(reasons[i], "its "+b.Metric+" is not known")
			case measured && !math.IsNaN(value):
				ranked = append(ranked, i)
			}
		}
		slices.SortFunc(ranked, func(i, j int) int {
			order := cmp.Compare(list[i].Metrics[b.Metric], list[j].Metrics[b.Metric])
			if b.Highest {
				order = -order
			}
			return cmp.Or(order, j-i)
		})
		word := "lowest"
		if b.Highest {
			word = "highest"
		}
		for place, i := range ranked[:min(len(ranked), max(b.Count, 0))] {
			reasons[i] = append(reasons[i], fmt.Sprintf("%s %v, number %d of the %s %d", b.Metric, list[i].Metrics[b.Metric], place+1, word, b.Count))
		}
	}
	return reasons
}

// lists tells whether there are rules that leave what they keep in the list,
// however old it is.
func (r *Retention) lists() bool { return r.KeepEverySteps > 0 || len(r.KeepBest) > 0 }
