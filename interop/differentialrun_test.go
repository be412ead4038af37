package interop_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/ckpt-go/ckpt"
)

// outcome is what one operation did, as text that differential.py makes alike.
type outcome struct {
	Verdict     string `json:"verdict"` // ok, skip, taken, missing or error
	Path        string `json:"path,omitempty"`
	Latest      string `json:"latest,omitempty"`
	Checkpoints string `json:"checkpoints,omitempty"`
	State       string `json:"state,omitempty"`
	Checks      string `json:"checks,omitempty"`
	Values      string `json:"values,omitempty"`
	Files       string `json:"files,omitempty"`
	Words       string `json:"words,omitempty"` // of an error; not compared

	excuses []string // the deviations that may show here
	final   bool     // the sides need not agree on what comes after
}

var (
	errSkip  = errors.New("skipped")
	errTaken = errors.New("taken")
)

// runner carries out the operations of one case.
type runner struct {
	ctx            context.Context
	folder         string
	objects        map[int]ckpt.Trackable
	holders        map[int]holder
	checkpoints    map[int]*ckpt.Checkpoint
	rooted         map[int]bool
	roots          map[ckpt.Trackable]bool // of NewRooted
	declared       map[int]*operation      // variables
	statuses       map[int]*ckpt.RestoreStatus
	managers       map[int]*ckpt.Manager
	saved          map[int]string
	keep           map[int]int              // of managers
	interval       map[int]bool             // managers that save when that is due
	first          bool                     // a root got a save counter after a restore
	owners         map[int]*ckpt.Checkpoint // of statuses
	takenOver      map[int]bool             // statuses that may speak of a later restore
	initialized    []string                 // what managers restored, without a status
	replaced       int                      // children that others took the place of
	replacedBefore map[int]int              // each restore
	removed        string                   // the suffixes of files that were deleted
	clock          float64
	backward       bool              // the clock went back
	names          map[string]string // of managers, by folder
	mixed          map[string]bool   // folders of managers of several names
	out            *outcome
}

// runGo carries out a program; each operation has an outcome.
func runGo(ctx context.Context, folder string, ops []operation) []outcome {
	r := &runner{
		ctx: ctx, folder: folder, clock: 1000,
		objects: make(map[int]ckpt.Trackable), holders: make(map[int]holder), checkpoints: make(map[int]*ckpt.Checkpoint),
		rooted: make(map[int]bool), roots: make(map[ckpt.Trackable]bool), declared: make(map[int]*operation), statuses: make(map[int]*ckpt.RestoreStatus), managers: make(map[int]*ckpt.Manager), keep: make(map[int]int), interval: make(map[int]bool), replacedBefore: make(map[int]int),
		owners: make(map[int]*ckpt.Checkpoint), takenOver: make(map[int]bool),
		saved: make(map[int]string), names: make(map[string]string), mixed: make(map[string]bool),
	}
	defer r.close()
	var all []outcome
	for i := range ops {
		all = append(all, *r.run(&ops[i]))
		if all[i].final {
			break
		}
	}
	return all
}

func (r *runner) close() {
	for _, s := range r.statuses {
		s.Close()
	}
	for _, m := range r.managers {
		m.Close()
	}
}

func (r *runner) run(op *operation) *outcome {
	r.out = &outcome{Verdict: "ok"}
	counters, made := r.counters(), r.withCounter()
	err := r.do(op)
	if r.withCounter() > made && r.removed != "" {
		r.excuse("no file") // older values may have waited for the counter
	}
	r.first = r.first || len(r.statuses) > 0 && r.counters() > counters
	if r.first && (r.counters() > counters || op.Op == "check") {
		r.excuse("first counter")
	}
	switch {
	case err == nil:
	case errors.Is(err, errSkip):
		r.out.Verdict = "skip"
	case errors.Is(err, errTaken):
		r.out.Verdict = "taken"
	case errors.Is(err, fs.ErrNotExist):
		r.out.Verdict, r.out.Words = "missing", err.Error()
	default:
		r.out.Verdict, r.out.Words = "error", err.Error()
	}
	if strings.Contains(r.out.Words, "is another object than the one given to NewRooted") {
		r.excuse("attached")
	}
	if strings.Contains(r.out.Words, "another checkpoint took this name") {
		r.excuse("replaced")
	}
	r.out.Values = r.values()
	switch op.Op {
	case "save", "write", "managersave", "due", "initialize", "manager", "delete", "forget":
		r.out.Files = r.files()
	}
	return r.out
}

// counters is how many Checkpoints with a root have a save counter.
func (r *runner) counters() int {
	n := 0
	for id := range r.rooted {
		if r.checkpoints[id].Child("save_counter") != nil {
			n++
		}
	}
	return n
}

// withCounter is how many Checkpoints have one.
func (r *runner) withCounter() int {
	n := 0
	for _, c := range r.checkpoints {
		if c.Child("save_counter") != nil {
			n++
		}
	}
	return n
}

func (r *runner) do(op *operation) error {
	switch op.Op {
	case "variable":
		r.declared[op.ID] = op
		return r.hold(op.ID, newHolder(op))
	case "state":
		return r.hold(op.ID, newState(op.Fill))
	case "node":
		r.objects[op.ID] = new(ckpt.Node)
	case "list":
		r.objects[op.ID] = ckpt.NewList()
	case "dict":
		r.objects[op.ID] = ckpt.NewMap(nil)
	case "checkpoint":
		return r.checkpoint(op)
	case "optimizer":
		r.objects[op.ID] = r.optimizer(op)
	case "slot":
		return r.slot(op)
	case "track":
		return r.track(op)
	case "append":
		return r.append(op)
	case "skip":
		return r.skip(op)
	case "assign":
		h, ok := r.holders[op.Object]
		if !ok {
			return errSkip
		}
		h.assign(op.Fill)
	case "save", "write":
		return r.save(op)
	case "restore", "read":
		return r.restore(op)
	case "check":
		return r.check(op)
	case "manager":
		return r.manager(op)
	case "managersave", "due":
		return r.managerSave(op)
	case "initialize":
		return r.initialize(op)
	case "latest":
		return r.latest(op)
	case "wait":
		r.clock += op.Seconds
		r.backward = r.backward || op.Seconds < 0
	case "delete":
		return r.delete(op)
	case "forget":
		if os.Remove(filepath.Join(r.folder, op.Folder, "checkpoint")) != nil {
			return errSkip
		}
	default:
		return fmt.Errorf("no operation %q", op.Op)
	}
	return nil
}

func (r *runner) hold(id int, h holder) error {
	r.holders[id], r.objects[id] = h, h.trackable()
	return nil
}

// options are those of a save; some write beside the program, which waits.
func (op *operation) options() *ckpt.SaveOptions {
	return &ckpt.SaveOptions{DropWaiting: true, Background: op.ID%3 == 0}
}

func (r *runner) save(op *operation) error {
	c, ok := r.checkpoints[op.Checkpoint]
	if !ok {
		return errSkip
	}
	save := c.Save
	if op.Op == "write" {
		save = c.Write
	}
	path, err := save(r.ctx, filepath.Join(r.folder, filepath.FromSlash(op.Prefix)), op.options())
	if err == nil {
		err = c.Wait(r.ctx)
	}
	if err != nil {
		r.out.final = true
		return err
	}
	r.saved[op.ID], r.out.Path = path, r.short(path)
	return nil
}

func (r *runner) restore(op *operation) error {
	c, ok := r.checkpoints[op.Checkpoint]
	path, saved := r.saved[op.From]
	if !ok || !saved {
		return errSkip
	}
	var o *ckpt.RestoreOptions
	if op.SkipSlots {
		o = &ckpt.RestoreOptions{SkipSlotVariables: true}
	}
	restore := c.Restore
	if op.Op == "read" {
		restore = c.Read
	}
	r.takeOver(c)
	status, err := restore(r.ctx, path, o)
	if err != nil {
		return r.refused(path, err)
	}
	r.statuses[op.ID], r.replacedBefore[op.ID], r.owners[op.ID] = status, r.replaced, c
	return nil
}

// takeOver notes whose values wait when a Checkpoint restores again.
func (r *runner) takeOver(c *ckpt.Checkpoint) {
	for id, s := range r.statuses {
		if r.owners[id] == c && len(s.Waiting()) > 0 {
			r.takenOver[id] = true
		}
	}
}

// refused is the end of a restore that failed. Nothing was changed here;
// TensorFlow may have changed a part, unless there was nothing to open.
func (r *runner) refused(path string, err error) error {
	_, absent := os.Stat(path + ".index")
	r.out.final = absent == nil
	return err
}

func (r *runner) check(op *operation) error {
	status, ok := r.statuses[op.Status]
	if !ok {
		return errSkip
	}
	if r.takenOver[op.Status] {
		r.excuse("taken over")
	}
	if r.replaced > r.replacedBefore[op.Status] {
		r.excuse("gone")
	}
	verdicts := []string{"consumed passes", "existing passes", "nontrivial passes"}
	for i, err := range []error{status.CheckConsumed(), status.CheckExistingObjectsMatched(), status.CheckNontrivialMatch()} {
		if err != nil {
			verdicts[i] = strings.Replace(verdicts[i], "passes", "fails", 1)
			r.out.Words += err.Error() + "\n"
		}
	}
	r.out.Checks = strings.Join(verdicts, "\n")
	return nil
}

func (r *runner) delete(op *operation) error {
	path, ok := r.saved[op.From]
	if !ok {
		return errSkip
	}
	if err := os.Remove(path + op.Suffix); err != nil {
		return errSkip
	}
	r.removed += op.Suffix
	return nil
}
