package ckpt

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
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
// write to a directory. It is not safe for concurrent use, except that Latest and
// Checkpoints may be called beside everything.
type Manager struct {
	checkpoint *Checkpoint
	dir        *directory
	name       string
	policy     policy
	init       func(ctx context.Context) error
	now        func() time.Time
	log        *slog.Logger

	shown         atomic.Pointer[shown] // what Latest and Checkpoints tell
	latest        string                // name inside the directory, or an outside path as stored
	list          []managed
	lastPreserved float64
	highest       int64 // greatest number seen in the state file and, once scanned, in the directory
	scanned       bool
	prepared      bool  // cleaned up behind a crash
	stateErr      error // why the state file could not be used; nil if there is none

	// marks are left by saves that died between writing a checkpoint and
	// recording it; they go once the state file lists what they adopted.
	marks []storage.Leftover
	// unrecorded are the marks of this Manager's own checkpoints that are
	// written and that no state file lists yet.
	unrecorded []storage.Writer
	// failed are new checkpoints that could not be written, and of which
	// something may be left.
	failed []failedSave
	closed bool
}

// NewManager opens a directory of checkpoints, which need not exist yet. It
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
		m.name = defaultStem
	}
	if m.now == nil {
		m.now = time.Now
	}
	if m.log == nil {
		m.log = slog.New(slog.DiscardHandler)
	}
	if err := m.recover(background); err != nil {
		return nil, err
	}
	m.show()
	return m, nil
}

// recover takes over what the state file records (TensorFlow's constructor).
func (m *Manager) recover(ctx context.Context) error {
	m.stateErr = nil
	now := m.seconds()
	s, err := m.dir.readState(ctx)
	if err != nil {
		m.lastPreserved = now - 1
		if errors.Is(err, ErrNoCheckpoint) {
			return nil
		}
		// A directory that cannot be used at all is for the caller to know now.
		if err := m.scan(ctx); err != nil {
			return err
		}
		m.stateErr = err
		m.log.Warn("the state file cannot be used", "error", err)
		return nil
	}
	m.latest = s.Latest
	m.see(s.Latest)
	last := make(map[string]int) // of paths listed twice the last one counts
	for i, stored := range s.All {
		m.see(stored)
		// Entries without a time stamp were recorded by Checkpoint.Save, which
		// manages nothing; where some have one the others lost theirs.
		seconds := s.LastPreserved
		if n := len(s.Timestamps); n > 0 {
			seconds = s.Timestamps[min(i, n-1)]
		}
		if seconds > s.LastPreserved {
			if name, ok := m.managedName(ctx, stored); ok {
				if before, twice := last[name]; twice {
					m.list[before].name = ""
				}
				last[name] = len(m.list)
				m.list = append(m.list, managed{name, min(seconds, now)})
			}
		}
	}
	m.list = slices.DeleteFunc(m.list, func(c managed) bool { return c.name == "" })
	if m.lastPreserved = s.LastPreserved; now < m.lastPreserved {
		m.log.Warn("the clock went back behind the state file's last_preserved_timestamp", "timestamp", m.lastPreserved)
		m.lastPreserved = now
	}
	return nil
}

// see notes the number of a stored path, whether its file is there or not.
func (m *Manager) see(stored string) {
	if number, ok := numberOf(lastElement(stored), m.name); ok {
		m.highest = max(m.highest, number)
	}
}

// scan notes the greatest number in the directory.
func (m *Manager) scan(ctx context.Context) error {
	_, highest, err := m.dir.scan(ctx, m.name)
	if err != nil {
		return fmt.Errorf("ckpt: directory %s: %w", m.dir.dir, err)
	}
	m.highest, m.scanned = max(m.highest, highest), true
	return nil
}

// managedName is the name of a stored path that lies in the directory; others
// are never managed, so never removed.
func (m *Manager) managedName(ctx context.Context, stored string) (string, bool) {
	name, inside := m.dir.nameOf(stored)
	if inside && !strings.ContainsAny(name, `/\`) {
		return name, true
	}
	// The directory may have been moved or be from another system: then the path
	// leads nowhere and the file lies here. If it leads to another file, that
	// one is meant, and the one here is a stranger's.
	at, found := m.dir.resolve(ctx, stored)
	if !found || !sameBucket(at.bucket, m.dir.bucket) {
		return "", false
	}
	if other, ok := m.dir.outside(stored); ok && other.identityOf() != at.identityOf() {
		cleaned := locate(filepath.Clean(other.prefix), nil)
		if exists(ctx, other) || exists(ctx, cleaned) {
			return "", false
		}
	}
	return strings.TrimPrefix(at.name, m.dir.base), true
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
		list[i] = joinPath(m.dir.dir, c.name)
	}
	return list
}

// shown is what a Manager tells of its checkpoints: what the state file
// records. It is replaced, never changed, so nobody waits for a save.
type shown struct {
	latest string
	list   []managed
}

func (m *Manager) show() { m.shown.Store(&shown{m.latest, slices.Clone(m.list)}) }
