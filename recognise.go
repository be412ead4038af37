package ckpt

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ckpt-go/ckpt/bundle"
	"github.com/ckpt-go/ckpt/internal/fault"
	"github.com/ckpt-go/ckpt/internal/foreign"
	"github.com/ckpt-go/ckpt/storage/local"
)

// recognise adds to the error of a checkpoint that cannot be read what lies in
// place of the file it is about, and what to do.
func recognise(ctx context.Context, at place, err error) error {
	if err == nil || ctx.Err() != nil {
		return err
	}
	var damage *CorruptError
	switch {
	case errors.As(err, &damage):
		if words := addition(at.instead(ctx, damage), err); words != "" {
			return fmt.Errorf("%w%s", err, words)
		}
	case isAbsent(err):
		if words := at.insteadOfAll(ctx); words != "" {
			return fmt.Errorf("%w: %s", err, words)
		}
	}
	return err
}

// recognise is the same for all that a check found. Each file is looked at once.
func (v *Verified) recognise(ctx context.Context, at place) {
	seen := make(map[string]foreign.Kind)
	for i, damage := range v.Problems {
		if ctx.Err() != nil {
			return
		}
		kind, ok := seen[damage.File]
		if !ok {
			kind = at.instead(ctx, damage)
			seen[damage.File] = kind
		}
		if words := addition(kind, damage.Err); words != "" {
			explained := *damage
			explained.Err = fmt.Errorf("%w%s", damage.Err, words)
			v.Problems[i] = &explained
		}
	}
}

// addition is what an error does not say yet. Package bundle says it of an index.
func addition(kind foreign.Kind, err error) string {
	if kind.What == "" || err == nil || strings.Contains(err.Error(), kind.Advice) {
		return ""
	}
	return ": the file is " + kind.String()
}

// instead tells what the damaged file is; the zero value if that is unknown, or
// not what is wrong.
func (p place) instead(ctx context.Context, damage *CorruptError) foreign.Kind {
	switch damage.Kind {
	case KindFormat, KindTruncated, KindChecksum, KindEntry, KindUnreadable:
	default:
		return foreign.Kind{}
	}
	name := p.name[:len(p.name)-len(baseName(p.name))] + damage.File
	if prefix, _, _, isData := bundle.ParseDataName(name); name != bundle.IndexName(p.name) && (!isData || prefix != p.name) {
		return foreign.Kind{}
	}
	f, err := p.bucket.Open(ctx, name)
	if err != nil {
		if p.isFolder(name) {
			return foreign.Kind{What: "a directory", Advice: "move it away and fetch the file itself again"}
		}
		return foreign.Kind{}
	}
	defer f.Close()
	kind, _ := foreign.Recognise(f, f.Size())
	return kind
}

// insteadOfAll says what a file is that has the name of a checkpoint without
// being one.
func (p place) insteadOfAll(ctx context.Context) string {
	f, err := p.bucket.Open(ctx, p.name)
	if err != nil {
		return ""
	}
	defer f.Close()
	if slices.Contains(modelFiles[:], baseName(p.name)) {
		return "the file of this name is the graph of a SavedModel: give the directory it lies in"
	}
	kind, ok := foreign.Recognise(f, f.Size())
	if !ok {
		return "the file of this name is no checkpoint"
	}
	return "the file of this name is " + kind.String()
}

// isFolder tells whether a name of the local file system is a directory.
func (p place) isFolder(name string) bool {
	folder, ok := p.bucket.(*local.Bucket)
	if !ok {
		return false
	}
	info, err := os.Stat(filepath.Join(folder.Path(), name))
	return err == nil && info.IsDir()
}

// mostForeign bounds how many files of a folder are opened to see what they are.
const mostForeign = 50

// holds says for a directory without checkpoints what lies there instead: " (it
// holds model.h5, …)", or nothing.
func (d *directory) holds(ctx context.Context) string {
	seen := 0
	for info, err := range d.bucket.List(ctx, d.base) {
		if seen++; err != nil || seen > mostForeign {
			break
		}
		f, err := d.bucket.Open(ctx, info.Name)
		if err != nil {
			continue
		}
		kind, ok := foreign.Recognise(f, f.Size())
		f.Close()
		if ok && info.Size > 0 {
			name := fault.Printable(strings.TrimPrefix(info.Name, d.base))
			return fmt.Sprintf(" (it holds %s, which is %s)", name, kind)
		}
	}
	return ""
}
