package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
)

// KeepAll is the ManagerOptions.MaxToKeep that removes nothing.
const KeepAll = -1

// defaultMaxToKeep is what MaxToKeep 0 means; TensorFlow has no default.
const defaultMaxToKeep = 5

// ManagerOptions are the options of NewManager; nil means the zero value.
type ManagerOptions struct {
	// MaxToKeep is how many checkpoints stay (max_to_keep): 0 means 5, KeepAll
	// no limit; anything below KeepAll is an error.
	MaxToKeep int
	// KeepEvery keeps one checkpoint for good each time this much time has
	// passed (keep_checkpoint_every_n_hours); 0 means none.
	KeepEvery time.Duration
	// Name is the stem of the file names (checkpoint_name); "" means "ckpt".
	Name string
	// Init sets the objects up when there is no checkpoint yet (init_fn); it is
	// called by RestoreOrInitialize and Resume.
	Init func(ctx context.Context) error
	// Bucket is where the directory is, which then is a folder's name in it.
	// Nil means the local file system.
	Bucket storage.Bucket
	// Now is the clock; nil means time.Now. It is written to the state file.
	Now func() time.Time
	// Logger hears what needs no answer: refused checkpoints, files that could
	// not be removed. Nil is silent.
	Logger *slog.Logger
}

// Manager numbers the checkpoints of a directory, keeps the newest and finds
// the one to go on from: tf.train.CheckpointManager. One Manager at a time may
// write to a directory. It is not safe for concurrent use.
type Manager struct {
	checkpoint *Checkpoint
	dir        *directory
	name       string
	policy     policy
	init       func(ctx context.Context) error
	now        func() time.Time
	log        *slog.Logger

	latest        string // name inside the directory, or an outside path as stored
	list          []managed
	lastPreserved float64
	highest       int64 // greatest number seen in the directory
	stateErr      error // why the state file could not be used; nil if there is none

	// marks are left by saves that died between writing a checkpoint and
	// recording it; they go once the state file lists what they adopted.
	marks []storage.Leftover
}

// NewManager opens a directory of checkpoints, which need not exist yet. It
// reads the state file, adopts the checkpoints a manager recorded there, and
// cleans up what a crash left behind of checkpoints of its own name. A state
// file that cannot be understood is no error here: RestoreOrInitialize reports
// it, Resume does without.
func NewManager(checkpoint *Checkpoint, directory string, o *ManagerOptions) (*Manager, error) {
	if o == nil {
		o = new(ManagerOptions)
	}
	m := &Manager{
		checkpoint: checkpoint,
		dir:        openDirectory(directory, &FindOptions{Bucket: o.Bucket}),
		name:       o.Name,
		policy:     policy{maxToKeep: o.MaxToKeep, keepEvery: o.KeepEvery},
		init:       o.Init,
		now:        o.Now,
		log:        o.Logger,
	}
	switch {
	case checkpoint == nil:
		return nil, errors.New("ckpt: a Manager needs a Checkpoint")
	case o.MaxToKeep < KeepAll:
		return nil, fmt.Errorf("ckpt: MaxToKeep is %d; it must be positive, 0 for %d, or KeepAll", o.MaxToKeep, defaultMaxToKeep)
	case o.KeepEvery < 0:
		return nil, fmt.Errorf("ckpt: KeepEvery is %v; it must not be negative", o.KeepEvery)
	case len(o.Name) != len(baseName(o.Name)):
		return nil, fmt.Errorf("ckpt: the name %q holds a slash; folders belong into the directory", o.Name)
	}
	if m.policy.maxToKeep == 0 {
		m.policy.maxToKeep = defaultMaxToKeep
	}
	if m.name == "" {
		m.name = "ckpt"
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	m.clean(background)
	if err := m.recover(background); err != nil {
		return nil, err
	}
	m.adopt(background)
	return m, nil
}

// clean finishes what an interrupted save or removal left of this manager's
// checkpoints. It is best effort: a folder that cannot be written is for the
// next save to report.
func (m *Manager) clean(ctx context.Context) {
	removed, err := bundle.Clean(ctx, m.dir.bucket, m.owns)
	for _, name := range removed {
		m.log.Info("removed what an interrupted save left", "file", name)
	}
	err = errors.Join(err, m.cleanOwn(ctx))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Warn("left-over files stay", "directory", m.dir.dir, "error", err)
	}
}

// cleanOwn removes state files that were never published, and collects the
// marks of saves that were never recorded.
func (m *Manager) cleanOwn(ctx context.Context) error {
	sweeper, ok := m.dir.bucket.(storage.Sweeper)
	if !ok {
		return nil
	}
	for l, err := range sweeper.Leftovers(ctx) {
		if err != nil {
			return err
		}
		switch {
		case l.Name == m.dir.base+stateFileName:
			if err := sweeper.RemoveLeftover(ctx, l); err != nil {
				return err
			}
		case m.owns(l.Name):
			m.marks = append(m.marks, l)
		}
	}
	return nil
}

// owns tells whether a name in the bucket is a prefix this manager would write.
func (m *Manager) owns(prefix string) bool {
	name, ok := strings.CutPrefix(prefix, m.dir.base)
	match := numbered.FindStringSubmatch(name)
	return ok && match != nil && match[1] == m.name
}

// mark notes that a save of this name is under way: a file that is never
// published. If the process dies before the state file lists the checkpoint,
// the mark tells the next manager that the checkpoint is ours to look after.
func (m *Manager) mark(ctx context.Context, at place) (done func(), err error) {
	if _, ok := at.bucket.(storage.Sweeper); !ok {
		return func() {}, nil
	}
	w, err := at.bucket.Create(ctx, at.name, nil)
	if err != nil {
		return nil, err
	}
	return func() {
		if err := w.Abort(); err != nil {
			m.log.Warn("a mark stays", "checkpoint", at.name, "error", err)
		}
	}, nil
}

// adopt takes unrecorded checkpoints of dead saves into the list, so that
// retention removes them in their turn.
func (m *Manager) adopt(ctx context.Context) {
	for _, l := range m.marks {
		name := strings.TrimPrefix(l.Name, m.dir.base)
		listed := slices.ContainsFunc(m.list, func(c managed) bool { return c.name == name })
		if !listed && exists(ctx, m.dir.at(name)) {
			m.list = append(m.list, managed{name, m.seconds()})
		}
	}
}

// dropMarks removes marks whose checkpoints the state file lists now.
func (m *Manager) dropMarks(ctx context.Context) {
	sweeper, ok := m.dir.bucket.(storage.Sweeper)
	if !ok {
		return
	}
	for _, l := range m.marks {
		if err := sweeper.RemoveLeftover(ctx, l); err != nil {
			m.log.Warn("a mark stays", "checkpoint", l.Name, "error", err)
		}
	}
	m.marks = nil
}

// recover takes over what the state file records (TensorFlow's constructor).
func (m *Manager) recover(ctx context.Context) error {
	var err error
	if _, m.highest, err = m.dir.scan(ctx, m.name); err != nil {
		return fmt.Errorf("ckpt: directory %s: %w", m.dir.dir, err)
	}
	now := m.seconds()
	s, err := m.dir.readState(ctx)
	if err != nil {
		m.lastPreserved = now - 1
		if !errors.Is(err, ErrNoCheckpoint) {
			m.stateErr = err
			m.log.Warn("the state file cannot be used", "error", err)
		}
		return nil
	}
	m.latest = s.Latest
	if m.lastPreserved = s.LastPreserved; now < m.lastPreserved {
		m.log.Warn("the clock went back behind the state file's last_preserved_timestamp", "timestamp", m.lastPreserved)
		m.lastPreserved = now
	}
	for i, stored := range s.All {
		at := m.lastPreserved
		if len(s.Timestamps) == len(s.All) {
			at = min(s.Timestamps[i], now)
		}
		name, inside := m.insideName(stored)
		if inside && at > m.lastPreserved {
			m.list = append(slices.DeleteFunc(m.list, func(c managed) bool { return c.name == name }), managed{name, at})
		}
	}
	return nil
}

// insideName is the name of a stored path that lies in the directory; others
// are never managed, so never removed.
func (m *Manager) insideName(stored string) (string, bool) {
	at, _ := m.dir.resolve(background, stored)
	if at.bucket != m.dir.bucket || len(at.name) < len(m.dir.base) {
		return "", false
	}
	name := at.name[len(m.dir.base):]
	return name, name != ""
}

func (m *Manager) seconds() float64 {
	t := m.now()
	return float64(t.Unix()) + float64(t.Nanosecond()/1000)/1e6
}

// Checkpoint is what the manager saves.
func (m *Manager) Checkpoint() *Checkpoint { return m.checkpoint }

// Directory is the directory as it was given.
func (m *Manager) Directory() string { return m.dir.dir }

// Latest is the prefix of the newest checkpoint by the state file, "" if there
// is none. Nothing is opened.
func (m *Manager) Latest() string {
	if m.latest == "" {
		return ""
	}
	return joinPath(m.dir.dir, m.latest)
}

// Checkpoints lists the managed checkpoints, oldest first. Those kept for good
// by KeepEvery are not among them.
func (m *Manager) Checkpoints() []string {
	list := make([]string, len(m.list))
	for i, c := range m.list {
		list[i] = joinPath(m.dir.dir, c.name)
	}
	return list
}

// Save writes the next checkpoint, makes it the latest, and removes what
// retention no longer keeps. When it returns, the checkpoint survives a power
// loss. Its number is the save counter's, or higher: above every number in the
// directory, so that going on from an older checkpoint overwrites nothing.
func (m *Manager) Save(ctx context.Context, o *SaveOptions) (string, error) {
	return m.save(ctx, nil, o)
}

// SaveNumber is Save with a number of the caller's choice, such as a step
// (checkpoint_number). A checkpoint of that number is replaced. The save counter
// goes up by one all the same.
func (m *Manager) SaveNumber(ctx context.Context, number int64, o *SaveOptions) (string, error) {
	return m.save(ctx, &number, o)
}

func (m *Manager) save(ctx context.Context, number *int64, o *SaveOptions) (string, error) {
	if o == nil {
		o = new(SaveOptions)
	}
	if o.Bucket != nil {
		return "", errors.New("ckpt: a Manager saves into its own bucket; leave SaveOptions.Bucket nil")
	}
	if err := m.checkpoint.ensureCounter(); err != nil {
		return "", err
	}
	counter := m.checkpoint.counter
	counter.data[0]++
	if number == nil {
		if counter.data[0] <= m.highest && m.highest < math.MaxInt64 {
			counter.data[0] = m.highest + 1
		}
		number = new(counter.data[0])
	}
	name := m.name + "-" + strconv.FormatInt(*number, 10)
	at := m.dir.at(name)
	done, err := m.mark(ctx, at)
	if err != nil {
		return "", fmt.Errorf("ckpt: saving %s: %w", at.prefix, err)
	}
	defer done()
	if err := m.checkpoint.write(ctx, at, o); err != nil {
		return "", err
	}
	m.highest = max(m.highest, *number)
	m.list = append(slices.DeleteFunc(m.list, func(c managed) bool { return c.name == name }), managed{name, m.seconds()})
	m.latest = name
	m.stateErr = nil
	if err := m.writeState(ctx); err != nil {
		return at.prefix, err
	}
	m.dropMarks(ctx)
	return at.prefix, m.sweep(ctx)
}

func (m *Manager) writeState(ctx context.Context) error {
	s := &State{Latest: m.latest, LastPreserved: m.lastPreserved}
	for _, c := range m.list {
		s.All = append(s.All, c.name)
		s.Timestamps = append(s.Timestamps, c.time)
	}
	return writeState(ctx, m.dir.bucket, m.dir.base+stateFileName, s)
}

// sweep removes what retention no longer keeps, then records it. A file that
// cannot be removed does not fail the save that was done.
func (m *Manager) sweep(ctx context.Context) error {
	verdicts, last := retain(m.list, m.policy, m.lastPreserved)
	var kept []managed
	for _, v := range verdicts {
		if v.action == keepManaged {
			kept = append(kept, v.managed)
			continue
		}
		if v.action == preserve {
			m.log.Info("kept for good", "checkpoint", v.name, "reason", v.reason)
			continue
		}
		if at := m.dir.at(v.name); isPinned(at) {
			kept = append(kept, v.managed)
			continue
		} else if err := bundle.Remove(ctx, at.bucket, at.name); err != nil {
			m.log.Warn("could not remove a checkpoint", "checkpoint", v.name, "error", err)
			if !errors.Is(err, fs.ErrNotExist) {
				kept = append(kept, v.managed)
			}
		}
	}
	if len(kept) == len(m.list) && last == m.lastPreserved {
		return nil
	}
	m.list, m.lastPreserved = kept, last
	return m.writeState(ctx)
}
