package ckpt

import (
	"context"
	"os"

	"github.com/ckpt-go/ckpt/storage"
)

// RestoreOptions are the options of Restore and Read; nil means the zero value.
type RestoreOptions struct {
	// Bucket is where the files are; the path is then a prefix in it. Nil means
	// the local file system.
	Bucket storage.Bucket
	// InPlace reads in one pass straight into the objects' memory, for objects
	// that nobody uses yet. After an error they hold a mixture and must not be
	// used; the error says so. The default stages every value and sets all of
	// them or none.
	InPlace bool
	// SkipSlotVariables leaves the slot variables of optimizers alone
	// (experimental_skip_slot_variables).
	SkipSlotVariables bool
	// Rename is for objects that moved or changed their names since the checkpoint
	// was written. It maps a path in the checkpoint to the one in the program, with
	// all that hangs below: {"(root).model.encoder": "(root).model.enc"}. A path is
	// what errors print, with dots in a name doubled, or the beginning of a key,
	// model/encoder, with names escaped as in keys. Status and errors then speak of
	// the new names. An old path that the checkpoint does not have is an error
	// (ErrMismatch), unless it has the new one already; so is a new path that would
	// be there twice. Two names that are swapped are swapped in whatever is restored:
	// nothing tells what was saved since. A name-based checkpoint has no paths:
	// errors.ErrUnsupported. TensorFlow has no such option.
	Rename map[string]string
	// Cast takes stored numbers for those of another dtype: floats for floats of
	// any other size, rounded to the nearest, and integers for integers or floats
	// that hold the same number. Floats are never made integers. A number out of
	// range, and NaN or an infinity where the dtype has none, is a *MismatchError
	// that names tensor and element, and nothing is set, in place neither. The
	// default is TensorFlow's: every other dtype is an error.
	Cast bool
	// Only restores parts of the program, the objects at these paths with all below,
	// and leaves everything else alone, the save counter too: it counts neither as
	// missing nor as unused. Paths are those of the program, in the forms of Rename;
	// one that leads to no object now is an error. Slot variables are part of their
	// optimizer, and wait for their variables, which are left alone. Nil is everything;
	// a list of none is an error.
	Only []string
}

// Restore loads a checkpoint into the objects, matching them by the names of
// their edges from the root, and makes the save counter follow it. Every dtype
// and shape is checked before anything changes. Values whose objects do not
// exist yet wait and are set when those are tracked. A SavedModel directory is
// read as its variables. The empty path restores nothing; all checks of its
// status fail.
//
// Which values found no object, and which objects no value, is for the status
// to say: see RestoreStatus.CheckConsumed.
//
// A name-based checkpoint, which TensorFlow 1's Saver wrote, is matched by
// Spec.FullName instead, now and whenever an object is tracked. Two objects that
// share a name it has are an error.
func (c *Checkpoint) Restore(ctx context.Context, path string, o *RestoreOptions) (*RestoreStatus, error) {
	return c.restore(ctx, path, o, true)
}

// Read is Restore for what Write wrote: it makes no save counter, and takes no
// directories.
func (c *Checkpoint) Read(ctx context.Context, path string, o *RestoreOptions) (*RestoreStatus, error) {
	return c.restore(ctx, path, o, false)
}

func (c *Checkpoint) restore(ctx context.Context, path string, o *RestoreOptions, counted bool) (*RestoreStatus, error) {
	if o == nil {
		o = new(RestoreOptions)
	}
	if err := c.join(ctx); err != nil {
		return nil, err
	}
	if path == "" {
		return &RestoreStatus{root: c.top()}, nil
	}
	prefix, err := restorePath(ctx, path, o, counted)
	if err != nil {
		return nil, err
	}
	l := &loading{c: c, at: locate(prefix, o.Bucket), options: o, counted: counted, inPlace: o.InPlace}
	return l.run(ctx)
}

// restorePath understands what a person may give in place of a prefix.
func restorePath(ctx context.Context, path string, o *RestoreOptions, counted bool) (string, error) {
	if o.Bucket != nil {
		return restoreName(ctx, path, o.Bucket, counted)
	}
	if _, err := os.Stat(path + ".index"); err == nil {
		return path, nil
	}
	info, err := os.Stat(path)
	if err != nil || !info.IsDir() {
		return trimFileSuffix(path), nil
	}
	if counted && isSavedModel(path) {
		return joinPath(joinPath(path, "variables"), "variables"), nil
	}
	return "", openDirectory(path, nil).noPrefix(ctx)
}
