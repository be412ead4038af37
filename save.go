package ckpt

import (
	"context"
	"fmt"
	"maps"
	"math"
	"slices"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/tensor"
)

// SaveOptions are the options of Save and Write; nil means the zero value.
// TensorFlow's CheckpointOptions.
type SaveOptions struct {
	// Bucket is where the files go; the prefix is then a name in it. Nil means
	// the prefix is a path of the local file system.
	Bucket storage.Bucket
	// DropWaiting saves although restored values still wait for objects that do
	// not exist yet, and leaves them out of the file, as TensorFlow does without
	// a word. Without it such a save is an error that names them.
	DropWaiting bool
	// AfterWrite are called in order once the files are complete, before the
	// state file changes (experimental_write_callbacks). An error ends the save:
	// the files stay, the state file names the previous checkpoint.
	AfterWrite []func(prefix string) error
	// MaxShardSize is the most bytes of a data file; 0 puts everything into one
	// (experimental_sharding_callback=MaxShardSizePolicy). What does not fit is
	// cut into slices, as TensorFlow cuts it. They are joined when it is read; but
	// TensorFlow cannot join those of string, float16, uint16, uint32 and uint64
	// tensors, whoever wrote them. The object graph counts as having no bytes, and
	// a single element larger than the limit has a file of its own. All files are
	// open at once.
	MaxShardSize int64
	// Shard names the group of a tensor; groups share no data file, and their
	// files are numbered in the order of their first tensors (ShardByTaskPolicy,
	// with the name of a task for a group). MaxShardSize then counts in each group.
	// It is called before Save returns, once for each tensor in the order they are
	// written: those of the objects, the save counter's and PythonState's too, and
	// last the object graph, whose key is objectgraph.Key. Nil is one group.
	Shard func(key string, spec Spec) (group string)
	// Background returns as soon as the values of this moment are held, and
	// writes them beside the program, which may change everything at once
	// (enable_async). The files exist, and survive a power loss, when Wait has
	// returned nil or Done was called without an error; an error also comes back
	// from the next save, which then does nothing else. The context is that of
	// the writing, too: one that ends with Ctrl-C ends the save with it, see
	// context.WithoutCancel. Values that say they are stable are held as they are,
	// others are copied; see StableSnapshot.
	Background bool
	// Busy says what a background save does while another one is being written:
	// wait for it, skip, or replace the one that waits. TensorFlow waits. Saves
	// in the foreground wait always; anything else is an error for them.
	Busy Busy
	// Metadata is what is to be known about the checkpoint, written beside it as
	// <prefix>.meta.json before the checkpoint can be seen. Nil, or one that says
	// nothing but a step, writes no such file. It is copied.
	Metadata *Metadata
	// Digests notes the SHA-256 of each file and tensor in the metadata, taken
	// while they are written. VerifyOptions.Digests compares them.
	Digests bool
	// Done is called once when the save has ended, with its prefix, also if it
	// failed, and its error. A background save calls it from the goroutine that
	// wrote, where AfterWrite runs, too; Done of several saves are called one after
	// the other, in the order of the saves, and one that was replaced (BusyReplace)
	// hears ErrReplaced. A save in the foreground calls it before Save returns the
	// same error. It is not called where Save fails, or skips, before anything is
	// written. It must not save, restore, wait or close.
	Done func(prefix string, err error)
}

// Save writes the next numbered checkpoint, <prefix>-<n>, and makes it the
// latest in the state file of its folder, which then lists no other: in a
// Manager's folder use Manager.Save. The counter goes up before writing and
// stays up if writing fails. What Save returned is on the disk; with
// SaveOptions.Background no file has that name before the writing is done.
func (c *Checkpoint) Save(ctx context.Context, prefix string, o *SaveOptions) (string, error) {
	o = o.own()
	if baseName(locate(prefix, o.Bucket).name) == "" {
		return "", fmt.Errorf("ckpt: %q is no prefix: a file name must follow the folder", prefix)
	}
	if when, err := c.ready(ctx, o); err != nil || when == never {
		return "", err
	}
	if !o.DropWaiting {
		if err := c.checkNothingWaits(); err != nil {
			return "", err
		}
	}
	if err := c.ensureCounter(ctx); err != nil {
		return "", err
	}
	number, err := c.count(math.MinInt64)
	if err != nil {
		return "", fmt.Errorf("ckpt: saving %s: %w", prefix, err)
	}
	path := fmt.Sprintf("%s-%d", prefix, number)
	at := locate(path, o.Bucket)
	dir, _ := splitPath(path)
	state, stateErr := NewState(dir, path, nil, nil, 0)
	k, err := c.cut(ctx, at, o)
	if err != nil {
		return "", err
	}
	return c.carryOut(path, o, k, func() error {
		if err := k.write(ctx, at, o); err != nil {
			return err
		}
		if o.Background {
			ctx = context.WithoutCancel(ctx) // the checkpoint is there: too late to cancel
		}
		err := stateErr
		if err == nil {
			err = writeState(ctx, at.bucket, stateNameBeside(at.name), state)
		}
		if err != nil {
			return &unrecordedError{at.prefix, err}
		}
		return nil
	})
}

// Write writes a checkpoint under exactly this prefix, without counting and
// without touching the state file. An existing checkpoint of that name is
// replaced so that a crash leaves the old or the new one.
func (c *Checkpoint) Write(ctx context.Context, prefix string, o *SaveOptions) (string, error) {
	o = o.own()
	if when, err := c.ready(ctx, o); err != nil || when == never {
		return "", err
	}
	at := locate(prefix, o.Bucket)
	k, err := c.cut(ctx, at, o)
	if err != nil {
		return "", err
	}
	return c.carryOut(prefix, o, k, func() error { return k.write(ctx, at, o) })
}

// fit takes the shape from a snapshot that knows it better than the spec, and
// refuses what could not be written, before there are files.
func (it *item) fit(shot Snapshot) error {
	if shaped, ok := shot.(ShapedSnapshot); ok {
		shape := shaped.Shape()
		if !it.spec.Shape.Accepts(shape) {
			return fmt.Errorf("a snapshot of shape %v for a value of shape %v", shape, it.spec.Shape)
		}
		it.spec.Shape = shape
	}
	if _, ok := it.spec.Shape.Elements(); !ok {
		return fmt.Errorf("impossible shape %v", it.spec.Shape)
	}
	if _, ok := shot.(StringSnapshot); elementwise(it.spec.DType) && !ok {
		return fmt.Errorf("the snapshot of a %v tensor must implement StringSnapshot", it.spec.DType)
	}
	return nil
}

// elementwise tells the dtypes whose elements have no fixed size.
func elementwise(d tensor.DType) bool { return d == tensor.String || d == tensor.Variant }

// addItem writes an item and, if sum is not nil, takes the digest of its value.
func addItem(ctx context.Context, w *bundle.Writer, it item, shot Snapshot, sum *valueSum) error {
	switch it.spec.DType {
	case tensor.String:
		return w.AddStrings(ctx, it.key, it.spec.Shape, sum.strings(shot.(StringSnapshot).Strings()))
	case tensor.Variant:
		return w.AddVariants(ctx, it.key, it.spec.Shape, sum.strings(shot.(StringSnapshot).Strings()))
	}
	return w.Add(ctx, it.key, it.spec.DType, it.spec.Shape, sum.chunks(shot.Chunks()))
}

// checkNothingWaits refuses a save that would drop restored values. A value
// for the save counter does not wait for anybody: the save makes the counter.
func (c *Checkpoint) checkNothingWaits() error {
	top := c.top().object
	for _, r := range c.restores {
		nodes := r.waiting()
		for _, p := range r.parks {
			if p.object == top && p.name == counterName {
				nodes = slices.DeleteFunc(nodes, func(node int) bool { return node == p.node })
			}
		}
		if len(nodes) > 0 {
			return waitError(r, nodes)
		}
	}
	return nil
}

// checkNothingWaits finds what other Checkpoints restored and what waits for
// children of the objects that are about to be saved.
func (p *plan) checkNothingWaits() error {
	waiting := make(map[*restoration][]int) // sorted
	for _, object := range p.walker.objects {
		holder, ok := object.(parker)
		if !ok {
			continue
		}
		parked := holder.parked()
		for _, name := range slices.Sorted(maps.Keys(parked)) {
			for _, at := range parked[name] {
				if at.r.bound[at.node] != nil || name == counterName {
					continue
				}
				nodes, known := waiting[at.r]
				if !known {
					nodes = at.r.waitingFor()
					waiting[at.r] = nodes
				}
				if _, waits := slices.BinarySearch(nodes, at.node); waits {
					return waitError(at.r, []int{at.node})
				}
			}
		}
	}
	return nil
}

func waitError(r *restoration, nodes []int) error {
	names := make([]string, len(nodes))
	for i, node := range nodes {
		names[i] = r.name(node)
	}
	return &UnmatchedError{
		Reason: fmt.Sprintf("ckpt: saving now would drop %s restored from %s and still waiting for an object", count(len(nodes), "value"), r.files.prefix),
		Names:  names,
		Hint:   "build those objects first, call Close on the RestoreStatus to give the values up, or set SaveOptions.DropWaiting",
	}
}
