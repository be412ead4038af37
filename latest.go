package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/storage"
)

// FindOptions are the options of Latest, ReadState, Exists and Remove; nil means
// the zero value.
type FindOptions struct {
	// Bucket is where the directory or prefix is, which then is a name in it. Nil
	// means the local file system.
	Bucket storage.Bucket
}

// maxStateFile bounds what is read of a state file: a hundred thousand long paths.
const maxStateFile = 64 << 20

// maxPath is the longest path of a state file that is followed: no system knows
// longer ones, and it would be repeated in every message.
const maxPath = 32 << 10

// ReadState reads the state file of a directory: tf.train.get_checkpoint_state.
// Relative paths come back joined with the directory as given. A missing file
// or directory is ErrNoCheckpoint; one that cannot be understood is a
// *CorruptError of KindState, where TensorFlow warns and says there is none.
func ReadState(ctx context.Context, dir string, o *FindOptions) (*State, error) {
	f := openDirectory(dir, o)
	s, err := f.readState(ctx)
	if err != nil {
		return nil, err
	}
	s.Latest = joinPath(dir, s.Latest)
	for i, p := range s.All {
		s.All[i] = joinPath(dir, p)
	}
	return s, nil
}

// Latest is the newest checkpoint of a directory by its state file:
// tf.train.latest_checkpoint. Where the recorded path leads nowhere, because the
// directory was moved or comes from Windows, the file of that name in the
// directory counts. Otherwise it is ErrNoCheckpoint: Latest neither falls back
// to older checkpoints nor opens anything; Manager.Resume and FindGood do.
func Latest(ctx context.Context, dir string, o *FindOptions) (string, error) {
	d := openDirectory(dir, o)
	at, err := d.latest(ctx)
	if err != nil {
		return at.prefix, d.misnamed(ctx, err)
	}
	return at.prefix, nil
}

// overtaken is how often one looks again because what a state file named is gone
// and the file names another now: its program goes on saving.
const overtaken = 10

func (d *directory) latest(ctx context.Context) (place, error) {
	s, err := d.readState(ctx)
	if err != nil {
		return place{}, err
	}
	at, found := d.resolve(ctx, s.Latest)
	for tried := 0; !found && tried < overtaken; tried++ {
		now, err := d.readState(ctx)
		if err != nil || now.Latest == s.Latest {
			break
		}
		s = now
		at, found = d.resolve(ctx, s.Latest)
	}
	if !found {
		return place{}, fmt.Errorf("ckpt: the state file %s names %s, which does not exist (`ckpt resume %s` looks for older ones): %w",
			joinPath(d.dir, stateFileName), fault.Printable(s.Latest), d.dir, ErrNoCheckpoint)
	}
	return at, nil
}

// directory is a folder of checkpoints with a state file.
type directory struct {
	bucket storage.Bucket
	dir    string // as the caller spells it
	base   string // in front of names in the bucket
	system bool   // dir is a path of the local file system
}

func openDirectory(dir string, o *FindOptions) *directory {
	if o != nil && o.Bucket != nil {
		base := strings.TrimSuffix(dir, "/")
		if base != "" {
			base += "/"
		}
		return &directory{bucket: o.Bucket, dir: dir, base: base}
	}
	return &directory{bucket: openFolder(dir), dir: dir, system: true}
}

// at is a checkpoint of this directory.
func (d *directory) at(name string) place {
	return place{d.bucket, d.base + name, joinPath(d.dir, name)}
}

func (d *directory) readState(ctx context.Context) (*State, error) {
	path := joinPath(d.dir, stateFileName)
	text, err := readAll(ctx, d.bucket, d.base+stateFileName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("ckpt: there is no state file %s: %w", path, errors.Join(ErrNoCheckpoint, fs.ErrNotExist))
	case err != nil:
		return nil, fmt.Errorf("ckpt: %w", &CorruptError{File: path, Offset: -1, Length: -1, Kind: KindUnreadable, Err: err})
	}
	s, err := ParseState(text)
	if err != nil {
		return nil, fmt.Errorf("ckpt: %w", fault.Locate(err, path, ""))
	}
	for _, p := range append([]string{s.Latest}, s.All...) {
		if len(p) > maxPath {
			err := fault.Corrupt(fault.KindState, "a path of %d bytes: no file can have it", len(p))
			return nil, fmt.Errorf("ckpt: %w", fault.Locate(err, path, ""))
		}
	}
	return s, nil
}

func readAll(ctx context.Context, b storage.Bucket, name string) ([]byte, error) {
	f, err := b.Open(ctx, name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if f.Size() > maxStateFile {
		return nil, fault.Corrupt(fault.KindState, "the file has %d bytes, a state file has less than %d", f.Size(), maxStateFile)
	}
	return io.ReadAll(io.NewSectionReader(f, 0, f.Size()))
}

func writeState(ctx context.Context, b storage.Bucket, name string, s *State) error {
	w, err := b.Create(ctx, name, nil)
	if err != nil {
		return fmt.Errorf("ckpt: state file: %w", err)
	}
	defer w.Abort()
	if _, err := w.Write(s.AppendText(nil)); err != nil {
		return fmt.Errorf("ckpt: state file: %w", err)
	}
	if err := w.Commit(ctx); err != nil {
		return fmt.Errorf("ckpt: state file: %w", err)
	}
	return nil
}

func stateNameBeside(name string) string {
	return name[:len(name)-len(baseName(name))] + stateFileName
}

// nameOf is the name inside the directory that a stored path spells; ok is
// false if it leads out. Nothing is looked at.
func (d *directory) nameOf(stored string) (name string, ok bool) {
	if !filepath.IsLocal(stored) {
		return "", false
	}
	name = path.Clean(filepath.ToSlash(stored))
	return name, name != "."
}

// outside is the place of a stored path that leads out of the directory.
func (d *directory) outside(stored string) (at place, ok bool) {
	if !d.system || stored == "" || filepath.IsLocal(stored) {
		return place{}, false
	}
	at = d.beside(joinPath(d.dir, stored))
	return at, at.name != ""
}

// lastElement is what stands behind the last separator of any system.
func lastElement(stored string) string {
	return stored[strings.LastIndexAny(stored, `/\`)+1:]
}

// resolve finds the checkpoint that a stored path means. A path that leads out
// of the directory means the file of that name inside, if there is one: then
// the directory was moved, or was written on another system.
func (d *directory) resolve(ctx context.Context, stored string) (at place, found bool) {
	name, inside := d.nameOf(stored)
	if inside {
		if at = (place{d.bucket, d.base + name, joinPath(d.dir, stored)}); exists(ctx, at) {
			return at, true
		}
	}
	base := lastElement(stored)
	if base != "" && base != stored {
		if inside := d.at(base); exists(ctx, inside) {
			return inside, true
		}
	}
	if outside, ok := d.outside(stored); ok && exists(ctx, outside) {
		return outside, true
	}
	if !inside {
		at = place{d.bucket, d.base + base, joinPath(d.dir, stored)}
	}
	return at, false
}

// exists tells whether there is a checkpoint, or a file of exactly that name,
// as the first format of TensorFlow has it. What cannot be looked at is there:
// reading it will say why.
func exists(ctx context.Context, at place) bool {
	if ok, err := bundle.Exists(ctx, at.bucket, at.name); ok || err != nil {
		return ok || !impossible(err)
	}
	f, err := at.bucket.Open(ctx, at.name)
	if err != nil {
		return false
	}
	f.Close()
	return true
}

// impossible tells an error of a name that no file can have: with a NUL, or too
// long.
func impossible(err error) bool {
	return errors.Is(err, fs.ErrInvalid) || errors.Is(err, syscall.EINVAL) || errors.Is(err, syscall.ENAMETOOLONG)
}

// isSavedModel tells whether a folder holds a SavedModel.
func isSavedModel(dir string) bool {
	for _, name := range []string{"saved_model.pb", "saved_model.pbtxt"} {
		if _, err := os.Stat(joinPath(dir, name)); err == nil {
			return true
		}
	}
	return false
}

// trimFileSuffix turns the name of a checkpoint's file into its prefix.
func trimFileSuffix(path string) string {
	if prefix, ok := strings.CutSuffix(path, ".index"); ok {
		return prefix
	}
	dir, name := splitPath(path)
	if prefix, _, _, ok := bundle.ParseDataName(name); ok {
		return dir + prefix
	}
	return path
}
