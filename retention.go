package ckpt

import (
	"fmt"
	"time"
)

// managed is a checkpoint that a Manager looks after.
type managed struct {
	name string  // inside the directory
	time float64 // seconds since 1970, when it was saved
}

// policy is what retention obeys.
type policy struct {
	maxToKeep int // KeepAll: no limit
	keepEvery time.Duration
}

// verdict is what retention says of one checkpoint, oldest first.
type verdict struct {
	managed
	action action
	reason string
}

type action int

const (
	keepManaged action = iota // stays in the list
	preserve                  // stays on disk for good, leaves the list
	remove                    // its files go
)

// retain decides which managed checkpoints stay, oldest first: the sweep of
// tf.train.CheckpointManager. The newest MaxToKeep stay; of the others one is
// preserved for good whenever keepEvery has passed since the last one that was.
// It changes nothing; last is the new time stamp of the last preserved one.
func retain(list []managed, p policy, lastPreserved float64) (verdicts []verdict, last float64) {
	last = lastPreserved
	surplus := 0
	if p.maxToKeep != KeepAll {
		surplus = max(0, len(list)-p.maxToKeep)
	}
	for i, c := range list {
		v := verdict{managed: c, action: keepManaged}
		switch {
		case i >= surplus && p.maxToKeep == KeepAll:
			v.reason = "all are kept"
		case i >= surplus:
			v.reason = fmt.Sprintf("one of the newest %d", p.maxToKeep)
		case p.keepEvery > 0 && c.time-p.keepEvery.Seconds() >= last:
			v.action, last = preserve, c.time
			v.reason = fmt.Sprintf("kept for good: the last one kept is %v older or more", p.keepEvery)
		default:
			v.action = remove
			v.reason = fmt.Sprintf("older than the newest %d", p.maxToKeep)
		}
		verdicts = append(verdicts, v)
	}
	return verdicts, last
}
