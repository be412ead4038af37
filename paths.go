package ckpt

import (
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"github.com/ckpt-go/ckpt/objectgraph"
	"github.com/ckpt-go/ckpt/storage"
	"github.com/ckpt-go/ckpt/storage/local"
)

// graphKey is the tensor that holds the object graph.
const graphKey = objectgraph.Key

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

// followed is the same place with leave to follow links out of its folder.
func (p place) followed() place {
	if folder, ok := p.bucket.(*local.Bucket); ok {
		p.bucket = local.Open(folder.Dir(), &local.Options{FollowLinks: true})
	}
	return p
}

func baseName(name string) string {
	return name[strings.LastIndexByte(name, '/')+1:]
}

// identityOf names a checkpoint of this process's view of the world, for pins.
func (p place) identityOf() any {
	if folder, ok := p.bucket.(*local.Bucket); ok {
		path := filepath.Join(folder.Dir(), p.name)
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
