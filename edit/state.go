package edit

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ckpt-go/ckpt"
	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// stateFile is the name of the state file; a copy of the old one has a name that
// begins with oldState.
const (
	stateFile = "checkpoint"
	oldState  = "checkpoint.old"
)

// StateOptions are the options of RebuildState; nil means the zero value.
type StateOptions struct {
	// Bucket is where the files are; the directory is then one in it. Nil means the
	// local file system.
	Bucket storage.Bucket
	// FollowLinks allows symbolic links that lead out of the directory.
	FollowLinks bool
	// Level is how much of each checkpoint must be right. The zero value means every
	// byte.
	Level ckpt.Level
	// All lists every good checkpoint. Without it those stay out that an old state
	// which can be read does not list, though it lists newer ones, because they were
	// kept for good and retention must not count them; and those that are not called
	// as the newest is, but for its number.
	All bool
	// DryRun finds out what would be written, and writes nothing.
	DryRun bool
	// Progress is called as in ckpt.VerifyOptions; nil is silent.
	Progress func(prefix string, done, total int64)
}

// RebuiltState is what RebuildState did, or would do.
type RebuiltState struct {
	State   *ckpt.State
	Old     string // name in the directory of the copy of the old file, "" if there was none
	Written bool   // false for a dry run, and if the file says it already
	Skipped []Skipped
}

// Skipped is a checkpoint that the state file does not list.
type Skipped struct {
	Name     string // in the directory
	Reason   string
	Problems []*ckpt.CorruptError // if it is not good
}

// RebuildState writes the state file of a directory anew, byte for byte as
// TensorFlow would: it lists the checkpoints that are good, by their number and,
// where there is none, their time, and the newest as the latest. Time stamps are
// those of the old state file where it has them, of the metadata, or of the files.
// The old file, if there is one and it differs, is kept beside it as checkpoint.old,
// checkpoint.old-2 and so on. A directory into which a program is saving is refused.
//
// A manager that opens the directory takes the listed checkpoints over, and its
// retention may remove the oldest of them: pin what must stay, see ckpt.Manager.Pin.
// If no checkpoint is good the error is that of ckpt.FindGood, and nothing is
// written.
func RebuildState(ctx context.Context, dir string, o *StateOptions) (*RebuiltState, error) {
	if o == nil {
		o = new(StateOptions)
	}
	s := &restate{o: o, out: new(RebuiltState)}
	if s.bucket = o.Bucket; s.bucket == nil {
		if dir == "" {
			dir = "."
		}
		s.bucket = local.Open(dir, &local.Options{FollowLinks: o.FollowLinks})
	} else if s.base = strings.TrimSuffix(dir, "/"); s.base != "" {
		s.base += "/"
	}
	if err := s.run(ctx); err != nil {
		return s.out, fmt.Errorf("ckpt: state of %s: %w", fault.Printable(dir), err)
	}
	return s.out, nil
}

type restate struct {
	o      *StateOptions
	bucket storage.Bucket
	base   string
	out    *RebuiltState
	old    *ckpt.State // nil if it cannot be understood
}

func (s *restate) run(ctx context.Context) error {
	unlock, err := s.lock(ctx)
	if err != nil {
		return err
	}
	defer unlock()
	text, err := readAll(ctx, s.bucket, s.base+stateFile, maxState)
	if err != nil && (ctx.Err() != nil || !errors.Is(err, fs.ErrNotExist)) {
		return err
	}
	there := err == nil
	if s.old, err = ckpt.ParseState(text); err != nil {
		s.old = nil
	}
	good, err := s.good(ctx)
	if err != nil {
		return err
	}
	if err := s.list(ctx, good); err != nil {
		return err
	}
	fresh := s.out.State.AppendText(nil)
	if string(fresh) == string(text) {
		return nil
	}
	if there {
		if s.out.Old, err = s.freeName(ctx); err != nil {
			return err
		}
	}
	if s.o.DryRun {
		return nil
	}
	if there {
		if err := s.put(ctx, s.out.Old, text); err != nil {
			return err
		}
	}
	s.out.Written = true
	return s.put(ctx, stateFile, fresh)
}

// lock keeps programs from saving meanwhile, where the storage knows of them.
func (s *restate) lock(ctx context.Context) (unlock func() error, err error) {
	none := func() error { return nil }
	l, ok := s.bucket.(storage.Locker)
	if !ok || s.o.DryRun {
		return none, nil
	}
	if _, err := s.listing(ctx, ckpt.LevelNames); err != nil {
		return none, err // a lock would make the folder
	}
	unlock, err = l.Lock(ctx, strings.TrimSuffix(s.base, "/"))
	if held, ok := errors.AsType[*storage.LockedError](err); ok {
		return none, fmt.Errorf("a program saves into it (%w): stop it first", held)
	}
	if err != nil {
		return none, ctx.Err() // as a Manager, which goes on without
	}
	return unlock, nil
}

// listing lists the directory as if it had no state file.
func (s *restate) listing(ctx context.Context, level ckpt.Level) (*ckpt.Listing, error) {
	over := &overlay{below: s.bucket, files: map[string]*patched{
		s.base + stateFile: {err: &fs.PathError{Op: "open", Path: stateFile, Err: fs.ErrNotExist}},
	}}
	return ckpt.ListDirectory(ctx, s.base, &ckpt.VerifyOptions{Bucket: over, Level: level, Progress: s.o.Progress})
}

// good are the good checkpoints, oldest first.
func (s *restate) good(ctx context.Context) (good []ckpt.Listed, err error) {
	l, err := s.listing(ctx, s.o.Level)
	if err != nil {
		return nil, err
	}
	var worst error
	for _, c := range l.Checkpoints {
		problems := s.serious(ctx, &c)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(problems) == 0 {
			good = append(good, c)
			continue
		}
		worst = problems[0]
		if i := slices.IndexFunc(problems, func(p *ckpt.CorruptError) bool { return p.Kind == fault.KindUnreadable }); i >= 0 {
			return nil, fmt.Errorf("it is not known whether %s is good: %w", s.nameOf(&c), problems[i])
		}
		s.skip(s.nameOf(&c), "it is damaged", problems)
	}
	if len(good) == 0 {
		return nil, fmt.Errorf("none of its %d checkpoints is good: %w", len(l.Checkpoints), worst)
	}
	return good, nil
}

func (s *restate) nameOf(c *ckpt.Listed) string { return strings.TrimPrefix(c.Prefix, s.base) }

func (s *restate) skip(name, reason string, problems []*ckpt.CorruptError) {
	s.out.Skipped = append(s.out.Skipped, Skipped{name, reason, problems})
}

// serious are the problems that keep a checkpoint from being restored: not those of
// metadata, nor of bytes of the index that nobody reads.
func (s *restate) serious(ctx context.Context, c *ckpt.Listed) []*ckpt.CorruptError {
	if c.OK() {
		return nil
	}
	harmless := make(map[string]bool)
	if rd, err := bundle.Open(ctx, s.bucket, c.Prefix, nil); err == nil {
		for p := range rd.CheckUnread(ctx) {
			harmless[p.Error()] = true
		}
		rd.Close()
	}
	return slices.DeleteFunc(slices.Clone(c.Problems), func(p *ckpt.CorruptError) bool {
		return harmless[p.Error()] || strings.HasSuffix(p.File, metadataSuffix)
	})
}

// list makes the state of the good ones.
func (s *restate) list(ctx context.Context, good []ckpt.Listed) error {
	good = s.chosen(good)
	saved, err := s.fileTimes(ctx)
	if err != nil {
		return err
	}
	names, stamps := make([]string, len(good)), make([]float64, len(good))
	for i := range good {
		names[i] = s.nameOf(&good[i])
		when := good[i].Time
		if when.IsZero() {
			when = saved[names[i]]
		}
		if stamps[i] = s.oldStamp(names[i]); stamps[i] == 0 && !when.IsZero() {
			stamps[i] = float64(when.UnixMicro()) / 1e6
		}
	}
	if slices.Contains(stamps, 0) {
		stamps = nil // all or none
	}
	preserved := 0.0
	if s.old != nil {
		preserved = s.old.LastPreserved
	}
	s.out.State, err = ckpt.NewState("", names[len(names)-1], names, stamps, preserved)
	return err
}

// chosen leaves out what retention should not count.
func (s *restate) chosen(good []ckpt.Listed) (list []ckpt.Listed) {
	if s.o.All {
		return good
	}
	listed := make(map[string]bool)
	newestListed := -1
	if s.old != nil {
		for _, name := range append(slices.Clone(s.old.All), s.old.Latest) {
			listed[name] = true
		}
		newestListed = slices.IndexFunc(good, func(c ckpt.Listed) bool { return s.nameOf(&c) == s.old.Latest })
	}
	newest := stemOf(s.nameOf(&good[len(good)-1]))
	for i := range good {
		name := s.nameOf(&good[i])
		switch last := i == len(good)-1; {
		case last || listed[name]:
			list = append(list, good[i])
		case i < newestListed:
			s.skip(name, "the old state lists a newer one and not this", nil)
		case stemOf(name) != newest:
			s.skip(name, "it is not called as the newest is", nil)
		default:
			list = append(list, good[i])
		}
	}
	return list
}

// stemOf is what stands before the number of a name.
func stemOf(name string) string { return strings.TrimRight(name, "0123456789") }

// oldStamp is the time stamp that the old state has of a checkpoint, 0 if none.
func (s *restate) oldStamp(name string) float64 {
	if s.old == nil || len(s.old.Timestamps) != len(s.old.All) {
		return 0
	}
	if i := slices.Index(s.old.All, name); i >= 0 {
		return s.old.Timestamps[i]
	}
	return 0
}

// fileTimes are the times of the index files, by checkpoint.
func (s *restate) fileTimes(ctx context.Context) (map[string]time.Time, error) {
	times := make(map[string]time.Time)
	for info, err := range s.bucket.List(ctx, s.base) {
		if err != nil {
			return nil, err
		}
		if name, ok := strings.CutSuffix(strings.TrimPrefix(info.Name, s.base), ".index"); ok {
			times[name] = info.ModTime
		}
	}
	return times, nil
}

// freeName is a name for the copy of the old file.
func (s *restate) freeName(ctx context.Context) (string, error) {
	for n := 1; ; n++ {
		name := oldState
		if n > 1 {
			name += "-" + strconv.Itoa(n)
		}
		f, err := s.bucket.Open(ctx, s.base+name)
		if errors.Is(err, fs.ErrNotExist) {
			return name, nil
		}
		if err == nil {
			err = f.Close()
		}
		if err != nil {
			return "", err
		}
	}
}

// put publishes a file.
func (s *restate) put(ctx context.Context, name string, text []byte) error {
	w, err := s.bucket.Create(ctx, s.base+name, &storage.CreateOptions{Size: int64(len(text)), Exclusive: name != stateFile})
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := w.Write(text); err != nil {
		return err
	}
	return w.Commit(ctx)
}
