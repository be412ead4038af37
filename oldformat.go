package ckpt

import (
	"cmp"
	"context"
	"regexp"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
)

// v1Shard is the name of one file of a sharded V1 checkpoint, whose prefix is
// the pattern for all of them.
var v1Shard = regexp.MustCompile(`^(.+)-[0-9]{5,}(-of-[0-9]{5,})$`)

// mostOldFiles bounds how many files of a folder are opened to see whether they
// are V1 checkpoints, which no ending tells.
const mostOldFiles = 1000

// oldFormat lists the V1 checkpoints of a directory, the newest first.
func (d *directory) oldFormat(ctx context.Context) []string {
	type file struct {
		name string
		time int64
	}
	var files []file
	seen := make(map[string]bool)
	for info, err := range d.bucket.List(ctx, d.base) {
		if err != nil || len(files) == mostOldFiles {
			break // an error has stopped the scan before this one already
		}
		name := strings.TrimPrefix(info.Name, d.base)
		if m := v1Shard.FindStringSubmatch(name); m != nil {
			name = m[1] + "-?????" + m[2]
		}
		if !seen[name] {
			seen[name] = true
			files = append(files, file{name, info.ModTime.UnixNano()})
		}
	}
	slices.SortStableFunc(files, func(a, b file) int { return cmp.Compare(b.time, a.time) })
	var names []string
	for _, f := range files {
		at := d.at(f.name)
		if ok, err := bundle.Exists(ctx, at.bucket, at.name); ok && err == nil {
			names = append(names, f.name)
		}
	}
	return names
}
