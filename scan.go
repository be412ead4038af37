package ckpt

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"slices"
	"strconv"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
)

// found is a checkpoint that a scan of the directory saw.
type found struct {
	name   string // without folder
	number int64
	own    bool // matches <name>-<number>
	time   int64
}

// numberOf is the number of a checkpoint called <stem>-<number> as a Manager
// of that name spells it.
func numberOf(name, stem string) (number int64, ok bool) {
	digits, ok := strings.CutPrefix(name, stem+"-")
	if !ok {
		return 0, false
	}
	number, err := strconv.ParseInt(digits, 10, 64)
	return number, err == nil && strconv.FormatInt(number, 10) == digits
}

// stemOf is what stands before the number in <stem>-<number>, "" if the name
// is none.
func stemOf(name string) string {
	stem, ok := strings.CutSuffix(strings.TrimRight(name, "0123456789"), "-")
	if !ok || len(stem)+1 == len(name) {
		return ""
	}
	return stem
}

// scan lists the checkpoints of the directory by their index files, newest
// first: those called <name>-<number> by falling number, then all others by
// falling time. Without a name it is the one that all numbered files share.
// highest is the greatest number that any file of that name pattern carries,
// complete or not. A missing directory holds none.
func (d *directory) scan(ctx context.Context, name string) (list []found, highest int64, err error) {
	var bare []found // those whose index was not seen
	for info, err := range d.bucket.List(ctx, d.base) {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, 0, nil
		}
		if err != nil {
			return nil, 0, err
		}
		file := strings.TrimPrefix(info.Name, d.base)
		prefix, isIndex := strings.CutSuffix(file, ".index")
		if !isIndex {
			prefix, _, _, _ = bundle.ParseDataName(file)
		}
		if _, own := numberOf(prefix, name); prefix == "" || prefix[0] == '.' && !own {
			continue // second names of package bundle, and what Macs leave on foreign disks
		}
		f := found{name: prefix, time: info.ModTime.UnixNano()}
		if isIndex {
			list = append(list, f)
		} else if n := len(bare); n == 0 || bare[n-1].name != prefix {
			bare = append(bare, f)
		}
	}
	if name == "" {
		name = sharedStem(list)
	}
	for _, files := range [...][]found{list, bare} {
		for i := range files {
			f := &files[i]
			if f.number, f.own = numberOf(f.name, name); f.own {
				highest = max(highest, f.number)
			}
		}
	}
	list = append(list, d.interrupted(ctx, list, bare)...)
	slices.SortFunc(list, func(a, b found) int {
		switch {
		case a.own != b.own:
			return boolFirst(a.own)
		case a.own && a.number != b.number:
			return cmp.Compare(b.number, a.number)
		case a.time != b.time:
			return cmp.Compare(b.time, a.time)
		}
		return strings.Compare(b.name, a.name)
	})
	return list, highest, nil
}

// sharedStem is the stem of all numbered checkpoints, "" if there are several.
func sharedStem(list []found) (shared string) {
	for _, f := range list {
		if stem := stemOf(f.name); stem != "" {
			if shared != "" && stem != shared {
				return ""
			}
			shared = stem
		}
	}
	return shared
}

// interrupted lists those of bare, seen without an index, that are checkpoints
// all the same: they were being replaced when the process died. list is sorted
// by name.
func (d *directory) interrupted(ctx context.Context, list, bare []found) []found {
	return slices.DeleteFunc(bare, func(f found) bool {
		_, complete := slices.BinarySearchFunc(list, f.name, func(x found, name string) int { return strings.Compare(x.name+".index", name+".index") })
		if complete {
			return true
		}
		there, err := bundle.Exists(ctx, d.bucket, d.base+f.name)
		return err != nil || !there
	})
}

func boolFirst(first bool) int {
	if first {
		return -1
	}
	return 1
}

// candidate is a checkpoint worth trying.
type candidate struct {
	at      place
	foreign bool // found by looking, not by this manager's name
}

// candidates yields the checkpoints of a directory, the likeliest first: the
// state file's latest, its others from the newest to the oldest, what a scan
// finds. It looks no further than asked. name is that of the manager whose
// checkpoints come first; "" means the one that the files suggest. warn hears
// why a state file cannot be used.
func (d *directory) candidates(ctx context.Context, name string, warn func(error)) iter.Seq2[candidate, error] {
	return func(yield func(candidate, error) bool) {
		seen := make(map[any]bool)
		try := func(c candidate) bool {
			id := c.at.identityOf()
			if seen[id] {
				return true
			}
			seen[id] = true
			return yield(c, nil)
		}
		state, err := d.readState(ctx)
		switch {
		case err == nil:
			listed := make(map[string]bool) // a hostile file repeats a path a million times
			for i := len(state.All); i >= 0; i-- {
				stored := state.Latest
				if i < len(state.All) {
					stored = state.All[i]
				}
				if listed[stored] {
					continue
				}
				listed[stored] = true
				if at, _ := d.resolve(ctx, stored); stored != "" && !try(candidate{at: at}) {
					return
				}
			}
		case !errors.Is(err, ErrNoCheckpoint):
			warn(err)
		}
		anyName := name == ""
		if anyName && state != nil {
			name = stemOf(lastElement(state.Latest))
		}
		scanned, _, err := d.scan(ctx, name)
		if err != nil {
			yield(candidate{}, fmt.Errorf("ckpt: directory %s: %w", d.dir, err))
			return
		}
		for _, f := range scanned {
			if !try(candidate{at: d.at(f.name), foreign: !f.own}) {
				return
			}
		}
		if !anyName || len(seen) > 0 {
			return
		}
		for _, old := range d.oldFormat(ctx) {
			if !try(candidate{at: d.at(old), foreign: true}) {
				return
			}
		}
	}
}
