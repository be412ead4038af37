package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ckpt-go/ckpt/storage"
)

// KeepAll is the ManagerOptions.MaxToKeep that removes nothing.
const KeepAll = -1

// defaultMaxToKeep is what MaxToKeep 0 means; TensorFlow has no default.
const defaultMaxToKeep = 5

// defaultStem is what ManagerOptions.Name "" means, as in TensorFlow.
const defaultStem = "ckpt"

// ManagerOptions are the options of NewManager; nil means the zero value.
type ManagerOptions struct {
	// MaxToKeep is how many checkpoints stay (max_to_keep): 0 means 5, KeepAll
	// no limit; anything below KeepAll is an error.
	MaxToKeep int
	// KeepEvery keeps one checkpoint for good each time this much time has
	// passed (keep_checkpoint_every_n_hours); 0 means none.
	KeepEvery time.Duration
	// KeepEverySteps keeps the checkpoints whose step is a multiple of it; 0 means
	// none. The step is Step's, or without Step the checkpoint's number. Like all
	// that the rules below keep, they stay in the state file's list, so that a later
	// run with other rules can remove them.
	KeepEverySteps int64
	// KeepBest keeps the best checkpoints by the metrics of their Metadata.
	KeepBest []Best
	// Adopt says which checkpoints of earlier runs are looked after, and so removed
	// in their turn. Zero means as in TensorFlow: those the state file lists.
	Adopt Adopt
	// Step tells the program's step (step_counter). It is asked by the methods that
	// save and restore, from their goroutine.
	Step func() int64
	// Interval is the number of steps from one checkpoint of SaveIfDue to the next
	// (checkpoint_interval); 0 means that steps do not matter. It needs Step.
	Interval int64
	// LastStep is the step at which the last checkpoint was taken
	// (last_checkpoint_step); nil means that it is not known: the first call of
	// SaveIfDue saves, unless something was restored. Intervals count from there, so
	// a loop that first saves at step 1 goes on with 1 + Interval; LastStep 0 makes
	// them multiples of Interval, as KeepEverySteps wants them.
	LastStep *int64
	// IntervalTime is the time from one checkpoint of SaveIfDue to the next; 0 means
	// that time does not matter. With Interval, whichever comes first counts.
	IntervalTime time.Duration
	// Overhead is the part of the run time that saving may take, such as 0.02: SaveIfDue
	// keeps its distance from the save before, whatever the intervals say, by how
	// long the last saves kept their callers waiting. Without intervals it saves as
	// often as that allows. 0 means no limit; it must be below 1.
	Overhead float64
	// Name is the stem of the file names (checkpoint_name); "" means "ckpt".
	Name string
	// Init sets the objects up when there is no checkpoint yet (init_fn); it is
	// called by RestoreOrInitialize and Resume.
	Init func(ctx context.Context) error
	// Bucket is where the directory is, which then is a folder's name in it.
	// Nil means the local file system.
	Bucket storage.Bucket
	// Now is the clock; nil means time.Now. It is written to the state file and to
	// metadata.
	Now func() time.Time
	// Logger hears what needs no answer: refused checkpoints, files that could
	// not be removed. Nil is silent.
	Logger *slog.Logger
}

// Manager numbers the checkpoints of a directory, keeps the newest and finds
// the one to go on from: tf.train.CheckpointManager. One Manager at a time may
// write to a directory. It is not safe for concurrent use, except that Latest and
// Checkpoints may be called beside everything.
type Manager struct {
	checkpoint *Checkpoint
	dir        *directory
	name       string
	rules      Retention
	adopts     Adopt
	schedule   *schedule
	init       func(ctx context.Context) error
	now        func() time.Time
	log        *slog.Logger

	shown         atomic.Pointer[shown] // what Latest and Checkpoints tell
	latest        string                // name inside the directory, or an outside path as stored
	list          []Managed
	lastPreserved float64
	highest       int64 // greatest number seen in the state file and, once scanned, in the directory
	given         int64 // greatest number seen or given to a save; not for the goroutine that writes
	scanned       bool
	looked        bool  // given is above every number in the directory, although highest may not be
	begun         bool  // a save was given its number, and may be under way
	prepared      bool  // cleaned up behind a crash
	stateErr      error // why the state file could not be used; nil if there is none

	parent string // file name of what was restored

	// What Resume found out about checkpoints of the directory, by name.
	refusals refusals
	branches branches
	damage   map[any]knownDamage // by identity

	warned     map[string]bool // metrics of KeepBest
	warnedGrid bool            // that KeepEverySteps and SaveIfDue never meet

	// marks are left by saves that died between writing a checkpoint and
	// recording it; they go once the state file lists what they adopted.
	marks []storage.Leftover
	// unrecorded are the marks of this Manager's own checkpoints that are
	// written and that no state file lists yet.
	unrecorded []saveMark
	token      string // of its published marks
	// failed are new checkpoints that could not be written, and of which
	// something may be left.
	failed []failedSave
	closed bool
	lease  *lease // nil: the directory was never locked
	stays  error  // why the last sweep could not remove what it wanted to
	// outdated is what the state file calls the latest while latest is another, "" if it is not.
	outdated string
	// bare is that the state file has no time stamps at all, and unstamped what it lists then.
	bare      bool
	unstamped []Managed
}

// NewManager opens a directory of checkpoints, which need not exist yet; a relative one
// is that of the working directory of this moment, whatever that is later. It
// reads the state file, adopts the checkpoints a manager recorded there, and
// changes nothing: what a crash left behind of checkpoints of its name, the
// first save cleans up. A state file that cannot be understood is no error here:
// RestoreOrInitialize reports it, Resume does without.
func NewManager(checkpoint *Checkpoint, directory string, o *ManagerOptions) (*Manager, error) {
	if o == nil {
		o = new(ManagerOptions)
	}
	m := &Manager{
		checkpoint: checkpoint,
		dir:        openDirectory(directory, &FindOptions{Bucket: o.Bucket}),
		name:       o.Name,
		rules:      Retention{cmp.Or(o.MaxToKeep, defaultMaxToKeep), o.KeepEvery, o.KeepEverySteps, slices.Clone(o.KeepBest)},
		adopts:     o.Adopt,
		init:       o.Init,
		now:        o.Now,
		log:        o.Logger,
	}
	if checkpoint == nil {
		return nil, errors.New("ckpt: a Manager needs a Checkpoint")
	}
	if err := o.check(); err != nil {
		return nil, err
	}
	var err error
	if m.schedule, err = newSchedule(o); err != nil {
		return nil, err
	}
	if m.name == "" {
		m.name = defaultStem
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if o.LastStep != nil {
		m.schedule.restored(moment{step: *o.LastStep, stepKnown: true, time: m.now()})
	}
	if err := m.recover(background); err != nil {
		return nil, err
	}
	m.show()
	return m, nil
}

// check refuses options that make no sense.
func (o *ManagerOptions) check() error {
	switch {
	case o.MaxToKeep < KeepAll:
		return fmt.Errorf("ckpt: MaxToKeep is %d; it must be positive, 0 for %d, or KeepAll", o.MaxToKeep, defaultMaxToKeep)
	case o.KeepEvery < 0:
		return fmt.Errorf("ckpt: KeepEvery is %v; it must not be negative", o.KeepEvery)
	case o.KeepEverySteps < 0:
		return fmt.Errorf("ckpt: KeepEverySteps is %d; it must not be negative", o.KeepEverySteps)
	case o.Adopt < AdoptListed || o.Adopt > AdoptAll:
		return fmt.Errorf("ckpt: Adopt is %d; it must be AdoptListed, AdoptNone or AdoptAll", o.Adopt)
	case len(o.Name) != len(baseName(o.Name)):
		return fmt.Errorf("ckpt: the name %q holds a slash; folders belong into the directory", o.Name)
	case strings.Contains(o.Name, "\x00"):
		return fmt.Errorf("ckpt: the name %q holds a NUL byte, which no file's name can", o.Name)
	case strings.HasPrefix(o.Name, ".ckpt-"):
		return fmt.Errorf("ckpt: the name %q begins as this package calls files of its own; choose another", o.Name)
	}
	for _, b := range o.KeepBest {
		if b.Metric == "" || b.Count < 1 {
			return fmt.Errorf("ckpt: KeepBest has metric %q and count %d; it needs a name and at least 1", b.Metric, b.Count)
		}
	}
	return nil
}

func (m *Manager) seconds() float64 { return stampOf(m.now()) }

// stampOf is a time as the state file has it.
func stampOf(t time.Time) float64 {
	return float64(t.Unix()) + float64(t.Nanosecond()/1000)/1e6
}

// Checkpoint is what the manager saves.
func (m *Manager) Checkpoint() *Checkpoint { return m.checkpoint }

// Directory is the directory as it was given.
func (m *Manager) Directory() string { return m.dir.dir }

// Latest is the prefix of the newest checkpoint by the state file, "" if there
// is none. Nothing is opened.
func (m *Manager) Latest() string {
	latest := m.shown.Load().latest
	if latest == "" {
		return ""
	}
	return joinPath(m.dir.dir, latest)
}

// Checkpoints lists the managed checkpoints, oldest first. Those kept for good
// by KeepEvery are not among them.
func (m *Manager) Checkpoints() []string {
	shown := m.shown.Load().list
	list := make([]string, len(shown))
	for i, c := range shown {
		list[i] = joinPath(m.dir.dir, c.Name)
	}
	return list
}

// shown is what a Manager tells of its checkpoints: what the state file
// records. It is replaced, never changed, so nobody waits for a save.
type shown struct {
	latest string
	list   []Managed
}

func (m *Manager) show() { m.shown.Store(&shown{m.latest, slices.Clone(m.list)}) }
