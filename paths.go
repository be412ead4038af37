package ckpt

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// graphKey is the tensor that holds the object graph.
const graphKey = objectgraph.Key

// Where a SavedModel's directory keeps what.
var modelFiles = [...]string{"saved_model.pb", "saved_model.pbtxt"}

const modelVariables = "variables/variables"

// background is the context of work that has no caller's: values that arrive
// when an object is tracked.
var background = context.Background()

// place is where a prefix lives: a name in a bucket, and the text the caller
// knows it by.
type place struct {
	bucket storage.Bucket
	name   string
	prefix string
}

// locate splits a prefix into folder and name. With a bucket of the caller's
// the prefix is a name in it.
func locate(prefix string, bucket storage.Bucket) place {
	if bucket != nil {
		return place{bucket, prefix, prefix}
	}
	dir, name := splitPath(prefix)
	return place{openFolder(dir), name, prefix}
}

// beside is locate for a path that is relative to the same working directory as this
// one, whatever that is now.
func (d *directory) beside(path string) place {
	at := locate(path, nil)
	if folder, ok := d.bucket.(*local.Bucket); ok {
		dir, _ := splitPath(path)
		at.bucket = folder.Beside(dir, nil)
	}
	return at
}

// splitPath cuts behind the last separator. Nothing is cleaned: the caller's
// spelling comes back in what is returned.
func splitPath(path string) (dir, name string) {
	i := len(path) - 1
	for i >= 0 && !os.IsPathSeparator(path[i]) {
		i--
	}
	return path[:i+1], path[i+1:]
}

// joinPath is Python's os.path.join of two parts.
func joinPath(dir, name string) string {
	if dir == "" || filepath.IsAbs(name) {
		return name
	}
	if os.IsPathSeparator(dir[len(dir)-1]) {
		return dir + name
	}
	return dir + "/" + name
}

func openFolder(dir string) storage.Bucket {
	if dir == "" {
		dir = "."
	}
	return local.Open(dir, nil)
}

// isName tells whether a path in a bucket can be a prefix, and not only a
// folder.
func isName(path string) bool { return path != "" && path[len(path)-1] != '/' }

// find understands what a person may give in place of a prefix.
func find(ctx context.Context, path string, bucket storage.Bucket) (place, error) {
	if bucket != nil {
		return findIn(ctx, bucket, path)
	}
	prefix, err := ResolvePath(ctx, path)
	return locate(prefix, nil), err
}

// findIn understands a path in a bucket as ResolvePath does one of the system.
// What nothing is known about counts as a prefix.
func findIn(ctx context.Context, b storage.Bucket, path string) (place, error) {
	at := place{b, path, path}
	if isName(path) {
		if there, err := bundle.Exists(ctx, b, path); there || err != nil {
			return at, nil // opening it will say what is wrong
		}
		if prefix := trimFileSuffix(path); prefix != path {
			return place{b, prefix, prefix}, nil
		}
	}
	d := openDirectory(path, &FindOptions{Bucket: b})
	if model, ok := d.model(ctx); ok {
		return model, nil
	}
	for _, err := range b.List(ctx, d.base) {
		if err == nil {
			return d.newest(ctx)
		}
		break
	}
	return at, nil
}

// restoreName understands what Restore takes in a bucket besides a prefix: a
// file's name and, where a whole program is restored, a SavedModel's folder.
func restoreName(ctx context.Context, path string, b storage.Bucket, models bool) (string, error) {
	if isName(path) {
		if there, err := bundle.Exists(ctx, b, path); there || err != nil {
			return path, nil
		}
		if prefix := trimFileSuffix(path); prefix != path {
			return prefix, nil
		}
	}
	d := openDirectory(path, &FindOptions{Bucket: b})
	if model, ok := d.model(ctx); ok && models {
		return model.name, nil
	}
	for _, err := range b.List(ctx, d.base) {
		if err == nil {
			return "", d.noPrefix(ctx)
		}
		break
	}
	return path, nil
}

// mostNamed is how many checkpoints of a directory an error names.
const mostNamed = 3

// noPrefix is the error of a directory where a prefix is asked for. It names
// those that lie there, the newest first.
func (d *directory) noPrefix(ctx context.Context) error {
	var names []string
	if model, ok := d.model(ctx); ok {
		names = append(names, strings.TrimPrefix(model.name, d.base))
	}
	if list, _, err := d.scan(ctx, ""); err == nil {
		for _, f := range list {
			names = append(names, f.name)
		}
	}
	if len(names) == 0 {
		names = d.oldFormat(ctx)
	}
	what := fmt.Sprintf("ckpt: %s is a directory, not a checkpoint: ", fault.Printable(d.dir))
	if len(names) == 0 {
		return fmt.Errorf("%sgive a prefix such as %s; none lies there%s", what, joinPath(d.dir, "ckpt-1"), d.holds(ctx))
	}
	what += "give a prefix such as " + fault.Printable(joinPath(d.dir, names[0]))
	if len(names) == 1 {
		return errors.New(what)
	}
	var others []string
	for _, name := range names[1:min(len(names), mostNamed)] {
		others = append(others, fault.Printable(name))
	}
	if more := len(names) - mostNamed; more > 0 {
		others = append(others, fmt.Sprintf("%d more", more))
	}
	return fmt.Errorf("%s (it also holds %s), or use a Manager or ckpt.Latest to find the newest", what, strings.Join(others, ", "))
}

// model is the variables of the directory, if it is a SavedModel's.
func (d *directory) model(ctx context.Context) (place, bool) {
	for _, name := range modelFiles {
		if f, err := d.bucket.Open(ctx, d.base+name); err == nil {
			f.Close()
			return d.at(modelVariables), true
		}
	}
	return place{}, false
}

// newest is the latest checkpoint of the directory by its state file, or if it
// has none, the newest that lies there.
func (d *directory) newest(ctx context.Context) (place, error) {
	at, err := d.latest(ctx)
	if !errors.Is(err, fs.ErrNotExist) {
		return at, err
	}
	if list, _, err := d.scan(ctx, ""); err == nil && len(list) > 0 {
		return d.at(list[0].name), nil
	}
	if old := d.oldFormat(ctx); len(old) > 0 {
		return d.at(old[0]), nil
	}
	return place{}, fmt.Errorf("ckpt: there is no checkpoint in %s: %w", d.dir+d.holds(ctx), ErrNoCheckpoint)
}

// followed is the same place with leave to follow links out of its folder.
func (p place) followed() place {
	if folder, ok := p.bucket.(*local.Bucket); ok {
		p.bucket = folder.Beside(folder.Dir(), &local.Options{FollowLinks: true})
	}
	return p
}

func baseName(name string) string {
	return name[strings.LastIndexByte(name, '/')+1:]
}

// identityOf names a checkpoint of this process's view of the world. Links and mounts
// are not looked at: see spot.
func (p place) identityOf() any {
	if folder, ok := p.bucket.(*local.Bucket); ok {
		path := filepath.Join(folder.Path(), p.name)
		if abs, err := filepath.Abs(path); err == nil {
			path = abs
		}
		return path
	}
	bucket := any(p.bucket)
	if !reflect.ValueOf(bucket).Comparable() {
		// Such as one of an fs.FS that is a map: all of its type count as one, which
		// at worst keeps a file that could go.
		bucket = reflect.TypeOf(bucket)
	}
	return struct {
		bucket any
		name   string
	}{bucket, p.name}
}

// sameBucket tells whether two buckets are one. A caller's own bucket may be of
// a type that cannot be compared; then it is not known to be.
func sameBucket(a, b storage.Bucket) bool {
	return reflect.ValueOf(a).Comparable() && reflect.ValueOf(b).Comparable() && a == b
}
