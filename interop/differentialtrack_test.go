package interop_test

import (
	"errors"

	"github.com/ckpt-go/ckpt"
)

func (r *runner) checkpoint(op *operation) error {
	objects := make(ckpt.Objects)
	for _, n := range op.Objects {
		child, ok := r.objects[n.child]
		if !ok {
			return errSkip
		}
		objects[n.name] = child
	}
	made := (*ckpt.Checkpoint)(nil)
	if op.Root == 0 {
		made = ckpt.New(objects)
	} else {
		root, ok := r.objects[op.Root]
		if !ok {
			return errSkip
		}
		if c, ok := root.(*ckpt.Checkpoint); ok && c.Child("save_counter") == nil {
			return errSkip // see "root counter" of differentialDeviations
		}
		for name := range objects {
			if node, ok := root.(parentNode); ok && node.Child(name) != nil {
				r.excuse("same child")
			}
		}
		var err error
		if made, err = ckpt.NewRooted(root, objects); err != nil {
			return err
		}
		r.rooted[op.ID], r.roots[root] = true, true
	}
	r.checkpoints[op.ID], r.objects[op.ID] = made, made
	return nil
}

// parentNode is what children hang below.
type parentNode interface {
	ckpt.Trackable
	Child(name string) ckpt.Trackable
	Track(name string, child ckpt.Trackable) error
	Replace(name string, child ckpt.Trackable) error
}

func (r *runner) track(op *operation) error {
	child, ok := r.objects[op.Child]
	parent, isTracker := r.objects[op.Parent].(parentNode)
	if !ok || !isTracker || r.rooted[op.Parent] || op.Name == "save_counter" && r.roots[parent] {
		return errSkip
	}
	if own := parent.Child(op.Name); !op.Replace && own != nil && own != child {
		return errTaken
	} else if own != nil && own != child {
		r.replaced++
	}
	var err error
	switch p := parent.(type) {
	case *ckpt.List:
		return errSkip
	case *ckpt.Map:
		err = r.container(p.Set(op.Name, child))
	default:
		if op.Replace {
			err = p.Replace(op.Name, child)
		} else {
			err = p.Track(op.Name, child)
		}
	}
	return r.late(err)
}

// late is the end of an operation that may have set values that waited.
func (r *runner) late(err error) error {
	if r.removed != "" || len(r.takenOver) > 0 { // retention may have removed one that was taken over
		r.excuse("no file")
	}
	if err != nil {
		r.out.final = true
	}
	return err
}

func (r *runner) container(err error) error {
	if errors.Is(err, ckpt.ErrMismatch) {
		r.excuse("container")
	}
	return err
}

func (r *runner) excuse(name string) { r.out.excuses = append(r.out.excuses, name) }

func (r *runner) append(op *operation) error {
	child, ok := r.objects[op.Child]
	parent, isList := r.objects[op.Parent].(*ckpt.List)
	if !ok || !isList {
		return errSkip
	}
	return r.late(r.container(parent.Append(child)))
}

func (r *runner) skip(op *operation) error {
	parent, ok := r.objects[op.Parent].(*ckpt.List)
	if !ok {
		return errSkip
	}
	parent.Skip(1)
	return nil
}
